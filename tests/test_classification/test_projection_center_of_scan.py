# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The projection center of the detector reaches the network."""

import logging

import dask
import dask.array as da
import kikuchipy as kp
from kikuchipy.signals import EBSD, LazyEBSD
import numpy as np
import pytest

from kikuchipy_spacegroup.__main__ import main
from kikuchipy_spacegroup.classification import (
    classify_space_group,
    compute_classification_map,
)
from kikuchipy_spacegroup.evaluation import class_probabilities, evaluate

SHAPE = (5, 7)


@pytest.fixture
def centers():
    """Centers that are the same for no two points."""
    return np.random.default_rng(1).uniform(0.2, 0.8, size=(*SHAPE, 3))


@pytest.fixture
def scan(centers):
    rng = np.random.default_rng(2)
    signal = EBSD(rng.integers(1, 250, size=(*SHAPE, 24, 24)).astype("uint8"))
    signal.detector.pc = centers
    return signal


def as_lazy(signal, chunks):
    lazy = LazyEBSD(da.from_array(signal.data, chunks=(*chunks, -1, -1)))
    lazy.detector = signal.detector
    return lazy


def probabilities_of(signal, model, **kwargs):
    defaults = {"static_background": None, "reject_implausible": False}
    lazy = classify_space_group(signal, model, compute=False, **defaults | kwargs)
    return lazy.compute()


def centers_in(signal, model, **kwargs):
    """Return the projection centers that ``center_model`` got at every point."""
    probabilities = probabilities_of(signal, model, **kwargs)
    with np.errstate(invalid="ignore"):
        return np.log(probabilities[..., :3] / probabilities[..., 3:])


class TestRightPatterns:
    """Every pattern gets the center of its point."""

    @pytest.mark.parametrize("chunks", [None, (5, 7), (1, 3), (2, 7)])
    @pytest.mark.parametrize("chunk_patterns", [None, 1, 3, 16])
    @pytest.mark.parametrize("masked", [False, True])
    def test_per_point(
        self, scan, centers, center_model, chunks, chunk_patterns, masked
    ):
        mask = np.random.default_rng(3).random(SHAPE) < 0.4 if masked else None
        signal = scan if chunks is None else as_lazy(scan, chunks)
        found = centers_in(
            signal, center_model, chunk_patterns=chunk_patterns, navigation_mask=mask
        )
        expected = (
            centers if mask is None else np.where(mask[..., None], np.nan, centers)
        )
        assert np.allclose(found, expected, atol=1e-5, equal_nan=True)

    @pytest.mark.parametrize("lazy", [False, True])
    def test_one(self, scan, center_model, lazy):
        scan.detector.pc = [0.4, 0.2, 0.6]
        signal = as_lazy(scan, (2, 3)) if lazy else scan
        found = centers_in(signal, center_model, chunk_patterns=4)
        assert np.allclose(found, [0.4, 0.2, 0.6], atol=1e-5)

    @pytest.mark.parametrize("index", [(), (slice(None), 2), (3, slice(1, 4)), (1, 2)])
    def test_parts_of_the_scan(self, scan, centers, center_model, index):
        """Also lines and single patterns, with what kikuchipy makes of the detector."""
        part = scan.inav[index[::-1]] if index else scan
        found = centers_in(part, center_model)
        assert np.allclose(found, centers[index], atol=1e-5)

    def test_pattern_that_cannot_be_classified(self, scan, centers, center_model):
        scan.data[1, 2] = 7
        found = centers_in(scan, center_model)
        centers = centers.copy()
        centers[1, 2] = np.nan
        assert np.allclose(found, centers, atol=1e-5, equal_nan=True)

    def test_central_square(self, center_model):
        """Columns are cut off: (0.3 x 32 - 4) / 24."""
        signal = EBSD(np.random.default_rng(2).normal(size=(2, 24, 32)))
        signal.detector.pc = [[0.3, 0.2, 0.6], [0.5, 0.7, 0.5]]
        found = centers_in(signal, center_model)
        expected = [[5.6 / 24, 0.2, 0.6], [0.5, 0.7, 0.5]]
        assert np.allclose(found, expected, atol=1e-5)

    @pytest.mark.parametrize("scheduler", ["threads", "processes", "synchronous"])
    def test_schedulers(self, scan, centers, center_model, scheduler):
        # Another process is enough, since each imports TensorFlow
        n = 1 if scheduler == "processes" else 2
        with dask.config.set(scheduler=scheduler, num_workers=n):
            found = centers_in(as_lazy(scan, (2, 3)), center_model, chunk_patterns=3)
        assert np.allclose(found, centers, atol=1e-5)

    def test_worker_of_its_own(self, scan, centers, center_model):
        distributed = pytest.importorskip("distributed")
        with (
            distributed.LocalCluster(
                n_workers=1, threads_per_worker=1, dashboard_address=None
            ) as local,
            distributed.Client(local),
        ):
            found = centers_in(as_lazy(scan, (2, 3)), center_model, chunk_patterns=3)
        assert np.allclose(found, centers, atol=1e-5)

    def test_later_changes_do_not_count(self, scan, centers, center_model):
        """What is lazy has the center of when it was asked for."""
        lazy = classify_space_group(
            scan, center_model, compute=False, static_background=None
        )
        scan.detector.pc = [0.1, 0.1, 0.1]
        found = lazy.compute()
        assert np.allclose(np.log(found[..., :3] / found[..., 3:]), centers, atol=1e-5)

    def test_map(self, scan, centers, center_model):
        """The map has the probabilities, and nothing of the signal changes."""
        detector, pc, data = scan.detector, centers.copy(), scan.data.copy()
        kwargs = {"keep_probabilities": True, "show_progressbar": False}
        xmap = classify_space_group(
            scan, center_model, static_background=None, **kwargs
        )
        p = xmap.prop["probabilities"]
        found = np.log(p[:, :3] / p[:, 3:]).reshape(*SHAPE, 3)
        assert np.allclose(found, centers, atol=1e-5)
        lazy = classify_space_group(
            scan, center_model, static_background=None, compute=False
        )
        other = compute_classification_map(lazy, scan, center_model, **kwargs)
        assert np.allclose(other.prop["probabilities"], p, atol=1e-6)
        assert scan.detector is detector
        assert np.array_equal(detector.pc, pc)
        assert detector.shape == (24, 24)
        assert np.array_equal(scan.data, data)

    def test_table(self, scan, centers, center_model):
        table = evaluate(center_model, {"Ni": (scan, 225)}, show_progressbar=False)
        p, _ = class_probabilities(table)
        found = np.log(p[:, :3] / p[:, 3:])
        at = table["row"], table["column"]
        assert np.allclose(found, centers[at], atol=1e-5)


class TestCamera:
    """What kikuchipy does to patterns and their detector."""

    def test_cropped(self, nickel, center_model):
        """The central square of a pattern is the same pattern with the same center."""
        wide = EBSD(nickel.data[:, :, 10:50])
        wide.detector.pc = [0.4, 0.3, 0.7]
        square = wide.isig[10:50, :]
        assert square.detector.shape == (40, 40)
        expected = centers_in(wide, center_model)
        # (0.4 x 60 - 10) / 40
        assert np.allclose(expected, [0.35, 0.3, 0.7], atol=1e-5)
        assert np.allclose(centers_in(square, center_model), expected, atol=1e-5)

    def test_binned(self, nickel, center_model):
        """Centers are relative. kikuchipy 0.13 also bins the detector of the first."""
        expected = centers_in(nickel, center_model)
        assert np.allclose(expected, nickel.detector.pc, atol=1e-5)
        binned = nickel.downsample(2, inplace=False, show_progressbar=False)
        for signal in (nickel, binned):
            assert np.allclose(centers_in(signal, center_model), expected, atol=1e-5)

    def test_other_conventions(self, nickel, center_model):
        """The detector knows which one it was given in."""
        nickel.detector = kp.detectors.EBSDDetector(
            (60, 60), pc=(0.4, 0.7, 0.6), convention="tsl"
        )
        assert np.allclose(centers_in(nickel, center_model), [0.4, 0.3, 0.6], atol=1e-5)


class TestUnknown:
    @pytest.mark.parametrize("n", [1, "all"])
    def test_default(self, scan, center_model, caplog, n):
        """Nobody has set it: NaN arrives, which is logged with what to do."""
        scan.detector.pc = np.full((1, 3) if n == 1 else (*SHAPE, 3), 0.5)
        with caplog.at_level(logging.INFO, logger="kikuchipy_spacegroup"):
            found = centers_in(scan, center_model)
        assert np.isnan(found).all()
        assert "Projection center: unknown" in caplog.text
        assert "signal.detector.pc = (pcx, pcy, pcz)" in caplog.text

    def test_nan(self, scan, centers, center_model, caplog):
        centers = centers.copy()
        centers[2, 3] = np.nan
        scan.detector.pc = centers
        found = centers_in(scan, center_model)
        assert np.allclose(found, centers, atol=1e-5, equal_nan=True)
        scan.detector.pc = [np.nan] * 3
        with caplog.at_level(logging.INFO, logger="kikuchipy_spacegroup"):
            assert np.isnan(centers_in(scan, center_model)).all()
        assert "unknown, as NaN is" in caplog.text

    def test_one_that_is_the_default(self, scan, centers, center_model):
        """Beside others, the middle is a center as any."""
        centers = centers.copy()
        centers[0, 0] = 0.5
        scan.detector.pc = centers
        assert np.allclose(centers_in(scan, center_model), centers, atol=1e-5)

    def test_known_is_logged(self, scan, center_model, caplog):
        scan.detector.pc = [0.4, 0.2, 0.6]
        with caplog.at_level(logging.INFO, logger="kikuchipy_spacegroup"):
            centers_in(scan, center_model)
        assert (
            "Projection center: (0.400, 0.200, 0.600), the same for all" in caplog.text
        )

    def test_in_a_shell(self, center_model, nickel, tmp_path, monkeypatch, caplog):
        monkeypatch.chdir(tmp_path)
        center_model.save("center.keras")
        nickel.detector.pc = [0.5, 0.5, 0.5]
        nickel.save("scan.h5")
        with caplog.at_level(logging.INFO, logger="kikuchipy_spacegroup"):
            assert main(["scan.h5", "--model", "center.keras"]) == 0
        assert "Projection center: unknown" in caplog.text


class TestErrors:
    """They come before any pattern is read."""

    @pytest.fixture
    def unreadable(self):
        def read(block):
            raise AssertionError("patterns are read")

        data = da.zeros((*SHAPE, 24, 24), chunks=(1, 7, 24, 24)).map_blocks(
            read, dtype="uint8", meta=np.empty((0, 0, 0, 0), dtype="uint8")
        )
        return LazyEBSD(data)

    @pytest.mark.parametrize(
        ("pc", "match"),
        [
            (np.full((5, 6, 3), 0.4), r"\(5, 6, 3\), which are .* \(5, 7, 3\)"),
            (np.full((7, 5, 3), 0.4), r"\(7, 5, 3\), which are neither one"),
            (np.full((35, 3), 0.4), r"\(35, 3\), which are .*pc_average"),
            ([0.4, np.inf, 0.5], "not possible, such as"),
            ([0.4, 0.2, -0.5], "PCz above 0"),
        ],
    )
    def test_center(self, unreadable, center_model, tiny_model, pc, match):
        unreadable.detector.pc = pc
        with pytest.raises(ValueError, match=match):
            classify_space_group(unreadable, center_model)
        with pytest.raises(OSError, match="patterns are read"):
            classify_space_group(unreadable, tiny_model)

    def test_shape(self, unreadable, center_model):
        unreadable.detector.shape = (24, 20)
        unreadable.detector.pc = [0.4, 0.2, 0.5]
        with pytest.raises(ValueError, match=r"shape \(24, 20\), and its patterns are"):
            classify_space_group(unreadable, center_model)


class TestOtherModels:
    """They never look at a detector."""

    def test_no_detector(self, nickel, tiny_model, monkeypatch, caplog):
        kwargs = {"static_background": None, "compute": False}
        expected = classify_space_group(nickel, tiny_model, **kwargs).compute()

        def fail(self):
            raise AssertionError("the detector is looked at")

        monkeypatch.setattr(EBSD, "detector", property(fail))
        with caplog.at_level(logging.INFO, logger="kikuchipy_spacegroup"):
            found = classify_space_group(nickel, tiny_model, **kwargs).compute()
            classify_space_group(nickel, tiny_model, show_progressbar=False)
        assert np.array_equal(found, expected)
        assert "rojection center" not in caplog.text


class TestOutput:
    """Results are gone on with only for the same centers."""

    @pytest.fixture
    def classify(self, center_model, tmp_path):
        pytest.importorskip("zarr")

        def classify(signal, model=center_model, **kwargs):
            return classify_space_group(
                signal,
                model,
                output=tmp_path / "a.zarr",
                static_background=None,
                chunk_patterns=4,
                keep_probabilities=True,
                show_progressbar=False,
                **kwargs,
            )

        return classify

    def test_equals_no_output(self, scan, centers, classify):
        xmap = classify(as_lazy(scan, (2, 3)))
        p = xmap.prop["probabilities"]
        found = np.log(p[:, :3] / p[:, 3:]).reshape(*SHAPE, 3)
        assert np.allclose(found, centers, atol=1e-5)

    def test_resume(self, scan, centers, classify):
        first = classify(scan)
        again = classify(scan, resume=True)
        assert np.array_equal(again.prop["probabilities"], first.prop["probabilities"])
        other = centers.copy()
        other[4, 6, 1] += 0.01
        for pc in (other, centers.mean(axis=(0, 1)), [0.5, 0.5, 0.5]):
            scan.detector.pc = pc
            with pytest.raises(ValueError, match="else: projection_centers differ"):
                classify(scan, resume=True)
        scan.detector.pc = centers
        classify(scan, resume=True)

    def test_one_for_each_that_are_the_same(self, scan, classify):
        scan.detector.pc = [0.4, 0.2, 0.6]
        classify(scan)
        scan.detector.pc = np.full((*SHAPE, 3), [0.4, 0.2, 0.6])
        classify(scan, resume=True)

    def test_other_models_do_not_mind(self, scan, classify, tiny_model):
        classify(scan, tiny_model)
        scan.detector.pc = [0.4, 0.2, 0.6]
        classify(scan, tiny_model, resume=True)
