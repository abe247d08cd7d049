"""The directory that a demonstration lives in."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path, PurePosixPath

from zmount.errors import ApplyRefused, EnvironmentMissing


def running_venv() -> PurePosixPath:
    """Return the virtual environment that zmount itself runs in.

    :raises EnvironmentMissing: it has no Zope, or no ZEO
    """
    venv = Path(sys.prefix)
    for program in ("runwsgi", "runzeo"):
        if not (venv / "bin" / program).exists():
            raise EnvironmentMissing(
                f"{venv} has no bin/{program}: the demonstration runs real servers",
                hint=f"{venv}/bin/pip install 'zmount[zope]'",
            )
    return PurePosixPath(venv)


def write_new_conf(directory: Path, text: str) -> Path:
    """Write TEXT as zmount.conf into DIRECTORY, which is made; return the file.

    :raises ApplyRefused: DIRECTORY cannot be made, or holds other files
    """
    conf = directory / "zmount.conf"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise ApplyRefused(
                f"{directory} is not empty, and holds no zmount.conf",
                hint="zmount demo --directory NEW",
            )
        conf.write_text(text)
    except OSError as why:
        raise ApplyRefused(
            f"{directory} cannot be used: {why.strerror}", hint="zmount demo --directory NEW"
        ) from None
    return conf


def remove_directory(directory: Path) -> None:
    """Remove DIRECTORY and everything in it."""
    shutil.rmtree(directory)
