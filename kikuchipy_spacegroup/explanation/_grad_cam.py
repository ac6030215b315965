# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grad-CAM and guided Grad-CAM: what a network looks at.

Arrays in, arrays out. Pictures of them are in
:mod:`kikuchipy_spacegroup.plot`, and whether they agree with the zone
axes of an indexed orientation is asked in
:mod:`kikuchipy_spacegroup.explanation`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from kikuchipy_spacegroup._keras import keras, ops
from kikuchipy_spacegroup.explanation._network_layers import (
    Tap,
    copied,
    find_layer,
    gradient_of,
    guide,
    score_of,
    traced,
)
from kikuchipy_spacegroup.patterns import unusable_patterns
from kikuchipy_spacegroup.patterns._matrices import resize_matrix, uncropped
from kikuchipy_spacegroup.patterns._projection_centers import (
    check_projection_centers,
    relative_to_square,
)

if TYPE_CHECKING:
    from kikuchipy_spacegroup.models import SpaceGroupModel


class GradCAM:
    r"""Gradient-weighted class activation maps of a model.

    Parameters
    ----------
    model
        Model to explain. It is copied and not changed; train it further
        and it needs a new object.
    layer
        Layer whose feature maps are weighted: its name, or the layer of
        ``model.network``, also inside of nested models. If not given,
        these are the last feature maps before the network gives up
        position: the output of the last convolution after the
        normalization, activation and addition that follow it.
    guided
        Whether the weights come from guided backpropagation, see Notes.

    Raises
    ------
    TypeError
        If the layer is neither a name nor a layer.
    ValueError
        If the network has no such layer, several of this name, or none
        with feature maps, if the layer is called more than once, or if
        guided backpropagation is asked of a network with activations
        other than ReLU.

    See Also
    --------
    grad_cam, guided_grad_cam, guided_backpropagation

    Notes
    -----
    With :math:`A^k` the feature maps of the layer and :math:`y_c` the
    logit of space group c, the map :cite:`selvaraju2017grad` is

    .. math::

        L_c = \mathrm{ReLU}\left(\sum_k \alpha_c^k A^k\right),\;
        \alpha_c^k = \frac{1}{Z}\sum_{ij}\frac{\partial y_c}
        {\partial A^k_{ij}}

    divided by its highest value and resized bilinearly to the network
    input. At the default layer of a network which ends with global
    average pooling and one dense layer, it is the positive part of the
    class activation map :cite:`zhou2016learning`.

    In guided backpropagation :cite:`springenberg2015striving`, a ReLU
    passes on only positive gradients. :cite:`kaufmann2020deep` use it
    for the weights (``guided=True``); :func:`guided_grad_cam` is the
    product of the map and the gradient at the input in
    :cite:`selvaraju2017grad`. Activations called in the code of custom
    layers, instead of by a layer or as its ``activation``, cannot be
    seen and are left as they are.

    A cell of the map cannot be located better than to about half its
    width: with strides, the centers of receptive fields are off by up
    to that much, to either side in the two branches of a residual
    block. The resolution is that of the layer: 3 x 3 at the last one of
    the bundled model, 12 x 12 at ``"stage2_2_out"``.

    Not to be called from several threads at once.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> explain = kpsg.explanation.GradCAM(kpsg.load_model(), layer="stage2_2_out")
    >>> explain.layer, explain.feature_shape
    ('stage2_2_out', (12, 12))
    >>> explain(s.data[0], space_group=225).shape
    (3, 96, 96)
    """

    def __init__(
        self,
        model: "SpaceGroupModel",
        layer: "str | keras.layers.Layer | None" = None,
        *,
        guided: bool = False,
    ) -> None:
        # Layers are tapped and activations replaced, but in a copy
        self._network = copied(model.network)
        self._model = model
        if guided:
            guide(self._network)
        shapes = traced(self._network, model.size)
        target = find_layer(self._network, layer, shapes)
        *feature_shape, self._n_features = shapes[id(target)][0][1:]
        self._tap = Tap(target)
        self._gradient = gradient_of(self._calculate_score)
        self.layer: str = target.name
        self.feature_shape: tuple[int, int] = tuple(feature_shape)

    def __repr__(self) -> str:
        rows, columns = self.feature_shape
        return f"{type(self).__name__}(layer={self.layer!r}, {rows} x {columns})"

    def __call__(
        self,
        patterns: np.ndarray,
        space_group: "int | np.ndarray | None" = None,
        *,
        projection_centers: np.ndarray | None = None,
        batch_size: int = 16,
    ) -> np.ndarray:
        """Return Grad-CAM maps of patterns for a space group.

        Parameters
        ----------
        patterns
            Patterns of shape (n, height, width), see
            :meth:`~kikuchipy_spacegroup.models.SpaceGroupModel.predict_proba`.
        space_group
            Space group number, or n of them, to explain. -1 or None
            stands for the most probable one of each pattern.
        projection_centers
            Projection centers of the patterns, if the model uses them, see
            :meth:`~kikuchipy_spacegroup.models.SpaceGroupModel.predict_proba`.
        batch_size
            Number of patterns that pass the network at a time.

        Returns
        -------
        maps
            Array of shape (n, size, size) and dtype float32 with values
            from 0 to 1 in the frame of the central square, which
            :func:`to_pattern_frame` carries to the patterns. All 0
            where nothing speaks for the space group, and NaN for
            patterns that cannot be classified.

        Raises
        ------
        ValueError
            If the patterns are not a stack of images, the projection
            centers do not fit them, or the model does not know a space
            group.
        """
        size = self._model.size
        rows, columns = (_make_upsampling_matrix(size, n) for n in self.feature_shape)

        def explain(x, *target):
            shift = ops.zeros((x.shape[0], *self.feature_shape, self._n_features))
            gradient, features = (
                ops.convert_to_numpy(ops.cast(array, "float32"))
                for array in self._gradient(shift, x, *target)
            )
            weights = gradient.mean(axis=(1, 2))
            maps = np.einsum("nk,nijk->nij", weights, features)
            return rows @ np.maximum(maps, 0) @ columns.T

        return _explain_in_batches(
            self._model, explain, patterns, space_group, projection_centers, batch_size
        )

    def _calculate_score(self, shift: Any, x: Any, *target: Any) -> tuple[Any, Any]:
        """Return the score with a shift of the features, and these."""
        self._tap.shift = shift
        score = score_of(self._network, x, *target)
        features, self._tap.features = self._tap.features, None
        return score, features


def grad_cam(
    model: "SpaceGroupModel",
    patterns: np.ndarray,
    space_group: "int | np.ndarray | None" = None,
    *,
    projection_centers: np.ndarray | None = None,
    layer: "str | keras.layers.Layer | None" = None,
    guided: bool = False,
    batch_size: int = 16,
) -> np.ndarray:
    """Return Grad-CAM maps of patterns for a space group.

    Parameters
    ----------
    model
        Model to explain.
    patterns
        Patterns of shape (n, height, width) and any real data type.
    space_group
        Space group number, or n of them, to explain. -1 or None stands
        for the most probable one of each pattern.
    projection_centers
        Projection centers of the patterns, if the model uses them, see
        :meth:`~kikuchipy_spacegroup.models.SpaceGroupModel.predict_proba`.
    layer
        Layer or name of the layer whose feature maps are weighted. If
        not given, these are the last ones.
    guided
        Whether the weights come from guided backpropagation, as in
        :cite:`kaufmann2020deep`.
    batch_size
        Number of patterns that pass the network at a time.

    Returns
    -------
    maps
        Maps of shape (n, size, size) and dtype float32, see
        :class:`GradCAM`, where errors and formulas are too.

    See Also
    --------
    GradCAM, guided_grad_cam, to_pattern_frame
    kikuchipy_spacegroup.plot.plot_grad_cam

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> maps = kpsg.explanation.grad_cam(kpsg.load_model(), s.data[0])
    >>> maps.shape, float(maps.max())
    ((3, 96, 96), 1.0)
    """
    explain = GradCAM(model, layer, guided=guided)
    return explain(
        patterns,
        space_group,
        projection_centers=projection_centers,
        batch_size=batch_size,
    )


def guided_backpropagation(
    model: "SpaceGroupModel",
    patterns: np.ndarray,
    space_group: "int | np.ndarray | None" = None,
    *,
    projection_centers: np.ndarray | None = None,
    batch_size: int = 16,
) -> np.ndarray:
    """Return guided backpropagation maps at the network input.

    Parameters
    ----------
    model, patterns, space_group, projection_centers, batch_size
        See :func:`grad_cam`.

    Returns
    -------
    maps
        Absolute value of the gradient of the logit at every pixel of
        the prepared pattern, with ReLUs that pass on only positive
        gradients :cite:`springenberg2015striving`, divided by its
        highest value. Shape, dtype and frame are as in
        :func:`grad_cam`.

    Raises
    ------
    ValueError
        If the network has activations other than ReLU, if the patterns
        are not a stack of images, or the model does not know a space
        group.

    See Also
    --------
    grad_cam, guided_grad_cam

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> model = kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
    >>> patterns = kp.data.nickel_ebsd_small().data[0]
    >>> kpsg.explanation.guided_backpropagation(model, patterns, 225).shape
    (3, 32, 32)
    """
    network = copied(model.network)
    guide(network)

    gradient_at = gradient_of(lambda x, *target: (score_of(network, x, *target), x))

    def explain(x, *target):
        gradient, _ = gradient_at(x, *target)
        return np.abs(ops.convert_to_numpy(gradient)[..., 0])

    return _explain_in_batches(
        model, explain, patterns, space_group, projection_centers, batch_size
    )


def guided_grad_cam(
    model: "SpaceGroupModel",
    patterns: np.ndarray,
    space_group: "int | np.ndarray | None" = None,
    *,
    projection_centers: np.ndarray | None = None,
    layer: "str | keras.layers.Layer | None" = None,
    batch_size: int = 16,
) -> np.ndarray:
    """Return guided Grad-CAM maps at the resolution of the network input.

    Parameters
    ----------
    model, patterns, space_group, projection_centers, layer, batch_size
        See :func:`grad_cam`.

    Returns
    -------
    maps
        Product of :func:`grad_cam` and :func:`guided_backpropagation`
        :cite:`selvaraju2017grad`, divided by its highest value. Shape,
        dtype and frame are as in :func:`grad_cam`.

    Raises
    ------
    ValueError
        As of :class:`GradCAM` and :func:`guided_backpropagation`.

    See Also
    --------
    GradCAM, grad_cam, guided_backpropagation

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> model = kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
    >>> kpsg.explanation.guided_grad_cam(model, s.data[0]).shape
    (3, 32, 32)
    """
    how = {"projection_centers": projection_centers, "batch_size": batch_size}
    fine = guided_backpropagation(model, patterns, space_group, **how)
    coarse = grad_cam(model, patterns, space_group, layer=layer, **how)
    return _scale_maps(fine * coarse)


def to_pattern_frame(
    maps: np.ndarray, shape: tuple[int, int], *, radius: float | None = 1.0
) -> np.ndarray:
    """Carry maps from the frame of the central square to the patterns.

    Parameters
    ----------
    maps
        Maps of shape (..., size, size).
    shape
        Number of rows and columns of the patterns.
    radius
        Radius of the circle the network sees, as a fraction of half the
        side, see
        :class:`~kikuchipy_spacegroup.patterns.PreparePatterns`. If
        None, the corners are kept.

    Returns
    -------
    maps_out
        Maps of shape (..., rows, columns) and dtype float32, NaN where
        the network does not look: outside of the central square of the
        pattern, and outside of the circle.

    Raises
    ------
    ValueError
        If the maps are not square.

    See Also
    --------
    grad_cam, zone_axis_test

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.explanation import to_pattern_frame
    >>> to_pattern_frame(np.ones((2, 2)), (2, 4), radius=None)
    array([[nan,  1.,  1., nan],
           [nan,  1.,  1., nan]], dtype=float32)
    """
    maps = np.asarray(maps, dtype="float32")
    if maps.ndim < 2 or maps.shape[-2] != maps.shape[-1]:
        raise ValueError(f"Maps must be of shape (..., size, size), not {maps.shape}")
    size, side = maps.shape[-1], min(shape)
    # What the layer that prepares patterns does, the other way round
    matrices, coordinates = [], []
    for n in shape:
        with np.errstate(invalid="ignore"):
            matrix = resize_matrix(n, size, n * size / side)
        matrices.append(np.nan_to_num(ops.convert_to_numpy(matrix)))
        coordinates.append((2 * np.arange(n) + 1 - n) / side)
    y, x = coordinates
    inside = (np.abs(y) <= 1)[:, None] & (np.abs(x) <= 1)[None]
    if radius is not None:
        inside &= y[:, None] ** 2 + x[None] ** 2 <= radius**2
    return np.where(inside, matrices[0] @ maps @ matrices[1].T, np.float32(np.nan))


def _explain_in_batches(
    model: "SpaceGroupModel",
    explain: Callable[..., np.ndarray],
    patterns: np.ndarray,
    space_group: "int | np.ndarray | None",
    projection_centers: np.ndarray | None,
    batch_size: int,
) -> np.ndarray:
    """Return scaled maps (n, size, size) of patterns, explained batch by batch."""
    patterns = np.asarray(patterns)
    if (
        patterns.ndim != 3
        or patterns.dtype.kind not in "uifb"
        or 0 in patterns.shape[1:]
    ):
        raise ValueError(
            "Patterns must be real numbers in an array of shape (n, height, width), not "
            f"{patterns.dtype} of shape {patterns.shape}"
        )
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    given = [_find_targets(model, space_group, len(patterns))]
    if model.uses_projection_center:
        centers = check_projection_centers(projection_centers, len(patterns))
        given.append(relative_to_square(centers, patterns.shape[1:]))
    maps = np.empty((len(patterns), model.size, model.size), "float32")
    for i in range(0, len(patterns), batch_size):
        batch = slice(i, i + batch_size)
        x = np.ascontiguousarray(patterns[batch], dtype="float32")[..., None]
        x, *target = (ops.convert_to_tensor(i) for i in (x, *(i[batch] for i in given)))
        maps[batch] = uncropped(explain(model.prepare(x), *target), model.prepare.crop)
        maps[batch][unusable_patterns(patterns[batch])] = np.nan
    return _scale_maps(maps)


def _scale_maps(maps: np.ndarray) -> np.ndarray:
    """Return maps (n, size, size) divided by their highest value, if there is any."""
    highest = maps.max(axis=(1, 2), keepdims=True)
    return maps / np.where(highest > 0, highest, 1)


def _find_targets(
    model: "SpaceGroupModel", space_group: "int | np.ndarray | None", n: int
) -> np.ndarray:
    """Return the index of the class to explain (n,), -1 for the winner."""
    numbers = np.asarray(-1 if space_group is None else space_group)
    if numbers.dtype.kind not in "iu" or numbers.shape not in ((), (n,)):
        raise ValueError(
            f"space_group must be one number or {n}, one per pattern, not {space_group!r}"
        )
    index = {number: i for i, number in enumerate(model.space_groups)} | {-1: -1}
    unknown = sorted(set(numbers.ravel().tolist()) - set(index))
    if unknown:
        raise ValueError(
            f"The model knows the space groups {model.space_groups}, not {unknown}"
        )
    targets = np.array([index[i] for i in numbers.ravel().tolist()], dtype="int32")
    return np.broadcast_to(targets, (n,))


def _make_upsampling_matrix(size: int, n: int) -> np.ndarray:
    return ops.convert_to_numpy(resize_matrix(size, n, n))
