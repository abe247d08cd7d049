"""Packs a storage that nobody has open, or says what a pack would free.

Reads a request as JSON on stdin and writes the answer as JSON on stdout::

    {"action": "pack", "conf": the storage's section, "data_fs": ..., "time": epoch seconds}
    {"action": "preview", "data_fs": ..., "blob_dir": ... or null, "time": ..., "gc": true,
     "is_closed": true}

    {"report": {...}}            of a preview, else empty
    {"error": ..., "hint": ...}

It runs in the Python that would open the storage, as the user who would.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any


def answer_to(request: dict[str, Any]) -> dict[str, Any]:
    """Do what REQUEST says."""
    try:
        return {"report": _ACTIONS[request["action"]](request)}
    except Exception as why:  # of ZODB, of a packer, of the machine: zmount shows it
        traceback.print_exc()
        said = str(why)
        if not said or isinstance(why, KeyError):  # which says the key, and nothing else
            said = f"{type(why).__name__} {said}".rstrip()
        return {"error": said, "hint": getattr(why, "hint", "")}


def _pack(request: dict[str, Any]) -> dict[str, Any]:
    path = Path(request["data_fs"])
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there")  # opening would make it
    _must_be_whole(path)
    from ZODB.config import storageFromString
    from ZODB.serialize import referencesf

    storage = storageFromString(request["conf"])
    try:
        storage.pack(request["time"], referencesf)
    finally:
        storage.close()
    return {}


def _must_be_whole(path: Path) -> None:
    """Refuse a file that FileStorage would cut short when it opens it, unasked."""
    try:
        from zmount.errors import StorageUnreadable
        from zmount.filestorage.source import torn_bytes
    except ModuleNotFoundError:
        return  # another packer, in an environment that has no zmount
    is_empty = path.is_file() and not path.stat().st_size
    if torn := 0 if is_empty else torn_bytes(path):
        raise StorageUnreadable(
            f"{path}: its last {torn:,} bytes are no whole transaction; nothing was packed, "
            "for FileStorage cuts them off when it opens the file",
            hint="zmount verify; where nothing else is lost, zmount start lets it cut them off",
        )


def _preview(request: dict[str, Any]) -> dict[str, Any]:
    from ZODB.TimeStamp import TimeStamp

    from zmount.filestorage.preview import preview

    if request["is_closed"]:
        _must_be_whole(Path(request["data_fs"]))
    moment = request["time"]
    stop = TimeStamp(*time.gmtime(moment)[:5], moment % 60).raw()  # as FileStorage.pack does
    blob_dir = request["blob_dir"]
    report: dict[str, Any] = preview(
        Path(request["data_fs"]),
        int.from_bytes(stop, "big"),
        gc=request["gc"],
        blob_dir=Path(blob_dir) if blob_dir and Path(blob_dir).is_dir() else None,
    )
    return report


_ACTIONS = {"pack": _pack, "preview": _preview}


def _end(signum: int, _: object) -> None:
    """Leave by way of every ``finally``: a packer removes what it has begun."""
    sys.exit(128 + signum)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    logging.getLogger().addHandler(logging.NullHandler())
    json.dump(answer_to(json.load(sys.stdin)), sys.stdout)
