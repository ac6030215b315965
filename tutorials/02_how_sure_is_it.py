"""
==============
How sure is it
==============

You will be able to read the model's probabilities, ask for all space groups a pattern may be
of, see what it refuses to name, and ask a whole grain instead of one pattern.
"""

# %%
# Three scans to classify: nickel as recorded, the same with more noise, and noise alone.

import kikuchipy as kp
import matplotlib.pyplot as plt
import numpy as np

import kikuchipy_spacegroup as kpsg

s = kp.data.nickel_ebsd_small()
rng = np.random.default_rng(1)
corrected = s.data / s.static_background.astype("float32")
contrast = corrected.std()
scans = {
    "as recorded": corrected,
    "more noise": corrected + rng.normal(0, contrast, corrected.shape),
    "noise alone": rng.normal(1, contrast, corrected.shape),
}
model = kpsg.load_model()
maps = {
    name: kp.signals.EBSD(patterns).classify_space_group(
        model, keep_probabilities=True, static_background=None
    )
    for name, patterns in scans.items()
}

# %%
# Every point has a best space group and its probability. Below the model's own limit, a point is
# *not identified*: its phase ID is -1.

print("limit:", round(model.min_probability, 2))
for name, xmap in maps.items():
    print(f"{name:12}", xmap.phase_id, xmap.prop["scores"].round(2))

# %%
# All probabilities, point by point.

fig, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained", sharey=True)
for ax, (name, xmap) in zip(axes, maps.items()):
    probabilities, space_groups = kpsg.maps.probabilities_from_map(xmap)
    image = ax.imshow(probabilities, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    ax.set_xticks(range(len(space_groups)), space_groups, rotation=90)
    ax.set(title=name, xlabel="Space group")
axes[0].set_ylabel("Pattern")
_ = fig.colorbar(image, ax=axes, label="Probability")

# %%
# Probabilities are calibrated on simulated patterns of materials the model was not trained on,
# with all its space groups equally likely. Real patterns of simple metals turn out right more
# often than the model says: it has been taught to expect worse.
#
# **Sets** are the honest answer where one space group is not. Each is all space groups whose
# probability is above a threshold of their own, chosen such that of the patterns of each space
# group, nine in ten sets have it among them. That of 221 is low, since some ordered alloys are
# mostly called by their disordered parents, 225 or 229.

threshold = model.conformal_thresholds[0.9]
for name, xmap in maps.items():
    sets = kpsg.maps.prediction_sets_from_map(xmap, threshold)
    print(f"{name:12}", *("{" + ", ".join(map(str, i)) + "}" for i in sets[:5]))

# %%
# The noisier the pattern, the larger the set.
#
# Coarser levels of symmetry are surer, since probabilities add up. All classes of the bundled
# model are of one point group, so the Bravais lattice is the level below.

from kikuchipy_spacegroup.space_groups import coarsen_probabilities

probabilities, space_groups = kpsg.maps.probabilities_from_map(maps["as recorded"])
lattices, labels = coarsen_probabilities(probabilities, space_groups, "bravais_lattice")
for label, column in zip(labels, lattices.T):
    print(label, column.round(2))

# %%
# **Grains.** All patterns of a grain are of one phase, so it may give one answer. For this, the
# scan is simulated, so that the truth is known: nickel, from kikuchipy's master pattern, and
# silicon, from its structure, recorded fast. Grains are found by how alike neighboring patterns
# are without the background.

nickel = kp.data.nickel_ebsd_master_pattern_small(
    projection="lambert", hemisphere="both"
)
_, silicon = kpsg.simulation.example_phases("aluminum and silicon")
s = kpsg.simulate_scan(
    [nickel, kpsg.simulate_master_pattern(silicon)],
    (20, 30),
    phase_fractions=[0.65, 0.35],
    grain_size=7,
    detector=kp.detectors.EBSDDetector((96, 96), pc=(0.5, 0.3, 0.6), sample_tilt=70),
    camera=kpsg.Camera(dose=300),
    seed=3,
)
xmap = s.classify_space_group(model, keep_probabilities=True)
grain_ids = kpsg.maps.grains_from_patterns(s)
pooled = kpsg.pool_grains(xmap, grain_ids)

# %%
# Pooling makes a grain right more often than its patterns, if they are right more often than not.
# It does not make it much surer: patterns of a grain are no independent witnesses, as a model
# that is wrong on one of them tends to be wrong on all. What is wrong below is wrong by whole
# grains.

truth = [s.xmap.phases[i].space_group.number for i in s.xmap.phase_id]
fig, axes = plt.subplots(1, 2, figsize=(8, 6.5), layout="constrained")
for ax, title, each in zip(axes, ("By pattern", "By grain"), (xmap, pooled)):
    kpsg.plot.plot_space_groups(each, ax=ax)
    ax.set_title(f"{title}: {(each.phase_id == truth).mean():.0%} right")
