# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""TensorFlow is silent of its build, and nothing else is."""

from importlib.util import find_spec
import os
import subprocess
import sys

import pytest

from kikuchipy_spacegroup import _keras

NOISE = ("oneDNN", "CUDA", "cuda", "cuInit", "absl", "rebuild TensorFlow")
ONEDNN = (
    b"I0000 00:00:1795974866.620128    9250 port.cc:153] oneDNN custom operations\n"
)
OLD = b"2026-11-29 18:44:05.157831: I tensorflow/core/util/port.cc:153] oneDNN custom\n"
NO_GPU = (
    b"I0000 00:00:1795974866.620520    9250 cudart_stub.cc:31] Could not find cuda\n"
)
FEATURES = (
    b"I0000 00:00:1795974866.688510    9250 cpu_feature_guard.cc:227] This TensorFlow\n"
    b"To enable the following instructions: AVX2 FMA, in other operations, rebuild "
    b"TensorFlow with the appropriate compiler flags.\n"
)
CUINIT = b"E0000 00:00:1795974872.252599    9250 cuda_platform.cc:52] failed call to\n"
OLD_CUFFT = (
    b"2026-11-29 18:44:05.176998: E external/local_xla/xla/stream_executor/cuda/"
    b"cuda_fft.cc:467] Unable to register cuFFT factory\n"
)
BEFORE = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written to "
    b"STDERR\n"
)
MEMORY = b"W0000 00:00:1795974872.252599    9250 cpu_allocator.cc:84] Allocation of 9\n"
ERROR = b"E0000 00:00:1795974872.252599    9250 resource.cc:1] Out of memory\n"
FATAL = b"F0000 00:00:1795974872.252599    9250 cuda_x.cc:1] This is the end\n"
PYTHON = b"/home/x.py:3: UserWarning: oneDNN and CUDA\n  warnings.warn(\n"


class TestFilter:
    def test_python_stays(self):
        text = b"".join([PYTHON, BEFORE, ONEDNN, NO_GPU, FEATURES, PYTHON, CUINIT, OLD])
        for level in (1, 2, 3):
            assert _keras.filter_messages(text, level, False) == 2 * PYTHON
        # Only the second line of a message that was left out
        more = FEATURES.splitlines(keepends=True)[1]
        assert _keras.filter_messages(more, 1, False) == more

    @pytest.mark.parametrize("level", [1, 2, 3])
    def test_severity(self, level):
        messages = [ONEDNN, MEMORY, ERROR, FATAL]
        text = b"".join([BEFORE, *messages])
        left = b"".join([BEFORE, *messages[level:]])
        assert _keras.filter_messages(text, level, False) == left

    def test_gpu(self):
        """Errors of a GPU are of use to those who have one."""
        text = OLD_CUFFT + CUINIT + FATAL
        assert _keras.filter_messages(text, 1, True) == text
        assert _keras.filter_messages(text, 1, False) == FATAL

    def test_not_ours(self):
        text = b"I am no message\n\xff\xfe [x] port.cc:3]\nwithout end of line"
        assert _keras.filter_messages(text, 3, False) == text


def run(*arguments, level=None, backend="tensorflow", folder=None):
    """Return what a process writes to standard error."""
    if find_spec(backend) is None:
        pytest.skip(f"no {backend}")
    if _keras._has_driver():
        pytest.skip("what TensorFlow says of GPUs is of use here")
    env = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": level or ""}
    if level is None:
        del env["TF_CPP_MIN_LOG_LEVEL"]
    done = subprocess.run(
        [sys.executable, *arguments],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


@pytest.mark.parametrize("level", [None, "2"])
def test_first_cell_of_a_notebook(level):
    code = (
        "import kikuchipy_spacegroup as kpsg; model = kpsg.load_model()\n"
        "import kikuchipy as kp, os, warnings\n"
        "s = kp.data.nickel_ebsd_small()\n"
        "s.classify_space_group(model, show_progressbar=False)\n"
        "warnings.warn('a warning of ours')\n"
        f"assert os.environ.get('TF_CPP_MIN_LOG_LEVEL') == {level!r}\n"
    )
    stderr = run("-c", code, level=level)
    assert not [word for word in NOISE if word in stderr]
    assert "UserWarning: a warning of ours" in stderr


# Older versions of what reads files warn of NumPy
QUIET_OTHERS = [f"-Wignore:::rsciio.utils.{name}" for name in ("tools", "rgb_tools")]


@pytest.mark.parametrize(
    "entry",
    [
        "from kikuchipy_spacegroup.models import SpaceGroupModel as M; M.create([1, 2])",
        "from kikuchipy_spacegroup.simulation import ProjectPatterns",
        "import kikuchipy_spacegroup as k; k.SpaceGroupModel.create([1, 2])",
    ],
)
def test_other_ways_in(entry):
    assert run(*QUIET_OTHERS, "-c", entry) == ""


def test_shell(tmp_path):
    stderr = run("-m", "kikuchipy_spacegroup", folder=tmp_path)
    assert not [word for word in NOISE if word in stderr]
    assert "Classified 9 patterns" in stderr


def test_warnings_while_it_is_imported():
    """What others write meanwhile is written in the end, in its order."""
    code = (
        "import os, sys, types, warnings\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'tensorflow':\n"
        "            warnings.warn('a warning of Python')\n"
        "            os.write(2, b'a line of C++\\n')\n"
        "sys.meta_path.insert(0, Finder())\n"
        "import kikuchipy_spacegroup._keras\n"
        "warnings.warn('a later one')\n"
    )
    stderr = run("-c", code)
    parts = ("UserWarning: a warning of Python", "a line of C++", "a later one")
    places = [stderr.index(part) for part in parts]
    assert places == sorted(places)
    assert not [word for word in NOISE if word in stderr]


def test_errors_while_it_is_imported():
    code = (
        "import sys; sys.modules['keras'] = None\n"
        "import os; os.write(2, b'before\\n')\n"
        "import kikuchipy_spacegroup._keras\n"
    )
    with pytest.raises(subprocess.CalledProcessError) as error:
        run(*QUIET_OTHERS, "-c", code)
    assert error.value.stderr.startswith("before\nTraceback")
    assert "ModuleNotFoundError: import of keras halted" in error.value.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="TensorFlow says less elsewhere")
def test_who_wants_to_see_it_does():
    stderr = run("-c", "import kikuchipy_spacegroup._keras", level="0")
    assert "oneDNN" in stderr


def test_no_standard_error():
    """As of programs without a window."""
    code = (
        "import os, sys\n"
        "os.close(2); sys.stderr = None\n"
        "import kikuchipy_spacegroup._keras\n"
        "os.write(1, b'done')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert done.stdout == b"done"
