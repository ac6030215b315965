# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of the method: the same map whatever the scan is like."""

import logging

import dask
import dask.array as da
import hyperspy.api as hs
import kikuchipy as kp
from kikuchipy.signals import EBSD, LazyEBSD
import numpy as np
import pytest

import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup.classification import (
    classify_space_group,
    compute_classification_map,
)


class BrightnessModel:
    """Says 225 for patterns brighter to the left, else 229."""

    space_groups = (225, 229)
    min_probability = 0.0

    def __init__(self):
        self.n_seen = 0
        self.largest = 0

    def predict_proba(self, patterns):
        self.n_seen += len(patterns)
        self.largest = max(self.largest, len(patterns))
        half = patterns.shape[-1] // 2
        left = np.nanmean(patterns[..., :half], axis=(1, 2))
        right = np.nanmean(patterns[..., half:], axis=(1, 2))
        p = left / (left + right)
        return np.stack([p, 1 - p], axis=-1).astype("float32")


@pytest.fixture
def scan():
    rng = np.random.default_rng(1)
    return rng.integers(1, 250, size=(7, 9, 20, 24)).astype("uint8")


def classify(signal, model=None, **kwargs):
    kwargs.setdefault("static_background", None)
    model = model or BrightnessModel()
    return classify_space_group(signal, model, show_progressbar=False, **kwargs)


def reference(scan, model=None):
    """All patterns in one batch."""
    flat = scan.reshape(-1, *scan.shape[-2:]).astype("float32")
    return (model or BrightnessModel()).predict_proba(flat)


class TestContract:
    """Eager, lazy, shapes, types and chunks."""

    @pytest.mark.parametrize("lazy", [False, True])
    @pytest.mark.parametrize("index", [np.s_[:], np.s_[3], np.s_[2, 4]])
    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
    def test_one_big_batch(self, scan, lazy, index, dtype):
        data = scan[index].astype(dtype)
        s = LazyEBSD(da.from_array(data)) if lazy else EBSD(data)
        xmap = classify(s, keep_probabilities=True)
        expected = reference(data)
        assert np.allclose(xmap.prop["probabilities"], expected, atol=1e-6)
        assert np.array_equal(xmap.phase_id, np.array([225, 229])[expected.argmax(1)])
        assert xmap.size == max(1, np.prod(data.shape[:-2]))

    @pytest.mark.parametrize(
        "chunks", [(1, 1, 20, 24), (7, 9, 20, 24), (3, 2, 20, 24), (2, 9, 7, 5)]
    )
    @pytest.mark.parametrize("chunk_patterns", [None, 1, 4, 20])
    def test_chunks(self, scan, chunks, chunk_patterns):
        s = LazyEBSD(da.from_array(scan, chunks=chunks))
        model = BrightnessModel()
        xmap = classify(
            s, model, chunk_patterns=chunk_patterns, keep_probabilities=True
        )
        assert np.allclose(xmap.prop["probabilities"], reference(scan), atol=1e-6)
        assert model.n_seen == 63
        if chunk_patterns:
            assert model.largest <= max(chunk_patterns, 9)

    def test_real_model(self, nickel, tiny_model):
        p = tiny_model.predict_proba(
            nickel.data.reshape(9, 60, 60) / nickel.static_background
        )
        for s in (nickel, nickel.as_lazy()):
            for n in (1, 2, 9):
                xmap = classify_space_group(
                    s,
                    tiny_model,
                    chunk_patterns=n,
                    keep_probabilities=True,
                    show_progressbar=False,
                )
                assert np.allclose(xmap.prop["probabilities"], p, atol=1e-4)

    @pytest.mark.parametrize("lazy", [False, True])
    def test_nothing_changes(self, nickel, tiny_model, lazy):
        s = nickel.as_lazy() if lazy else nickel
        data, xmap, detector = s.data, s.xmap, s.detector
        background = s.static_background
        copy, pc = np.array(data), detector.pc.copy()
        s.classify_space_group(tiny_model, show_progressbar=False)
        assert s.data is data
        assert s.xmap is xmap
        assert s.detector is detector
        assert s.static_background is background
        assert np.array_equal(np.array(s.data), copy)
        assert np.array_equal(detector.pc, pc)

    def test_slices(self, nickel, tiny_model):
        whole = nickel.classify_space_group(
            tiny_model, show_progressbar=False, keep_probabilities=True
        )
        part = nickel.inav[1:, :2].classify_space_group(
            tiny_model, show_progressbar=False, keep_probabilities=True
        )
        assert np.allclose(
            part.prop["probabilities"],
            whole[:2, 1:].prop["probabilities"],
            atol=1e-5,
        )

    def test_set_on_signal(self, nickel, tiny_model):
        nickel.xmap = nickel.classify_space_group(tiny_model, show_progressbar=False)
        assert nickel.inav[0, 0].xmap.size == 1

    def test_coordinates_are_those_of_indexing(self, nickel, tiny_model):
        xmap = nickel.classify_space_group(tiny_model, show_progressbar=False)
        assert np.allclose(xmap.x, nickel.xmap.x)
        assert np.allclose(xmap.y, nickel.xmap.y)
        assert xmap.scan_unit == "um"
        assert classify(EBSD(nickel.data)).scan_unit == "px"

    def test_laziness(self, scan):
        s = LazyEBSD(da.from_array(scan))
        model = BrightnessModel()
        lazy = classify(s, model, compute=False)
        assert model.n_seen == 0
        assert isinstance(lazy, da.Array)
        assert lazy.shape == (7, 9, 2)
        assert lazy.dtype == np.float32
        xmap = compute_classification_map(lazy, s, model, show_progressbar=False)
        assert np.array_equal(xmap.phase_id, classify(s).phase_id)
        computed = lazy.compute()
        xmap = compute_classification_map(computed, s, model, show_progressbar=False)
        assert np.array_equal(xmap.phase_id, classify(s).phase_id)

    @pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
    def test_schedulers(self, scan, scheduler, tiny_model):
        lazy = classify(EBSD(scan), tiny_model, compute=False, chunk_patterns=9)
        with dask.config.set(scheduler=scheduler):
            p = lazy.compute()
        expected = reference(scan, tiny_model)
        assert np.allclose(p.reshape(-1, 3), expected, atol=1e-5)


class TestMasks:
    """Points and pixels that are left out."""

    @pytest.mark.parametrize("lazy", [False, True])
    def test_navigation_mask(self, scan, lazy):
        s = LazyEBSD(da.from_array(scan)) if lazy else EBSD(scan)
        mask = np.zeros((7, 9), dtype=bool)
        mask[1, 2:] = True
        mask[5] = True
        model = BrightnessModel()
        xmap = classify(s, model, navigation_mask=mask, chunk_patterns=9)
        assert model.n_seen == (~mask).sum()
        assert np.array_equal(xmap.is_in_data, ~mask.ravel())
        expected = classify(s).phase_id.reshape(7, 9)[~mask]
        assert np.array_equal(xmap.phase_id, expected)

    def test_signal_mask(self, scan):
        mask = np.zeros((20, 24), dtype=bool)
        mask[:5] = True
        changed = scan.copy()
        changed[..., :5, :] = np.random.default_rng(2).integers(250, size=(5, 24))
        a, b = (
            classify(EBSD(x), signal_mask=mask, keep_probabilities=True)
            for x in (scan, changed)
        )
        assert np.array_equal(a.prop["probabilities"], b.prop["probabilities"])

    def test_unusable_patterns(self, scan):
        data = scan.astype("float32")
        data[0, 0] = 17
        data[0, 1] = np.nan
        data[0, 2, :15] = 255
        xmap = classify(EBSD(data), static_background="auto")
        assert xmap.phase_id[:3].tolist() == [-1, -1, -1]
        assert (xmap.phase_id[3:] != -1).all()
        assert (xmap.prop["scores"][:3] == 0).all()

    def test_only_unusable_patterns(self):
        s = EBSD(np.zeros((2, 3, 10, 10), dtype="uint8"))
        assert (classify(s, static_background="auto").phase_id == -1).all()

    def test_min_probability(self, scan):
        xmap = classify(EBSD(scan))
        limit = np.median(xmap.prop["scores"])
        strict = classify(EBSD(scan), min_probability=limit)
        expected = np.where(xmap.prop["scores"] >= limit, xmap.phase_id, -1)
        assert np.array_equal(strict.phase_id, expected)


class FourGroupsModel(BrightnessModel):
    """Hardly tells 152 from 154."""

    space_groups = (225, 229, 152, 154)

    def predict_proba(self, patterns):
        first, second = super().predict_proba(patterns).T
        return np.stack(
            [0.8 * first, 0.8 * second, 0 * first + 0.12, 0 * first + 0.08], -1
        )


class TestCandidates:
    """Only some space groups are possible."""

    def test_renormalized(self, scan):
        whole = reference(scan, FourGroupsModel())
        given = {"space_groups": [152, 229], "keep_probabilities": True}
        xmap = classify(EBSD(scan), FourGroupsModel(), **given)
        # Of the pair, one stands for both
        expected = np.stack([whole[:, 2] + whole[:, 3], whole[:, 1]], axis=1)
        totals = expected.sum(axis=1)
        expected /= totals[:, None]
        assert np.allclose(xmap.prop["probabilities"], expected, atol=1e-6)
        assert np.allclose(xmap.prop["candidates_probability"], totals, atol=1e-6)
        assert set(np.unique(xmap.phase_id)) <= {152, 229}

    def test_all_is_the_same_as_none(self, scan):
        model = FourGroupsModel()
        xmap = classify(EBSD(scan), model, keep_n=4)
        every = classify(EBSD(scan), model, keep_n=4, space_groups=model.space_groups)
        assert np.allclose(every.prop["candidates_probability"], 1, atol=1e-6)
        for name, values in xmap.prop.items():
            assert np.allclose(every.prop[name], values, atol=1e-6)

    def test_lazily(self, scan):
        s, model = EBSD(scan), FourGroupsModel()
        lazy = classify(s, model, compute=False)
        for separate, expected in ((False, 1.0), (True, 0.6)):
            xmap = compute_classification_map(
                lazy,
                s,
                model,
                space_groups=[152, 154],
                separate_enantiomorphs=separate,
                show_progressbar=False,
            )
            top = xmap.prop["top_probabilities"][:, 0]
            assert np.allclose(top, expected, atol=1e-6)
            assert (xmap.phase_id == 152).all()

    def test_improbable_ones_are_told(self, scan, caplog):
        class Sure(FourGroupsModel):
            def predict_proba(self, patterns):
                p = np.array([0.97, 0.03, 0, 0], "float32")
                return np.tile(p, (len(patterns), 1))

        with caplog.at_level("WARNING", "kikuchipy_spacegroup"):
            classify(EBSD(scan), Sure(), space_groups=[225])
            assert not caplog.records
            classify(EBSD(scan), Sure(), space_groups=[229, 152])
        assert "may not be among them" in caplog.text
        # Impossible ones tell nothing
        xmap = classify(EBSD(scan), Sure(), space_groups=[152])
        assert (xmap.phase_id == -1).all()
        assert not xmap.prop["scores"].any()

    @pytest.mark.parametrize(
        ("space_groups", "match"),
        [
            ([], "at least one"),
            ([225, 225], "different"),
            ([225, 194], r"does not know the space groups \[194\]"),
            ([0], "1 to 230"),
        ],
    )
    def test_errors_before_work(self, scan, space_groups, match):
        model = FourGroupsModel()
        with pytest.raises(ValueError, match=match):
            classify(EBSD(scan), model, space_groups=space_groups)
        assert model.n_seen == 0


class TestBackground:
    """What patterns are divided by, and that it is told."""

    def used(self, caplog, s, **kwargs):
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="kikuchipy_spacegroup"):
            xmap = classify_space_group(
                s, BrightnessModel(), show_progressbar=False, **kwargs
            )
        assert "patterns/s" in caplog.text
        return xmap, caplog.text

    def test_choices(self, caplog, nickel):
        assert "that of the signal" in self.used(caplog, nickel)[1]
        text = self.used(caplog, nickel, static_background=None)[1]
        assert "none, as asked for" in text
        own = nickel.static_background
        text = self.used(caplog, nickel, static_background=own)[1]
        assert "the given array" in text
        assert "blurred mean of 9" in self.used(caplog, EBSD(nickel.data))[1]

    def test_own_is_the_same_as_given(self, caplog, nickel):
        own = nickel.static_background
        a = self.used(caplog, nickel)[0]
        b = self.used(caplog, nickel, static_background=own)[0]
        c = self.used(caplog, nickel.as_lazy())[0]
        assert np.array_equal(a.prop["scores"], b.prop["scores"])
        assert np.array_equal(a.prop["scores"], c.prop["scores"])

    def test_mean(self, caplog):
        rng = np.random.default_rng(1)
        light = np.linspace(50, 150, 24) * np.ones((20, 1))
        scan = light * (1 + 0.1 * rng.normal(size=(10, 12, 20, 24)))
        xmap, text = self.used(caplog, EBSD(scan.astype("float32")))
        assert "mean of 120 patterns" in text
        # Without the light, neither side is brighter
        assert abs(xmap.prop["scores"] - 0.5).max() < 0.05


class TestErrors:
    """Before any work, with a clear message."""

    @pytest.mark.parametrize(
        ("kwargs", "match"),
        [
            ({"navigation_mask": np.zeros((9, 7), bool)}, r"shape \(7, 9\)"),
            ({"navigation_mask": np.zeros((7, 9))}, "boolean"),
            ({"navigation_mask": [True]}, "boolean"),
            ({"navigation_mask": np.ones((7, 9), bool)}, "True everywhere"),
            ({"signal_mask": np.zeros((24, 20), bool)}, r"shape \(20, 24\)"),
            ({"static_background": np.ones((24, 20))}, r"shape \(20, 24\)"),
            ({"static_background": np.zeros((20, 24))}, "above zero"),
            ({"static_background": "mean"}, "'auto', None or an array"),
            ({"min_probability": 1.2}, r"in \[0, 1\], not 1.2"),
            ({"keep_n": 0}, "at least 1, not 0"),
            ({"chunk_patterns": 0}, "at least 1, not 0"),
        ],
    )
    def test_arguments(self, scan, kwargs, match):
        model = BrightnessModel()
        with pytest.raises(ValueError, match=match):
            classify(EBSD(scan), model, **kwargs)
        assert model.n_seen == 0

    def test_signal(self, scan):
        with pytest.raises(TypeError, match="not Signal2D"):
            classify(hs.signals.Signal2D(scan))
        with pytest.raises(TypeError, match="not ndarray"):
            classify(scan)
        with pytest.raises(ValueError, match="3 navigation dimensions"):
            classify(EBSD(scan[None]))
        with pytest.raises(ValueError, match="too small"):
            classify(EBSD(scan[..., :4]))
        with pytest.raises(ValueError, match="real numbers, not complex"):
            classify(EBSD(scan.astype(complex)))

    def test_model(self, nickel, tmp_path):
        with pytest.raises(TypeError, match="not int"):
            nickel.classify_space_group(3)
        with pytest.raises(FileNotFoundError):
            nickel.classify_space_group(tmp_path / "no.keras")
        with pytest.raises(ValueError, match="no bundled model 'best'"):
            nickel.classify_space_group("best")

    def test_foreign_probabilities(self, nickel, tiny_model):
        with pytest.raises(ValueError, match=r"together need \(3, 3, 3\)"):
            compute_classification_map(np.ones((3, 3, 4)), nickel, tiny_model)


class TestProgress:
    """The bar follows kikuchipy's rule."""

    def test_bar(self, scan, capsys):
        s = EBSD(scan)
        default = hs.preferences.General.show_progressbar
        try:
            for preference, argument, shown in [
                (True, None, True),
                (False, None, False),
                (False, True, True),
                (True, False, False),
            ]:
                hs.preferences.General.show_progressbar = preference
                classify_space_group(s, BrightnessModel(), show_progressbar=argument)
                assert ("Completed" in capsys.readouterr().out) == shown
        finally:
            hs.preferences.General.show_progressbar = default


class TestPrior:
    """A map knows how often space groups were in training."""

    @pytest.fixture
    def model(self):
        model = kpsg.SpaceGroupModel.create(
            [225, 152, 154, 194], size=32, filters=(8,), stem=8
        )
        model.prior = [0.4, 0.1, 0.2, 0.3]
        return model

    @pytest.mark.parametrize(
        ("kwargs", "expected"),
        [
            ({}, [0.4, 0.3, 0.3]),
            ({"separate_enantiomorphs": True}, [0.4, 0.1, 0.2, 0.3]),
            ({"space_groups": [225, 154]}, [4 / 7, 3 / 7]),
        ],
    )
    def test_recorded(self, nickel, model, kwargs, expected):
        kwargs |= {"keep_probabilities": True, "show_progressbar": False}
        xmap = nickel.classify_space_group(model, **kwargs)
        assert np.allclose(kpsg.maps.prior_from_map(xmap), expected)
        p = nickel.classify_space_group(model, compute=False, show_progressbar=False)
        again = kpsg.classification.compute_classification_map(
            p, nickel, model, **kwargs
        )
        assert np.array_equal(
            again.prop["probabilities_prior"], xmap.prop["probabilities_prior"]
        )

    def test_bundled_model(self, nickel):
        xmap = nickel.classify_space_group(
            keep_probabilities=True, show_progressbar=False
        )
        assert "probabilities_prior" not in xmap.prop


class TestRealPatterns:
    """The bundled model on real patterns."""

    def test_nickel(self, nickel):
        for s in (nickel, nickel.as_lazy()):
            xmap = s.classify_space_group(
                min_probability=0, keep_probabilities=True, show_progressbar=False
            )
            p, groups = kpsg.maps.probabilities_from_map(xmap)
            assert groups[np.log(p).mean(axis=0).argmax()] == 225
            assert (xmap.phase_id == 225).mean() > 0.5

    @pytest.mark.parametrize(
        ("name", "number"), [("227_Si_OpenECCI.png", 227), ("229_W_20kV.png", 229)]
    )
    def test_others(self, shared_data, name, number):
        from matplotlib.image import imread

        image = imread(shared_data / "real" / name)
        image = image if image.ndim == 2 else image[..., :3].mean(axis=-1)
        xmap = EBSD(image).classify_space_group(
            min_probability=0, show_progressbar=False
        )
        assert xmap.phase_id.tolist() == [number]

    def test_same_as_kikuchipy_loads(self, nickel, tmp_path):
        nickel.save(tmp_path / "scan.h5")
        lazy = kp.load(tmp_path / "scan.h5", lazy=True)
        a, b = (s.classify_space_group(show_progressbar=False) for s in (nickel, lazy))
        assert np.array_equal(a.phase_id, b.phase_id)
        assert np.allclose(a.prop["scores"], b.prop["scores"], atol=1e-5)
