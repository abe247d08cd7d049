"""Lets a Zope stop where a test wants it to, inside a push; Zope loads its configure.zcml.

A file ``added`` or ``answered`` in the directory PAUSING is the wish; the Zope takes it
away when it has come there, and goes on when there is a file ``go``.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

TIMEOUT_S = 30


def added(thing: Any, event: Any) -> None:
    """An object was added; the transaction goes on."""
    _pause("added", thing.getId())


def answered(event: Any) -> None:
    """The transaction of a request was committed; nobody knows yet but the server."""
    if b"push_object" in (event.request.get("BODY") or b""):
        _pause("answered", "")


def _pause(where: str, what: str) -> None:
    directory = Path(os.environ["PAUSING"])
    with (directory / "passed").open("a") as passed:
        passed.write(f"{where} {what}\n")
    try:
        (directory / where).unlink()
    except FileNotFoundError:
        return
    deadline = time.monotonic() + TIMEOUT_S
    while not (directory / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
