# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged files are refused, or what is read from them is sound.

See ``fuzzing.py`` for many more variants, in limited memory and time.
"""

import importlib.util
from pathlib import Path
import sys

import pytest

spec = importlib.util.spec_from_file_location(
    "fuzzing", Path(__file__).with_name("fuzzing.py")
)
fuzzing = importlib.util.module_from_spec(spec)
sys.modules["fuzzing"] = fuzzing  # Dataclasses look there
spec.loader.exec_module(fuzzing)

# Number of variants, as many as can be read in one or two seconds
NUMBERS = {
    "model": 400,
    "model, right checksums": 60,
    "onnx": 400,
    "onnx, right checksum": 100,
    "sht": 400,
    "sht, right checksum": 300,
    "emsoft": 120,
    "library": 400,
    "library, right checksums": 400,
    "cache": 400,
    "cache, right checksums": 400,
    "cif": 120,
    "grain list": 300,
    "grain image": 200,
}


def test_all_targets_are_tried():
    assert NUMBERS.keys() == fuzzing.TARGETS.keys()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NUMBERS)
def test_damaged_files(name, tmp_path):
    if name.startswith("onnx"):
        for package in ("onnx", "onnxruntime", "tf2onnx"):
            pytest.importorskip(package)
    fuzzer = fuzzing.Fuzzer(name, tmp_path, seed=0)
    outcomes = []
    for number in range(NUMBERS[name]):
        outcome, error = fuzzer.judge(number)
        if outcome == "crashed":
            raise AssertionError(f"{name}, variant {number}") from error
        outcomes.append(outcome)
    assert "refused" in outcomes
    if fuzzer.target.checksum:
        assert "different" not in outcomes


def test_variants_are_the_same_again(tmp_path):
    a, b = (fuzzing.Fuzzer("cache", tmp_path, seed=seed) for seed in (1, 2))
    contents = []
    for fuzzer in (a, b, a):
        fuzzer.damage(7)
        contents.append(fuzzer.path.read_bytes())
    assert contents[0] == contents[2] != contents[1]
