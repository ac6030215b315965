# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Typical patterns, matched with master patterns by kikuchipy's indexing."""

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
import io
from typing import TYPE_CHECKING, Any

from kikuchipy.detectors import EBSDDetector
from kikuchipy.signals import EBSD
import numpy as np
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.quaternion import Rotation
from orix.quaternion.symmetry import C2, Symmetry
from orix.sampling import get_sample_fundamental

from kikuchipy_spacegroup.patterns import divide_background

if TYPE_CHECKING:
    from kikuchipy.signals import EBSDMasterPattern

# Patterns of a dictionary that are simulated at once
_N_AT_ONCE = 20_000
# Orientations of a dictionary that are refined
_N_STARTS = 5
# Patterns of a dictionary that one core simulates in a second, of 1000 pixels
_PER_SECOND = 10_000


@dataclass(frozen=True)
class TypicalPatterns:
    """Patterns without background at few pixels, and where they are from.

    Parameters
    ----------
    data
        Array of shape (n, height, width) and dtype float32.
    detector
        Detector with n projection centers.
    unused
        Boolean array of shape (height, width), True for pixels that are
        not of the screen.
    reliabilities
        Share of the variance of each pattern that is no noise.
    """

    data: np.ndarray
    detector: EBSDDetector
    unused: np.ndarray
    reliabilities: np.ndarray

    @property
    def signal_mask(self) -> np.ndarray | None:
        """Mask as kikuchipy wants it."""
        return self.unused if self.unused.any() else None


def prepare_patterns(
    raw: np.ndarray,
    background: np.ndarray | None,
    inside: np.ndarray,
    detector: EBSDDetector,
    centers: np.ndarray,
    size: int,
) -> TypicalPatterns:
    """Return patterns without background, binned, and how noisy they are.

    Parameters
    ----------
    raw
        Patterns of shape (n, height, width).
    background, inside
        Static background, or None, and pixels on the screen.
    detector
        Detector, of which the angles are used.
    centers
        Projection centers of shape (n, 3) in Bruker's convention.
    size
        About how many pixels the shorter side has.

    Returns
    -------
    patterns
        The patterns.

    Notes
    -----
    Noise is what differs between the two halves of the pixels of each bin,
    which are as on a chessboard and so have the same center. If a pattern
    is not binned, bins of 2 x 2 pixels tell.
    """
    patterns = divide_background(raw, background, inside).astype("float32")
    outside = np.where(inside, 0, np.nan)
    means = np.nanmean(patterns + outside, axis=(1, 2), keepdims=True)
    patterns = np.where(inside & np.isfinite(patterns), patterns, means)
    signal = EBSD(patterns.astype("float32"))
    with quiet():
        signal.remove_dynamic_background(show_progressbar=False)
    n_bin = max(1, round(min(raw.shape[1:]) / size))
    binned, used = _bin(signal.data, n_bin), _bin(inside[None] * 1.0, n_bin)[0] > 0.99
    # Noise of bins with an even number of pixels, scaled to those used
    n_even = 2 * -(-n_bin // 2)
    used_even = _bin(inside[None] * 1.0, n_even)[0] > 0.99
    rows, columns = np.indices(raw.shape[1:])
    sign = np.where((rows + columns) % 2, 1, -1)
    noise = _bin(signal.data * sign, n_even)[:, used_even].var(axis=1)
    noise *= (n_even / n_bin) ** 2
    total = binned[:, used].var(axis=1)
    share = 1 - np.divide(noise, total, out=np.ones_like(total), where=total > 0)
    height, width = (n // n_bin * n_bin for n in raw.shape[1:])
    # Projection centers relative to what the bins cover
    centers = centers * [
        raw.shape[2] / width,
        raw.shape[1] / height,
        raw.shape[1] / height,
    ]
    return TypicalPatterns(
        binned,
        EBSDDetector(
            shape=binned.shape[1:],
            pc=centers,
            tilt=detector.tilt,
            azimuthal=detector.azimuthal,
            twist=detector.twist,
            sample_tilt=detector.sample_tilt,
        ),
        ~used,
        np.clip(share, 0, 1),
    )


def _bin(images: np.ndarray, n: int) -> np.ndarray:
    """Return images (m, height, width) averaged over squares of n pixels."""
    height, width = (length // n for length in images.shape[1:])
    images = images[:, : height * n, : width * n]
    return images.reshape(-1, height, n, width, n).mean(axis=(2, 4)).astype("float32")


def laue_rotations(phase: Phase) -> Symmetry:
    """Return the rotations of the Laue class of a phase."""
    # orix does not know the Laue class of the point group m
    laue = phase.point_group.laue
    return C2 if laue is None else laue.proper_subgroup


def dictionary_size(phase: Phase, resolution: float) -> int:
    """Return about how many orientations the dictionary of a phase has."""
    return int(157_464 * (5 / resolution) ** 3 / laue_rotations(phase).size)


def estimate_seconds(n_orientations: int, n_pixels: int) -> float:
    """Return about how long dictionaries take on one core."""
    return n_orientations * n_pixels / 1000 / _PER_SECOND


def index_patterns(
    patterns: TypicalPatterns,
    master: "EBSDMasterPattern",
    energy: float,
    resolution: float,
) -> np.ndarray:
    """Return the best orientations in a dictionary as quaternions (n, k, 4).

    Parameters
    ----------
    patterns
        The n patterns.
    master
        Master pattern.
    energy
        Beam energy in keV.
    resolution
        Angle between orientations in degrees.
    """
    rotations = get_sample_fundamental(
        resolution, point_group=laue_rotations(master.phase)
    )
    # Half as many pixels are enough to find orientations, and four times as fast
    coarse = _bin(patterns.data, 2)
    unused = _bin(patterns.unused[None] * 1.0, 2)[0] > 0
    height, width = (n // 2 * 2 for n in patterns.unused.shape)
    ratio = np.array(patterns.unused.shape) / (height, width)
    mean = patterns.detector.deepcopy()
    mean.shape = coarse.shape[1:]
    mean.pc = np.squeeze(patterns.detector.pc_average) * ratio[[1, 0, 0]]
    signal = EBSD(coarse)
    signal.axes_manager[0].name = "x"
    scores, best = [], []
    for start in range(0, rotations.size, _N_AT_ONCE):
        with quiet():
            dictionary = master.get_patterns(
                rotations[start : start + _N_AT_ONCE],
                mean,
                energy=energy,
                compute=True,
                show_progressbar=False,
            )
            xmap = signal.dictionary_indexing(
                dictionary,
                keep_n=_N_STARTS,
                signal_mask=unused if unused.any() else None,
            )
        n = len(patterns.data)
        scores.append(xmap.prop["scores"].reshape(n, -1))
        best.append(xmap.rotations.data.reshape(n, -1, 4))
    scores, best = np.concatenate(scores, axis=1), np.concatenate(best, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :_N_STARTS]
    return np.take_along_axis(best, order[..., None], axis=1)


def add_inverted(starts: np.ndarray, phase: Phase) -> np.ndarray:
    """Return orientations with those a pattern tells apart without inversion.

    Parameters
    ----------
    starts
        Quaternions of shape (n, k, 4), of one of the orientations that are
        the same for the Laue class.
    phase
        Phase, whose point group may be of lower symmetry.

    Returns
    -------
    starts
        Quaternions of shape (n, k * m, 4).
    """
    laue, own = laue_rotations(phase), phase.point_group.proper_subgroup
    # One rotation of each coset
    kept: list[Rotation] = []
    for rotation in laue:
        equivalent = (own * rotation).data.reshape(-1, 4)
        known = [np.abs(equivalent @ k.data.ravel()).max() > 1 - 1e-6 for k in kept]
        if not any(known):
            kept.append(rotation)
    base = Rotation(starts.reshape(-1, 4))
    variants = [(Rotation(i.data) * base).data.reshape(starts.shape) for i in kept]
    return np.concatenate(variants, axis=1)


def refine_patterns(
    patterns: TypicalPatterns,
    master: "EBSDMasterPattern",
    energy: float,
    starts: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return refined scores (n,) and quaternions (n, 4) from k starts (n, k, 4)."""
    # Maps of a single point have no shape that kikuchipy can compare
    if starts.shape[:2] == (1, 1):
        starts = np.repeat(starts, 2, axis=1)
    n, k = starts.shape[:2]
    detector = patterns.detector.deepcopy()
    detector.pc = np.repeat(patterns.detector.pc_flattened, k, axis=0)
    signal = EBSD(np.repeat(patterns.data, k, axis=0), detector=detector)
    signal.axes_manager[0].name = "x"
    xmap = CrystalMap(
        rotations=Rotation(starts.reshape(-1, 4)),
        phase_list=PhaseList(master.phase),
        x=np.arange(n * k),
        scan_unit="px",
    )
    with quiet():
        refined = signal.refine_orientation(
            xmap,
            detector,
            master,
            energy=energy,
            signal_mask=patterns.signal_mask,
        )
    scores = refined.prop["scores"].reshape(n, k)
    quaternions = refined.rotations.data.reshape(n, k, 4)
    best = scores.argmax(axis=1)
    return scores[np.arange(n), best], quaternions[np.arange(n), best]


@contextmanager
def quiet() -> Iterator[Any]:
    """Keep what kikuchipy prints, and its progress bars, from the user."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as text:
        yield text
