"""Databases with history and garbage, for tests that pack them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from persistent.mapping import PersistentMapping
from ZODB import DB
from ZODB.blob import Blob
from ZODB.FileStorage import FileStorage

OBJECTS = 300


@contextmanager
def opened(data_fs: Path) -> Iterator[DB]:
    """Yield the database in the file DATA_FS, with its blobs beside it."""
    data_fs.parent.mkdir(parents=True, exist_ok=True)
    db = DB(FileStorage(str(data_fs), blob_dir=str(data_fs.parent / "blobs")))
    try:
        yield db
    finally:
        db.close()


def fill(data_fs: Path) -> None:
    """Make DATA_FS: :data:`OBJECTS` objects and a blob; a third is garbage, all have history."""
    with opened(data_fs) as db:
        with db.transaction() as connection:
            root = connection.root()
            for number in range(OBJECTS):
                root[number] = PersistentMapping(text="x" * 200)
        for change in range(3):
            with db.transaction() as connection:
                for number in range(0, OBJECTS, 2):
                    connection.root()[number]["change"] = change
        with db.transaction() as connection:
            connection.root()["blob"] = Blob(b"content")
        with db.transaction() as connection:
            del connection.root()["blob"]
            for number in range(0, OBJECTS, 3):
                del connection.root()[number]


def slow_packer(directory: Path) -> None:
    """Write the module ``slow``; its packer waits for a file ``go`` in DIRECTORY.

    While it is at work there is a Data.fs.pack, which it removes at its end.
    """
    (directory / "slow.py").write_text(
        "import json, pathlib, time\n"
        f"GO = pathlib.Path({str(directory / 'go')!r})\n"
        "def pack(storage, referencesf, stop, gc):\n"
        "    new = pathlib.Path(storage._file_name + '.pack')\n"
        "    progress = {'phase': 'slowly', 'done': 1, 'total': 2, 'started': time.time()}\n"
        "    new.with_name(new.name + '-progress').write_text(json.dumps(progress))\n"
        "    new.touch()\n"
        "    try:\n"
        "        while not GO.exists():\n"
        "            time.sleep(0.02)\n"
        "    finally:\n"
        "        new.unlink()\n"
    )


def garbage(data_fs: Path) -> int:
    """Return how many objects DATA_FS holds that its root does not lead to."""
    with opened(data_fs) as db:
        reachable = {0}
        pending = [b"\0" * 8]
        from ZODB.serialize import referencesf

        while pending:
            for oid in referencesf(db.storage.load(pending.pop())[0]):
                if int.from_bytes(oid, "big") not in reachable:
                    reachable.add(int.from_bytes(oid, "big"))
                    pending.append(oid)
        return len(db.storage) - len(reachable)


def numbers(data_fs: Path) -> set[object]:
    """Return the keys of the root of the database in DATA_FS, each loaded."""
    with opened(data_fs) as db, db.transaction() as connection:
        return {key for key, value in connection.root().items() if dict(value) is not None}
