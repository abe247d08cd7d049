"""Which cores run: the compiled ones, or the same sources as plain Python.

A core is a module ``_NAME.py`` of this package that loops over bytes. The build
compiles it to a shared library beside it (``setup.py``). Nothing imports a core
directly: an old library would come before its source unseen. Everything takes
them from :func:`chosen`, which checks that a library was built from the source
that lies beside it, and that it gives known answers (``selftest.py``), before
it touches anybody's data.

``ZMOUNT_CORE=compiled`` or ``plain`` forces a choice: what it names runs, or
:exc:`~zmount.errors.CoreUnavailable` says why not.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import re
from dataclasses import dataclass
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from zmount.errors import CoreUnavailable
from zmount.filestorage.selftest import SELF_TESTS, wrong_answer

NAMES = ("records", "references", "mark", "copy", "check", "index", "lanes")
VARIABLE = "ZMOUNT_CORE"
HERE = Path(__file__).parent
# setup.py puts this into each library
MARK = re.compile(rb"zmount core: source ([0-9a-f]{64}), Cython ([0-9A-Za-z.+]+);")
BUILD = "pip install zmount again where a C compiler is; in a checkout: pip install -e ."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """The seven cores, and how they came to be chosen.

    ``name`` is ``compiled`` or ``plain``. ``why`` says why plain runs (empty
    for compiled), ``cython`` which Cython compiled them (empty for plain).
    """

    name: str
    records: ModuleType
    references: ModuleType
    mark: ModuleType
    copy: ModuleType
    check: ModuleType
    index: ModuleType
    lanes: ModuleType
    why: str = ""
    cython: str = ""

    def __str__(self) -> str:
        if self.name == "compiled":
            return f"compiled core, Cython {self.cython}"
        return f"plain Python core: {self.why}; packing is some 10 times slower"


@cache
def chosen() -> Cores:
    """Return the cores that this process uses; logs once if they are slow ones unasked.

    :raises CoreUnavailable: ``ZMOUNT_CORE`` forces what cannot run, or is misspelt
    """
    cores = choose(os.environ.get(VARIABLE, ""))
    if cores.name == "plain" and not os.environ.get(VARIABLE):
        log.warning("%s", cores)
    return cores


def choose(forced: str = "") -> Cores:
    """Return the cores that FORCED names; without a name the best that can run.

    :raises CoreUnavailable: what FORCED names cannot run, or is no name
    """
    if forced not in ("", "plain", "compiled"):
        raise CoreUnavailable(
            f"{VARIABLE} is {forced!r}; there are plain and compiled",
            hint=f"unset {VARIABLE}: the compiled core runs where it can",
        )
    if forced == "plain":
        return load("plain", why=f"{VARIABLE} says so")
    try:
        cores = load("compiled")
        _test(cores)
    except CoreUnavailable as problem:
        if forced:
            raise
        return load("plain", why=str(problem))
    return cores


def load(name: str, *only: str, why: str = "asked for") -> Cores:
    """Return the cores NAME, ``plain`` or ``compiled``, untested.

    :param only: load no others than these; an empty module stands for each other
    :raises CoreUnavailable: a compiled core was not built, or not of its source
    """
    modules: dict[str, Any] = {}
    versions = set()
    for core in NAMES:
        if (only and core not in only) or not (HERE / f"_{core}.py").exists():
            modules[core] = ModuleType(core)
        elif name == "plain":
            modules[core] = _plain(core)
        else:
            modules[core], cython = _compiled(core)
            versions.add(cython)
    if name == "plain":
        return Cores(name=name, why=why, **modules)
    return Cores(name=name, cython="/".join(sorted(versions)), **modules)


def _plain(core: str) -> ModuleType:
    # under a name of its own: the import system would prefer the library beside it
    name = f"{__package__}.plain_{core}"
    return _module(SourceFileLoader(name, str(HERE / f"_{core}.py")))


def _compiled(core: str) -> tuple[ModuleType, str]:
    """Return the compiled CORE and the version of Cython that compiled it."""
    library = _library(core)
    if library is None:
        which = f"core _{core}" if any(map(_library, NAMES)) else "core"
        raise CoreUnavailable(f"no compiled {which} was built", hint=BUILD)
    mark = MARK.search(library.read_bytes())
    source = hashlib.sha256((HERE / f"_{core}.py").read_bytes()).hexdigest()
    if mark is None or mark[1].decode() != source:
        raise CoreUnavailable(f"{library.name} was not built from the _{core}.py here", hint=BUILD)
    try:
        module = _module(ExtensionFileLoader(f"{__package__}._{core}", str(library)))
    except ImportError as error:
        raise CoreUnavailable(f"{library.name} cannot be loaded: {error}", hint=BUILD) from None
    return module, mark[2].decode()


def _library(core: str) -> Path | None:
    """Return the library of CORE that this Python can load, if one was built."""
    for suffix in EXTENSION_SUFFIXES:
        path = HERE / f"_{core}{suffix}"
        if path.exists():
            return path
    return None


def _module(loader: SourceFileLoader | ExtensionFileLoader) -> ModuleType:
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None  # a loader was given
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def _test(cores: Cores) -> None:
    """Run the self-test of each core.

    :raises CoreUnavailable: one gives a wrong answer, or none
    """
    for core in SELF_TESTS:
        wrong = wrong_answer(core, getattr(cores, core))
        if wrong:
            raise CoreUnavailable(f"the {cores.name} core _{core} fails its self-test: {wrong}")
