# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage files at random and see what their readers make of them.

A variant is a file damaged in a way that its reader, a seed and a number
determine. To read 10 000 variants for every reader, each reader in a
process of its own with limited memory and time::

    python tests/fuzzing.py --output benchmarks/results/fuzzing.csv

and to see what one of them comes to::

    python tests/fuzzing.py cif --seed 1 --only 123

``test_fuzzing.py`` reads a few hundred variants.
"""

import argparse
from collections.abc import Callable
import csv
from dataclasses import dataclass
import hashlib
import importlib.util
import io
import json
import logging
import os
from pathlib import Path
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile

import h5py
import numpy as np

MEMORY_LIMIT = 2**30
SECONDS_LIMIT = 60
OUTCOMES = ("refused", "identical", "different", "crashed")
NUMBERS = [0, 1, -1, 127, 255, 2**15 - 1, -(2**15), 2**31 - 1, -(2**31), 2**63 - 1]
# What texts and descriptions should not have where it may end up
WORDS = (
    b"nan inf -inf 1e999 -1 0 99999999999999999999 1/0 null true [] {} ? . "
    b"../../x /etc/passwd __import__ Lambda keras.layers keras function None".split()
)
WORDS += [b"", b"\x00", b"\xff\xfe", b"'", b'"', b"\t", b"\n", b"loop_\n", b"[" * 2000]
VALUES = [None, True, -1, 0, 7, 0.5, 10**6, 10**12, 10**400, 1e308, float("nan"), "x"]
VALUES += ["../../x", "Lambda", "keras.layers", "float16", [], [0, 0, 0], {}, {"a": 1}]
VALUES += ["relu", "tanh", [None, 10**5, 10**5, 1], "same", "channels_first"]


def sibling(name: str):
    """Return a module of tests, of whichever room."""
    (path,) = Path(__file__).parent.rglob(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"fuzzed_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def damage(data: bytes, rng: np.random.Generator, n_kinds: int = 8) -> bytes:
    """Return data with one to four changes of different kinds."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        n = max(len(changed), 1)
        at = int(rng.integers(n))
        size = int(rng.choice([1, 2, 4, 8, 64, 1024]))
        kind = rng.integers(n_kinds)
        if kind == 0 and changed:
            changed[at] ^= 1 << int(rng.integers(8))
        elif kind == 1 and changed:
            changed[at] = int(rng.integers(256))
        elif kind == 2:
            number = int(rng.choice(NUMBERS)) % 256 ** min(size, 8)
            order = "little" if rng.integers(4) else "big"
            changed[at : at + size] = number.to_bytes(min(size, 8), order)
        elif kind == 3:
            changed[at : at + size] = rng.bytes(size)
        elif kind == 4:
            changed[at : at + size] = bytes([int(rng.choice([0, 255]))]) * size
        elif kind == 5:
            del changed[at : at + size]
        elif kind == 6:
            changed[at:at] = changed[at : at + size]
        else:
            del changed[at:]
    return bytes(changed)


def damage_in_place(data: bytes, rng: np.random.Generator) -> bytes:
    """Return data of the same length, as others are easily seen."""
    return damage(data, rng, 5)[: len(data)]


def damage_text(data: bytes, rng: np.random.Generator) -> bytes:
    """Return data in which words are replaced, or bytes changed."""
    if rng.integers(3) == 0:
        return damage(data, rng)
    words = data.replace(b"\n", b" \n ").replace(b"\t", b" \t ").split(b" ")
    for _ in range(rng.choice([1, 1, 2, 4])):
        at, other = rng.integers(len(words), size=2)
        new = WORDS[rng.integers(len(WORDS))] if rng.integers(4) else words[other]
        words[at] = new
    return b" ".join(words).replace(b" \n ", b"\n").replace(b" \t ", b"\t")


def damage_json(data: bytes, rng: np.random.Generator) -> bytes:
    """Return JSON with other values, or the text damaged."""
    if rng.integers(4) == 0:
        return damage_text(data, rng)
    content = json.loads(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        places, queue = [], [content]
        for item in queue:
            keys = item if isinstance(item, dict) else range(len(item))
            places += [(item, key) for key in keys]
            queue += [item[key] for key in keys if isinstance(item[key], dict | list)]
        (item, key), (other, other_key) = (
            places[rng.integers(len(places))] for _ in range(2)
        )
        value = other[other_key]
        if rng.integers(4):
            value = VALUES[rng.integers(len(VALUES))]
        item[key] = json.loads(json.dumps(value))  # Else it may have itself within
        content = json.loads(json.dumps(content))
        if not content:
            break
    return json.dumps(content).encode()


def damage_member(data: bytes, rng: np.random.Generator) -> bytes:
    """Return a zip archive with one damaged member and right checksums."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[rng.integers(len(members))]
    change = {".json": damage_json, ".h5": damage_in_place}
    members[name] = change.get(Path(name).suffix, damage)(members[name], rng)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def damage_sht(data: bytes, rng: np.random.Generator) -> bytes:
    """Return a .sht file with a right checksum."""
    from kikuchipy_spacegroup.io._sht_file import _checksum

    changed = damage(data[:-4], rng)
    return changed + struct.pack("<I", _checksum(changed))


def damage_onnx(data: bytes, rng: np.random.Generator) -> bytes:
    """Return an ONNX file with a right checksum."""
    from kikuchipy_spacegroup.models import _onnx_file

    return _onnx_file.sealed(damage(data[: -_onnx_file._SEAL_BYTES], rng))


# -- What is written, and read


def small_model():
    import keras

    from kikuchipy_spacegroup.models import SpaceGroupModel
    from kikuchipy_spacegroup.patterns import PreparePatterns

    keras.utils.set_random_seed(1)
    inputs = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(2, 3, strides=4, activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(inputs, keras.layers.Dense(2)(x))
    prepare = PreparePatterns(16, name="prepare_patterns")
    return SpaceGroupModel(network, [225, 229], prepare, metadata={"name": "small"})


def write_model(folder: Path) -> Path:
    small_model().save(folder / "a.keras")
    return folder / "a.keras"


def read_model(path: Path) -> list:
    from kikuchipy_spacegroup import load_model

    model = load_model(path)
    config = {"network": model.network.get_config(), **model.prepare.get_config()}
    return [json.dumps(config, default=repr), repr(model), model.header()] + [
        weights.tobytes() for weights in model.network.get_weights()
    ]


def write_onnx(folder: Path) -> Path:
    from kikuchipy_spacegroup.models import save_onnx

    save_onnx(folder / "a.onnx", small_model())
    return folder / "a.onnx"


def read_onnx(path: Path) -> list:
    from kikuchipy_spacegroup.models import OnnxModel

    model = OnnxModel(path)
    patterns = np.random.default_rng(1).random((2, 20, 20))
    try:
        found = model.predict_proba(patterns).tobytes()
    except Exception as error:  # ONNX Runtime's, where sizes do not fit
        found = type(error).__name__
    return [model.space_groups, model.metadata, model.conformal_thresholds, found]


def write_sht(folder: Path) -> Path:
    module = sibling("test_sht")
    coefficients = module.random_coefficients(6, 4, 7)
    return module.write_sht(folder / "a.sht", coefficients, 6, 4, 7, grid=(4, 2))


def read_sht(path: Path) -> list:
    from kikuchipy_spacegroup.io import load_sht

    signal = load_sht(path, half_width=5)
    return [*signal_content(signal), signal.metadata.as_dictionary()]


def signal_content(signal) -> list:
    phase = signal.phase
    return [signal.data.tobytes(), repr(phase), repr(phase.structure), repr(signal)]


def write_emsoft(folder: Path) -> Path:
    path = folder / "a.h5"
    sibling("test_master_patterns").write_emsoft(path, electrons=[1, 2])
    with h5py.File(path, "a") as file:
        group = file["EMData/EBSDmaster"]
        for name in ("mLPNH", "mLPSH"):  # In chunks and compressed, as EMsoft's
            data = group.pop(name)[()]
            group.create_dataset(name, data=data, chunks=True, compression="gzip")
    return path


def read_emsoft(path: Path) -> list:
    from kikuchipy_spacegroup import MasterPatternLibrary

    return library_content(MasterPatternLibrary.from_files(path, half_width=6))


def library_content(library) -> list:
    arrays = ("data", "phase_index", "upper", "lower", "energies")
    return [repr(library), *(getattr(library, name).tobytes() for name in arrays)]


def write_library(folder: Path) -> Path:
    from kikuchipy_spacegroup import MasterPatternLibrary

    module = sibling("test_master_patterns")
    signals = [module.signal(225, "A", side=5), module.signal(186, "B", side=5)]
    library = MasterPatternLibrary.from_signals(signals, half_width=2)
    library.save(folder / "a.npz")
    return folder / "a.npz"


def read_library(path: Path) -> list:
    from kikuchipy_spacegroup import MasterPatternLibrary

    return library_content(MasterPatternLibrary.load(path))


def write_cache(folder: Path) -> Path:
    from kikuchipy_spacegroup.master_patterns._simulation import _write_cached

    path = folder / "a.npz"
    _write_cached(
        path, np.random.default_rng(1).normal(size=(2, 5, 5)).astype("float32")
    )
    return path


def read_cache(path: Path) -> list:
    from kikuchipy_spacegroup.master_patterns._simulation import _read_cached

    data = _read_cached(path, 2)
    if data is None:  # It is told in the log, and simulated again
        raise ValueError(f"{path} is made again")
    return [data.tobytes()]


def write_cif(folder: Path) -> Path:
    path = folder / "a.cif"
    sibling("test_master_patterns_of_structures").write_cif(
        path,
        a=3.6,
        c=5.0,
        gamma=120,
        name="P 63/m m c",
        operations=["x,y,z", "-x,-y,z+1/2", "-x,-y,-z", "x,y,-z+1/2"],
        atoms=["Ni1 0 0 0 1.0", "As1 0.33333 0.66667 0.25 0.9"],
    )
    return path


def read_cif(path: Path) -> list:
    from kikuchipy_spacegroup import load_phase

    phase = load_phase(path)
    return [repr(phase), repr(phase.structure), phase.structure.lattice.base.tobytes()]


def write_aztec(folder: Path) -> Path:
    return sibling("test_aztec").write(folder, n=4, columns=2)


def read_aztec(path: Path) -> list:
    from kikuchipy_spacegroup.io import load_aztec_grain_list

    signal = load_aztec_grain_list(path)
    xmap = signal.xmap
    content = [signal.data.tobytes(), repr(xmap), xmap.rotations.data.tobytes()]
    return content + [[name, xmap.prop[name].tobytes()] for name in xmap.prop]


def write_image(folder: Path) -> Path:
    write_aztec(folder)
    return min((folder / "Images").iterdir())


def read_image(path: Path) -> list:
    return read_aztec(path.parents[1] / "Grain List.txt")


@dataclass(frozen=True)
class Target:
    """A kind of file, and what is done to it."""

    write: Callable[[Path], Path]
    read: Callable[[Path], list]
    damage: Callable[[bytes, np.random.Generator], bytes] = damage
    # Whether what is changed must be seen
    checksum: bool = False


TARGETS = {
    "model": Target(write_model, read_model, checksum=True),
    "model, right checksums": Target(write_model, read_model, damage_member),
    "onnx": Target(write_onnx, read_onnx, checksum=True),
    "onnx, right checksum": Target(write_onnx, read_onnx, damage_onnx),
    "sht": Target(write_sht, read_sht, checksum=True),
    "sht, right checksum": Target(write_sht, read_sht, damage_sht),
    "emsoft": Target(write_emsoft, read_emsoft, damage_in_place),
    "library": Target(write_library, read_library, checksum=True),
    "library, right checksums": Target(write_library, read_library, damage_member),
    "cache": Target(write_cache, read_cache, checksum=True),
    "cache, right checksums": Target(write_cache, read_cache, damage_member),
    "cif": Target(write_cif, read_cif, damage_text),
    "grain list": Target(write_aztec, read_aztec, damage_text),
    "grain image": Target(write_image, read_image, damage_in_place),
}


class Fuzzer:
    """Damages one file again and again.

    Parameters
    ----------
    name
        One of the targets.
    folder
        Empty folder for the file.
    seed
        Seed of the random numbers.
    """

    def __init__(self, name: str, folder: Path, seed: int) -> None:
        self.target = TARGETS[name]
        self.seed = [seed, *name.encode()]
        self.path = self.target.write(folder)
        self.original = self.path.read_bytes()
        self.expected = self._content()

    def _content(self) -> str:
        return hashlib.sha256(repr(self.target.read(self.path)).encode()).hexdigest()

    def damage(self, number: int) -> None:
        """Write a variant in place of the file."""
        rng = np.random.default_rng([*self.seed, number])
        # Anew, since HDF5 goes on with a file of that name that is still open
        self.path.unlink()
        self.path.write_bytes(self.target.damage(self.original, rng))

    def judge(self, number: int) -> tuple[str, BaseException | None]:
        """Return what reading a variant comes to, and the error."""
        self.damage(number)
        try:
            content = self._content()
        except (ValueError, OSError) as error:
            named = self.path.stem in f"{error} {getattr(error, 'filename', '')}"
            chain, cause = [], error
            while cause is not None:
                chain.append(type(cause))
                cause = cause.__cause__
            fine = named and MemoryError not in chain
            return ("refused" if fine else "crashed"), error
        except Exception as error:
            return "crashed", error
        if content == self.expected:
            return "identical", None
        return ("crashed" if self.target.checksum else "different"), None


# -- The long run


def work(name: str, seed: int, start: int, stop: int, out: Path) -> None:
    """Judge variants under limits, writing a line for each."""
    import resource

    warnings.simplefilter("ignore")
    logging.disable()
    with tempfile.TemporaryDirectory() as folder, open(out, "a") as lines:
        fuzzer = Fuzzer(name, Path(folder), seed)
        for number in (10**9, 10**9 + 1):  # To have everything imported
            fuzzer.judge(number)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY_LIMIT
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        for number in range(start, stop):
            signal.alarm(SECONDS_LIMIT)
            begin = time.perf_counter()
            outcome, _ = fuzzer.judge(number)
            seconds = time.perf_counter() - begin
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(number, outcome, f"{seconds:.3f} {peak:.0f}", file=lines, flush=True)
        signal.alarm(0)


def run(name: str, seed: int, n: int) -> dict:
    """Return the row of one target in the table."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "lines"
        out.touch()
        done: list[list[str]] = []
        while len(done) < n:
            command = [sys.executable, __file__, name, "--seed", str(seed)]
            command += ["--worker", str(len(done)), str(n), str(out)]
            status = subprocess.run(command, stderr=subprocess.DEVNULL).returncode
            done = [line.split() for line in out.read_text().splitlines()]
            if len(done) < n:
                with open(out, "a") as lines:
                    print(len(done), "crashed", f"0 0 status {status}", file=lines)
                done.append(out.read_text().splitlines()[-1].split())
        crashed = [" ".join(i[:1] + i[4:]) for i in done if i[1] == "crashed"]
        row = {"target": name, "seed": seed, "variants": n}
        row |= {key: sum(i[1] == key for i in done) for key in OUTCOMES}
        row["memory_growth_mb"] = max(float(i[3]) for i in done) - float(done[0][3])
        longest = max(float(i[2]) for i in done)
        print(row, f"longest: {longest} s", crashed[:20], flush=True)
        return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", help=f"of {list(TARGETS)}; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--output", type=Path, help="table to write")
    parser.add_argument("--only", type=int, help="number of one variant to look at")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    targets = args.targets or list(TARGETS)
    if args.worker:
        start, stop, out = args.worker
        return work(targets[0], args.seed, int(start), int(stop), Path(out))
    if args.only is not None:
        with tempfile.TemporaryDirectory() as folder:
            outcome, error = Fuzzer(targets[0], Path(folder), args.seed).judge(
                args.only
            )
            traceback.print_exception(error)
            return print(outcome)
    rows = [run(name, args.seed, args.n) for name in targets]
    if args.output:
        with open(args.output, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
