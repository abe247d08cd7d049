"""Configuration files of a running deployment: finding, reading, writing them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from zmount.effects.local_files import is_file
from zmount.errors import AdoptError, ApplyFailed, ApplyRefused

_INI_NAMES = ("zope.ini", "wsgi.ini", "wsgi-zope.ini")


def text_of_configuration(path: str | os.PathLike[str]) -> str:
    """Return the text of the file PATH.

    :raises AdoptError: it cannot be read, or is no text
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as why:
        raise AdoptError(f"{path}: it is not UTF-8 text (byte {why.start})") from None
    except OSError as why:
        raise AdoptError(f"{path}: it cannot be read: {why.strerror}") from None


def ini_beside(zope_conf: str, home: PurePosixPath) -> str | None:
    """Return the ini file that runs ZOPE_CONF of the instance in HOME, None if none is found."""
    conf = Path(zope_conf)
    directories = (conf.parent, conf.parent / "etc", Path(home) / "etc", Path(home))
    stem = conf.with_suffix(".ini").name
    for directory in dict.fromkeys(directories):
        for name in (stem, *_INI_NAMES):
            if is_file(directory / name):
                return str(directory / name)
    return None


def zdaemon_conf_beside(conf: str) -> str | None:
    """Return the zdaemon.conf in the directory of CONF, None if there is none."""
    path = Path(conf).with_name("zdaemon.conf")
    return str(path) if is_file(path) and str(path) != conf else None


def site_zcml_of(home: PurePosixPath) -> str | None:
    """Return the site.zcml of the instance in HOME, None if it has none."""
    path = Path(home) / "etc" / "site.zcml"
    return str(path) if is_file(path) else None


def venv_near(home: PurePosixPath, program: str) -> str:
    """Return the virtual environment with PROGRAM that is nearest above HOME, or ""."""
    for directory in (Path(home), *Path(home).parents[:3]):
        for venv in (directory, directory / "venv", directory / ".venv", directory / "env"):
            if is_file(venv / "bin" / program):
                return str(venv)
    return ""


def write_configuration(path: Path, text: str, *, mode: int, overwrite: bool) -> None:
    """Write TEXT to the file PATH, whole or not at all, with MODE.

    :raises ApplyRefused: the file is there, and OVERWRITE is False; or what is
        there is no file
    :raises ApplyFailed: it cannot be written
    """
    try:
        if path.exists() and not path.is_file():  # a device, /dev/stdout say, would be replaced
            what = "a directory" if path.is_dir() else "no plain file"
            raise ApplyRefused(f"{path}: it is {what}", hint="the name of a file")
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as why:
        raise ApplyFailed(f"{path}: it cannot be written: {why.strerror}") from None
    staged = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        if overwrite:
            staged.replace(path)
        else:
            os.link(staged, path)  # fails if the file is there, rename would not
    except FileExistsError:
        raise ApplyRefused(f"{path}: the file exists", hint="--overwrite") from None
    except OSError as why:
        raise ApplyFailed(f"{path}: it cannot be written: {why.strerror}") from None
    finally:
        staged.unlink(missing_ok=True)


@contextmanager
def scratch_file(text: str) -> Iterator[Path]:
    """Yield a file with TEXT that only we can read, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="zmount-") as directory:
        path = Path(directory) / "zmount.conf"
        write_configuration(path, text, mode=0o600, overwrite=False)
        yield path
