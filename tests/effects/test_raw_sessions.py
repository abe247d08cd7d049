"""How many sessions there are is read from the records, whoever holds the storage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from OFS.Application import Application
from Products.Transience.Transience import (
    MaxTransientObjectsExceeded,
    TransientObjectContainer,
)
from Products.Transience.TransientObject import TransientObject
from zope_files import in_file

from zmount.effects.raw_folders import entry
from zmount.effects.raw_records import RawDatabase
from zmount.effects.raw_sessions import SessionContainer, session_container
from zmount.server.changes_file import ChangesFile

PERIOD_S = 20


@pytest.fixture
def data_fs(tmp_path: Path) -> Path:
    return tmp_path / "Data.fs"


@pytest.fixture
def read(data_fs: Path) -> Iterator[Callable[[], SessionContainer]]:
    opened: list[RawDatabase] = []

    def read() -> SessionContainer:
        database = RawDatabase(ChangesFile(str(data_fs), read_only=True), "pub/session")
        opened.append(database)
        app = database.referred(database.root()["Application"])
        assert app is not None
        record = database.referred(entry(database, app, "session_data"))
        assert record is not None
        return session_container(database, record)

    yield read
    for database in opened:
        database.close()


def container(app: Application, *, minutes: int = 20, limit: int = 0) -> Any:
    app._setObject(
        "session_data", TransientObjectContainer("session_data", timeout_mins=minutes, limit=limit)
    )
    return app.session_data


def test_an_empty_container_has_its_timeout_and_limit(data_fs, read):
    in_file(data_fs, lambda app: container(app, minutes=5, limit=7))

    assert read() == SessionContainer(timeout_s=300, limit=7, live=0, expired=0, counted=0)


def test_sessions_of_many_slices_are_counted_each_once(data_fs, read):
    def fill(app: Application) -> None:
        sessions = container(app)
        slices = list(sessions._data.keys())
        for number in range(100):
            sessions._data[slices[number % 3]][f"id{number}"] = TransientObject(f"id{number}")
        sessions._data[slices[1]]["id0"] = sessions._data[slices[0]]["id0"]

    in_file(data_fs, fill)

    assert read().live == 100


def test_a_session_of_a_slice_before_the_timeout_has_expired(data_fs, read):
    ended = int(time.time()) // PERIOD_S * PERIOD_S - 20 * 60

    def fill(app: Application) -> None:
        sessions = container(app)
        # first, for in a new slice of time Zope drops what has expired before it adds anything
        sessions["new"] = TransientObject("new")
        for begin in (ended - 2 * PERIOD_S, ended + 2 * PERIOD_S):
            sessions._data[begin] = type(sessions._data[max(sessions._data)])()
            sessions._data[begin][f"id{begin}"] = TransientObject(f"id{begin}")

    in_file(data_fs, fill)

    found = read()
    assert (found.live, found.expired) == (2, 1)
    zope: list[int] = []
    in_file(data_fs, lambda app: zope.append(len(app.session_data.keys())))
    assert zope == [2], "Zope itself sees as many"


def test_without_a_timeout_no_session_expires(data_fs, read):
    def fill(app: Application) -> None:
        container(app, minutes=0)["id"] = TransientObject("id")

    in_file(data_fs, fill)

    assert (read().timeout_s, read().live, read().expired) == (0, 1, 0)


def test_a_full_container_is_told(data_fs, read):
    def fill(app: Application) -> None:
        container(app, limit=1)["id"] = TransientObject("id")

    in_file(data_fs, fill)

    assert read().is_full


@pytest.mark.parametrize("is_inband", [True, False])
def test_a_container_that_is_full_of_sessions_that_are_over_is_full_only_if_nobody_drops_them(
    data_fs, read, is_inband
):
    def fill(app: Application) -> None:
        sessions = container(app, limit=1)
        sessions["old"] = TransientObject("old")
        (present,) = [begin for begin, ids in sessions._data.items() if "old" in ids]
        sessions._data[present - 3600] = sessions._data[present]
        sessions._data[present] = type(sessions._data[present])()
        sessions._last_finalized_timeslice.set(present - 7200)  # nobody came for two hours
        if not is_inband:
            sessions.disableInbandHousekeeping()

    in_file(data_fs, fill)

    found = read()
    assert (found.live, found.expired, found.is_full) == (0, 1, not is_inband)

    def ask(app: Application) -> None:
        app.session_data.new_or_existing("new")

    if is_inband:
        in_file(data_fs, ask)  # Zope agrees
        assert read().live == 1
    else:
        with pytest.raises(MaxTransientObjectsExceeded):
            in_file(data_fs, ask)


def test_a_class_that_is_stored_in_a_session_is_not_imported(data_fs, read):
    def fill(app: Application) -> None:
        session = TransientObject("id")
        session["what"] = Gone()
        container(app)["id"] = session

    in_file(data_fs, fill)

    assert read().live == 1


def test_objects_are_counted(data_fs):
    in_file(data_fs, container)
    database = RawDatabase(ChangesFile(str(data_fs), read_only=True), "pub/session")

    assert database.object_count() > 30  # a tree for each slice
    database.close()
    assert RawDatabase(None, "none").object_count() == 0


class Gone:
    """A class of a product."""
