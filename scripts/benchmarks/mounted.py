"""Run as a process: writes mounts into a root, and what they show; then has the root open.

    mounted.py ROOT STORAGES

Its input begins with a line of JSON, the ids of sites. For each a mount point goes into
ROOT, a FileStorage, and a storage into the directory STORAGES. Prints "ready" and keeps
the root open until its input ends. Needs Zope, whose classes the objects are of.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import transaction
from OFS.Application import Application
from OFS.Folder import Folder
from Products.ZODBMountPoint.MountedObject import MountedObject
from ZODB import DB
from ZODB.FileStorage import FileStorage

COMMITS = 200  # to the root after the mounts were made, which its saved index does not know


def main(root: Path, storages: Path, names: list[str]) -> None:
    """Write it all and wait."""
    for name in names:
        _write_site(storages / name, name)
    database = DB(FileStorage(str(root)))
    connection = database.open()
    app = connection.root()["Application"] = Application()
    home = _folder(app, "home")
    home._mount_points = {}
    entries = []
    for name in names:
        mount = MountedObject(f"/home/{name}")
        mount._create_mount_points = False
        home.__dict__[mount.id] = home._mount_points[mount.id] = mount
        entries.append({"id": mount.id, "meta_type": "Folder"})
    home._objects = tuple(entries)
    home._p_changed = True
    transaction.commit()
    for number in range(COMMITS):
        app.title = f"edited {number}"
        transaction.commit()
    print("ready", flush=True)
    sys.stdin.read()


def _write_site(directory: Path, name: str) -> None:
    directory.mkdir(parents=True)
    storage = FileStorage(str(directory / "Data.fs"))
    with DB(storage).transaction() as connection:
        app = connection.root()["Application"] = Application()
        _folder(_folder(app, "home"), name)
    storage.close()  # with its index, as a server that ends does


def _folder(parent: Any, name: str) -> Folder:
    made = Folder(name)
    parent.__dict__[name] = made
    parent._objects = (*parent._objects, {"id": name, "meta_type": "Folder"})
    return made


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.stdin.readline()))
