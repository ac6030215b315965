# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which reflections a space group extinguishes, from its operations.

Nothing here is typed in: operations are those of gemmi in the standard
settings, with hexagonal axes for rhombohedral lattices.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import gemmi

# Reflections with indices up to 6 tell all conditions, of which "00l: l = 6n"
# is the widest
_SIDE = np.arange(-6, 7)
_HKL = np.stack(np.meshgrid(_SIDE, _SIDE, _SIDE, indexing="ij"), axis=-1).reshape(-1, 3)
# Directions of the lattice that the parts of a symbol are for
_AXES = {
    "a": (),
    "m": ((0, 1, 0),),
    "o": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "t": ((0, 0, 1), (1, 0, 0), (1, -1, 0)),
    "h": ((0, 0, 1), (1, 0, 0), (1, -1, 0)),
    "c": ((0, 0, 1), (1, 1, 1), (1, -1, 0)),
}


@dataclass(frozen=True)
class Absences:
    """Systematic absences of a space group.

    Parameters
    ----------
    number
        Space group number.
    laue_class
        Its Laue class.
    family
        Letter of its crystal family, as in Pearson symbols.
    """

    number: int
    laue_class: str
    family: str

    @property
    def _entry(self) -> "gemmi.SpaceGroup":
        """Return gemmi's entry of the standard setting."""
        import gemmi

        return gemmi.find_spacegroup_by_number(self.number)

    @cached_property
    def _operations(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rotations, translations and centering translations."""
        operations = self._entry.operations()
        unit = operations.sym_ops[0].DEN
        rotations = np.array([op.rot for op in operations.sym_ops]) // unit
        translations = np.array([op.tran for op in operations.sym_ops]) / unit
        centering = np.array([list(t) for t in operations.cen_ops]) / unit
        return rotations, translations, centering

    @cached_property
    def of_lattice(self) -> np.ndarray:
        """Reflections absent because of the centering of the lattice."""
        return np.any([_is_out_of_phase(t) for t in self._operations[2]], axis=0)

    @cached_property
    def all(self) -> np.ndarray:
        """Reflections that are absent.

        An operation (W, w) multiplies the structure factor of h W by
        exp(2 pi i h w). If h W = h and this is not 1, it is zero.
        """
        return self._find_absent(np.ones(len(self._operations[0]), dtype=bool))

    @cached_property
    def key(self) -> bytes:
        """The same for all space groups that extinguish the same.

        Axes of orthorhombic crystals may be exchanged. In the other
        systems, standard settings leave no choice.
        """
        grid = self.all.reshape(3 * (len(_SIDE),))
        if self.family != "o":
            return grid.tobytes()
        return min(grid.transpose(axes).tobytes() for axes in permutations(range(3)))

    @property
    def oriented_laue_class(self) -> str:
        """Laue class, with -3m as -3m1 or -31m by where its twofold axes are.

        The two differ only if the lattice is not rhombohedral.
        """
        rotations, _, centering = self._operations
        if self.laue_class != "-3m" or len(centering) > 1:
            return self.laue_class
        proper = (
            rotations * np.rint(np.linalg.det(rotations)).astype(int)[:, None, None]
        )
        along_a = (proper[:, :, 0] == (1, 0, 0)).all(axis=1)
        is_identity = (proper == np.eye(3)).all(axis=(1, 2))
        return "-3m1" if (along_a & ~is_identity).any() else "-31m"

    @property
    def symbol(self) -> str:
        """Extinction symbol: the lattice and a part for each direction."""
        lattice, *parts = self._entry.hm.split()
        axes = _AXES[self.family][: 2 if lattice == "R" else 3]
        # Monoclinic symbols are full ones, as in P 1 21/c 1
        parts = [p for p in parts if p != "1"] if self.family == "m" else parts
        parts += [""] * (len(axes) - len(parts))
        glides = [
            self._find_glide(np.array(d), lattice, p) for d, p in zip(axes, parts)
        ]
        by_glides = self._find_absent(self._is_reflection)
        symbol = lattice
        for axis, glide in zip(axes, glides):
            screw = self._find_screw(np.array(axis), by_glides)
            symbol += "/".join(i for i in (screw, glide) if i) or "-"
        return symbol if axes else f"{lattice}-"

    @property
    def _is_reflection(self) -> np.ndarray:
        rotations = self._operations[0]
        return (np.linalg.det(rotations) < 0) & (np.trace(rotations.T) == 1)

    def _find_absent(self, chosen: np.ndarray) -> np.ndarray:
        """Return which reflections (n,) operations or the lattice make absent."""
        absent = self.of_lattice.copy()
        rotations, translations, _ = self._operations
        for rotation, translation in zip(rotations[chosen], translations[chosen]):
            stays = _find_invariant(tuple(rotation.ravel().tolist()))
            absent[stays] |= _is_out_of_phase(translation, _HKL[stays])
        return absent

    def _find_glide(self, normal: np.ndarray, lattice: str, part: str) -> str:
        """Return the letter of glide planes with a normal, if there are some.

        Parameters
        ----------
        normal
            Direction of the lattice.
        lattice
            Letter of the lattice.
        part
            Part of the space group's symbol for this direction. Its
            letter is taken if several mean the same.
        """
        rotations = self._operations[0]
        turned = (rotations @ normal == -normal).all(axis=1)
        absent = self._find_absent(self._is_reflection & turned)
        if (absent == self.of_lattice).all():
            return ""
        in_plane = _HKL @ normal == 0
        vectors = _list_glide_vectors(normal)
        fit = [
            letter
            for letter, vector in vectors.items()
            if (absent == self.of_lattice | (in_plane & _is_out_of_phase(vector))).all()
        ]
        if lattice in "ABC" and len(set(fit) & set("abc")) == 2:
            return "e"
        return next((i for i in fit if i in part), fit[0])

    def _find_screw(self, axis: np.ndarray, known: np.ndarray) -> str:
        """Return the screw axis that adds to what is known to be absent."""
        on_row = (np.cross(_HKL, axis) == 0).all(axis=1) & (_HKL @ axis > 0)
        if (self.all[on_row] == known[on_row]).all():
            return ""
        # The order of the axis in the Laue class, and the first reflection
        rotations = self._operations[0]
        proper = (
            rotations * np.rint(np.linalg.det(rotations)).astype(int)[:, None, None]
        )
        order = int((proper @ axis == axis).all(axis=1).sum())
        if (rotations == -np.eye(3)).all(axis=(1, 2)).any():
            order //= 2
        first = int(np.abs(_HKL[on_row & ~self.all]).max(axis=1).min())
        return f"{order}{order // first}"


def diffraction_symbols(
    groups: list[tuple[str, str]],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the diffraction and extinction symbols of all space groups.

    Parameters
    ----------
    groups
        Laue class and letter of the crystal family of the space groups
        1, 2, ...

    Returns
    -------
    diffraction
        Diffraction symbol of each, such as ``"m-3m, Fd--"``.
    extinction
        Letter of the crystal family and extinction symbol of each, such
        as ``"cFd--"``.

    Notes
    -----
    Space groups of one kind have the symbol of the one with the lowest
    number.
    """
    diffraction: dict[tuple[str, bytes], str] = {}
    extinction: dict[tuple[str, bytes], str] = {}
    symbols: list[tuple[str, str]] = []
    for i, (laue_class, family) in enumerate(groups):
        absences = Absences(i + 1, laue_class, family)
        laue = absences.oriented_laue_class
        keys = (laue, absences.key), (family, absences.key)
        if keys[0] not in diffraction:
            diffraction[keys[0]] = f"{laue}, {absences.symbol}"
        if keys[1] not in extinction:
            extinction[keys[1]] = family + absences.symbol
        symbols.append((diffraction[keys[0]], extinction[keys[1]]))
    first, second = zip(*symbols)
    return first, second


@cache
def _find_invariant(rotation: tuple[int, ...]) -> np.ndarray:
    """Return the indices of reflections h with h W = h, of W row by row."""
    matrix = np.reshape(rotation, (3, 3))
    return np.flatnonzero((_HKL @ matrix == _HKL).all(axis=1))


def _is_out_of_phase(translation: np.ndarray, hkl: np.ndarray = _HKL) -> np.ndarray:
    """Return for which reflections h times a translation is not whole."""
    phase = hkl @ translation
    return np.abs(phase - np.rint(phase)) > 1e-6


def _list_glide_vectors(normal: np.ndarray) -> dict[str, np.ndarray]:
    """Return glide vectors in the plane with some normal, by letter."""
    if np.abs(normal).sum() > 1:  # The plane of c and a diagonal
        first, second = np.array([1.0, 1, 0]), np.array([0.0, 0, 1])
        vectors = {"c": second / 2}
    else:
        edges = np.eye(3)
        letters = [i for i in range(3) if not normal[i]]
        first, second = edges[letters]
        vectors = {"abc"[i]: edges[i] / 2 for i in letters}
    return vectors | {"n": (first + second) / 2, "d": (first + second) / 4}
