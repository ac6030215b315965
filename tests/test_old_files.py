# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files written before the modules moved into rooms are read for good.

Those in ``old_files`` are from the commit before (33c50bc), when the
preprocessing layer was in ``kikuchipy_spacegroup.patterns``.
"""

import json
from pathlib import Path
import shutil
import zipfile

import dask.array as da
import kikuchipy as kp
import numpy as np
from orix import io
import pytest

import kikuchipy_spacegroup as kpsg

FOLDER = Path(__file__).parent / "old_files"
# In the files, for good
OLD_MODULE = "kikuchipy_spacegroup.preprocessing"  # old name


@pytest.fixture
def probabilities():
    return np.load(FOLDER / "probabilities.npy")


@pytest.fixture
def model():
    return kpsg.load_model(FOLDER / "model.keras")


def modules_of(path):
    """Return the modules of ours that a model file names."""
    found = set()

    def visit(value):
        if isinstance(value, dict):
            if str(value.get("module")).startswith("kikuchipy_spacegroup"):
                found.add(value["module"])
            value = list(value.values())
        for item in value if isinstance(value, list) else []:
            visit(item)

    with zipfile.ZipFile(path) as archive:
        visit(json.loads(archive.read("config.json")))
    return found


def test_model(model, nickel, probabilities, tmp_path):
    """It says what it said, saved again or not."""
    assert modules_of(FOLDER / "model.keras") == {OLD_MODULE}
    patterns = nickel.data.reshape(-1, 60, 60)
    expected = probabilities.reshape(-1, 3)
    assert np.allclose(model.predict_proba(patterns), expected, atol=1e-5)
    model.save(tmp_path / "new.keras")
    assert modules_of(tmp_path / "new.keras") != {OLD_MODULE}
    again = kpsg.load_model(tmp_path / "new.keras")
    assert np.allclose(again.predict_proba(patterns), expected, atol=1e-5)
    assert again.fingerprint() == model.fingerprint()


def test_bundled_model_has_the_old_name():
    """So that tests of the bundled model are tests of old files."""
    path = kpsg.data.model_path()
    assert modules_of(path) == {OLD_MODULE}


def test_half_done_scan(model, nickel, probabilities, tmp_path, monkeypatch):
    """Classification goes on where it stopped."""
    pytest.importorskip("zarr", minversion="3")
    output = tmp_path / "scan.zarr"
    shutil.copytree(FOLDER / "scan.zarr", output)
    scan = kp.signals.LazyEBSD(da.from_array(nickel.data, chunks=(1, 3, 60, 60)))
    predict = kpsg.SpaceGroupModel.predict_proba
    n_patterns = []

    def counted(self, patterns, **kwargs):
        n_patterns.append(len(patterns))
        return predict(self, patterns, **kwargs)

    monkeypatch.setattr(kpsg.SpaceGroupModel, "predict_proba", counted)
    kwargs = {
        "output": output,
        "resume": True,
        "chunk_patterns": 3,
        "static_background": None,
        "keep_probabilities": True,
        "show_progressbar": False,
    }
    # Implausible images were not rejected then
    with pytest.raises(ValueError, match="background differ"):
        scan.classify_space_group(model, **kwargs)
    xmap = scan.classify_space_group(model, reject_implausible=False, **kwargs)
    # Of three rows, the first one was there
    assert sum(n_patterns) == 6
    found, _ = kpsg.maps.probabilities_from_map(xmap)
    assert np.allclose(found, probabilities.reshape(-1, 3), atol=1e-5)


def test_map(probabilities):
    xmap = io.load(FOLDER / "map.h5")
    best = np.argmax(probabilities.reshape(-1, 3), axis=1)
    assert xmap.phase_id.tolist() == np.take([221, 225, 229], best).tolist()
    assert xmap.phases[225].space_group.number == 225
    found, space_groups = kpsg.maps.probabilities_from_map(xmap)
    assert tuple(space_groups) == (221, 225, 229)
    assert np.allclose(found, probabilities.reshape(-1, 3), atol=1e-5)
