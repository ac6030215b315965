"""
==============================================
Master patterns, and what cameras make of them
==============================================

You will be able to gather master patterns of any origin in one library, and to see training
patterns as the network sees them beside real ones.
"""

# %%
# A library holds labelled master patterns of many phases in one stack. The first comes with
# kikuchipy: a dynamical simulation of nickel by EMsoft.

import kikuchipy as kp
import matplotlib.pyplot as plt
import numpy as np

import kikuchipy_spacegroup as kpsg

nickel = kp.data.nickel_ebsd_master_pattern_small(
    projection="lambert", hemisphere="both"
)
nickel.phase.name = "Ni"
library = kpsg.MasterPatternLibrary.from_signals([nickel], half_width=100)
library

# %%
# Files are read by ``from_files``, such as this one of EMsoft (HDF5, with all its energies), which
# is where kikuchipy has the signal above from.

from pathlib import Path
import tempfile

origin = nickel.tmp_parameters
path = Path(origin.folder) / f"{origin.filename}.{origin.extension}"
kpsg.MasterPatternLibrary.from_files([path], names=["Ni"], half_width=100)

# %%
# It reads spherical harmonics (.sht) and files of ebsdsim (.npz) in the same way. Of the former,
# the `EMsoft SHT database <https://doi.org/10.1184/R1/9974612>`__ has one per phase and voltage
# to download; the latter are made by `ebsdsim <https://pypi.org/project/ebsdsim/>`__ from a
# CIF. More of EMsoft's HDF5 files are downloaded by ``kikuchipy.data.ebsd_master_pattern()``. These
# lines are not run here, since neither we nor kikuchipy come with such files::
#
#     library += kpsg.MasterPatternLibrary.from_files(["FeAl.sht", "Si.npz"])
#
# Where there is no master pattern, a crystal structure will do. Such as this one of iron, as a
# CIF file says it. Atoms, cell and space group are checked against each other.

CIF = """data_iron
_cell_length_a 2.866
_cell_length_b 2.866
_cell_length_c 2.866
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'I m -3 m'
_symmetry_Int_Tables_number 229
loop_
_symmetry_equiv_pos_as_xyz
'x,y,z'
'x+1/2,y+1/2,z+1/2'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
Fe1 Fe 0 0 0 0.005
"""
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "iron.cif"
    path.write_text(CIF)
    iron = kpsg.load_phase(path)
iron

# %%
# It is simulated kinematically, which takes a second. Kinematical patterns have the right bands
# with the right widths, and obey Friedel's law: they know nothing of a missing inversion. With
# ``method="dynamical"`` Bloch waves are used, if the package de-ebsd is installed.

master = kpsg.simulate_master_pattern(iron, 20, half_width=100)
library += kpsg.MasterPatternLibrary.from_signals([master], half_width=100)
library

# %%
# The two as stored: upper hemispheres on the square Lambert projection.

fig, axes = plt.subplots(1, 2, figsize=(6, 3.2), layout="constrained")
for ax, i in zip(axes, range(2)):
    ax.imshow(library.data[library.upper[i]].astype("float32"), cmap="gray")
    name = library.phase_names[library.phase_index[i]]
    ax.set(title=f"{name}, {library.energies[i]:g} kV", xticks=[], yticks=[])

# %%
# Training patterns are drawn from the library while the network trains: a random phase and
# orientation, a random projection center, and a camera at random within the ranges of an
# ``Acquisition``.

acquisition = kpsg.Acquisition()
acquisition

# %%
# Which ranges does a real scan have? Those that can be told from the patterns alone are found
# by ``estimate_acquisition``.

s = kp.data.nickel_ebsd_small()
found = kpsg.simulation.estimate_acquisition(s)
print("noise over signal:", [round(x, 2) for x in found.noise])
print("pixels along the side:", found.resolution)

# %%
# Real patterns of nickel above, simulated ones of random orientation below, all as the network
# gets them. Are there differences you can see? They matter.

from kikuchipy_spacegroup.patterns import PreparePatterns
from kikuchipy_spacegroup.simulation import ProjectPatterns, SimulateCamera
from kikuchipy_spacegroup.training import SimulatedDataset

of_nickel = library.select(["Ni"])
recipe = SimulatedDataset(of_nickel, [225]).recipe(
    np.zeros(5, dtype=int), np.random.default_rng(3)
)
ideal = ProjectPatterns(of_nickel, (96, 96))(recipe)
recorded = SimulateCamera(found, size=96, seed=1)(ideal)
prepare = PreparePatterns(96)
real = kpsg.LabelledPatterns.from_signal(s, size=96).patterns[:5]
rows = {"real": real, "simulated": np.asarray(recorded)}
fig, axes = plt.subplots(2, 5, figsize=(8, 3.4), layout="constrained")
for (name, patterns), row in zip(rows.items(), axes):
    prepared = np.asarray(prepare(patterns[..., None].astype("float32")))[..., 0]
    for ax, pattern in zip(row, prepared):
        ax.imshow(pattern, cmap="gray", vmin=-2.5, vmax=2.5)
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(name)

# %%
# A library is saved to and loaded from one file: ``library.save("library.npz")`` and
# ``kpsg.MasterPatternLibrary.load("library.npz")``.
