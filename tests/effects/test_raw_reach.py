"""How much an object and what lies below it take, from a file and record by record."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ZODB.utils import z64

from zmount.effects.raw_file import DataFile
from zmount.effects.raw_folders import entry
from zmount.effects.raw_reach import Lying, lying_below
from zmount.effects.raw_records import RawDatabase, Record

PLONE = Path(__file__).parents[1] / "data" / "plone-small.tar.xz"
SITE = "srichinmoyraces.org"


class Plain:
    """A storage that is no file: what a ZEO server gives."""

    def __init__(self, file: DataFile) -> None:
        self.file = file

    def loadBefore(self, oid: bytes, tid: bytes) -> Any:
        """Return what the file has."""
        return self.file.loadBefore(oid, tid)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


@pytest.fixture(scope="module")
def plone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("plone")
    with tarfile.open(PLONE) as archive:
        archive.extractall(directory, filter="fully_trusted")  # it is ours
    return directory


@pytest.fixture
def database(plone: Path) -> Iterator[RawDatabase]:
    opened = RawDatabase(DataFile(plone / "filestorage" / "Prod.fs"), "plone")
    yield opened
    opened.close()


def way(database: RawDatabase) -> tuple[Record, Record, Record]:
    """Return the Application, its folder and the site in that."""
    app = database.referred(database.root()["Application"])
    assert app is not None
    home = database.referred(entry(database, app, "home"))
    assert home is not None
    site = database.referred(entry(database, home, SITE))
    assert site is not None
    return app, home, site


def test_a_file_and_a_server_give_the_same(database: RawDatabase, plone: Path) -> None:
    app, home, site = way(database)
    assert isinstance(database.storage, DataFile)
    plain = RawDatabase(Plain(database.storage), "plone")
    above = (app.oid, home.oid)

    by_file = lying_below(database, site.oid, above=above, blob_dir=plone / "blobs")
    by_record = lying_below(plain, site.oid, above=above, blob_dir=plone / "blobs")

    assert by_file == by_record
    assert by_file.objects == 8759
    assert by_file.blob_bytes == sum(
        path.stat().st_size for path in (plone / "blobs").rglob("*.blob")
    )


def test_what_is_above_does_not_count_although_it_is_referred_to(database: RawDatabase) -> None:
    app, home, site = way(database)
    all_there_is = lying_below(database, z64)

    assert lying_below(database, home.oid, above=(app.oid,)).objects < all_there_is.objects
    assert lying_below(database, site.oid, above=(app.oid, home.oid)).objects == 8759


def test_an_object_that_is_not_there_takes_nothing(database: RawDatabase) -> None:
    assert lying_below(database, b"\0" * 6 + b"\xff\xff") == Lying()
