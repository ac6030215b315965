# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models that come with the package. Only paths: nothing is opened."""

from pathlib import Path

_FOLDER = Path(__file__).parent
# Which of them is the default
_DEFAULT = "m-3m"


def available_models() -> list[str]:
    """Return the names of the models that come with the package.

    Returns
    -------
    names
        Names to pass to :func:`kikuchipy_spacegroup.models.load_model`.
        ``"default"`` is one of them by another name.

    See Also
    --------
    model_path

    Examples
    --------
    >>> import kikuchipy_spacegroup as kpsg
    >>> kpsg.data.available_models()
    ['m-3m']
    """
    return sorted(path.stem for path in _FOLDER.glob("*.keras"))


def exported_models() -> list[Path]:
    """Return the ONNX forms of models that come with the package.

    Returns
    -------
    paths
        Files for ONNX Runtime and OpenVINO, which need no Keras. They know
        which model file they were written from.

    See Also
    --------
    available_models, kikuchipy_spacegroup.models.save_onnx

    Examples
    --------
    >>> import kikuchipy_spacegroup as kpsg
    >>> [path.name for path in kpsg.data.exported_models()]
    ['m-3m.onnx']
    """
    return sorted(_FOLDER.glob("*.onnx"))


def model_path(name: str = "default") -> Path:
    """Return the file of a model that comes with the package.

    Parameters
    ----------
    name
        Name of the model. ``"default"`` is the one that is used unless
        another one is asked for.

    Returns
    -------
    path
        Path to the file.

    Raises
    ------
    ValueError
        If there is no model of this name.

    See Also
    --------
    available_models, find_model

    Examples
    --------
    >>> import kikuchipy_spacegroup as kpsg
    >>> kpsg.data.model_path().name
    'm-3m.keras'
    """
    names = available_models()
    if name == "default":
        name = _DEFAULT
    if name not in names:
        raise ValueError(
            f"There is no bundled model {name!r}, only {names} and 'default'. A path to a model file "
            "ends with '.keras'. One that ends with '.onnx' is for "
            "`classify_space_group()` and `OnnxModel`"
        )
    return _FOLDER / f"{name}.keras"


def find_model(path_or_name: str | Path) -> Path:
    """Return the file of a model.

    Parameters
    ----------
    path_or_name
        Path to a file, or the name of a model that comes with the
        package. Texts that end with ``.keras`` are paths.

    Returns
    -------
    path
        Path to the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If there is no bundled model of this name.

    See Also
    --------
    model_path, kikuchipy_spacegroup.models.load_model

    Examples
    --------
    >>> import kikuchipy_spacegroup as kpsg
    >>> kpsg.data.find_model("default").name
    'm-3m.keras'
    """
    if isinstance(path_or_name, str) and not path_or_name.endswith(".keras"):
        return model_path(path_or_name)
    path = Path(path_or_name)
    if not path.is_file():
        raise FileNotFoundError(f"There is no model file {path}")
    return path
