"""
===============================
Train a model, and fine-tune it
===============================

You will be able to train a model on simulated patterns, to judge it on materials it never saw,
and to fine-tune it on a labelled scan of your own microscope.
"""

# %%
# A model for three space groups from nine elements, which is far too few, small patterns and
# two minutes of training, so that this page is quick. The bundled model saw more than a thousand
# phases, for hours: see :doc:`/user/choosing_a_model`.

from diffpy.structure import Atom, Lattice, Structure
import keras
import kikuchipy as kp
import matplotlib.pyplot as plt
import numpy as np
from orix.crystal_map import Phase

import kikuchipy_spacegroup as kpsg

keras.utils.set_random_seed(1)

FCC, DIAMOND, BCC = [(0, 0, 0)], [(1 / 8, 1 / 8, 1 / 8)], [(0, 0, 0)]


def element(symbol: str, space_group: int, a: float, sites: list) -> Phase:
    """Return the phase of an element, with the cubic lattice parameter in angstrom."""
    atoms = [Atom(symbol, xyz, Uisoequiv=0.005) for xyz in sites]
    structure = Structure(atoms, Lattice(a, a, a, 90, 90, 90))
    return Phase(symbol, space_group=space_group, structure=structure)


phases = [
    element("Al", 225, 4.050, FCC),
    element("Ag", 225, 4.086, FCC),
    element("Ni", 225, 3.524, FCC),
    element("Pd", 225, 3.891, FCC),
    element("Si", 227, 5.431, DIAMOND),
    element("Ge", 227, 5.658, DIAMOND),
    element("Fe", 229, 2.866, BCC),
    element("Cr", 229, 2.885, BCC),
    element("Nb", 229, 3.301, BCC),
]
library = kpsg.MasterPatternLibrary.from_phases(phases, half_width=75)
library

# %%
# **Split by material.** Palladium, germanium and niobium are kept apart. A model judged on
# patterns of materials it was trained on looks far better than it is.

KEPT = ["Pd", "Ge", "Nb"]
training = library.select(exclude=KEPT)
judging = library.select(KEPT)

# %%
# A clean camera makes the task easy enough for such a short training.

camera = kpsg.Acquisition(noise=(0.05, 0.6), overlap_probability=0, raw_probability=0)
model = kpsg.SpaceGroupModel.create(
    [225, 227, 229], size=48, filters=(16, 32, 64), stem=16
)
history = kpsg.fit(
    model,
    training,
    epochs=8,
    steps_per_epoch=60,
    optimization=kpsg.training.Optimization(learning_rate=4e-3, average=0.95),
    sampling=kpsg.training.Sampling(outlier_share=0),
    acquisition=camera,
    show_progressbar=False,
)
fig, ax = plt.subplots(figsize=(4, 2.8), layout="constrained")
ax.plot(np.arange(1, 9), history.history["accuracy"], "o-")
_ = ax.set(xlabel="Epoch", ylabel="Accuracy on training patterns", ylim=(0, 1))

# %%
# On the materials it never saw:

from kikuchipy_spacegroup.training import simulate_logits


def accuracy_of(
    model: kpsg.SpaceGroupModel, library: kpsg.MasterPatternLibrary
) -> float:
    """Return the accuracy on simulated patterns."""
    logits, labels, _ = simulate_logits(
        model, library, n_patterns=300, acquisition=camera, seed=5
    )
    return float((logits.argmax(axis=1) == labels).mean())


print(f"Materials in training: {accuracy_of(model, training):.2f}")
print(f"Others: {accuracy_of(model, judging):.2f}, chance 0.33")

# %%
# And on real patterns of nickel?

s = kp.data.nickel_ebsd_small()
print("Real nickel:", model.predict(s.data.reshape(-1, 60, 60)))

# %%
# A labelled scan helps. Labels come from the phases of ``s.xmap``, as indexing made them.
# Nine patterns are no training set; with a scan of your own there are thousands. Here six of
# them are trained on, mixed with simulated ones so that the model does not forget the
# rest, and three are kept to judge.

known = kpsg.LabelledPatterns.from_signal(s, size=model.size)
tuned = model.copy()
_ = kpsg.fit(
    tuned,
    training,
    known[:6],
    sampling=kpsg.training.Sampling(experimental_share=0.25, outlier_share=0),
    epochs=2,
    steps_per_epoch=60,
    optimization=kpsg.training.Optimization(learning_rate=1e-3, average=0.95),
    acquisition=camera,
    show_progressbar=False,
)
probabilities = {
    name: m.predict_proba(known.patterns[6:])[:, m.space_groups.index(225)]
    for name, m in {"before": model, "after": tuned}.items()
}
for name, values in probabilities.items():
    print(f"Probability of 225 {name} fine-tuning: {values.round(2)}")

# %%
# The model is one file: ``tuned.save("mine.keras")``, and
# ``s.classify_space_group("mine.keras")`` uses it. It knows what it was trained on:

tuned

# %%
# The three patterns kept to judge, as the network gets them, and how probable the right space
# group was before and after.

patterns = known.patterns[6:]
prepared = model.prepare(patterns[..., None].astype("float32"))
fig, axes = plt.subplots(
    2, 3, figsize=(6, 4), layout="constrained", height_ratios=[2, 1], sharey="row"
)
for i in range(3):
    axes[0, i].imshow(prepared[i, ..., 0], cmap="gray", vmin=-2.5, vmax=2.5)
    axes[0, i].set(xticks=[], yticks=[])
    heights = [values[i] for values in probabilities.values()]
    axes[1, i].bar([*probabilities], heights, color=["0.7", "tab:blue"])
    axes[1, i].axhline(1 / 3, color="black", ls="--", lw=0.7)
    axes[1, i].set_ylim(0, 1)
_ = axes[1, 0].set_ylabel("Probability of 225")
