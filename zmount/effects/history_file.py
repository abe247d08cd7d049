"""The SQLite file of the history: making, opening, and what is done about a damaged one.

It has a rollback journal, not a write-ahead log: a log needs memory that all processes of
one machine share, so it breaks where two hosts have the file on a network file system, and
whoever may only read the file could not read it. A process that is killed leaves a journal
that the next writer rolls back. Each use opens the file anew, for some 0.2 ms: nothing is
shared by threads or inherited by children, and a file that was moved aside is not held.

The file belongs to whoever owns its directory and may be read by all; its group may write
it if it may write the directory.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import logging
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from zmount.errors import HistoryUnreadable

T = TypeVar("T")

BUSY_S = 5.0  # for others to end their writing, which takes milliseconds
APPLICATION = 0x7A6D6E74  # "zmnt": what sqlite's own header says whose file it is
VERSION = 1
_log = logging.getLogger("zmount.history")
JOURNAL = "-journal"  # sqlite appends this to the name
_SCHEMA = """
CREATE TABLE entries (
    entry INTEGER PRIMARY KEY AUTOINCREMENT,
    operation TEXT NOT NULL,
    began REAL NOT NULL,      -- seconds since the epoch
    duration_s REAL,          -- NULL until it has ended
    host TEXT NOT NULL,
    who TEXT NOT NULL,
    uid INTEGER NOT NULL,
    job TEXT NOT NULL,
    subjects TEXT NOT NULL,   -- these four are JSON
    arguments TEXT NOT NULL,
    plan TEXT NOT NULL,
    numbers TEXT NOT NULL,
    result TEXT NOT NULL,
    exit_status INTEGER,
    sentence TEXT NOT NULL,
    hint TEXT NOT NULL,
    machine TEXT NOT NULL,    -- these three: the process that does it
    pid INTEGER NOT NULL,
    process TEXT NOT NULL
);
CREATE INDEX entries_of_jobs ON entries (job, entry) WHERE job != '';
CREATE TABLE subjects (
    operation TEXT NOT NULL,
    subject TEXT NOT NULL,
    entry INTEGER NOT NULL,
    PRIMARY KEY (operation, subject, entry)
) WITHOUT ROWID;
"""
_NO_DATABASE = "file is not a database"
_DAMAGED = (_NO_DATABASE, "database disk image is malformed")


def written(path: Path, write: Callable[[sqlite3.Connection], T]) -> T:
    """Return what WRITE does in one transaction on the file PATH, which is made if needed.

    What turns out to be no database is moved aside first.

    :raises HistoryUnreadable: it cannot be written, is another program's, or a newer zmount's
    """
    try:
        try:
            return _transaction(path, write)
        except sqlite3.DatabaseError as why:
            if str(why) not in _DAMAGED or not _moved_aside(path):
                raise
            return _transaction(path, write)
    except (sqlite3.Error, OSError) as why:
        raise _unreadable(path, why, "written") from None


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Yield a connection that only reads the file PATH; None if there is no such file.

    :raises HistoryUnreadable: it cannot be read, is another program's, or a newer zmount's
    """
    try:
        if not _is_there(path):
            yield None
            return
        with closing(_readable(path)) as connection:
            yield connection if _version(connection, path) else None
    except (sqlite3.Error, OSError) as why:
        raise _unreadable(path, why, "read") from None


def _transaction(path: Path, write: Callable[[sqlite3.Connection], T]) -> T:
    with closing(_connected(path, "rwc")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            is_new = not _version(connection, path)
            if is_new:
                for statement in _SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
            result = write(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    if is_new:
        _give_to_directory(path)
    return result


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    """Return a connection whose transactions begin and end when told to."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)


def _readable(path: Path) -> sqlite3.Connection:
    """Return a connection that only reads; it may roll back what a killed writer left."""
    connection = _connected(path, "ro")
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        connection = _connected(path, "rw")
        connection.execute("PRAGMA schema_version").fetchone()
    return connection


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of the schema; 0 if there is none yet.

    :raises HistoryUnreadable: it is another program's, or newer than this zmount's
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    if application != APPLICATION and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise HistoryUnreadable(
            f"{path} is another program's database", hint=f"move {path} elsewhere"
        )
    if version > VERSION:
        raise HistoryUnreadable(
            f"{path} was written by a newer zmount", hint="use that one for this deployment"
        )
    return version


def _give_to_directory(path: Path) -> None:
    """Let the new file PATH belong to who owns the directory: root may always write it."""
    of = path.parent.stat()
    if path.is_symlink() or path.stat().st_uid != os.geteuid():
        return
    if os.geteuid() == 0:
        os.chown(path, of.st_uid, of.st_gid)
    elif of.st_gid in os.getgroups():
        os.chown(path, -1, of.st_gid)
    path.chmod(0o664 if of.st_mode & stat.S_IWGRP else 0o644)


def _moved_aside(path: Path) -> bool:
    """Move PATH aside if it is damaged; False if it may not be moved.

    Of several that find it damaged at once, only one moves it: the others see, under
    the directory's lock, that another file is there by then.
    """
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        if _is_damaged(path):
            aside = _aside(path)
            path.rename(aside)
            _log.warning("zmount: warning: %s was damaged: it is now %s", path, aside)
            journal = path.with_name(path.name + JOURNAL)
            if _is_there(journal):
                journal.rename(aside.with_name(aside.name + JOURNAL))
        return True
    except OSError:  # no permission; or a network file system that locks no directories
        return False
    finally:
        os.close(directory)


def _aside(path: Path) -> Path:
    """Return a free name for the damaged file PATH."""
    name = f"{path.name}.damaged-{dt.datetime.now(dt.timezone.utc):%Y-%m-%dT%H%M%S}"
    found, number = path.with_name(name), 1
    while os.path.lexists(found):
        number += 1
        found = path.with_name(f"{name}-{number}")
    return found


def _is_damaged(path: Path) -> bool:
    """True if sqlite itself says so of the file PATH; a directory is no file."""
    if not path.is_file():
        return False
    try:
        with closing(_connected(path, "rw")) as connection:
            connection.execute("BEGIN IMMEDIATE")
            found = connection.execute("PRAGMA quick_check(1)").fetchone()
            return str(found[0]) != "ok"
    except sqlite3.DatabaseError as why:
        return str(why) in _DAMAGED


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def _unreadable(path: Path, why: sqlite3.Error | OSError, what: str) -> HistoryUnreadable:
    """Return the error for WHY the file PATH cannot be WHAT (read, written)."""
    said = (why.strerror or str(why)) if isinstance(why, OSError) else str(why)
    hint = f"only the history is missing; see who may write {path} and {path.parent}"
    if os.path.isdir(path):  # noqa: PTH112 - Path's raises where one may not look
        said, hint = "it is a directory", f"move {path} elsewhere"
    elif said in _DAMAGED:
        hint = f"move {path} aside: the next operation begins a new one"
    elif said == "database is locked":
        said = f"another process has locked it for {BUSY_S:.0f} s"
        hint = f"fuser -v {path} says who"
    return HistoryUnreadable(f"the history {path} cannot be {what}: {said}", hint=hint)
