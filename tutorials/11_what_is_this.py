"""
============
What is this
============

You will be able to start with "I do not know what this is" and to end with named phases, each with
how sure that is.
"""

# %%
# The sample is a stranger: somebody found aluminum, iron and silicon in it. The scan is simulated,
# so that there is an answer to compare with in the end.

from pathlib import Path
import tempfile

import kikuchipy as kp
import matplotlib.pyplot as plt
import numpy as np

import kikuchipy_spacegroup as kpsg

aluminum, silicon = kpsg.simulation.example_phases("aluminum and silicon")
s = kpsg.simulate_scan(
    [kpsg.simulate_master_pattern(i, 18) for i in (aluminum, silicon)],
    (12, 16),
    grain_size=5,
    detector=kp.detectors.EBSDDetector((96, 96), pc=(0.5, 0.3, 0.6), sample_tilt=70),
    camera=kpsg.Camera(dose=1000),
    seed=1,
)
s

# %%
# **Which phases are there, and where?** No candidate is needed to find them: the network says of each
# pattern how probable each space group is, and grains of the same typical answer are a phase.

xmap = s.classify_space_group(keep_probabilities=True)
grain_ids = kpsg.maps.grains_from_patterns(s)
found = kpsg.phases.find_phases(xmap, grain_ids=grain_ids)
found

# %%
# The most typical pattern of each.

fig, axes = plt.subplots(1, len(found) + 1, figsize=(7, 2.6), layout="constrained")
kpsg.plot.plot_space_groups(found.xmap, ax=axes[0], legend=False)
for ax, (i, points) in zip(axes[1:], found.representatives.items()):
    pattern = s.data.reshape(-1, *s.data.shape[-2:])[found.xmap.id[points[0]]]
    ax.imshow(pattern, cmap="gray")
    ax.set(title=found.table.loc[i, "name"], xticks=[], yticks=[])

# %%
# **What could they be?** Structures of these elements are searched, here in a folder of four CIFs. With
# ``source="cod"`` it would be the Crystallography Open Database.

CIF = """data_{name}
_chemical_name_mineral {name}
_cell_length_a {a}
_cell_length_b {a}
_cell_length_c {a}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M '{group}'
loop_
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
{atoms}
"""
folder = Path(tempfile.mkdtemp())
for name, a, group, atoms in (
    ("aluminum", 4.05, "F m -3 m", ["Al 0 0 0"]),
    ("ferrite", 2.866, "I m -3 m", ["Fe 0 0 0"]),
    ("FeAl", 2.909, "P m -3 m", ["Fe 0 0 0", "Al 0.5 0.5 0.5"]),
    ("silicon", 5.431, "F d -3 m :2", ["Si 0.125 0.125 0.125"]),
):
    text = CIF.format(name=name, a=a, group=group, atoms="\n".join(atoms))
    (folder / f"{name}.cif").write_text(text)

search = kpsg.phases.search_structures(["Al", "Fe", "Si"], source=folder)
search

# %%
# **Where is the projection center?** Of an unknown sample, there is no phase to calibrate the detector
# with. Symmetric crystals give patterns that are like themselves when they are rotated on the sphere, if the
# center is right, and this needs no phase. Here the center is (0.5, 0.3, 0.6).

estimate = kpsg.detectors.estimate_projection_center(s, n_patterns=24)
estimate

# %%
# **Which of them are they?** Each candidate is simulated and matched with the typical patterns of each
# phase, by kikuchipy's dictionary indexing and refinement. This needs a calibrated detector, which
# ``s.detector`` is here; if it were not, ``s.detector = estimate.detector`` would be near enough to begin
# with. Simulations are kinematical, as these need no further package, and so is this
# scan: for a real one, install ``kikuchipy-spacegroup[dynamical]``, and leave the method out.

checked = kpsg.phases.check_candidates(
    s, found, search, energy=20, method="kinematical", n_patterns=3
)
checked.table[["phase", "candidate", "space_group", "match", "probability"]].round(2)

# %%
# ``match`` is 1 if nothing but noise tells the patterns from the simulation. *None of these* is one
# of the answers. Take it seriously with dynamical simulations only: here, simulation and scan are
# equally kinematical, and wrong structures match far better than they do with real patterns.

fig, ax = plt.subplots(figsize=(5, 2.8), layout="constrained")
for i, here in checked.table.dropna(subset="match").groupby("phase"):
    ax.plot(here["match"], here["candidate"], "o", label=found.table.loc[i, "name"])
ax.set(xlim=(0, 1), xlabel="Match")
_ = ax.legend()

# %%
# **Named.** The answer for each phase, and what it is in truth.

truth = np.array([s.xmap.phases[i].name for i in s.xmap.phase_id])
for i, name in checked.best.items():
    names, counts = np.unique(truth[found.xmap.phase_id == i], return_counts=True)
    print(f"{found.table.loc[i, 'name']}: {name}, in truth {names[counts.argmax()]}")

# %%
# The orientations of the typical patterns come with it, to go on from with indexing of the whole
# scan, as in :doc:`07_with_indexing`. What can go wrong: :doc:`/user/phases_gone_wrong`.

for i, name in checked.best.items():
    print(checked.orientations[i].get(name))
