"""
====================
What the network saw
====================

You will be able to draw what in a pattern speaks for a space group, label the zone axes and
bands there, and ask with a number whether the two have to do with each other.
"""

# %%
# Grad-CAM weights the feature maps of a layer by how much they speak for a space group. It is
# coarse at the last layer of the network, 3 x 3 cells, and finer at an earlier one.

import kikuchipy as kp
import matplotlib.pyplot as plt
import numpy as np

import kikuchipy_spacegroup as kpsg

s = kp.data.nickel_ebsd_small()
model = kpsg.load_model()
explain = kpsg.explanation.GradCAM(model, layer="stage2_2_out")
explain

# %%
# As in classification, the background is divided out first.

patterns = s.data / s.static_background
patterns = patterns.reshape(-1, 60, 60)
maps = explain(patterns, space_group=225)
maps.shape

# %%
# The scan is indexed, so that bands and zone axes can be drawn where they must be. Phases that
# kikuchipy reads from EMsoft's files have lattice parameters in nm.

phase = kp.data.nickel_ebsd_master_pattern_small(projection="lambert").phase
simulation = kpsg.explanation.simulate_geometry(
    phase, s.detector, s.xmap.rotations.reshape(3, 3), lattice_unit="nm"
)
fig, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for ax, i in zip(axes, (0, 4, 8)):
    index = np.unravel_index(i, (3, 3))
    kpsg.plot.plot_grad_cam(
        patterns[i], maps[i], simulation=simulation, index=index, ax=ax
    )

# %%
# Do the maps follow the zone axes? The eye sees what it wants to see. A number does not: the
# chance that a pixel near a main zone axis has a higher value than one elsewhere (0.5 if the map
# knows nothing of zone axes), and the same with the crystals turned at random as a control.

result = kpsg.explanation.zone_axis_test(
    kpsg.explanation.to_pattern_frame(maps, (60, 60)),
    s.xmap.rotations,
    s.detector,
    kpsg.explanation.main_zone_axes(phase, lattice_unit="nm"),
    n_random=299,
)
result

# %%
fig, ax = plt.subplots(figsize=(4.5, 3), layout="constrained")
ax.hist(result.control, 30, color="0.8", label="crystals turned at random")
ax.axvline(result.mean_auc, color="#0072B2", label="as indexed")
ax.set(xlabel="Mean AUC of the nine maps", ylabel="Random orientations")
_ = fig.legend(loc="outside upper center", ncols=2, fontsize="small")

# %%
# The line lies among random orientations: these nine patterns of two grains do not show that
# what speaks for 225 lies near zone axes in this layer, where Kaufmann et al. saw it by eye. Of a
# model that came with the package earlier, they did. Nor would a line beyond them all tell why, or that training has taught it: zone axes are where bands cross and
# contrast is highest, and networks with random weights may lie there as often
# (``recipes/kaufmann2020`` has such a control). Ask the same of your own scan.

# %%
# What would have spoken for bcc? And what do single pixels say, in guided Grad-CAM? A few pixels say
# most of it, so the brightest are cut off to see the rest.

fine = kpsg.explanation.guided_grad_cam(model, patterns[:1], 225, layer="stage2_2_out")
fine = np.clip(fine / np.percentile(fine, 98), 0, 1)
panels = {
    "for 225": maps[0],
    "for 229": explain(patterns[:1], 229)[0],
    "guided, for 225": fine[0],
}
fig, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for ax, (title, cam) in zip(axes, panels.items()):
    kpsg.plot.plot_grad_cam(patterns[0], cam, ax=ax)
    ax.set_title(title)

# %%
# In a notebook or a window of its own, ``kpsg.plot.plot_interactive(s, xmap)`` shows the map of
# space groups, and under the pointer the pattern, its probabilities and its Grad-CAM.
