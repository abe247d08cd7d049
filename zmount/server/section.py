"""The ``<stage>`` section of a zeo.conf, after ``%import zmount.server``."""

from __future__ import annotations

from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import ZConfig
from ZODB.config import BaseConfig, getStorageSchema

from zmount.server.serving import ServedStage
from zmount.server.settings import MODES, StageSettings

STOCK_PACKER = "stock"


def mode(text: str) -> str:
    """Return TEXT if it is a mode.

    :raises ValueError: it is none
    """
    if text not in MODES:
        raise ValueError(f"{text!r} is not one of {', '.join(MODES)}")
    return text


class Stage(BaseConfig):  # type: ignore[misc]
    """Opens what the section says."""

    def open(self) -> Any:
        """Open the storage, to be served."""
        return ServedStage(self.settings)

    @property
    def settings(self) -> StageSettings:
        """What the section says."""
        section = self.config
        path = Path(section.path).absolute()
        generations = section.generations or path.parent / "generations"
        options = {
            "packer": _packer(section.packer),
            "pack_gc": section.pack_gc,
            "pack_keep_old": section.pack_keep_old,
            "quota": section.quota,
        }
        return StageSettings(
            name=self.name or "stage",
            path=path,
            blob_dir=_path(section.blob_dir),
            generations=Path(generations).absolute(),
            source=section.source or "",
            source_path=Path(section.source_path).absolute(),
            source_blob_dir=_path(section.source_blob_dir),
            mode=section.mode,
            keep=section.keep,
            drain_timeout_s=section.drain_timeout,
            options=tuple(options.items()),
        )


def settings_of(conf: str) -> StageSettings:
    """Return what CONF says: a ``<stage>`` section after its ``%import``.

    :raises ZConfig.ConfigurationError: it is none
    """
    config, _ = ZConfig.loadConfigFile(getStorageSchema(), StringIO(conf))
    found: StageSettings = config.storage.settings
    return found


def _packer(text: str) -> Any:
    """Return the packer called TEXT, as a filestorage section does; None: FileStorage's own."""
    if text == STOCK_PACKER:
        return None
    module, colon, expression = text.partition(":")
    if colon:
        return eval(expression, vars(import_module(module)))
    module, _, name = text.rpartition(".")
    return getattr(import_module(module), name)


def _path(text: str | None) -> Path | None:
    return Path(text).absolute() if text else None
