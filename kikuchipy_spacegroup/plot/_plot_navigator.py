# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A HyperSpy navigator with what the network says under the pointer."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

from kikuchipy_spacegroup.patterns import divide_background, unusable_patterns
from kikuchipy_spacegroup.patterns._checks import (
    check_background,
    check_mask,
    check_signal,
)
from kikuchipy_spacegroup.patterns._projection_centers import read_projection_centers
from kikuchipy_spacegroup.patterns._scan import blocks_of_patterns, find_background
from kikuchipy_spacegroup.plot._map_image import colors, full_arrays, map_image, name
from kikuchipy_spacegroup.plot._plot_explanation import plot_grad_cam

if TYPE_CHECKING:
    from kikuchipy.signals import EBSD
    from orix.crystal_map import CrystalMap

    from kikuchipy_spacegroup.models import SpaceGroupModel

# Number of the most probable space groups shown
_N_BARS = 8


def plot_interactive(
    signal: "EBSD",
    xmap: "CrystalMap",
    model: "SpaceGroupModel | str | Path | None" = None,
    *,
    layer: str | None = None,
    space_group: int | None = None,
    static_background: np.ndarray | str | None = "auto",
    signal_mask: np.ndarray | None = None,
    cmap: str = "inferno",
    **kwargs,
) -> "InteractivePlot":
    """Plot a scan with its map of space groups as navigator.

    A second figure shows the Grad-CAM of the pattern under the pointer
    and the probabilities of its space groups, and follows the pointer.

    Parameters
    ----------
    signal
        Scan of none, one or two navigation dimensions. It is plotted
        with ``EBSD.plot()`` and otherwise not
        changed.
    xmap
        Its map from
        :func:`~kikuchipy_spacegroup.classification.classify_space_group`.
    model
        The model that was used, a path or a name. If not given, it is
        the default model.
    layer
        Layer of the Grad-CAM, see
        :class:`~kikuchipy_spacegroup.explanation.GradCAM`.
    space_group
        Space group the Grad-CAM explains. If not given, it is the most
        probable one of every pattern.
    static_background, signal_mask
        What was given to classify the scan.
    cmap
        Color map of the Grad-CAM.
    **kwargs
        Keyword arguments passed on to
        ``EBSD.plot()``.

    Returns
    -------
    plot
        The plot. It follows the pointer until one of its figures, or of
        the scan's, is closed.

    Raises
    ------
    TypeError
        If the signal or the model is of another type.
    ValueError
        If the map is not of the scan, or a mask, the background, the
        layer, the space group, or the detector of a model that uses the
        projection center does not fit.

    See Also
    --------
    plot_grad_cam, kikuchipy.signals.EBSD

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> xmap = kpsg.classify_space_group(s, show_progressbar=False)
    >>> plot = kpsg.plot.plot_interactive(s, xmap, layer="stage2_2_out")
    >>> s.axes_manager.indices = (2, 1)
    >>> plot.index
    (1, 2)
    >>> plot.close()
    """
    from kikuchipy_spacegroup.explanation import GradCAM
    from kikuchipy_spacegroup.models import SpaceGroupModel, load_model

    nav_shape, sig_shape = check_signal(signal)
    check_background(static_background, sig_shape)
    signal_mask = check_mask(signal_mask, sig_shape, "signal_mask")
    if full_arrays(xmap)[1].size != np.prod(nav_shape, dtype=int) or (
        len(nav_shape) == 2 and full_arrays(xmap)[0] != nav_shape
    ):
        raise ValueError(
            f"The map of shape {full_arrays(xmap)[0]} is not of the scan of shape "
            f"{nav_shape}"
        )
    if not isinstance(model, SpaceGroupModel):
        model = load_model(model)
    if space_group is not None and space_group not in model.space_groups:
        raise ValueError(
            f"The model knows the space groups {model.space_groups}, not {space_group}"
        )
    explain = GradCAM(model, layer)
    n_groups = len(model.space_groups)
    patterns = blocks_of_patterns(signal.data, nav_shape, sig_shape, None)
    background, inside = find_background(
        signal, patterns, static_background, None, signal_mask
    )

    centers = None
    if model.uses_projection_center:
        centers = read_projection_centers(signal, nav_shape, sig_shape)

    def look(index: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pattern = np.asarray(signal.data[index])[None]
        if unusable_patterns(pattern)[0]:
            return pattern[0], np.zeros((model.size, model.size)), np.zeros(n_groups)
        pattern = divide_background(pattern, background, inside)
        center = None if centers is None else centers[index]
        probabilities = np.nan_to_num(model.predict_proba(pattern, center)[0])
        cam = explain(pattern, space_group, projection_centers=center)[0]
        return pattern[0], cam, probabilities

    signal.plot(navigator=_make_navigator(xmap, nav_shape), **kwargs)
    return InteractivePlot(signal, xmap, model, look, space_group, cmap)


class InteractivePlot:
    """A figure that follows the pointer of a plotted scan.

    Made by :func:`plot_interactive`.

    Parameters
    ----------
    signal
        Scan, which is plotted.
    xmap
        Its map of space groups.
    model
        Model of the probabilities.
    look
        Function of the index of a pattern that returns the pattern as
        the model gets it, its Grad-CAM, and its probabilities, all 0 if
        it cannot be classified.
    space_group
        Space group the Grad-CAM explains. If None, it is the most
        probable one.
    cmap
        Color map of the Grad-CAM.

    Attributes
    ----------
    figure
        The figure.

    See Also
    --------
    kikuchipy_spacegroup.plot.plot_interactive

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> xmap = kpsg.classify_space_group(s, show_progressbar=False)
    >>> plot = kpsg.plot.plot_interactive(s, xmap)
    >>> s.data[0, 0] = s.data[0, 1]
    >>> plot.update()
    >>> plot.close()
    """

    def __init__(
        self,
        signal: "EBSD",
        xmap: "CrystalMap",
        model: "SpaceGroupModel",
        look: Callable[[tuple[int, ...]], tuple[np.ndarray, np.ndarray, np.ndarray]],
        space_group: int | None,
        cmap: str,
    ) -> None:
        self._axes_manager = signal.axes_manager
        self._xmap, self._model, self._look = xmap, model, look
        self._space_group, self._cmap = space_group, cmap
        self.figure = plt.figure(figsize=(7, 3.6), layout="constrained")
        self._axes = self.figure.subplots(1, 2)
        self.update()
        self._event = self._axes_manager.events.indices_changed
        self._event.connect(self.update, [])
        signal._plot.events.closed.connect(self.close, [])
        self.figure.canvas.mpl_connect("close_event", self._stop_following)

    @property
    def index(self) -> tuple[int, ...]:
        """Return the index of the pattern under the pointer, row first."""
        return tuple(int(i) for i in self._axes_manager.indices[::-1])

    def update(self) -> None:
        """Draw what is under the pointer.

        See Also
        --------
        kikuchipy_spacegroup.plot.plot_interactive
        """
        # Not all backends tell that a figure was closed
        if not plt.fignum_exists(self.figure.number):
            self._stop_following()
            return
        pattern, cam, probabilities = self._look(self.index)
        self._draw_pattern(pattern, cam, probabilities)
        self._draw_probabilities(probabilities)
        self.figure.canvas.draw_idle()

    def close(self) -> None:
        """Close the figure, which then no longer follows.

        See Also
        --------
        kikuchipy_spacegroup.plot.plot_interactive
        """
        self._stop_following()
        plt.close(self.figure)

    def _stop_following(self, *args) -> None:
        if self.update in self._event.connected:
            self._event.disconnect(self.update)

    def _draw_pattern(
        self, pattern: np.ndarray, cam: np.ndarray, probabilities: np.ndarray
    ) -> None:
        """Draw a pattern under its Grad-CAM, to the left."""
        ax = self._axes[0]
        ax.clear()
        plot_grad_cam(pattern, cam, cmap=self._cmap, ax=ax)
        if not probabilities.any():
            ax.set_title("cannot be classified", fontsize="medium")
            return
        number = self._space_group
        if number is None:
            number = self._model.space_groups[probabilities.argmax()]
        ax.set_title(f"Grad-CAM of {name(number)}", fontsize="medium")

    def _draw_probabilities(self, probabilities: np.ndarray) -> None:
        """Draw bars of the highest probabilities (k,), to the right."""
        _, numbers, scores = full_arrays(self._xmap)
        shape = tuple(axis.size for axis in self._axes_manager.navigation_axes[::-1])
        i = np.ravel_multi_index(self.index, shape) if shape else 0
        color = colors(self._xmap)
        ax = self._axes[1]
        ax.clear()
        winners = np.argsort(-probabilities, kind="stable")[:_N_BARS]
        groups = [self._model.space_groups[j] for j in winners]
        bars = ax.barh(
            [name(number) for number in groups],
            probabilities[winners],
            color=[color.get(number, "lightgray") for number in groups],
        )
        ax.bar_label(bars, fmt=" %.2f", fontsize="small")
        ax.axvline(self._model.min_probability, color="k", ls=":", lw=1)
        ax.set(xlim=(0, 1.15), xticks=(0, 0.5, 1), xlabel="probability")
        ax.invert_yaxis()
        ax.spines[["top", "right"]].set_visible(False)
        where = ", ".join(
            f"{letter} = {k}" for letter, k in zip("xy", self.index[::-1])
        )
        title = f"map: {name(int(numbers[i]))}"
        title += "" if numbers[i] == -2 else f" ({scores[i]:.2f})"
        ax.set_title(f"{title}\n{where}" if where else title, fontsize="medium")


def _make_navigator(xmap: "CrystalMap", nav_shape: tuple[int, ...]):
    """Return the signal HyperSpy shows as navigator."""
    if not nav_shape:
        return None
    if len(nav_shape) == 1:
        navigator = hs.signals.Signal1D(full_arrays(xmap)[1].astype("float32"))
        navigator.metadata.General.title = "Space group"
        return navigator
    image = (255 * map_image(xmap)).round().astype("uint8")
    navigator = hs.signals.Signal2D(image).transpose(signal_axes=1)
    navigator.change_dtype("rgb8")
    return navigator
