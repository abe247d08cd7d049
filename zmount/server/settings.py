"""What a ``<stage>`` section says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODES = ("link", "copy")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSettings:
    """A staging storage.

    ``path`` and ``blob_dir`` are its FileStorage from before the first swap,
    ``options`` what that is opened with. ``source`` is production's name in the
    same ZEO server, ``source_path`` and ``source_blob_dir`` are its files on
    this host. ``mode`` is "link" or "copy". ``keep`` generations stay besides the
    current one.
    """

    name: str
    path: Path
    blob_dir: Path | None
    generations: Path
    source: str
    source_path: Path
    source_blob_dir: Path | None
    mode: str = "link"
    keep: int = 1
    drain_timeout_s: float = 10.0
    options: tuple[tuple[str, Any], ...] = ()
