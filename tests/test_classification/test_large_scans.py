# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is lost, and it does not matter who computes it."""

import errno
import os
from pathlib import Path
import pickle
import re
import signal as signals
import subprocess
import sys
import threading
import time
import warnings

import dask
import dask.array as da
import h5py
import kikuchipy as kp
import numpy as np
import pytest

from kikuchipy_spacegroup.classification import classify_space_group
from kikuchipy_spacegroup.maps import prior_from_map

zarr = pytest.importorskip("zarr")
SHAPE = (6, 8)
N_BLOCKS = 12


class CountingModel:
    """A model that counts the patterns it gets, and may fail."""

    space_groups = (221, 225)
    min_probability = 0.0

    def __init__(self, fail_at=None, error=None, name="a"):
        self.n = 0
        self.fail_at = fail_at
        self.error = error
        self.name = name
        self.lock = threading.Lock()

    def __reduce__(self):
        return CountingModel, (self.fail_at, self.error, self.name)

    def fingerprint(self):
        return self.name

    def predict_proba(self, patterns):
        with self.lock:
            self.n += len(patterns)
            if self.fail_at is not None and self.n > self.fail_at:
                raise self.error
        p = patterns.reshape(len(patterns), -1).mean(axis=1) / 300
        return np.stack([p, 1 - p], axis=1).astype("float32")


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    return rng.integers(1, 250, size=(*SHAPE, 10, 12)).astype("uint8")


def lazy(data):
    return kp.signals.LazyEBSD(da.from_array(data, chunks=(1, 4, 10, 12)))


def classify(scan, model, **kwargs):
    defaults = {"static_background": None, "chunk_patterns": 4, "keep_n": 2}
    return classify_space_group(
        scan, model, show_progressbar=False, **defaults | kwargs
    )


def same(a, b):
    assert np.array_equal(a.phase_id, b.phase_id)
    for name in a.prop:
        assert np.allclose(a.prop[name], b.prop[name], atol=1e-5)


class TestOutput:
    """Results are on disk as they come."""

    def test_equals_no_output(self, data, tmp_path):
        expected = classify(lazy(data), CountingModel())
        found = classify(lazy(data), CountingModel(), output=tmp_path / "a.zarr")
        same(found, expected)
        store = zarr.open_array(tmp_path / "a.zarr", mode="r")
        assert store.shape == (*SHAPE, 2)
        assert store.nchunks_initialized == N_BLOCKS
        assert os.listdir(tmp_path) == ["a.zarr"]

    def test_real_model_of_eager_scan_with_mask(self, tmp_path, nickel, tiny_model):
        mask = np.eye(3, dtype=bool)
        kwargs = {"navigation_mask": mask, "chunk_patterns": 2}
        kwargs["static_background"] = "auto"
        expected = classify(nickel, tiny_model, **kwargs)
        for _ in range(2):
            found = classify(
                nickel, tiny_model, output=tmp_path / "a.zarr", resume=True, **kwargs
            )
            same(found, expected)

    def test_goes_on_after_an_error(self, data, tmp_path):
        output = tmp_path / "a.zarr"
        broken = CountingModel(20, ZeroDivisionError("oops"))
        with pytest.raises(ZeroDivisionError, match="oops"):
            classify(lazy(data), broken, output=output)
        done = zarr.open_array(output, mode="r").nchunks_initialized
        assert 3 <= done < N_BLOCKS
        model = CountingModel()
        found = classify(lazy(data), model, output=output, resume=True)
        assert model.n == (N_BLOCKS - done) * 4
        same(found, classify(lazy(data), CountingModel()))
        # All is there: nothing is classified
        model = CountingModel()
        same(classify(lazy(data), model, output=output, resume=True), found)
        assert model.n == 0

    def test_damaged_results_are_made_again(self, data, tmp_path, caplog):
        output = tmp_path / "a.zarr"
        expected = classify(lazy(data), CountingModel(), output=output)
        block = next(i for i in sorted((output / "c").rglob("*")) if i.is_file())
        block.write_bytes(block.read_bytes()[:7])
        model = CountingModel()
        same(classify(lazy(data), model, output=output, resume=True), expected)
        assert model.n == 4
        assert "is damaged" in caplog.text

    def test_nothing_else_is_gone_on_with(self, data, tmp_path):
        output = tmp_path / "a.zarr"
        classify(lazy(data), CountingModel(), output=output)
        with pytest.raises(FileExistsError, match="resume=True"):
            classify(lazy(data), CountingModel(), output=output)
        mask = np.zeros(SHAPE, dtype=bool)
        mask[0, 0] = True
        for word, scan, model, kwargs in [
            ("model", data, CountingModel(name="b"), {}),
            ("scan", data[::-1], CountingModel(), {}),
            ("chunks", data, CountingModel(), {"chunk_patterns": 8}),
            ("background", data, CountingModel(), {"static_background": "auto"}),
            ("navigation_mask", data, CountingModel(), {"navigation_mask": mask}),
        ]:
            with pytest.raises(ValueError, match=f"{word}.* differ"):
                classify(lazy(scan), model, output=output, resume=True, **kwargs)
        folder = tmp_path / "b.zarr"
        folder.mkdir()
        with pytest.raises(ValueError, match="no results to go on with"):
            classify(lazy(data), CountingModel(), output=folder, resume=True)

    def test_prior_is_that_of_the_model_given(self, data, tmp_path):
        """What is kept does not depend on it."""
        output = tmp_path / "a.zarr"
        classify(lazy(data), CountingModel(), output=output)
        model = CountingModel()
        model.prior = np.array([0.9, 0.1])
        kwargs = {"resume": True, "keep_probabilities": True}
        xmap = classify(lazy(data), model, output=output, **kwargs)
        assert model.n == 0
        assert np.allclose(prior_from_map(xmap), model.prior)

    def test_bad_names(self, data, tmp_path):
        with pytest.raises(ValueError, match=r"must end with '\.zarr'"):
            classify(lazy(data), CountingModel(), output=tmp_path / "a.h5")
        with pytest.raises(FileNotFoundError, match="no folder"):
            classify(lazy(data), CountingModel(), output=tmp_path / "b" / "a.zarr")
        with pytest.raises(ValueError, match="compute=True"):
            classify(
                lazy(data), CountingModel(), output=tmp_path / "a.zarr", compute=False
            )

    def test_full_disk(self, data, tmp_path, monkeypatch):
        from zarr.storage import LocalStore

        put, n = LocalStore.set, []

        async def full(self, key, value, *args):
            n.append(key)
            if len(n) > 6:
                raise OSError(errno.ENOSPC, "No space left on device")
            return await put(self, key, value, *args)

        monkeypatch.setattr(LocalStore, "set", full)
        output = tmp_path / "a.zarr"
        with pytest.raises(OSError, match=r"full\. \d of 12 blocks are kept"):
            classify(lazy(data), CountingModel(), output=output)
        monkeypatch.undo()
        found = classify(lazy(data), CountingModel(), output=output, resume=True)
        same(found, classify(lazy(data), CountingModel()))


SCRIPT = """
import signal, sys, time
# A shell's background jobs, and their children, ignore it otherwise
signal.signal(signal.SIGINT, signal.default_int_handler)
import dask.array as da, kikuchipy as kp, numpy as np
sys.path.insert(0, {tests!r})
from test_large_scans import CountingModel, classify

class SlowModel(CountingModel):
    def predict_proba(self, patterns):
        print(len(patterns), flush=True)
        # Who listens may be late, but not later than the last blocks
        time.sleep(0.1 if self.n < 16 else 2)
        return super().predict_proba(patterns)

data = np.random.default_rng(1).integers(1, 250, size=(6, 8, 10, 12)).astype("uint8")
s = kp.signals.LazyEBSD(da.from_array(data, chunks=(1, 4, 10, 12)))
print("ready", flush=True)
try:
    classify(s, SlowModel(), output={output!r}, resume=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    xmap = classify(s, CountingModel())
    print("and went on", xmap.shape, flush=True)
"""


def run_until(output, n):
    """Start a process that classifies, and return it after n blocks."""
    script = SCRIPT.format(tests=str(Path(__file__).parent), output=str(output))
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    for _ in range(n):
        process.stdout.readline()
    return process


class TestInterruption:
    """What happened in a process that is gone, or nearly."""

    def test_killed(self, data, tmp_path):
        output = tmp_path / "a.zarr"
        process = run_until(output, 5)
        process.kill()
        process.wait()
        model = CountingModel()
        found = classify(lazy(data), model, output=output, resume=True)
        assert 4 <= model.n <= 40
        same(found, classify(lazy(data), CountingModel()))

    @pytest.mark.skipif(os.name == "nt", reason="no SIGINT")
    def test_interrupted(self, tmp_path):
        process = run_until(tmp_path / "a.zarr", 4)
        process.send_signal(signals.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert "interrupted\n" in out
        assert "and went on (6, 8)\n" in out
        store = zarr.open_array(tmp_path / "a.zarr", mode="r")
        assert store.nchunks_initialized >= 2


class TestUnreadableScan:
    """The part of a scan that cannot be read is named."""

    def test_damaged_block(self, data, tmp_path):
        def read(block_info=None):
            rows, columns = block_info[None]["array-location"][:2]
            if rows[0] == 4 and columns[0] == 4:
                raise OSError("filter returned failure during read")
            return data[rows[0] : rows[1], columns[0] : columns[1]]

        chunks = ((1,) * 6, (4, 4), (10,), (12,))
        patterns = da.map_blocks(read, chunks=chunks, dtype="uint8", meta=data[:0])
        s = kp.signals.LazyEBSD(patterns)
        where = "rows 4 to 4 and columns 4 to 7 cannot be read.*filter returned"
        with pytest.raises(OSError, match=where):
            classify(s, CountingModel(), static_background="auto")
        # A mask, so that what is looked at for the background is readable
        mask = np.zeros(SHAPE, dtype=bool)
        mask[4, 4:] = True
        for kept, output in [("", None), (".*blocks are kept in", tmp_path / "a.zarr")]:
            with pytest.raises(OSError, match=where + kept):
                classify(s, CountingModel(), navigation_mask=mask, output=output)

    def test_truncated_file_is_named(self, tmp_path):
        path = tmp_path / "scan.h5"
        rng = np.random.default_rng(2)
        big = rng.integers(1, 250, (40, 20, 60, 60)).astype("uint8")
        kp.signals.EBSD(big).save(path, compression="gzip")
        s = kp.load(path, lazy=True)
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size // 2)
        with pytest.raises(OSError, match=r"scan\.h5"):
            classify(
                s,
                CountingModel(),
                chunk_patterns=50,
            )

    def test_model_that_fails(self, data, caplog):
        """Its own error comes, and the log says of which patterns."""

        class Failing(CountingModel):
            def predict_proba(self, patterns):
                if (patterns == 255).any():
                    raise ZeroDivisionError("oops")
                return super().predict_proba(patterns)

        data[2, 5, 0, 0] = 255
        with pytest.raises(ZeroDivisionError, match="oops"):
            classify(lazy(data), Failing())
        # Blocks of four patterns, two per row
        assert "in rows 2 to 2 and columns 4 to 7 cannot be classified" in caplog.text

    @pytest.mark.parametrize("compression", ["gzip", None])
    def test_file_that_loses_its_end(self, tmp_path, compression):
        """After it was loaded, and after some of it was classified."""
        path, output = tmp_path / "scan.h5", tmp_path / "a.zarr"
        rng = np.random.default_rng(2)
        # More than HDF5 keeps in its cache, from which it could be read later
        data = rng.integers(1, 250, (40, 20, 60, 60)).astype("uint8")
        kp.signals.EBSD(data).save(path)
        with h5py.File(path, "a") as file:
            group = file["Scan 1/EBSD/Data"]
            del group["patterns"]
            chunks = None if compression is None else (40, 60, 60)
            group.create_dataset(
                "patterns",
                data=data.reshape(-1, 60, 60),
                chunks=chunks,
                compression=compression,
            )
        whole = path.read_bytes()

        class Truncating(CountingModel):
            def predict_proba(self, patterns):
                if self.n >= 300:
                    os.truncate(path, 8192)  # Not within a block
                return super().predict_proba(patterns)

        small_chunks = {"array.chunk-size": "144kB"}  # As of large scans
        with dask.config.set(small_chunks):
            s = kp.load(path, lazy=True)
        assert s.data.npartitions > 10
        kwargs = {"chunk_patterns": 40, "output": output}
        match = r"of .*scan\.h5 in rows \d+ to \d+ .*(\d+) of 20 blocks are kept in"
        with (
            dask.config.set(scheduler="synchronous"),
            pytest.raises(OSError, match=match) as raised,
        ):
            classify(s, Truncating(), **kwargs)
        done = int(re.search(r"(\d+) of 20 blocks", str(raised.value)).group(1))
        assert 8 <= done < 20
        # Before anything of it is read
        with pytest.raises(OSError, match=r"scan\.h5"):
            classify(s, CountingModel(), chunk_patterns=40)
        # Mended, it goes on, and nothing that was lost counts as done. It is another
        # file, since HDF5 keeps some of what it read of one that is open
        path.unlink()
        path.write_bytes(whole)
        with dask.config.set(small_chunks):
            s = kp.load(path, lazy=True)
        model = CountingModel()
        found = classify(s, model, resume=True, **kwargs)
        assert model.n == (20 - done) * 40
        same(found, classify(kp.signals.EBSD(data), CountingModel()))

    def test_file_that_is_deleted(self, tmp_path):
        """What is open can be read on, or the error names it."""
        path = tmp_path / "scan.h5"
        data = np.random.default_rng(2).integers(0, 250, (4, 5, 9, 9)).astype("uint8")
        data[2, 2] = 0
        kp.signals.EBSD(data).save(path)
        s = kp.load(path, lazy=True)
        expected = classify(kp.signals.EBSD(data), CountingModel())
        try:
            path.unlink()
        except PermissionError:
            pytest.skip("open files cannot be deleted here")
        same(classify(s, CountingModel()), expected)


class TestSchedulers:
    """Threads, processes and clusters."""

    @pytest.mark.parametrize("scheduler", ["threads", "processes", "synchronous"])
    def test_any_scheduler(self, scheduler, data, tiny_model):
        expected = classify(lazy(data), tiny_model)
        with dask.config.set(scheduler=scheduler, num_workers=2):
            same(classify(lazy(data), tiny_model, chunk_patterns=30), expected)

    def test_several_threads_at_once(self, data, tiny_model):
        expected = classify(lazy(data), tiny_model)
        found = []
        threads = [
            threading.Thread(
                target=lambda: found.append(classify(lazy(data), tiny_model))
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4
        for xmap in found:
            same(xmap, expected)

    def test_twice_without_warning_or_leak(self, data, tiny_model, tmp_path):
        def open_files():
            return len(os.listdir("/proc/self/fd")) if Path("/proc").is_dir() else 0

        classify(lazy(data), tiny_model, output=tmp_path / "0.zarr")
        before = threading.active_count(), open_files()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # What orix calls of newer versions of diffpy.structure
            warnings.filterwarnings("ignore", "'diffpy.structure", DeprecationWarning)
            for i in range(1, 4):
                classify(lazy(data), tiny_model)
                classify(lazy(data), tiny_model, output=tmp_path / f"{i}.zarr")
        after = threading.active_count(), open_files()
        assert after[0] <= before[0] + 2
        assert after[1] <= before[1] + 2

    def test_model_pickles(self, tiny_model):
        again = pickle.loads(pickle.dumps(tiny_model))
        assert again.fingerprint() == tiny_model.fingerprint()
        assert again.space_groups == tiny_model.space_groups
        other = tiny_model.copy()
        other.temperature = 2
        assert other.fingerprint() != tiny_model.fingerprint()


class WorkerModel(CountingModel):
    """A model that writes down which process has loaded it."""

    def __init__(self, folder, delay=0.0):
        super().__init__()
        self.folder = folder
        self.delay = delay

    def __reduce__(self):
        return _load, (self.folder, self.delay)

    def predict_proba(self, patterns):
        time.sleep(self.delay)
        (Path(self.folder) / f"used_{os.getpid()}").touch()
        return super().predict_proba(patterns)


def _load(folder, delay):
    with open(Path(folder) / f"loaded_{os.getpid()}", "a") as file:
        file.write("x")
    return WorkerModel(folder, delay)


@pytest.fixture
def cluster(monkeypatch):
    distributed = pytest.importorskip("distributed")
    path = f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    monkeypatch.setenv("PYTHONPATH", path)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as local,
        distributed.Client(local) as client,
    ):
        yield client


class TestCluster:
    """Workers of dask.distributed."""

    def test_two_workers_equal_none(self, data, cluster, tmp_path):
        expected = classify(lazy(data), CountingModel())
        model = WorkerModel(str(tmp_path), 0.05)
        same(classify(lazy(data), model), expected)
        used = {path.name[5:] for path in tmp_path.glob("used_*")}
        assert len(used) == 2
        assert str(os.getpid()) not in used
        # Each worker has unpickled the model once
        for pid in used:
            assert (tmp_path / f"loaded_{pid}").read_text() == "x"
        same(classify(lazy(data), model, output=tmp_path / "a.zarr"), expected)

    @pytest.mark.parametrize("name", [None, "a.zarr"])
    def test_worker_killed_in_the_middle(self, data, cluster, tmp_path, name):
        expected = classify(lazy(data), CountingModel())
        victim = next(iter(cluster.scheduler_info()["workers"].values()))["nanny"]
        pids = cluster.run(os.getpid)
        assert victim

        def kill():
            while not list(tmp_path.glob("used_*")):
                time.sleep(0.02)
            time.sleep(0.2)
            os.kill(next(iter(pids.values())), signals.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        output = None if name is None else tmp_path / name
        found = classify(lazy(data), WorkerModel(str(tmp_path), 0.2), output=output)
        killer.join()
        same(found, expected)
        if output is not None:
            # All is there, and nothing is left over
            assert zarr.open_array(output, mode="r").nchunks_initialized == N_BLOCKS
            model = CountingModel()
            same(
                classify(lazy(data), model, output=output, resume=True),
                expected,
            )
            assert model.n == 0
            assert not list(tmp_path.glob("*.partial"))
