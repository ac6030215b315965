# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A loss on every level of the chain of symmetry, from one vector of logits."""

from collections.abc import Sequence

import numpy as np
import torch

from kikuchipy_spacegroup.space_groups import CHAIN, coarsen

# So that no logarithm is of zero
_LEAST = 1e-7


def membership(space_groups: Sequence[int], level: str) -> np.ndarray:
    """Return which class of a level each space group is in.

    Parameters
    ----------
    space_groups
        k space group numbers.
    level
        Level of the chain.

    Returns
    -------
    members
        Array of zeros and ones of shape (k, m) and dtype float32.
    """
    labels = coarsen(space_groups, level)
    return (labels[:, None] == np.unique(labels)).astype("float32")


class ChainLoss:
    """Mean cross entropy of the marginal probabilities at every level.

    Parameters
    ----------
    space_groups
        k space group numbers in the order of the logits.
    device
        PyTorch's device.
    """

    def __init__(self, space_groups: Sequence[int], device: str = "cpu") -> None:
        members = [membership(space_groups, level) for level in CHAIN]
        # All levels side by side, of shape (k, m), to be summed up in one product
        self.members = torch.as_tensor(np.concatenate(members, axis=1), device=device)
        levels = np.full(len(CHAIN), 1 / len(CHAIN))
        shares = np.repeat(levels, [m.shape[1] for m in members])
        self.shares = torch.as_tensor(shares.astype("float32"), device=device)

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of logits and targets of shape (n, k)."""
        # 1. Marginal probabilities at all levels, of shape (n, m)
        probabilities = torch.softmax(logits, dim=1) @ self.members
        # 2. Cross entropies, weighted by level
        terms = (targets @ self.members) * torch.log(probabilities + _LEAST)
        return -(terms * self.shares).sum(dim=1).mean()
