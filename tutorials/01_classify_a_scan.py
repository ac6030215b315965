"""
=============================
Classify a scan, read the map
=============================

You will be able to read the space group off every pattern of a scan, see how sure the model
is, and save the map.
"""

# %%
# The scan is the one that `kikuchipy's own tutorials
# <https://kikuchipy.org/en/stable/tutorials/index.html>`__ begin with: nine patterns of nickel,
# raw as they came from the camera.

import kikuchipy as kp
import matplotlib.pyplot as plt
import numpy as np

import kikuchipy_spacegroup as kpsg

s = kp.data.nickel_ebsd_small()
s

# %%
# Importing the package made a method appear on the signal. The model is the one that comes
# with the package. It tells the ten space groups of the point group m-3m.

model = kpsg.load_model()
model

# %%

xmap = s.classify_space_group(model)
xmap

# %%
# The result is an orix crystal map. **IDs of phases are space group numbers**, and -1 stands
# for points the model is not sure enough of.

print(xmap.phase_id.reshape(xmap.shape))
print(xmap.prop["scores"].reshape(xmap.shape).round(2))

# %%
# What does the model see? The first layer of the model flattens the background and evens out the
# contrast, as in training.

patterns = s.data.reshape((-1, *s.data.shape[-2:]))[:3]
prepared = model.prepare(patterns[..., None].astype("float32"))
fig, axes = plt.subplots(2, 3, figsize=(6, 4), layout="constrained")
for i in range(3):
    axes[0, i].imshow(patterns[i], cmap="gray")
    axes[1, i].imshow(prepared[i, ..., 0], cmap="gray", vmin=-2.5, vmax=2.5)
axes[0, 0].set_ylabel("Camera")
axes[1, 0].set_ylabel("Network")
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])

# %%
# Points can be left out with a navigation mask, which is True where nothing is to be done, as
# in dictionary indexing. Here it is the first column. The other points stay what they were, since
# the background to divide out comes with the scan. Points left out are not in the data of the map.

mask = np.zeros(xmap.shape, dtype=bool)
mask[:, 0] = True
part = s.classify_space_group(model, navigation_mask=mask)
print(part.is_in_data.reshape(mask.shape))
print(
    "Others are the same:", np.array_equal(part.phase_id, xmap.phase_id[~mask.ravel()])
)

# %%
# The map is saved as HDF5, which keeps everything, or as .ang for other programs.

from pathlib import Path
import tempfile

with tempfile.TemporaryDirectory() as folder:
    kpsg.save_map(Path(folder) / "space_groups.h5", xmap)
    kpsg.save_map(Path(folder) / "space_groups.ang", xmap)
    for path in sorted(Path(folder).iterdir()):
        print(path.name, path.stat().st_size, "bytes")

# %%
# A big scan is read lazily. Nothing else changes::
#
#     s = kp.load("scan.h5oina", lazy=True)
#     xmap = s.classify_space_group(model)

# %%
# The picture has the colors of space groups, paler where the model is less sure, and shows
# some of the patterns beside it.

_ = kpsg.plot.plot_patterns(s, xmap)
