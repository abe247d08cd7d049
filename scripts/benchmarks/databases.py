"""The databases that are measured: made once, by seed, and kept in a directory."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.site import SEED, Shape, Site, is_deleted
from benchmarks.writing import Database

VERSION = 1  # of what is generated: another one makes the files anew
SAMPLED_DOCUMENTS = 10_000

SHAPES = {
    "tiny": Shape(folders=3, edits=600, blobs=20, undos=3),
    "S": Shape(folders=498, edits=108_000, blobs=1000, undos=30),
    "B": Shape(folders=498, edits=108_000, blobs=50_000, undos=30),
    "M": Shape(folders=4980, edits=1_080_000, blobs=0, undos=300),
    "XL": Shape(folders=49_800, edits=10_800_000, blobs=0, undos=3000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A generated database, ready to be measured.

    ``middle_s`` is the time of the transaction in the middle of the file;
    ``documents`` are oids of some that every pack keeps.
    """

    name: str
    path: Path
    size_bytes: int
    records: int
    objects: int
    transactions: int
    middle_s: float
    documents: tuple[int, ...]

    @property
    def blob_dir(self) -> Path | None:
        """Its directory of blobs; None if it has no blobs."""
        blobs = Path(f"{self.path}.blobs")
        return blobs if blobs.exists() else None

    def __str__(self) -> str:
        return f"{self.name}, {self.size_bytes / 1e6:,.0f} MB"


def sample(name: str, directory: Path, say: Callable[[str], None]) -> Sample:
    """Return the database NAME in DIRECTORY; make it if it is not there.

    :param name: one of SHAPES
    """
    directory.mkdir(parents=True, exist_ok=True)
    path, note = directory / f"{name}.fs", directory / f"{name}.json"
    made_from = {"version": VERSION, "seed": SEED, **asdict(SHAPES[name])}
    with (directory / f"{name}.making").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = json.loads(note.read_text()) if note.exists() else {}
        if found.get("made_from") != made_from or path.stat().st_size != found["size_bytes"]:
            say(f"making {path}")
            note.unlink(missing_ok=True)
            found = {"made_from": made_from, **_make(path, SHAPES[name])}
            note.write_text(json.dumps(found))
    del found["made_from"]
    return Sample(name=name, path=path, **found | {"documents": tuple(found["documents"])})


def _make(path: Path, shape: Shape) -> dict[str, object]:
    shutil.rmtree(f"{path}.blobs", ignore_errors=True)
    with Database(path) as database:
        site = Site(database, shape)
        site.live()
        database.save_index()
    kept = [number for number in range(0, site.documents, 7) if not is_deleted(number)]
    return {
        "size_bytes": database.size,
        "records": database.records,
        "objects": database.objects,
        "transactions": len(database.starts),
        "middle_s": database.middle_time(),
        "documents": [
            site.document_oid(number) for number in kept[:: 1 + len(kept) // SAMPLED_DOCUMENTS]
        ],
    }
