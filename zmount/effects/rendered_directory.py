"""A directory of generated files as they would lie on each host: DIR/HOST/PATH.

A list in it names what was rendered there, so that the next rendering replaces
that and nothing else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from zmount.errors import ApplyFailed, ApplyRefused
from zmount.render.generated import GeneratedFile

LIST = ".zmount-rendered.json"


def rendered_path(directory: Path, file: GeneratedFile) -> Path:
    """Return where FILE lies under DIRECTORY."""
    return directory / file.host / file.path.relative_to("/")


def write_rendered(directory: Path, hosts: Iterable[str], files: Iterable[GeneratedFile]) -> None:
    """Write FILES under DIRECTORY in place of what was rendered there for HOSTS.

    :raises ApplyRefused: something else than renderings is in DIRECTORY, or a
        file would lie outside it
    :raises ApplyFailed: DIRECTORY cannot be written
    """
    old = _rendered_before(directory)
    hosts = tuple(hosts)
    new = {str(rendered_path(Path(), file)): file for file in files}
    kept = [name for name in old if PurePosixPath(name).parts[0] not in hosts]
    root = directory.resolve()
    for name in (*new, *old):
        if not (root / name).parent.resolve().is_relative_to(root):
            raise ApplyRefused(f"{directory / name} would lie outside {directory}")
    try:
        for name in old:
            if name not in kept and name not in new:
                _remove(root, root / name)
        for name, file in new.items():
            _write(root / name, file.text, file.mode)
        _write(root / LIST, json.dumps(sorted({*kept, *new}), indent=1) + "\n", 0o644)
    except OSError as why:
        raise ApplyFailed(f"{why.filename or directory}: {why.strerror}") from why


def _rendered_before(directory: Path) -> list[str]:
    """Return the names in DIRECTORY's list, all of them relative."""
    try:
        if not directory.exists() or not any(directory.iterdir()):
            return []
        names = json.loads((directory / LIST).read_text())
        if not isinstance(names, list):
            raise ValueError("not a list")
        return [str(name) for name in names if PurePosixPath(name).parts]
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError) as why:
        raise ApplyRefused(
            f"{directory} holds something else than rendered files",
            hint="name a directory that is empty or not there yet",
        ) from why
    except OSError as why:
        raise ApplyFailed(f"{why.filename or directory}: {why.strerror}") from why


def _write(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, mode), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)


def _remove(root: Path, path: Path) -> None:
    """Remove the file PATH, and directories above it that are empty now."""
    path.unlink(missing_ok=True)
    for parent in path.parents:
        if parent == root or any(parent.iterdir()):
            return
        parent.rmdir()
