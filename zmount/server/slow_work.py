"""Work that takes long, for which nobody waits: with pauses, or by a nice process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import TypeVar

from ZODB.POSException import StorageError

from zmount.filestorage.child import command, environment

NICE = 10
PAUSE_S = 0.002  # production's commits come first
PIECE = 50  # links, removals or directories between two pauses
LOOK_S = 0.05  # so often is looked whether somebody is to be given way to

T = TypeVar("T")
GiveWay = Callable[[], None]


class ChildFailed(StorageError):  # type: ignore[misc]
    """The process ended before its work did."""


def paced(steps: Iterable[T], give_way: GiveWay | None = None) -> Iterator[T]:
    """Yield the STEPS, with a pause now and then, in which GIVE_WAY is called."""
    for number, step in enumerate(steps, 1):
        yield step
        if number % PIECE == 0:
            time.sleep(PAUSE_S)
            if give_way is not None:
                give_way()


def in_child(module: str, function: str, *arguments: str, give_way: GiveWay | None = None) -> int:
    """Call FUNCTION of MODULE in a process of its own, which dies with this one.

    Return the count that it returns. What GIVE_WAY raises ends it.

    :raises ChildFailed: it fails, or is killed
    """
    with subprocess.Popen(
        command(__name__, "main", module, function, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as child:
        try:
            printed, said = _communicated(child, give_way)
        finally:
            child.kill()
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise ChildFailed(f"the process that did it was ended by {name}")
    if child.returncode:
        raise ChildFailed((said.strip().splitlines() or [f"exit status {child.returncode}"])[-1])
    return int(json.loads(printed))


def _communicated(child: subprocess.Popen[str], give_way: GiveWay | None) -> tuple[str, str]:
    while True:
        try:
            return child.communicate(timeout=None if give_way is None else LOOK_S)
        except subprocess.TimeoutExpired:
            if give_way is not None:
                give_way()


def main(module: str, function: str, *arguments: str) -> None:
    """What the child does."""
    os.nice(NICE)
    count: int = getattr(import_module(module), function)(*arguments)
    print(json.dumps(count))  # noqa: T201
