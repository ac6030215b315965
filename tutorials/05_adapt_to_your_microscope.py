"""
============================
Adapt to your own microscope
============================

You will be able to adapt a model to the patterns of a scan without any labels, to see whether
that helped, and to tell when it does harm.
"""

# %%
# A model is trained on simulated patterns of some camera. Patterns of another one have another
# blur, contrast and background, and the model is less often right. Here a small model is trained
# on the page, so that there is a camera it does not know; the bundled model has seen thousands.

from diffpy.structure import Atom, Lattice, Structure
import keras
import kikuchipy as kp
import matplotlib.pyplot as plt
import numpy as np
from orix.crystal_map import Phase

import kikuchipy_spacegroup as kpsg

keras.utils.set_random_seed(3)

# Symbol, space group, cubic lattice parameter in angstrom, position of the atom
ELEMENTS = [
    ("Al", 225, 4.050, (0, 0, 0)),
    ("Ni", 225, 3.524, (0, 0, 0)),
    ("Si", 227, 5.431, (1 / 8, 1 / 8, 1 / 8)),
    ("Fe", 229, 2.866, (0, 0, 0)),
]
phases = {}
for symbol, space_group, a, xyz in ELEMENTS:
    structure = Structure(
        [Atom(symbol, xyz, Uisoequiv=0.005)], Lattice(a, a, a, 90, 90, 90)
    )
    phases[symbol] = Phase(symbol, space_group=space_group, structure=structure)
masters = {
    name: kpsg.simulate_master_pattern(phase, half_width=75)
    for name, phase in phases.items()
}
library = kpsg.MasterPatternLibrary.from_signals(masters.values())

place = kpsg.simulation.Geometry(pcx=(0.45, 0.55), pcy=(0.35, 0.45), pcz=(0.45, 0.55))
camera = kpsg.Acquisition(
    resolution=(120, 120), point_spread=(0.3, 0.6), noise=(0.05, 0.4),
    contrast=(0.1, 0.2), excess_deficiency=(0, 0.2), gamma=(0.9, 1.1), blotches=(0, 0),
    vignetting=(0.2, 0.4), tilt=(-0.1, 0.1), overlap_probability=0, raw_probability=0,
    marks_probability=0, aperture_probability=0, shadow_probability=0,
    saturation_probability=0, compression=(0, 0),
)  # fmt: skip
model = kpsg.SpaceGroupModel.create(
    [225, 227, 229], size=48, filters=(16, 32, 64), stem=16
)
settings = {
    "sampling": kpsg.training.Sampling(outlier_share=0),
    "acquisition": camera,
    "geometry": place,
    "show_progressbar": False,
}
_ = kpsg.fit(
    model,
    library,
    epochs=6,
    steps_per_epoch=70,
    optimization=kpsg.training.Optimization(learning_rate=4e-3, average=0.95),
    **settings,
)

# %%
# Your microscope has a softer, noisier camera. A scan of three phases, and one of aluminum alone,
# simulated so that the truth is known:

detector = kp.detectors.EBSDDetector(shape=(60, 60), pc=(0.5, 0.4, 0.5), sample_tilt=70)
soft = kpsg.Camera(dose=150, contrast=0.1, point_spread=1.6)
scans = {
    "three phases": ["Al", "Si", "Fe"],
    "aluminum alone": ["Al"],
}
for name, symbols in scans.items():
    scans[name] = kpsg.simulate_scan(
        [masters[symbol] for symbol in symbols],
        shape=(24, 32),
        grain_size=4,
        detector=detector,
        camera=soft,
        seed=4,
        show_progressbar=False,
    )
s = scans["three phases"]
truth = np.array([s.xmap.phases[i].space_group.number for i in s.xmap.phase_id])


def accuracy(model: kpsg.SpaceGroupModel) -> dict[str, float]:
    """Return the share of right points of each scan."""
    shares = {}
    for name, scan in scans.items():
        xmap = scan.classify_space_group(
            model, min_probability=0, show_progressbar=False
        )
        numbers = [scan.xmap.phases[i].space_group.number for i in scan.xmap.phase_id]
        shares[name] = round(float((xmap.phase_id == numbers).mean()), 3)
    return shares


print("as trained:", accuracy(model))

# %%
# **Batch normalization** layers remember the mean and the variance of what they saw in training.
# :func:`~kikuchipy_spacegroup.training.adapt_normalization` mixes in those of the scan. The
# model itself is left as it is, and a new one is returned.

shares = (0, 0.1, 0.3, 0.6, 1)
fig, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained", sharey=True)
for ax, (name, scan) in zip(axes, scans.items()):
    for n_layers, label in ((3, "first three layers"), (None, "all layers")):
        found = [
            accuracy(
                kpsg.training.adapt_normalization(
                    model, scan, share=share, n_layers=n_layers
                )
            )[name]
            for share in shares
        ]
        ax.plot(shares, found, "o-" if n_layers else "s--", label=label)
    ax.set(title=name, xlabel="Share of the scan's statistics", ylim=(0, 1))
axes[0].set_ylabel("Accuracy")
_ = axes[0].legend()

# %%
# A scan of one phase has statistics of this phase, and not only of the camera, the more so the
# later the layer. Mixing in much of them takes away what tells the phase from others. This is
# why only the first three layers are changed unless you ask for more, by a share of 0.3, and why
# nothing is adapted unless you call the function.
#
# **Self-training** goes on with training. First,
# :func:`~kikuchipy_spacegroup.training.match_acquisition` finds by simulation which camera makes
# patterns that look like these to the model, whatever the phases. Then the model learns from
# patterns simulated with that camera, beside those of the scan which it is sure of. It needs the
# library.

found = kpsg.training.match_acquisition(model, library, s, geometry=place)
print("noise:", np.round(found.noise, 2), "instead of", camera.noise)
print("point spread:", np.round(found.point_spread, 2), "of", camera.point_spread)

del settings["acquisition"]
further = kpsg.training.Optimization(
    learning_rate=3e-4, average=0.95, train_normalization=False
)
trained = {
    name: kpsg.training.self_train(
        model,
        library,
        scan,
        acquisition=found,
        steps=150,
        optimization=further,
        **settings,
    )
    for name, scan in scans.items()
}
for name, each in trained.items():
    print(f"self-trained on {name}:", accuracy(each))

# %%
# The camera is learned from either scan. But what a model is sure of can be wrong: this one takes
# much of the ferrite for aluminum, and does so still.
#
# **Did it help?** Without the truth, look at how sure the model is, at whether neighbors agree,
# and at a part of the scan you know. Points in grains that keep changing their space group say
# more than a mean probability.

maps = {
    name: s.classify_space_group(each, min_probability=0, show_progressbar=False)
    for name, each in {
        "as trained": model,
        "normalized": kpsg.training.adapt_normalization(model, s),
        "self-trained": trained["three phases"],
    }.items()
}
fig, axes = plt.subplots(1, 4, figsize=(10, 3), layout="constrained")
colors = {225: "tab:blue", 227: "tab:orange", 229: "tab:green"}
images = {"truth": truth} | {name: xmap.phase_id for name, xmap in maps.items()}
for ax, (name, numbers) in zip(axes, images.items()):
    index = np.searchsorted(list(colors), numbers).reshape(s.xmap.shape)
    ax.imshow(index, cmap=plt.matplotlib.colors.ListedColormap(list(colors.values())))
    right = (numbers == truth).mean()
    ax.set(title=name if name == "truth" else f"{name}: {right:.0%}")
    ax.set(xticks=[], yticks=[])
for number, color in colors.items():
    axes[0].plot([], "s", color=color, label=number)
_ = fig.legend(loc="outside lower center", ncols=3, title="Space group")

# %%
# A model adapted to a scan is for scans of this microscope with these settings. Five labelled
# patterns per class help more than any of this: see
# :doc:`how to fine-tune </tutorials/04_train>`.
