# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ONNX forms of models: those bundled, and those exported once."""

from collections.abc import Callable
import logging
from pathlib import Path
import tempfile
from typing import TYPE_CHECKING, Any

from kikuchipy_spacegroup import data
from kikuchipy_spacegroup.models._onnx import SOURCE, OnnxModel, save_onnx
from kikuchipy_spacegroup.models._onnx_file import read_metadata
from kikuchipy_spacegroup.models._user_cache import exported_path

if TYPE_CHECKING:
    from kikuchipy_spacegroup.models._model import SpaceGroupModel

_logger = logging.getLogger(__name__)


class Exported:
    """The ONNX form of one model.

    Parameters
    ----------
    source
        Model file, or a model.
    kind
        What the identity is: ``"file"`` for the SHA-256 of a model file, or
        ``"fingerprint"`` of a model.
    identity
        SHA-256 of the file, or fingerprint of the model.
    """

    def __init__(
        self, source: "Path | SpaceGroupModel", kind: str, identity: str
    ) -> None:
        self.source, self.kind, self.identity = source, kind, identity
        self._loaded: OnnxModel | None = None

    def find_bundled(self) -> Path | None:
        """Return the file that comes with the package, or None."""
        for path in data.exported_models():
            try:
                texts = read_metadata(path.read_bytes())
            except (OSError, ValueError):
                continue
            if f'"{self.identity}"' in texts.get(SOURCE, ""):
                return path
        return None

    def load(self, engine: str, precision: str = "float32") -> OnnxModel:
        """Return the model in an engine, exported if it is not there.

        Parameters
        ----------
        engine, precision
            See :class:`OnnxModel`.

        Returns
        -------
        model
            Model of this identity, and not of any other.

        Raises
        ------
        ImportError
            If it must be exported, and what this needs is not installed.
        ValueError
            If the engine cannot run it.
        """
        if self._loaded is not None:
            return self._loaded._run_by(engine, precision)
        model = self._load(engine, precision)
        model.keras_fingerprint = model.source["fingerprint"]
        self._loaded = model
        return model

    def _load(self, engine: str, precision: str) -> OnnxModel:
        """Return the model from a file that is there, or is written."""
        bundled = self.find_bundled()
        if bundled is not None:
            return OnnxModel(bundled, engine=engine, precision=precision)
        path = exported_path(self.identity)
        if path is not None and path.is_file():
            try:
                model = OnnxModel(path, engine=engine, precision=precision)
                if model.source.get(self.kind) == self.identity:
                    return model
            except (OSError, ValueError) as error:
                _logger.info("%s is written again: %s", path, error)
        return self._export(
            path, lambda file: OnnxModel(file, engine=engine, precision=precision)
        )

    def _export(self, path: Path | None, read: Callable[[Path], Any]) -> Any:
        """Return what is read of a file that is written to the cache, if possible."""
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                save_onnx(path, self.source, overwrite=True)
                _logger.info("The model was exported to %s", path)
                return read(path)
            except OSError as error:
                _logger.info("The exported model is not kept: %s", error)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.onnx"
            save_onnx(file, self.source)
            return read(file)
