"""Copies production by a process of its own, which is nice to others and dies with this one."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zmount.errors import ZMountError
from zmount.filestorage.child import command, environment
from zmount.filestorage.clone import clone

NICE = 19
EVERY_S = 0.1  # how often it says how far it is

Progress = Callable[[str, int, int], None]


class CopyFailed(ZMountError):
    """The process could not make the copy."""


def copy_storage(
    path: Path, blob_dir: Path | None, target: Path, progress: Progress
) -> dict[str, Any]:
    """Clone the storage in the data file PATH into the directory TARGET; return what was made.

    :raises CopyFailed: why not
    """
    arguments = (str(path), "" if blob_dir is None else str(blob_dir), str(target))
    said: dict[str, Any] = {}
    with subprocess.Popen(
        command(__name__, "main", *arguments),
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as child:
        try:
            assert child.stdout is not None
            for line in child.stdout:
                said = json.loads(line)
                if "phase" in said:
                    progress(said["phase"], said["done"], said["total"])
        finally:
            child.kill()
    if "made" not in said:
        why = said.get("error") or f"its process ended with status {child.returncode}"
        raise CopyFailed(f"{path}: it cannot be copied: {why}")
    made: dict[str, Any] = said["made"]
    return made


def main(path: str, blob_dir: str, target: str) -> None:
    """What the process does; it answers with lines of JSON."""
    os.nice(NICE)
    telling = threading.Lock()
    told = 0.0

    def tell(answer: dict[str, Any]) -> None:
        with telling:
            print(json.dumps(answer), flush=True)  # noqa: T201

    def progress(phase: str, done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told > EVERY_S:
            told = now
            tell({"phase": phase, "done": done, "total": total})

    try:
        made = clone(path, target, blob_dir=blob_dir or None, progress=progress)
    except ZMountError as why:
        tell({"error": str(why)})
        return
    tell(
        {
            "made": {
                "data_fs": str(made.data_fs),
                "blob_dir": None if made.blob_dir is None else str(made.blob_dir),
                "size_bytes": made.size_bytes,
                "last_tid": made.last_tid,
            }
        }
    )
