# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A softmax with a temperature at every level of symmetry."""

from collections.abc import Mapping, Sequence

import numpy as np

from kikuchipy_spacegroup._keras import keras, ops
from kikuchipy_spacegroup.models._temperature import check_temperature
from kikuchipy_spacegroup.space_groups import CHAIN, coarsen

# Least probability a logarithm is taken of
_LEAST = 1e-30


def nodes_of_chain(
    space_groups: Sequence[int],
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return what space groups are at each level of the chain, and what is in what.

    Parameters
    ----------
    space_groups
        k space group numbers.

    Returns
    -------
    members
        For each level, from the finest, an array of zeros and ones of
        shape (k, m) that tells which of the m nodes each space group is
        in.
    parents
        For each level an array of shape (m, m of the next level) that
        tells which node of the next level each node is in. That of the
        last level is of shape (m, 1).
    """
    members = []
    for level in CHAIN:
        labels = coarsen(space_groups, level)
        members.append((labels[:, None] == np.unique(labels)).astype("float32"))
    following = [*members[1:], np.ones((len(space_groups), 1), "float32")]
    parents = [
        (fine.T @ coarse > 0).astype("float32")
        for fine, coarse in zip(members, following)
    ]
    return members, parents


@keras.saving.register_keras_serializable("kikuchipy_spacegroup")
class ChainSoftmax(keras.layers.Layer):
    r"""Softmax with a temperature for every level of the chain of symmetry.

    Parameters
    ----------
    space_groups
        k space group numbers in the order of the logits.
    temperatures
        Temperature of each level in ``space_groups.CHAIN``, by name.
    **kwargs
        Keyword arguments passed on to :class:`keras.layers.Layer`.

    Raises
    ------
    ValueError
        If a temperature is not positive, levels are others, or a space
        group is there twice.

    See Also
    --------
    kikuchipy_spacegroup.training.fit_chain_temperatures

    Notes
    -----
    The probability of a space group is the product of conditional ones
    down the chain: that of its crystal system, of its Laue class given
    the system, and so on. Those of the nodes c at level l within one node
    of the next level are

    .. math::

        p(c \mid \text{parent}) = \frac{P_l(c)^{1 / T_l}}
            {\sum_{c'} P_l(c')^{1 / T_l}}

    with the sums :math:`P_l` of the softmax over space groups. So every
    level is as sure as patterns have shown it to be right, and the
    probabilities of all levels are sums of those of space groups.
    """

    def __init__(
        self,
        space_groups: Sequence[int],
        temperatures: Mapping[str, float],
        **kwargs,
    ) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.space_groups = [int(n) for n in space_groups]
        if len(set(self.space_groups)) < len(self.space_groups):
            raise ValueError(f"Space groups must be distinct, not {self.space_groups}")
        self.temperatures = check_temperature(dict(temperatures))
        self._members, self._parents = nodes_of_chain(self.space_groups)
        self.built = True

    def call(self, logits):
        """Return probabilities of shape (n, k)."""
        softmax = ops.softmax(logits, axis=-1)
        probabilities = None
        levels = zip(CHAIN, self._members, self._parents)
        for level, members, parents in reversed(list(levels)):
            members, parents = (ops.convert_to_tensor(i) for i in (members, parents))
            # 1. Sums over the space groups of each node, (n, m), and their powers
            summed = ops.matmul(softmax, members)
            powers = ops.exp(ops.log(summed + _LEAST) / self.temperatures[level])
            # 2. Conditional probabilities within nodes of the next level
            of_parents = ops.matmul(powers, parents)
            conditional = powers / ops.matmul(of_parents, ops.transpose(parents))
            # 3. Times the probabilities of these nodes
            if probabilities is not None:
                conditional = conditional * ops.matmul(
                    probabilities, ops.transpose(parents)
                )
            probabilities = conditional
        # Nodes of the finest level are in the order of labels
        return ops.matmul(probabilities, ops.transpose(members))

    def get_config(self) -> dict:
        """Return the arguments."""
        return super().get_config() | {
            "space_groups": self.space_groups,
            "temperatures": self.temperatures,
        }
