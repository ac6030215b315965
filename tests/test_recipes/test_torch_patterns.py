# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training patterns that PyTorch makes on a device."""

from pathlib import Path

import keras
import numpy as np
import pytest

from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import SpaceGroupModel
from kikuchipy_spacegroup.training import SimulatedDataset

if keras.backend.backend() != "torch":
    pytest.skip("needs KERAS_BACKEND=torch", allow_module_level=True)
if not (Path(__file__).parents[2] / "recipes" / "default_model").is_dir():
    pytest.skip("no recipes", allow_module_level=True)


def noise_of(*space_groups):
    """Library of two master patterns of noise."""
    rng = np.random.default_rng(1)
    return MasterPatternLibrary(
        rng.uniform(0.5, 1.5, (2, 21, 21)).astype("float16"),
        phase_index=[0, 1],
        upper=[0, 1],
        lower=[0, 1],
        energies=[20, 20],
        phase_names=["a", "b"],
        space_groups=list(space_groups),
    )


def test_all_is_drawn_by_torch():
    """Keras' random numbers are not recorded in a graph: replayed, they repeat."""
    import torch

    from recipes.default_model.training.torch_patterns import DevicePatterns

    library = noise_of(225, 229)
    model = SpaceGroupModel.create([225, 229], size=32, filters=(4,), stem=4)
    dataset = SimulatedDataset(library, [225, 229], batch_size=200)
    partners, device = np.zeros((2, 1), int), torch.device("cpu")
    patterns = DevicePatterns(model, dataset, partners, device)
    state = patterns.camera.generator.state
    before = np.array(keras.ops.convert_to_numpy(state))
    made, targets = patterns.make()
    assert made.shape == (200, 1, 32, 32)
    assert bool(torch.isfinite(made).all())
    assert targets.mean(dim=0).tolist() == pytest.approx([0.5, 0.5], abs=0.15)
    assert np.array_equal(keras.ops.convert_to_numpy(state), before)


def test_bands_are_found_on_the_device():
    """Finite, with centers as they are drawn, and the targets of the entries."""
    import torch

    from recipes.general_model.train import FoundBandsOnDevice

    library = noise_of(225, 194)
    model = SpaceGroupModel.create([225, 194], size=32, network="bands", n_bands=8)
    dataset = SimulatedDataset(library, [225, 194], batch_size=300, strain_scale=0.1)
    found = FoundBandsOnDevice(model, dataset, None, "cpu")
    bands, targets = found(0)
    assert bands[0].shape == (300, 8, 3)
    assert bands[1].shape == (300, 8, 40)
    # Bands, zone axes and twofold axes
    assert len(bands) == 9
    assert all(bool(torch.isfinite(i).all()) for i in bands)
    assert targets.mean(dim=0).tolist() == pytest.approx([0.5, 0.5], abs=0.15)
    centers = found.centers(torch.full((1000, 5), 0.5))
    unknown = torch.isnan(centers).all(dim=1).float().mean()
    assert float(unknown) == pytest.approx(0.2, abs=0.06)
