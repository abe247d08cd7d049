"""What a pack says that it dropped, while others go on committing."""

from __future__ import annotations

from pathlib import Path

import ZODB
from persistent.mapping import PersistentMapping
from ZODB.FileStorage import FileStorage

from zmount.filestorage.output import Measure
from zmount.filestorage.packing import Job, Packing
from zmount.filestorage.source import open_source


def test_objects_that_are_made_during_a_pack_do_not_lessen_those_that_it_drops(
    tmp_path: Path,
) -> None:
    path = tmp_path / "Data.fs"
    db = ZODB.DB(FileStorage(str(path)))
    with db.transaction() as connection:
        connection.root()["a"] = PersistentMapping()
    with db.transaction() as connection:
        del connection.root()["a"]
    end, stop = path.stat().st_size, int.from_bytes(db.storage.lastTransaction(), "big")
    with open_source(path, end) as source:
        packing = Packing(source, Job(path=path, end=end, stop=stop), lambda *progress: None)
        packing.survey()
        output = Measure()
        packing.frees_nothing(output)
        packing.write_rest(output)
        with db.transaction() as connection:
            connection.root()["b"] = PersistentMapping()
        with open_source(path) as later:
            packing.catch_up(later, output)
            figures = packing.report()
    db.close()

    assert (figures.objects_before, figures.objects_after) == (3, 2)
