# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches of training patterns with their labels."""

from collections import Counter
from collections.abc import Mapping, Sequence
import copy

import numpy as np

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup._keras import keras
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.patterns import LabelledPatterns
from kikuchipy_spacegroup.patterns._checks import check_probability
from kikuchipy_spacegroup.patterns._labelled_patterns import class_indices
from kikuchipy_spacegroup.simulation import (
    Geometry,
    random_rotation_matrices,
    random_strains,
)
from kikuchipy_spacegroup.training._sampling import fill_up, similar_entries, weights_of

__all__ = [
    "ExperimentalDataset",
    "MixedDataset",
    "SimulatedDataset",
    "balanced_share",
    "class_indices",
    "similar_entries",
]
# Number of similar master patterns to blend with, and lowest and highest
# share of the other one: one may also be made less like the other
_N_PARTNERS = 8
_PARTNER_SHARE = (-0.25, 0.75)
# A class keeps this part of its simulated patterns, whatever was recorded of
# it: what is simulated must not tell by itself which class a pattern is not of
_LEAST = 0.5


class SimulatedDataset(keras.utils.PyDataset):
    """Random recipes of patterns to be simulated on the device.

    A batch holds no patterns, only what
    :class:`~kikuchipy_spacegroup.simulation.ProjectPatterns` needs to
    make them: which master patterns, orientations, and geometries.
    Space groups and then phases are drawn by their weights, then
    energies with equal probability.

    Parameters
    ----------
    library
        Master patterns.
    space_groups
        Space group numbers in the order of the classes. Phases of the
        library of other space groups are *outliers*.
    batch_size
        Number of patterns per batch.
    steps
        Number of batches per epoch.
    outlier_share
        Share of patterns of outliers, with the same target for every
        class, so that the network learns to be unsure of what it does
        not know. Without effect if there are no outliers.
    phase_weights
        How often phases of a space group, or outliers, are drawn
        relative to each other, by name. Phases not in it have weight 1.
    space_group_weights
        How often space groups are drawn relative to each other, by
        number. Those not in it have weight 1.
    geometry
        Ranges of detector geometries.
    blend_share
        Share of patterns whose master pattern is blended with another
        one of the same space group, drawn from the eight most like it,
        so that the network does not learn each master pattern by heart.
    strain_scale
        Standard deviation of the logarithms of random stretches that keep
        the space group, see
        :func:`~kikuchipy_spacegroup.simulation.random_strains`. With 0,
        lattices are those of the library.
    center_error, unknown_center_share
        Standard deviation of the projection centers that a model that uses
        them is given, and share of patterns that it is given none of. If
        both are 0, it gets the right ones.
    seed
        Seed of the random numbers. Batch ``i`` of epoch ``j`` is the
        same whatever was drawn before it.

    Attributes
    ----------
    class_shares
        Shares of classes among patterns that are no outliers.

    Raises
    ------
    ValueError
        If the library lacks phases of one of the space groups, a weight
        or *strain_scale* is negative, or *blend_share* is not from 0 to 1.

    See Also
    --------
    fit, MixedDataset, training_graph

    Notes
    -----
    Training on outliers with flat targets is outlier exposure
    :cite:`hendrycks2019deep`. Blending is mixup :cite:`zhang2018mixup`
    within a class: a sum of two master patterns of a space group has
    the symmetry and the absences of both.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import numpy as np
    >>> import kikuchipy_spacegroup as kpsg
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(
    ...     projection="lambert", hemisphere="both"
    ... )
    >>> library = kpsg.MasterPatternLibrary.from_signals([mp], ["Ni"], half_width=20)
    >>> dataset = kpsg.training.SimulatedDataset(library, [225], batch_size=4)
    >>> recipe, targets = dataset[0]
    >>> recipe["orientation"].shape, targets.shape
    ((4, 3, 3), (4, 1))
    >>> recipe, labels = dataset.draw(0)
    >>> labels
    array([0, 0, 0, 0])
    >>> rng = np.random.default_rng(1)
    >>> sorted(dataset.recipe(np.array([0, 0]), rng))
    ['geometry', 'lower', 'orientation', 'upper']
    """

    def __init__(
        self,
        library: MasterPatternLibrary,
        space_groups: Sequence[int],
        *,
        batch_size: int = 64,
        steps: int = 100,
        outlier_share: float = 0.0,
        phase_weights: Mapping[str, float] | None = None,
        space_group_weights: Mapping[int, float] | None = None,
        geometry: Geometry | None = None,
        blend_share: float = 0.0,
        strain_scale: float = 0.0,
        center_error: float = 0.0,
        unknown_center_share: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= strain_scale < np.inf:
            raise ValueError(f"strain_scale must not be negative, not {strain_scale}")
        if not 0 <= center_error < np.inf:
            raise ValueError(f"center_error must not be negative, not {center_error}")
        check_probability("unknown_center_share", unknown_center_share)
        self.strain_scale = strain_scale
        self.center_error = center_error
        self.unknown_center_share = unknown_center_share
        self.library = library
        self.space_groups = tuple(space_groups)
        self.batch_size = batch_size
        self.steps = steps
        self.geometry = geometry or Geometry()
        self.seed = seed
        self.epoch = 0
        of_phase = np.asarray(library.space_groups)
        self._phases = [np.flatnonzero(of_phase == n) for n in self.space_groups]
        missing = [n for n, p in zip(self.space_groups, self._phases) if not len(p)]
        if missing:
            raise ValueError(
                f"The library has no phase of space group(s) {missing}. Add master "
                "patterns of them or leave them out of the model's space groups"
            )
        self._outliers = np.flatnonzero(~np.isin(of_phase, self.space_groups))
        phase_index = np.asarray(library.phase_index)
        self._entries = [
            np.flatnonzero(phase_index == i) for i in range(library.n_phases)
        ]
        weights = weights_of(phase_weights, library.phase_names)
        self._shares = [weights[i] / weights[i].sum() for i in self._phases]
        self.class_shares = weights_of(space_group_weights, self.space_groups)
        self.class_shares /= self.class_shares.sum()
        of_outliers = weights[self._outliers]
        self.outlier_share = outlier_share if of_outliers.sum() > 0 else 0.0
        self._outlier_shares = of_outliers / (of_outliers.sum() or 1)
        if not 0 <= blend_share <= 1:
            raise ValueError(f"blend_share must be between 0 and 1, not {blend_share}")
        self.blend_share = blend_share
        self._partners = similar_entries(library, _N_PARTNERS) if blend_share else []

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        recipe, labels = self.draw(index)
        k = len(self.space_groups)
        targets = np.eye(k, dtype="float32")[labels]
        targets[labels < 0] = 1 / k
        return recipe, targets

    def draw(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the recipe of a batch and its classes.

        Parameters
        ----------
        index
            Index of the batch.

        Returns
        -------
        recipe
            See :meth:`recipe`.
        labels
            Index of the class per pattern, -1 for outliers.

        See Also
        --------
        recipe, entry_probabilities
        """
        rng = np.random.default_rng([self.seed, self.epoch, index])
        n = self.batch_size
        labels = rng.choice(len(self.space_groups), size=n, p=self.class_shares)
        phases = np.array(
            [rng.choice(self._phases[i], p=self._shares[i]) for i in labels]
        )
        is_outlier = rng.random(n) < self.outlier_share
        if is_outlier.any():
            phases[is_outlier] = rng.choice(
                self._outliers, is_outlier.sum(), p=self._outlier_shares
            )
            labels[is_outlier] = -1
        return self.recipe(phases, rng), labels

    def entry_probabilities(self) -> tuple[np.ndarray, np.ndarray]:
        """Return how often each entry of the library is drawn, and its class.

        Returns
        -------
        probabilities
            Probability that a pattern is of the entry, of shape (number
            of entries,) and dtype float64. Their sum is 1.
        labels
            Index of the class per entry, -1 for outliers.

        See Also
        --------
        draw

        Examples
        --------
        >>> import numpy as np
        >>> from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
        >>> from kikuchipy_spacegroup.training import SimulatedDataset
        >>> library = MasterPatternLibrary(
        ...     np.ones((3, 9, 9), dtype="float16"),
        ...     phase_index=[0, 1, 2],
        ...     upper=[0, 1, 2],
        ...     lower=[0, 1, 2],
        ...     energies=[20, 20, 20],
        ...     phase_names=["Ni", "Fe", "Zn"],
        ...     space_groups=[225, 229, 194],
        ... )
        >>> dataset = SimulatedDataset(library, [229, 225], outlier_share=0.2)
        >>> probabilities, labels = dataset.entry_probabilities()
        >>> probabilities
        array([0.4, 0.4, 0.2])
        >>> labels
        array([ 1,  0, -1])
        """
        probabilities = np.zeros(len(self.library))
        labels = np.full(len(self.library), -1)
        known = 1 - self.outlier_share
        # Phases and what each is drawn with, class by class, then outliers
        parts = [
            (label, phases, known * of_class * shares)
            for label, (phases, shares, of_class) in enumerate(
                zip(self._phases, self._shares, self.class_shares)
            )
        ]
        parts.append((-1, self._outliers, self.outlier_share * self._outlier_shares))
        for label, phases, of_phases in parts:
            for phase, p in zip(phases, of_phases):
                entries = self._entries[phase]
                probabilities[entries] = p / len(entries)
                labels[entries] = label
        return probabilities, labels

    def on_epoch_end(self) -> None:
        """Go on to the random numbers of the next epoch."""
        self.epoch += 1

    @property
    def _n_not_outliers(self) -> float:
        """Return the mean number of patterns of a batch that are not outliers."""
        return self.batch_size * (1 - self.outlier_share)

    def _complement_experimental(
        self, experimental: "ExperimentalDataset"
    ) -> "SimulatedDataset":
        """Return a dataset that draws less of what was recorded."""
        complement = copy.copy(self)
        n_recorded = experimental.class_shares * experimental.batch_size
        added = fill_up(self.class_shares, n_recorded, self._n_not_outliers, _LEAST)
        if not added.sum() > 0:
            return complement
        complement.class_shares = added / added.sum()
        names = [name.casefold() for name in self.library.phase_names]
        complement._shares = list(self._shares)
        for i in np.flatnonzero(added):
            n_recorded = [experimental.shares[i, names[p]] for p in self._phases[i]]
            n_recorded = np.array(n_recorded) * experimental.batch_size
            added_phases = fill_up(self._shares[i], n_recorded, added[i])
            complement._shares[i] = added_phases / added_phases.sum()
        return complement

    def recipe(
        self, phases: np.ndarray, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Return a random recipe to simulate patterns of given phases.

        Parameters
        ----------
        phases
            Indices of phases in the library of shape (n,).
        rng
            Random number generator.

        Returns
        -------
        recipe
            Input of
            :meth:`~kikuchipy_spacegroup.simulation.ProjectPatterns.call`.

        See Also
        --------
        draw
        """
        n = len(phases)
        upper = np.asarray(self.library.upper, dtype="int32")
        lower = np.asarray(self.library.lower, dtype="int32")
        entries = np.array([rng.choice(self._entries[i]) for i in phases])
        recipe = {
            "upper": upper[entries],
            "lower": lower[entries],
            "orientation": random_rotation_matrices(n, rng),
            "geometry": self.geometry.sample(n, rng),
        }
        if self.strain_scale:
            groups = np.asarray(self.library.space_groups)[phases]
            recipe["strain"] = random_strains(groups, self.strain_scale, rng)
        if self.center_error or self.unknown_center_share:
            recipe["projection_centers"] = self._guess_centers(recipe, rng)
        if self.blend_share:
            partners = np.array([rng.choice(self._partners[i]) for i in entries])
            shares = rng.uniform(*_PARTNER_SHARE, n) * (
                rng.random(n) < self.blend_share
            )
            recipe |= {
                "partner_upper": upper[partners],
                "partner_lower": lower[partners],
                "partner_share": shares.astype("float32"),
            }
        return recipe

    def _guess_centers(self, recipe: dict, rng: np.random.Generator) -> np.ndarray:
        """Return projection centers (n, 3) with errors, NaN where unknown."""
        centers = recipe["geometry"][:, :3]
        centers = centers + self.center_error * rng.standard_normal(centers.shape)
        centers[rng.random(len(centers)) < self.unknown_center_share] = np.nan
        return centers.astype("float32")


class ExperimentalDataset(keras.utils.PyDataset):
    """Random batches of experimental patterns.

    Parameters
    ----------
    patterns
        Labelled patterns.
    space_groups
        Space group numbers in the order of the classes.
    batch_size
        Number of patterns per batch.
    steps
        Number of batches per epoch.
    balanced
        Whether to draw space groups with equal probability, then
        materials with equal probability. Otherwise all patterns are
        drawn with equal probability.
    augment
        Whether to turn patterns by a random multiple of 90 degrees and
        to mirror every second one. A mirror image is a pattern of the
        other enantiomorph: if the classes have enantiomorphic pairs,
        nothing is mirrored.
    seed
        Seed of the random numbers, see :class:`SimulatedDataset`.

    Attributes
    ----------
    shares
        Shares of patterns by index of the class and material, in small
        letters.
    class_shares
        Shares of patterns per class, of shape (number of classes,).

    Raises
    ------
    ValueError
        If there are patterns of other space groups.

    See Also
    --------
    SimulatedDataset, MixedDataset

    Examples
    --------
    >>> import numpy as np
    >>> import kikuchipy_spacegroup as kpsg
    >>> from kikuchipy_spacegroup import training
    >>> patterns = np.zeros((4, 16, 16), dtype="float16")
    >>> names = np.array(["Ni", "Ni", "Ni", "Fe"])
    >>> known = kpsg.LabelledPatterns(patterns, np.array([225, 225, 225, 229]), names)
    >>> dataset = training.ExperimentalDataset(known, [225, 229], batch_size=8)
    >>> inputs, targets = dataset[0]
    >>> inputs["patterns"].shape, targets.shape
    ((8, 16, 16), (8, 2))
    >>> dataset.class_shares
    array([0.5, 0.5])
    """

    def __init__(
        self,
        patterns: LabelledPatterns,
        space_groups: Sequence[int],
        *,
        batch_size: int = 64,
        steps: int = 100,
        balanced: bool = True,
        augment: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.patterns = patterns
        self.space_groups = tuple(space_groups)
        self.labels = class_indices(patterns, self.space_groups)
        self.batch_size = batch_size
        self.steps = steps
        self.augment = augment
        self.mirror = not sg.has_enantiomorphic_pair(self.space_groups)
        self.seed = seed
        self.epoch = 0
        self.balanced = balanced
        if balanced:
            materials = np.unique(patterns.materials.astype(str), return_inverse=True)
            self._groups = [
                [np.flatnonzero(of_class & (materials[1] == i)) for i in present]
                for of_class in (self.labels == j for j in np.unique(self.labels))
                for present in [np.unique(materials[1][of_class])]
            ]
        else:
            self._groups = [[np.arange(len(patterns))]]
        names = [str(name).casefold() for name in patterns.materials]
        self.shares: Counter[tuple[int, str]] = Counter()
        self.class_shares = np.zeros(len(self.space_groups))
        for materials in self._groups:
            for index in materials:
                share = 1 / (len(self._groups) * len(materials) * len(index))
                np.add.at(self.class_shares, self.labels[index], share)
                for i in index:
                    self.shares[self.labels[i], names[i]] += share

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        rng = np.random.default_rng([self.seed, self.epoch, index, 1])
        picked = np.empty(self.batch_size, dtype=int)
        for i in range(self.batch_size):
            materials = self._groups[rng.integers(len(self._groups))]
            picked[i] = rng.choice(materials[rng.integers(len(materials))])
        patterns = self.patterns.patterns[picked].astype("float32")
        if self.augment:
            patterns = np.stack([self._augment_pattern(p, rng) for p in patterns])
        targets = np.eye(len(self.space_groups), dtype="float32")[self.labels[picked]]
        return {"patterns": patterns}, targets

    def _augment_pattern(
        self, pattern: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Return a pattern (size, size), turned, and mirrored or not, at random."""
        pattern = np.rot90(pattern, rng.integers(4))
        return pattern[:, ::-1] if self.mirror and rng.random() < 0.5 else pattern

    def on_epoch_end(self) -> None:
        """Go on to the random numbers of the next epoch."""
        self.epoch += 1


class MixedDataset(keras.utils.PyDataset):
    """Batches of simulated patterns followed by experimental ones.

    Parameters
    ----------
    simulated, experimental
        Datasets of the same number of batches. A batch of this dataset
        is one of each put together.

    See Also
    --------
    SimulatedDataset, ExperimentalDataset, balanced_share

    Notes
    -----
    If *experimental* is balanced, classes are balanced in the batch as
    a whole, on average, or as the space group weights of *simulated*
    say: the more patterns of a space group were recorded, the fewer of
    it are simulated, and within a space group the fewer of phases with
    the name of a recorded material. There are as many outliers as
    before.

    At least half as many patterns of every space group are simulated as
    without experimental ones. Otherwise the network could tell by who
    made a pattern what it is not of, and would forget other materials.
    If these and the recorded ones are more than its share, a space group
    stays too frequent, and the others are balanced among themselves. Of
    a scan of one space group of ten, half and half, 53 % of patterns
    are of this one and 5 % of each other one. :attr:`class_shares` has
    the shares, and :func:`balanced_share` how many experimental patterns
    leave all classes balanced.

    If *experimental* is not balanced, both parts are drawn as they are.

    Examples
    --------
    >>> import numpy as np
    >>> import kikuchipy_spacegroup as kpsg
    >>> from kikuchipy_spacegroup import training
    >>> patterns = np.zeros((4, 16, 16), dtype="float16")
    >>> names = np.array(["Ni", "Ni", "Ni", "Fe"])
    >>> known = kpsg.LabelledPatterns(patterns, np.array([225, 225, 225, 229]), names)
    >>> library = kpsg.MasterPatternLibrary(
    ...     np.ones((2, 9, 9), dtype="float16"),
    ...     phase_index=[0, 1],
    ...     upper=[0, 1],
    ...     lower=[0, 1],
    ...     energies=[20, 20],
    ...     phase_names=["Ni", "Fe"],
    ...     space_groups=[225, 229],
    ... )
    >>> dataset = training.MixedDataset(
    ...     training.SimulatedDataset(library, [225, 229], batch_size=12),
    ...     training.ExperimentalDataset(known, [225, 229], batch_size=4),
    ... )
    >>> inputs, targets = dataset[0]
    >>> targets.shape
    (16, 2)
    >>> dataset.class_shares
    array([0.5, 0.5])
    """

    def __init__(
        self, simulated: SimulatedDataset, experimental: ExperimentalDataset
    ) -> None:
        super().__init__()
        if experimental.balanced:
            simulated = simulated._complement_experimental(experimental)
        self.parts = (simulated, experimental)

    @property
    def class_shares(self) -> np.ndarray:
        """Return the shares of classes among patterns that are no outliers."""
        simulated, experimental = self.parts
        n = experimental.batch_size * experimental.class_shares
        n = n + simulated._n_not_outliers * simulated.class_shares
        return n / n.sum()

    @property
    def epoch(self) -> int:
        """Return or set the epoch of both."""
        return self.parts[0].epoch

    @epoch.setter
    def epoch(self, value: int) -> None:
        for part in self.parts:
            part.epoch = value

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        (recipe, targets), (patterns, others) = (part[index] for part in self.parts)
        return recipe | patterns, np.concatenate([targets, others])

    def on_epoch_end(self) -> None:
        """Go on to the random numbers of the next epoch."""
        for part in self.parts:
            part.on_epoch_end()


def balanced_share(
    simulated: SimulatedDataset, experimental: ExperimentalDataset
) -> float:
    """Return the largest share of experimental patterns that is balanced.

    Parameters
    ----------
    simulated, experimental
        Parts of a :class:`MixedDataset`, of any batch size.

    Returns
    -------
    share
        Share of experimental patterns up to which classes are balanced
        in a batch, or one half if that is less.

    See Also
    --------
    MixedDataset

    Examples
    --------
    >>> import numpy as np
    >>> import kikuchipy_spacegroup as kpsg
    >>> from kikuchipy_spacegroup import training
    >>> patterns = np.zeros((4, 16, 16), dtype="float16")
    >>> names = np.array(["Ni", "Ni", "Ni", "Ni"])
    >>> known = kpsg.LabelledPatterns(patterns, np.full(4, 225), names)
    >>> library = kpsg.MasterPatternLibrary(
    ...     np.ones((2, 9, 9), dtype="float16"),
    ...     phase_index=[0, 1],
    ...     upper=[0, 1],
    ...     lower=[0, 1],
    ...     energies=[20, 20],
    ...     phase_names=["Ni", "Fe"],
    ...     space_groups=[225, 229],
    ... )
    >>> simulated = training.SimulatedDataset(library, [225, 229])
    >>> experimental = training.ExperimentalDataset(known, [225, 229])
    >>> round(training.balanced_share(simulated, experimental), 3)
    0.333
    """
    shares = simulated.class_shares
    excess = experimental.class_shares - shares
    too_frequent = (excess > 0) & (shares > 0)
    if not too_frequent.any():
        return 0.5
    allowed = (1 - simulated.outlier_share) * (1 - _LEAST) * shares[too_frequent]
    ratio = float((allowed / excess[too_frequent]).min())
    return min(ratio / (1 + ratio), 0.5)
