"""
==================================
With dictionary and Hough indexing
==================================

You will be able to index every point only with the phases it can be of, to combine what indexing
and the classifier say, and to see where they do not agree.
"""

# %%
# The scan is the one of nickel from kikuchipy's tutorials on `pattern matching
# <https://kikuchipy.org/en/stable/tutorials/pattern_matching.html>`__ and `Hough indexing
# <https://kikuchipy.org/en/stable/tutorials/hough_indexing.html>`__, with the background removed
# as there. Pretend that the sample may hold nickel, ferrite or silicon.

import kikuchipy as kp
import matplotlib.pyplot as plt
import numpy as np
from orix.crystal_map import PhaseList
from orix.sampling import get_sample_fundamental

import kikuchipy_spacegroup as kpsg

raw = kp.data.nickel_ebsd_small()
model = kpsg.load_model()
xmap = raw.classify_space_group(model, keep_probabilities=True)

s = raw.deepcopy()
s.remove_static_background()
s.remove_dynamic_background()

# %%
# Master patterns: the one of nickel comes with kikuchipy, the others are kinematical.

nickel = kp.data.nickel_ebsd_master_pattern_small(
    projection="lambert", hemisphere="both"
)
nickel.phase.name = "nickel"
structures = {
    phase.name: phase
    for example in ("ferrite and FeAl", "aluminum and silicon")
    for phase in kpsg.simulation.example_phases(example)
}
masters = [nickel]
masters += [kpsg.simulate_master_pattern(structures[i]) for i in ("ferrite", "silicon")]
phases = [master.phase for master in masters]
for phase in phases:
    print(phase.name, phase.space_group.short_name)

# %%
# **What to index with which phase.** A point is worth matching with the phases in its prediction
# set: here the sets that hold the right space group in 90 % of the patterns of each material they
# were calibrated on. Masks are True for points to leave out, as kikuchipy wants them.

masks = kpsg.maps.navigation_masks(
    xmap, phases, threshold=model.conformal_thresholds[0.9]
)
fig, axes = plt.subplots(1, 3, figsize=(7, 2.6), layout="constrained")
for ax, (name, mask) in zip(axes, masks.items()):
    ax.imshow(~mask, cmap="Greens", vmin=0, vmax=1.5)
    ax.set(title=f"{name}: {(~mask).sum()} of {mask.size}", xticks=[], yticks=[])

# %%
# **Dictionary indexing**, one dictionary per phase, and only where the mask lets it. A phase with
# no point left costs nothing. Orientations are 3 degrees apart: with 4, one of these noisy patterns
# is indexed wrongly, and refinement does not find back.

detector = s.detector
average = detector.deepcopy()
average.pc = detector.pc_average
maps = []
for master in masters:
    mask = masks[master.phase.name]
    if mask.all():
        continue
    rotations = get_sample_fundamental(3, point_group=master.phase.point_group)
    dictionary = master.get_patterns(rotations, average, energy=20, compute=True)
    found = s.dictionary_indexing(dictionary, keep_n=1, navigation_mask=mask)
    print(f"{master.phase.name}: {found.size} points, scores {found.scores.mean():.2f}")
    maps.append(found)

matched = sum(found.size for found in maps)
print(f"{matched} points matched instead of {xmap.size * len(masters)}")

# %%
# **Hough indexing** with the planes of each phase that reflect best, as the default is those of
# fcc metals. It is done one phase at a time, too: of several phases, it would tell the best one
# only, and the others could not be weighed.

planes = {
    "nickel": [[1, 1, 1], [2, 0, 0], [2, 2, 0], [3, 1, 1]],
    "ferrite": [[1, 1, 0], [2, 0, 0], [2, 1, 1], [2, 2, 2]],
    "silicon": [[1, 1, 1], [2, 2, 0], [4, 0, 0], [3, 1, 1]],
}
for phase in phases:
    indexer = detector.get_indexer(PhaseList(phase), [planes[phase.name]], nBands=9)
    found = s.hough_indexing(PhaseList(phase), indexer, verbose=0)
    print(f"{phase.name}: confidence {found.prop['cm'].mean():.2f}")
    maps.append(found)

# %%
# **Combined.** Correlation scores and the confidence of Hough indexing are different things, and
# are not compared with each other: each gets a weight of its own, and the classifier has its
# say through probabilities.

combined = kpsg.combine(xmap, maps)
combined

# %%
# All phases that have a solution at a point are weighed against each other. Where the classifier
# or one of the indexings prefers another phase, a flag says so: 1 is for the classifier, 2 for
# indexing, 4 for points the classifier did not identify, and they add up.

candidates = combined.prop["candidate_probabilities"]
fig, ax = plt.subplots(figsize=(5, 3), layout="constrained")
names = list(dict.fromkeys(p.name for m in maps for _, p in m.phases))
bottom = np.zeros(combined.size)
for name, values in zip(names, candidates.T):
    ax.bar(range(combined.size), values, bottom=bottom, label=name)
    bottom += values
for i, flag in enumerate(combined.prop["disagreement"]):
    ax.text(i, 1.02, str(flag) if flag else "", ha="center")
ax.set(xlabel="Pattern", ylabel="Probability", ylim=(0, 1.15))
_ = fig.legend(loc="outside right upper")

# %%
# The map has the orientations of the chosen phases, so it goes on as any map of kikuchipy. Here
# the points of the phase found most often are refined. The map is given as a whole, with a mask
# that leaves only this phase: refinement wants a map of the shape of the scan.

chosen = combined.phase_id[combined.phase_id >= 0]  # -1 is for points with no solution
phase_id = int(np.bincount(chosen).argmax())
best = combined.phases[phase_id].name
master = {i.phase.name: i for i in masters}[best]
refined = s.refine_orientation(
    combined,
    detector,
    master_pattern=master,
    energy=20,
    navigation_mask=(combined.phase_id != phase_id).reshape(combined.shape),
    trust_region=[2, 2, 2],
)
before = combined[best].prop["indexing_scores"]
print(f"Scores {before.mean():.2f}, refined {refined.scores.mean():.2f}")

# %%
# What remains is to look: patterns above, and below what the phase and the
# refined orientation say they should be.

fig, axes = plt.subplots(
    2,
    3,
    figsize=(6, 4.4),
    layout="constrained",
    subplot_kw={"xticks": [], "yticks": []},
)
patterns = s.data.reshape(-1, *s.data.shape[-2:])
for (above, below), i in zip(axes.T, np.linspace(0, refined.size - 1, 3, dtype=int)):
    point = refined.id[i]
    camera = detector.deepcopy()
    camera.pc = detector.pc.reshape(-1, 3)[point]
    ideal = master.get_patterns(
        refined.rotations[i], camera, energy=20, compute=True, show_progressbar=False
    )
    above.imshow(patterns[point], cmap="gray")
    above.set_title(f"Pattern {point}")
    below.imshow(ideal.data.squeeze(), cmap="gray")
axes[0, 0].set_ylabel("Camera")
_ = axes[1, 0].set_ylabel(f"{best.capitalize()}, refined")

# %%
# Indexing with the wrong phase can fit well, and the classifier can be wrong. They fail in
# different ways: :doc:`/user/grains_and_phases` has a table of both and of the combination, on
# scans of known truth.
