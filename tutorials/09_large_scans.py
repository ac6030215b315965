"""
===========
Large scans
===========

You will be able to classify a scan that does not fit into memory, to go on after an
interruption without losing anything, and to let a cluster do the work.
"""

# %%
# A scan in a file, as kikuchipy writes it (see its tutorial on `loading and saving data
# <https://kikuchipy.org/en/stable/tutorials/load_save_data.html>`__). It is kikuchipy's scan of
# nickel again and again, with new noise on every pattern, since a long scan takes long to
# download.

from pathlib import Path
import tempfile
import time

from dask.distributed import Client
import kikuchipy as kp
import matplotlib.pyplot as plt
import numpy as np
import zarr

import kikuchipy_spacegroup as kpsg

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
rng = np.random.default_rng(1)
small = kp.data.nickel_ebsd_small()
patterns = np.tile(small.data, (20, 30, 1, 1)) + rng.normal(0, 1.5, (60, 90, 60, 60))
s = kp.signals.EBSD(
    np.clip(patterns, 0, 255).astype("uint8"),
    static_background=small.static_background,
)
s.save(folder / "scan.h5")
del s, patterns

# %%
# **Lazy.** Nothing is read yet but what is around the patterns. Classification reads block by
# block, and keeps only the result.

s = kp.load(folder / "scan.h5", lazy=True)
s.data

# %%

model = kpsg.load_model()
model.predict(small.data.reshape(-1, 60, 60))  # the first call compiles the model
start = time.perf_counter()
xmap = s.classify_space_group(model)
seconds = time.perf_counter() - start
print(f"{xmap.size} patterns in {seconds:.1f} s, {xmap.size / seconds:.0f} patterns/s")

# %%
# A network exported to ONNX runs without Keras, with the same labels and about as fast. With
# ``calibration_patterns``, it calculates with integers of eight bits, which takes half the time on
# many CPUs and may change labels of doubtful patterns. On a GPU, Keras is faster.

kpsg.models.save_onnx(folder / "model.onnx", model)
onnx = kpsg.models.OnnxModel(folder / "model.onnx")
start = time.perf_counter()
other = s.classify_space_group(onnx)
seconds = time.perf_counter() - start
print(f"{xmap.size / seconds:.0f} patterns/s")
print(f"Same labels: {(other.phase_id == xmap.phase_id).mean():.2%}")

# %%
# **Nothing lost.** With ``output``, every block is on disk as soon as it is classified. Here the
# call is interrupted, as it would be by Ctrl-C or a power cut in the middle of the night.

output = folder / "space_groups.zarr"


class Interrupted(kpsg.SpaceGroupModel):
    """A model that stops after three blocks."""

    n_blocks = 0

    def predict_proba(self, patterns, **kwargs):
        self.n_blocks += 1
        if self.n_blocks > 3:
            raise KeyboardInterrupt
        return super().predict_proba(patterns, **kwargs)


stops = Interrupted(
    model.network,
    model.space_groups,
    model.prepare,
    temperature=model.temperature,
    min_probability=model.min_probability,
)
try:
    s.classify_space_group(stops, output=output)
except KeyboardInterrupt:
    print("interrupted")
store = zarr.open_array(output, mode="r")
print(f"{store.nchunks_initialized} of {store.nchunks} blocks are there")

# %%

done = (store[..., 0] >= 0).astype(int)
fig, ax = plt.subplots(figsize=(4, 2.8), layout="constrained")
ax.imshow(done, cmap="Greens", vmin=0, vmax=1.5)
_ = ax.set(title="Points which are there", xlabel="Column", ylabel="Row")

# %%
# The same call with ``resume=True`` does the rest. When all is there, it returns the map without
# classifying anything, which is also how to read results later.

for _ in range(2):
    start = time.perf_counter()
    again = s.classify_space_group(model, output=output, resume=True)
    print(f"{time.perf_counter() - start:.1f} s")
print("Same map:", np.array_equal(again.phase_id, xmap.phase_id))

# %%
# **A cluster.** With a client of dask.distributed, its workers classify. Here it is one worker in
# this process; on a cluster with SLURM, dask-jobqueue starts as many as you ask for, with a GPU
# each: see :doc:`the user guide </user/large_scans>`.

with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None):
    by_worker = s.classify_space_group(model)
print("Same map:", np.array_equal(by_worker.phase_id, xmap.phase_id))

# %%
# The map itself. Every third row and column has the same pattern with other noise. Last, the
# folder with the files of this page is removed.

_ = kpsg.plot.plot_space_groups(xmap)
del s
temporary.cleanup()
