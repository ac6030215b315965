"""
=================
Which phase is it
=================

You will be able to pool what is known of the patterns of a grain, and to name the phase of each
grain from candidate structures and an element map.
"""

# %%
# The scan is simulated, so that the truth is known: nickel and silicon, as in a cut through a
# solar cell's contact. The master pattern of nickel is kikuchipy's, that of silicon is
# simulated from its structure.

import kikuchipy as kp
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
import matplotlib.pyplot as plt
import numpy as np
from orix.crystal_map import Phase, PhaseList

import kikuchipy_spacegroup as kpsg

mp_nickel = kp.data.nickel_ebsd_master_pattern_small(
    projection="lambert", hemisphere="both"
)
mp_nickel.phase.name = "nickel"
_, silicon = kpsg.simulation.example_phases("aluminum and silicon")
s = kpsg.simulate_scan(
    [mp_nickel, kpsg.simulate_master_pattern(silicon)],
    (20, 30),
    phase_fractions=[0.65, 0.35],
    grain_size=7,
    detector=kp.detectors.EBSDDetector((96, 96), pc=(0.5, 0.3, 0.6), sample_tilt=70),
    camera=kpsg.Camera(dose=1000),
    seed=3,
)
true_map = s.xmap
true_names = np.array([true_map.phases[i].name for i in true_map.phase_id])
s

# %%
# Pattern by pattern, most points of a grain are right, and some are not.

model = kpsg.load_model()
xmap = s.classify_space_group(model, keep_probabilities=True)
truth = np.where(true_names == "nickel", 225, 227)
print(f"Not identified: {(xmap.phase_id < 0).mean():.0%}")
print(f"Right: {(xmap.phase_id == truth).mean():.0%}")

# %%
# Grains are found by how alike neighboring patterns are without the background, which needs
# neither phases nor orientations. Then all patterns of a grain get one answer. They are not taken
# for independent witnesses: a model that is wrong on one pattern tends to be wrong on all of
# the grain.

grain_ids = kpsg.maps.grains_from_patterns(s)
pooled = kpsg.pool_grains(xmap, grain_ids)
print(f"Right: {(pooled.phase_id == truth).mean():.0%}")

fig, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained")
axes = axes.ravel()
axes[0].imshow(true_names.reshape(s.data.shape[:2]) == "silicon", cmap="Greys", vmax=2)
axes[1].imshow(np.asarray(grain_ids).reshape(s.data.shape[:2]) % 20, cmap="tab20")
for ax, title in zip(axes, ("Truth: silicon is gray", "Grains")):
    ax.set(title=title, xticks=[], yticks=[])
for ax, title, each in zip(axes[2:], ("By pattern", "By grain"), (xmap, pooled)):
    kpsg.plot.plot_space_groups(each, ax=ax)
    ax.set_title(title)

# %%
# Which phase? The candidates are structures, from CIF files (``kpsg.load_phase``) or made as
# phases of orix. Copper has the space group of nickel, and nearly its lattice parameter, so
# diffraction patterns say little about which of the two it is.

from diffpy.structure import Atom, Lattice, Structure

nickel, copper = (
    Phase(
        name,
        space_group=225,
        structure=Structure([Atom(element, (0, 0, 0))], Lattice(a, a, a, 90, 90, 90)),
    )
    for name, element, a in (("nickel", "Ni", 3.524), ("copper", "Cu", 3.615))
)
candidates = PhaseList([nickel, copper, silicon])

# %%
# An element map says more. This one is as energy-dispersive X-ray spectroscopy would give it:
# atomic percent with some noise, and with some of the other phase from around small grains.

rng = np.random.default_rng(2)
is_nickel = true_names == "nickel"
elements = {
    "Ni": np.clip(np.where(is_nickel, 96, 14) + rng.normal(0, 4, s.xmap.size), 0, None),
    "Si": np.clip(np.where(is_nickel, 3, 85) + rng.normal(0, 4, s.xmap.size), 0, None),
    "Cu": np.clip(rng.normal(0, 1, s.xmap.size), 0, None),
}
phases = kpsg.identify_phases(pooled, candidates, elements, uncertainty=0.1)
phases

# %%
# The last of the probabilities is that of *none of these*.

table = phases.prop["candidate_probabilities"].reshape(*s.data.shape[:2], -1)
fig, axes = plt.subplots(1, 4, figsize=(10, 2.4), layout="constrained")
for ax, name, image in zip(
    axes, [*candidates.names, "none of these"], np.moveaxis(table, -1, 0)
):
    shown = ax.imshow(image, vmin=0, vmax=1, cmap="Blues")
    ax.set(title=name, xticks=[], yticks=[])
_ = fig.colorbar(shown, ax=axes, label="Probability")

# %%
# Share of right points now:

found = np.array([phases.phases[i].name for i in phases.phase_id])
print(f"{(found == true_names).mean():.0%}")

# %%
# Which evidence decided? Without elements, nickel and copper are equally probable, and a
# point of theirs is not identified. With the wrong candidates only, none of them is the answer.

diffraction_only = kpsg.identify_phases(pooled, candidates)
wrong = kpsg.identify_phases(pooled, [copper], elements)
for title, each in {"Diffraction only": diffraction_only, "Only copper": wrong}.items():
    names, counts = np.unique(
        [each.phases[i].name for i in each.phase_id], return_counts=True
    )
    print(title, dict(zip(names.tolist(), counts.tolist())))

# %%
# The truth and the three answers. Grey is *none of these*, or not decided.

answers = {
    "Truth": true_map,
    "With elements": phases,
    "Diffraction only": diffraction_only,
    "Only copper": wrong,
}
colors = {"nickel": "tab:blue", "silicon": "tab:orange", "copper": "tab:red"}
fig, axes = plt.subplots(1, 4, figsize=(10, 2.6), layout="constrained")
for ax, (title, each) in zip(axes, answers.items()):
    names = [each.phases[i].name for i in each.phase_id]
    rgb = np.array([to_rgb(colors.get(name, "0.8")) for name in names])
    ax.imshow(rgb.reshape(*s.data.shape[:2], 3))
    ax.set(title=title, xticks=[], yticks=[])
handles = [Patch(color=color, label=name) for name, color in colors.items()]
_ = fig.legend(handles=handles, loc="outside lower center", ncols=3)
