"""Files that are replaced as a whole: who reads one gets the old text or the new, never a part."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from zmount.effects.local_files import is_file
from zmount.errors import ApplyFailed

MODE = 0o644  # others read it


def publish(path: Path, text: str, mode: int = MODE) -> None:
    """Let the file PATH hold TEXT, with MODE; what was there stays until it does.

    :raises ApplyFailed: no space, no permission, no directory
    """
    staged = ""
    try:
        # a name that does not end like PATH: the node exporter reads all *.prom
        descriptor, staged = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        Path(staged).replace(path)
    except OSError as why:
        if staged:
            with suppress(OSError):
                Path(staged).unlink()
        raise ApplyFailed(
            f"{path}: cannot be written: {why.strerror}",
            hint="what was there is still there" if is_file(path) else "name another file",
        ) from None
