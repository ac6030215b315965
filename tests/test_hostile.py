# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files made to harm are refused, and nothing in them is run."""

import builtins
from contextlib import contextmanager
import json
from pathlib import Path
import stat
import struct
import sys
import zipfile

import h5py
from imageio.v3 import imwrite
import keras
import numpy as np
import pytest

from kikuchipy_spacegroup import (
    MasterPatternLibrary,
    SpaceGroupModel,
    load_model,
    load_phase,
)
from kikuchipy_spacegroup.io import load_aztec_grain_list, load_sht
from kikuchipy_spacegroup.io._archive import read_archive, read_arrays
from kikuchipy_spacegroup.master_patterns import _simulation
from kikuchipy_spacegroup.models._network_config import (
    _LAYERS,
    MAX_LAYERS,
    check_config,
)
from kikuchipy_spacegroup.patterns import PreparePatterns

MEBIBYTE = 2**20


@contextmanager
def memory_limit(n_bytes=512 * MEBIBYTE):
    """Let the process have so much more memory, where the system can."""
    if sys.platform != "linux":
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + n_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def refused(read, path, match):
    """Assert that a file is refused for a reason, within little memory."""
    with memory_limit(), pytest.raises(ValueError, match=match) as info:
        read(path)
    assert path.name in str(info.value)
    cause = info.value
    while cause is not None:
        assert not isinstance(cause, MemoryError)
        cause = cause.__cause__


@pytest.fixture
def traces(monkeypatch, tmp_path):
    """Traces left by code that was run: none, as is checked at the end."""
    found = []
    monkeypatch.setattr(builtins, "recorder", found.append, raising=False)
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    yield found
    assert found == []
    assert list(Path().iterdir()) == []


class Payload:
    """Calls the recorder when it is unpickled."""

    def __reduce__(self):
        return eval, ("recorder('unpickled')",)


# -- Models


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    inputs = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(2, 3, strides=4, activation="relu", name="first")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(inputs, keras.layers.Dense(2, name="last")(x))
    prepare = PreparePatterns(16, name="prepare_patterns")
    path = tmp_path_factory.mktemp("model") / "small.keras"
    SpaceGroupModel(network, [225, 229], prepare).save(path)
    return path


@pytest.fixture
def model_file(saved_model, tmp_path, traces):
    path = tmp_path / "small.keras"
    path.write_bytes(saved_model.read_bytes())
    return path


def repack(path, **members):
    """Replace members of an archive, with right checksums."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, old in content.items():
            archive.writestr(name, members.get(name, old))


def edit_layer(path, name, change):
    """Change the description of a layer of the network."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    network = next(i for i in config["config"]["layers"] if i["name"] == "network")
    layer = next(i for i in network["config"]["layers"] if i["name"] == name)
    change(layer)
    repack(path, **{"config.json": json.dumps(config)})


def edit_weights(path, tmp_path, change):
    """Change the file of weights within a model file."""
    with zipfile.ZipFile(path) as archive:
        weights = tmp_path / "edited.h5"
        weights.write_bytes(archive.read("model.weights.h5"))
    with h5py.File(weights, "a") as file:
        change(file)
    repack(path, **{"model.weights.h5": weights.read_bytes()})


class TestModelClasses:
    """What the description of the network may ask for."""

    def test_lambda(self, model_file, tmp_path):
        inputs = keras.Input((16, 16, 1))
        layer = keras.layers.Lambda(lambda x: [recorder("called"), x][1])  # noqa: F821
        layer.compute_output_shape = lambda shape: shape
        config = keras.saving.serialize_keras_object(layer)
        assert config["class_name"] == "Lambda" and inputs is not None
        edit_layer(model_file, "first", lambda layer: layer.update(config))
        refused(load_model, model_file, "asks for '(Lambda|__lambda__)'")

    @pytest.mark.parametrize(
        ("module", "name"),
        [
            ("keras.layers", "Lambda"),
            ("keras.layers", "TorchModuleWrapper"),
            ("keras.layers", "TFSMLayer"),
            ("keras.layers", "JaxLayer"),
            ("keras.layers", "FlaxLayer"),
            ("keras.layers", "StringLookup"),
            ("keras.layers", "TextVectorization"),
            ("keras.layers", "Layer"),
            ("keras.src.layers.core.dense", "Dense"),
            ("keras.utils", "get_file"),
            ("keras.models", "load_model"),
            ("keras_hub.layers", "Anything"),
            ("builtins", "eval"),
            ("os", "system"),
            (None, "__lambda__"),
            (None, "__typespec__"),
            (None, "__tensor__"),
            (None, "Dense"),
            (["keras"], "Dense"),
            ("keras.layers", ["Dense"]),
        ],
    )
    @pytest.mark.parametrize("where", ["layer", "function", "initializer"])
    def test_others(self, model_file, module, name, where):
        def change(layer):
            if where == "layer":
                layer.update(module=module, class_name=name, registered_name=None)
            elif where == "initializer":
                config = {"module": module, "class_name": name, "config": {}}
                layer["config"]["kernel_initializer"] = config
            else:
                config = {"module": module, "class_name": "function", "config": name}
                layer["config"]["activation"] = config

        edit_layer(model_file, "first", change)
        refused(load_model, model_file, "asks for .*not among the layers")

    @pytest.mark.parametrize(
        "change",
        [
            {"registered_name": "attack>Layer"},
            {"class_name": "attack>Layer"},
            {"module": "attack", "class_name": "Layer"},
            {"kernel_initializer": "attack>Layer"},
            {"kernel_initializer": {"class_name": "attack>Layer", "config": {}}},
            {"activation": "attack>Layer"},
            {"activation": {"class_name": "function", "config": "attack>Layer"}},
        ],
    )
    def test_registered(self, model_file, traces, change):
        """What others registered in this process is not made either."""

        class Layer(keras.layers.Dense):
            def __init__(self, *args, **kwargs):
                traces.append("made")
                super().__init__(*args, **kwargs)

        registry = keras.saving.get_custom_objects()
        registry["attack>Layer"] = Layer
        try:
            in_config = change.keys() & {"kernel_initializer", "activation"}
            edit_layer(
                model_file,
                "first",
                lambda layer: (layer["config"] if in_config else layer).update(change),
            )
            refused(load_model, model_file, "asks for .*attack")
        finally:
            del registry["attack>Layer"]

    def test_custom_objects(self, tmp_path, nickel):
        """Layers of one's own can be asked for."""

        @keras.saving.register_keras_serializable("mine")
        class Twice(keras.layers.Layer):
            def call(self, x):
                return 2 * x

        inputs = keras.Input((16, 16, 1))
        x = keras.layers.Flatten()(Twice()(inputs))
        network = keras.Model(inputs, keras.layers.Dense(2)(x))
        prepare = PreparePatterns(16, name="prepare_patterns")
        model = SpaceGroupModel(network, [225, 229], prepare)
        path = tmp_path / "own.keras"
        model.save(path)
        refused(load_model, path, "'Twice' .*pass it as `custom_objects`")
        loaded = load_model(path, custom_objects={"mine>Twice": Twice})
        patterns = nickel.data.reshape(9, 60, 60)
        assert np.allclose(
            loaded.predict_proba(patterns), model.predict_proba(patterns), atol=1e-6
        )

    def test_standard_layers(self, tmp_path, nickel):
        """Networks of standard layers are loaded as before."""
        x = inputs = keras.Input((32, 32, 1))
        for layer in [
            keras.layers.Normalization(mean=0.1, variance=1.1),
            keras.layers.RandomFlip(seed=1),
            keras.layers.Conv2D(4, 3, activation="leaky_relu", padding="same"),
            keras.layers.BatchNormalization(),
            keras.layers.SeparableConv2D(
                4, 3, depthwise_initializer=keras.initializers.HeNormal(seed=1)
            ),
            keras.layers.PReLU(shared_axes=[1, 2]),
            keras.layers.GaussianNoise(0.1),
            keras.layers.GroupNormalization(2),
            keras.layers.DepthwiseConv2D(
                3, depthwise_constraint=keras.constraints.MaxNorm(2)
            ),
            keras.layers.Activation(keras.activations.gelu),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2DTranspose(4, 3, kernel_regularizer="l2"),
            keras.layers.SpatialDropout2D(0.1),
            keras.layers.LayerNormalization(),
            keras.layers.Resizing(8, 8),
            keras.layers.Reshape((64, 4)),
        ]:
            x = layer(x)
        x = keras.layers.MultiHeadAttention(2, 4)(x, x) + x[..., :1] * 0.5
        x = keras.layers.Concatenate()([x, -x])
        body = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(x))
        network = keras.Sequential(
            [keras.Input((32, 32, 1)), body, keras.layers.Dense(3)]
        )
        network.compile("adam", "mse")
        prepare = PreparePatterns(32, name="prepare_patterns")
        model = SpaceGroupModel(network, [221, 225, 229], prepare)
        model.save(tmp_path / "a.keras")
        loaded = load_model(tmp_path / "a.keras")
        patterns = nickel.data.reshape(9, 60, 60)
        assert np.allclose(
            loaded.predict_proba(patterns), model.predict_proba(patterns), atol=1e-6
        )

    def test_xception(self):
        model = SpaceGroupModel.create([225, 229], size=71, network="xception")
        check_config(json.loads(model.graph.to_json()))

    def test_allowed_layers_exist(self):
        unknown = {name for name in _LAYERS if not hasattr(keras.layers, name)}
        # Of newer versions of Keras
        assert unknown <= {"RMSNormalization"}


class TestModelSizes:
    """Nothing is made that does not fit the file."""

    def test_weights(self, model_file):
        def change(layer):
            layer["config"]["units"] = 10**9

        edit_layer(model_file, "last", change)
        refused(load_model, model_file, "30000000[0-9]+ weights, which do not fit")

    def test_weights_by_input(self, model_file):
        def change(layer):
            layer["build_config"]["input_shape"] = [None, 10**6, 10**6, 10**6]

        edit_layer(model_file, "first", change)
        refused(load_model, model_file, "weights, which do not fit|incompatible")

    def test_outputs(self, tmp_path):
        inputs = keras.Input((16, 16, 1))
        x = keras.layers.UpSampling2D(10**4, name="many")(inputs)
        x = keras.layers.GlobalAveragePooling2D()(x)
        network = keras.Model(inputs, keras.layers.Dense(2)(x))
        prepare = PreparePatterns(16, name="prepare_patterns")
        path = tmp_path / "a.keras"
        SpaceGroupModel(network, [225, 229], prepare).save(path)
        refused(load_model, path, "'many' puts out 25600000000 values per pattern")

    @pytest.mark.parametrize(
        ("key", "value"), [("size", 10**6), ("clip", None), ("background_sigma", 0)]
    )
    def test_preparation(self, model_file, key, value):
        with zipfile.ZipFile(model_file) as archive:
            config = json.loads(archive.read("config.json"))
        config["config"]["layers"][1]["config"][key] = value
        repack(model_file, **{"config.json": json.dumps(config)})
        refused(load_model, model_file, "cannot be loaded")

    def test_layers(self, saved_model):
        with zipfile.ZipFile(saved_model) as archive:
            config = json.loads(archive.read("config.json"))
        check_config(config)
        model = {"class_name": "Functional", "module": "keras", "config": {}}
        for _ in range(20):  # A million calls
            layers = [model | {"inbound_nodes": [{}, {}]}]
            model = model | {"config": {"layers": layers}}
        with pytest.raises(ValueError, match=f"more than {MAX_LAYERS} layers"):
            check_config(model)

    @pytest.mark.parametrize("member", ["config.json", "space_groups.json"])
    @pytest.mark.parametrize("text", ["[" * 10**5, '{"a":' * 10**5, "9" * 10**5])
    def test_nesting(self, model_file, member, text):
        repack(model_file, **{member: text})
        refused(load_model, model_file, f"{member}' is damaged")

    def test_long_description(self, model_file):
        repack(model_file, **{"config.json": b"[" + b"[]," * 3 * 2**20 + b"[]]"})
        refused(load_model, model_file, "more than the 8388608 it may have")

    @pytest.mark.parametrize(
        "changes",
        [
            {"temperature": 1e400},
            {"temperature": 10**400},
            {"min_probability": float("nan")},
            {"conformal_thresholds": {"0.9": 2}},
            {"conformal_thresholds": {"0.9": {"225": 2, "229": 0.1}}},
            {"conformal_thresholds": {"0.9": {"14": 0.1}}},
            {"conformal_thresholds": {"0.9": {"x": 0.1}}},
            {"space_groups": [225, 10**400]},
            {"space_groups": [225, 231]},
            {"space_groups": [225.5, 229]},
            {"space_groups": {}},
            {"metadata": [1]},
            {"metadata": {"accuracy": {"all": "high"}}},
            {"metadata": {"accuracy": {"all": "0.9"}}},
            {"metadata": {"accuracy": 1}},
        ],
    )
    def test_header(self, model_file, changes):
        with zipfile.ZipFile(model_file) as archive:
            header = json.loads(archive.read("space_groups.json"))
        repack(model_file, **{"space_groups.json": json.dumps(header | changes)})
        refused(load_model, model_file, "damaged")


def test_metadata_do_not_command_the_terminal(model_file):
    with zipfile.ZipFile(model_file) as archive:
        header = json.loads(archive.read("space_groups.json"))
    header["metadata"] = {"name": "a\x1b]0;b\x07\r\n\u202eé"}
    repack(model_file, **{"space_groups.json": json.dumps(header)})
    assert repr(load_model(model_file)).startswith(
        "SpaceGroupModel a?]0;b????é\n  space"
    )


class TestModelWeights:
    """The HDF5 file of weights."""

    @staticmethod
    def external_link(file):
        file["layers"]["more"] = h5py.ExternalLink("/etc/hostname", "/")

    @staticmethod
    def soft_link(file):
        file["layers"]["more"] = h5py.SoftLink("/layers")

    @staticmethod
    def circle(file):
        file["layers/more"] = file["layers"]

    @staticmethod
    def virtual_dataset(file):
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource("/tmp/other.h5", "data", (4,))
        file.create_virtual_dataset("more", layout)

    @staticmethod
    def external_dataset(file):
        file.create_dataset("more", (4,), "u1", external=[("/etc/hostname", 0, 4)])

    @staticmethod
    def huge(file):
        file.create_dataset("more", (10**6, 10**6), "f4")

    @staticmethod
    def huge_chunks(file):
        chunks = (1000, 1000)
        file.create_dataset("more", (10**6,) * 2, chunks=chunks, compression="gzip")

    CHANGES = {
        "external_link": "link to elsewhere",
        "soft_link": "link to elsewhere",
        "circle": "found twice",
        "virtual_dataset": "in another file",
        "external_dataset": "in another file",
        "huge": "datasets up to '/more' declare",
        "huge_chunks": "unusual way|datasets up to '/more' declare",
    }

    @pytest.mark.parametrize("change", CHANGES)
    def test_model(self, model_file, tmp_path, change):
        edit_weights(model_file, tmp_path, getattr(self, change))
        refused(load_model, model_file, self.CHANGES[change])

    @pytest.mark.parametrize("change", CHANGES)
    def test_master_pattern(self, tmp_path, traces, change):
        path = tmp_path / "master.h5"
        with h5py.File(path, "w") as file:
            file.create_group("layers")
            getattr(self, change)(file)
        refused(MasterPatternLibrary.from_files, path, self.CHANGES[change])


def test_texts_in_circles(tmp_path, traces):
    """HDF5 itself never ends on this file."""
    path = tmp_path / "master.h5"
    with h5py.File(path, "w") as file:
        file["EMheader/EBSDmaster/ProgramName"] = [b"EMEBSDmaster.f90"]
    data = path.read_bytes()
    start = data.index(b"GCOL")
    for size in (0, 8, 2**64 - 16, 2**63):
        header = bytes(8) + struct.pack("<Q", size)
        path.write_bytes(data[: start + 16] + header + data[start + 32 :])
        refused(MasterPatternLibrary.from_files, path, "global heap at byte")


# -- Archives


def write_zip(path, names, content=b"0", **attributes):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.writestr(info, content)


@pytest.mark.parametrize("read", [load_model, MasterPatternLibrary.load])
class TestArchives:
    """Model files and libraries are zip archives."""

    @pytest.mark.parametrize(
        "name", ["../../x", "/etc/x", "a/b", "..", "..\\x", "C:\\x", "folder/"]
    )
    def test_names(self, tmp_path, traces, read, name):
        path = tmp_path / "a.keras"
        write_zip(path, ["config.json", name])
        refused(read, path, "is in a folder|is not a plain file")

    def test_links(self, tmp_path, traces, read):
        path = tmp_path / "a.keras"
        mode = (stat.S_IFLNK | 0o777) << 16
        write_zip(path, ["config.json"], b"/etc/passwd", external_attr=mode)
        refused(read, path, "not a plain file")

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_duplicates(self, tmp_path, traces, read):
        path = tmp_path / "a.keras"
        write_zip(path, ["config.json", "config.json"])
        refused(read, path, "same name")

    def test_bomb(self, tmp_path, traces, read):
        path = tmp_path / "a.keras"
        content = bytes(256 * MEBIBYTE)
        write_zip(path, ["a"], content, compress_type=zipfile.ZIP_DEFLATED)
        assert path.stat().st_size < MEBIBYTE
        refused(read, path, "claims to unpack from")
        # The same, but it says that it is small
        lying = path.read_bytes().replace(struct.pack("<I", len(content)), b"\1\0\0\0")
        path.write_bytes(lying)
        with memory_limit(128 * MEBIBYTE):
            refused(read, path, "damaged or truncated")

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_other_packing(self, tmp_path, traces, read, method):
        path = tmp_path / "a.keras"
        write_zip(path, ["a"], bytes(MEBIBYTE), compress_type=method)
        refused(read, path, "unusual way")

    def test_encrypted(self, tmp_path, traces, read):
        path = tmp_path / "a.keras"
        write_zip(path, ["a"])
        data = bytearray(path.read_bytes())
        data[6] |= 1
        data[data.index(b"PK\1\2") + 8] |= 1
        path.write_bytes(data)
        refused(read, path, "encrypted")


def test_other_members(model_file):
    with zipfile.ZipFile(model_file, "a") as archive:
        archive.writestr("model.weights.npz", b"more")
    refused(load_model, model_file, "model files do not have")


def write_header(path, shape, dtype="'<f4'", content=bytes(100)):
    """Write a file of one array that declares what it likes."""
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n"
    start = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.npy", start + content)


class TestArrays:
    """Libraries and kept master patterns are files of arrays."""

    @pytest.mark.parametrize(
        ("shape", "dtype"),
        [
            ((10**12,), "'<f4'"),
            ((2**62, 4), "'<f4'"),
            ((-5, -5), "'<f4'"),
            ((10**12,), "'<U0'"),
            ((10**12,), "'|V0'"),
            ((5,), "'<U1000000'"),
            ((1,), "'|O'"),
            ((5,), "[('a', '<f4')]"),
            ("(" * 200, "'<f4'"),
            ("__import__('os')", "'<f4'"),
        ],
    )
    def test_headers(self, tmp_path, traces, shape, dtype):
        path = tmp_path / "a.npz"
        write_header(path, shape, dtype)
        match = "declares|is of type|header|dtype|shape"
        refused(MasterPatternLibrary.load, path, match)
        with memory_limit():
            assert _simulation._read_cached(path, 2) is None

    def test_pickles(self, tmp_path, traces):
        path = tmp_path / "a.npz"
        payload = np.array([Payload()], dtype=object)
        np.savez(path, data=payload, version=1)
        refused(MasterPatternLibrary.load, path, "is of type object")
        refused(MasterPatternLibrary.from_files, path, "is of type object")
        assert _simulation._read_cached(path, 2) is None
        with open(path, "wb") as file:
            np.save(file, payload, allow_pickle=True)
        refused(MasterPatternLibrary.load, path, "not a library")

    def test_texts(self, tmp_path, traces):
        path = tmp_path / "a.npz"
        write_header(path, (1,), "'<U1'", b"\xff\xff\xff\x7f")
        refused(MasterPatternLibrary.load, path, "texts that are none")

    def test_what_numpy_reads(self, tmp_path):
        rng = np.random.default_rng(1)
        arrays = {
            "a": rng.normal(size=(3, 4)),
            "b": np.asfortranarray(rng.normal(size=(3, 4)).astype(">f2")),
            "c": np.array(["x", "é𝔸", ""]),
            "d": np.array(1),
            "e": np.zeros((0, 3)),
            "f": np.arange(10**6),
        }
        for save in (np.savez, np.savez_compressed):
            save(tmp_path / "a.npz", **arrays)
            found = read_arrays(tmp_path / "a.npz", "a file")
            assert found.keys() == arrays.keys()
            for name, array in arrays.items():
                assert found[name].dtype == array.dtype
                assert np.array_equal(found[name], array)

    def test_limit(self, tmp_path):
        write_zip(tmp_path / "a.zip", ["a", "b"], b"12345")
        expected = {"a": b"12345", "b": b"12345"}
        assert read_archive(tmp_path / "a.zip", "an archive", {"a": 5}) == expected
        with pytest.raises(ValueError, match="more than the 4"):
            read_archive(tmp_path / "a.zip", "an archive", {"a": 4})


# -- Others

CIF = """\
data_x
_cell_length_a 3.5
_cell_length_b 3.5
_cell_length_c 3.5
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
{key}
{operations}
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
{atoms}
"""


class TestCif:
    keys = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz")

    def write(self, tmp_path, operations=("x,y,z",), atoms=("Ni 0 0 0",), key=keys[0]):
        path = tmp_path / "a.cif"
        operations = "\n".join(f"'{i}'" for i in operations)
        text = CIF.format(key=key, operations=operations, atoms="\n".join(atoms))
        path.write_text(text)
        return path

    def test_can_be_read(self, tmp_path):
        operations = ["x,y,z", " +X, 1/2-Y , .5+z", "-x,\ty, -z+0.25"]
        for key in self.keys:
            # At a height whose images are not too near
            load_phase(self.write(tmp_path, operations, ["Ni 0 0 0.375"], key))

    @pytest.mark.parametrize("key", keys)
    @pytest.mark.parametrize(
        "operation", ["x,y,z+recorder(1)", "x,y,z+9**9**9", "x,y,z;recorder(1)", "x"]
    )
    def test_code(self, tmp_path, traces, key, operation):
        """The parser evaluates symmetry operations, so they are checked."""
        path = self.write(tmp_path, ["x,y,z", operation], key=key)
        refused(load_phase, path, "cannot be read as a CIF")
        second = path.read_text().replace("data_x", "data_y")
        path.write_text("data_x\n_cell_length_a 3\n" + second)
        refused(load_phase, path, "cannot be read as a CIF")

    def test_sizes(self, tmp_path, traces):
        sites = [f"Ni{i} 0 0 {i / 2000}" for i in range(1001)]
        refused(load_phase, self.write(tmp_path, atoms=sites), "1001 sites")
        many = ["x,y,z"] * 193
        refused(load_phase, self.write(tmp_path, many), "193 symmetry operations")
        path = self.write(tmp_path)
        with open(path, "a") as file:
            file.write("#" * 5 * MEBIBYTE)
        refused(load_phase, path, "larger than")

    @pytest.mark.filterwarnings("ignore:invalid value")
    @pytest.mark.parametrize("atom", ["Ni nan 0 0", "Ni 1e999 0 0", "120 0 0 0"])
    def test_atoms(self, tmp_path, traces, atom):
        refused(
            load_phase,
            self.write(tmp_path, atoms=[atom]),
            "not numbers|no crystal|cannot be read",
        )

    @pytest.mark.filterwarnings("ignore:invalid value")
    @pytest.mark.parametrize("edge", ["nan", "1e999", "-1e999", "-3.5", "0"])
    def test_lattice(self, tmp_path, traces, edge):
        """Some of these end the process in spglib."""
        path = self.write(tmp_path)
        text = path.read_text().replace("_cell_length_b 3.5", f"_cell_length_b {edge}")
        path.write_text(text)
        refused(load_phase, path, "not numbers|cannot be read")


def test_large_sht(tmp_path):
    path = tmp_path / "a.sht"
    with open(path, "wb") as file:
        file.write(b"*sht")
        file.truncate(2**34)  # No more than a few bytes are on disk
    refused(load_sht, path, "larger than")


class TestGrainList:
    def write(self, tmp_path, line="0\tAl\t0\t0\t0\t0\t0\t1\n"):
        imwrite(tmp_path / "a_1.tif", np.ones((9, 9), "uint8"))
        imwrite(tmp_path / "a_2.tif", np.ones((9, 9), "uint8"))
        path = tmp_path / "list.txt"
        path.write_text("ID\tPhase\tX\tY\tphi1\tPHI\tphi2\tBC\n" + line)
        return path

    def test_one_point(self, tmp_path):
        signal = load_aztec_grain_list(self.write(tmp_path))
        assert signal.data.shape == (9, 9)
        assert signal.xmap.size == 1

    @pytest.mark.parametrize(
        ("line", "match"),
        [
            ("0\tAl\t0\t0\t0\t0\t0\t1\n1\tAl\t0\t0\t0\t0\t0\n", "fewer values"),
            ("0\tAl\t0\t0\t0\t0\t0\tx\n", "could not convert"),
            ("0\tAl\tnan\t0\t0\t0\t0\t1\n", "its X is nan"),
            ("0\tAl\t0\t0\t1e999\t0\t0\t1\n", "its phi1 is 1e999"),
            ("9" * 5000 + "\tAl\t0\t0\t0\t0\t0\t1\n", "limit|digits"),
            ("0\t" + "A" * 200_000 + "\t0\t0\t0\t0\t0\t1\n", "field limit"),
            (2 * "0\tAl\t0\t0\t0\t0\t0\t1\n", "another point has its ID"),
        ],
    )
    def test_lines(self, tmp_path, line, match):
        refused(load_aztec_grain_list, self.write(tmp_path, line), match)

    def test_large_image(self, tmp_path):
        path = self.write(tmp_path)
        image = tmp_path / "a_1.tif"
        tags = [(256, 10**6), (257, 10**6), (258, 8), (259, 1), (262, 1), (273, 8)]
        tags += [(277, 1), (278, 10**6), (279, 10)]
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, n) for tag, n in tags)
        size = struct.pack("<H", len(tags))
        image.write_bytes(b"II*\0\x08\0\0\0" + size + entries + bytes(4))
        with memory_limit(), pytest.raises(ValueError, match="declares the shape"):
            load_aztec_grain_list(path)

    def test_images_of_other_types(self, tmp_path):
        path = self.write(
            tmp_path, "".join(f"{i}\tAl\t{i}" + 5 * "\t0" + "\n" for i in "01")
        )
        imwrite(tmp_path / "a_2.tif", np.full((9, 9), 300, "uint16"))
        with pytest.raises(ValueError, match="a_2.tif is of .*uint16, but .*uint8"):
            load_aztec_grain_list(path)
