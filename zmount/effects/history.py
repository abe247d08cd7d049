"""One history of all operations: what was done, by whom, and what came of it.

It is an SQLite file beside the topology, see ``history_file``. An entry is written when
an operation begins and again when it ends, so one that was killed is known, too: its
process is gone, and nobody said how it ended. The newest :data:`KEPT` entries are kept,
and of each operation on each thing the last one however old.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, cast

from zmount.effects.history_file import reading, written
from zmount.effects.process_table import identity
from zmount.errors import HistoryUnreadable

KEPT = 50_000  # entries; a kilobyte each, or less
_SWEEP = 500  # entries between two looks at how many there are
_MOST_LINES = 200  # of a plan
_LONGEST = 2000  # characters of a text

Scalar: TypeAlias = "str | int | float | bool | None"
Result = Literal[
    "done",
    "nothing to do",
    "refused",
    "failed",
    "interrupted",
    "running",
    "did not end",  # killed, or the machine went down
    "begun",  # on another machine: from here it is not to be known
]
ENDED: tuple[Result, ...] = ("done", "nothing to do", "refused", "failed", "interrupted")
FAILED: tuple[Result, ...] = ("refused", "failed", "interrupted", "did not end")
_NONE: Mapping[str, Scalar] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one operation did to its ``subjects``: the storages, sites, processes it is about.

    ``began`` is in seconds since the epoch, ``host`` the topology's name of the machine
    it acted on. ``who`` is the login name, also of one who used sudo, ``uid`` the user id
    it ran as, ``job`` the scheduled job. ``arguments`` are what was asked for, ``plan``
    what was to be done, a line each; ``numbers`` what came of it: sizes in bytes, counts,
    a word or two. ``sentence`` and ``hint`` are its error. Until it has ended there is no
    ``exit_status`` and no ``duration_s``. ``number`` is its own; None before it is written.
    """

    operation: str
    began: float
    who: str
    host: str
    subjects: tuple[str, ...] = ()
    arguments: Mapping[str, Scalar] = field(default_factory=lambda: _NONE)
    plan: tuple[str, ...] = ()
    result: Result = "running"
    exit_status: int | None = None
    sentence: str = ""
    hint: str = ""
    duration_s: float | None = None
    numbers: Mapping[str, Scalar] = field(default_factory=lambda: _NONE)
    uid: int = -1
    job: str = ""
    number: int | None = None

    @property
    def is_failure(self) -> bool:
        """True if it was not done, as far as is known."""
        return self.result in FAILED

    @property
    def has_ended(self) -> bool:
        """False for one at work, and for one that never said how it ended."""
        return self.duration_s is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which entries are wanted: those about any of ``names``, of ``operation``, of ``job``.

    Not older than ``since``, in seconds since the epoch; ``failed`` ones only; the
    ``newest`` so many. None and () are no limit.
    """

    names: tuple[str, ...] = ()
    operation: str | None = None
    job: str | None = None
    since: float | None = None
    failed: bool = False
    newest: int | None = None


def history_file(topology_file: str | os.PathLike[str]) -> Path:
    """Return where the history of the deployment is that TOPOLOGY_FILE describes.

    That of ``zmount.conf`` is ``zmount.history`` beside it.
    """
    path = Path(topology_file)
    return path.with_name((path.stem if path.suffix == ".conf" else path.name) + ".history")


def append(path: Path, entry: Entry) -> Entry:
    """Add ENTRY to the history PATH; return it with its number.

    :raises HistoryUnreadable: it cannot be written
    """
    return written(path, lambda connection: _inserted(connection, entry))


def amend(path: Path, entry: Entry) -> Entry:
    """Let ENTRY, appended before, say what it says now; append it if it is not there any more.

    :raises HistoryUnreadable: the history PATH cannot be written
    """

    def amended(connection: sqlite3.Connection) -> Entry:
        row = _row(entry)
        values = ", ".join(f"{column} = :{column}" for column in row)
        which = "entry = :entry AND began = :began AND process = :process"
        changed = connection.execute(
            f"UPDATE entries SET {values} WHERE {which}", {**row, "entry": entry.number}
        )
        if changed.rowcount != 1:
            return _inserted(connection, entry)
        connection.execute("DELETE FROM subjects WHERE entry = ?", (entry.number,))
        _insert_subjects(connection, entry)
        return entry

    return written(path, amended)


def forget(path: Path, entry: Entry) -> None:
    """Remove ENTRY, which turned out to be none.

    :raises HistoryUnreadable: the history PATH cannot be written
    """

    def forgotten(connection: sqlite3.Connection) -> None:
        for table in ("entries", "subjects"):
            connection.execute(f"DELETE FROM {table} WHERE entry = ?", (entry.number,))

    written(path, forgotten)


def entries(path: Path, search: Search = Search()) -> tuple[Entry, ...]:
    """Return the entries of the history PATH that SEARCH wants, oldest first.

    Without the file there are none.

    :raises HistoryUnreadable: it cannot be read
    """
    where, values = _where(search)
    limit = -1 if search.newest is None or search.failed else search.newest
    found = _found(path, f"{where} ORDER BY entry DESC LIMIT ?", (*values, limit))
    # of those that have not ended, only their processes tell whether they failed
    wanted = [each for each in found if each.is_failure] if search.failed else list(found)
    return tuple(reversed(wanted[: search.newest]))


def last(
    path: Path, operation: str, subject: str, *, results: tuple[Result, ...] = ()
) -> Entry | None:
    """Return the newest entry of OPERATION on SUBJECT, or the newest that came to one of RESULTS.

    One that has not ended counts as ``running``, alive or dead.

    :raises HistoryUnreadable: the history PATH cannot be read
    """
    newest = "SELECT max(entry) FROM subjects JOIN entries USING (entry)"
    where = "subjects.operation = ? AND subject = ?"
    if results:
        where += f" AND result IN ({_marks(results)})"
    values = (operation, subject, *results)
    return next(iter(_found(path, f"WHERE entry = ({newest} WHERE {where})", values)), None)


def last_of_each(path: Path, *operations: str) -> dict[tuple[str, str], Entry]:
    """Return the newest entry of each of OPERATIONS on each subject, by both.

    :raises HistoryUnreadable: the history PATH cannot be read
    """
    newest = (
        f"SELECT max(entry) FROM subjects WHERE operation IN ({_marks(operations)}) "
        "GROUP BY operation, subject"
    )
    found = _found(path, f"WHERE entry IN ({newest}) ORDER BY entry", operations)
    return {(each.operation, subject): each for each in found for subject in each.subjects}


def _where(search: Search) -> tuple[str, tuple[Scalar, ...]]:
    terms: list[str] = []
    values: list[Scalar] = []
    if search.names:
        about = f"SELECT entry FROM subjects WHERE subject IN ({_marks(search.names)})"
        terms.append(f"entry IN ({about})")
        values += search.names
    for column, value in (("operation =", search.operation), ("job =", search.job)):
        if value is not None:
            terms.append(f"{column} ?")
            values.append(value)
    if search.since is not None:
        terms.append("began >= ?")
        values.append(search.since)
    if search.failed:
        terms.append(f"(duration_s IS NULL OR result IN ({_marks(FAILED)}))")
        values += FAILED
    return ("WHERE " + " AND ".join(terms) if terms else ""), tuple(values)


def _marks(values: Sized) -> str:
    return ", ".join("?" * len(values))


def _found(path: Path, where: str, values: Iterable[Scalar]) -> tuple[Entry, ...]:
    with reading(path) as connection:
        if connection is None:
            return ()
        connection.row_factory = sqlite3.Row
        rows = connection.execute(f"SELECT * FROM entries {where}", tuple(values)).fetchall()
    try:
        return tuple(map(_entry, rows))
    except (ValueError, TypeError, AttributeError) as why:
        raise HistoryUnreadable(
            f"the history {path} holds what no zmount writes: {why}",
            hint=f"move {path} aside: the next operation begins a new one",
        ) from None


def _entry(row: sqlite3.Row) -> Entry:
    return Entry(
        operation=row["operation"],
        began=float(row["began"]),
        who=row["who"],
        host=row["host"],
        subjects=tuple(json.loads(row["subjects"])),
        arguments=dict(json.loads(row["arguments"])),
        plan=tuple(json.loads(row["plan"])),
        result=_result(row),
        exit_status=row["exit_status"],
        sentence=row["sentence"],
        hint=row["hint"],
        duration_s=row["duration_s"],
        numbers=dict(json.loads(row["numbers"])),
        uid=row["uid"],
        job=row["job"],
        number=row["entry"],
    )


def _result(row: sqlite3.Row) -> Result:
    """Return what came of it; of one that did not say, whether its process is still at it."""
    if row["duration_s"] is not None:
        return cast(Result, row["result"])
    if row["machine"] != os.uname().nodename:
        return "begun"
    return "running" if identity(row["pid"]) == row["process"] else "did not end"


def _row(entry: Entry) -> dict[str, Any]:
    """Return ENTRY as the values of its columns."""
    plan = [_text(line) for line in entry.plan[:_MOST_LINES]]
    if len(entry.plan) > _MOST_LINES:
        plan.append(f"and {len(entry.plan) - _MOST_LINES} more")
    return {
        "operation": _text(entry.operation),
        "began": entry.began,
        "duration_s": entry.duration_s,
        "host": _text(entry.host),
        "who": _text(entry.who),
        "uid": entry.uid,
        "job": _text(entry.job),
        "subjects": json.dumps([*map(_text, entry.subjects)], ensure_ascii=False),
        "arguments": json.dumps(dict(_texts(entry.arguments)), ensure_ascii=False),
        "plan": json.dumps(plan, ensure_ascii=False),
        "numbers": json.dumps(dict(_texts(entry.numbers)), ensure_ascii=False),
        "result": entry.result,
        "exit_status": entry.exit_status,
        "sentence": _text(entry.sentence),
        "hint": _text(entry.hint),
        "machine": os.uname().nodename,
        "pid": os.getpid(),
        "process": identity(os.getpid()) or "",
    }


def _texts(values: Mapping[str, Scalar]) -> Iterator[tuple[str, Scalar]]:
    for name, value in values.items():
        yield _text(name), _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    """Return TEXT as sqlite takes it: a file's name may hold what is no character."""
    return text[:_LONGEST].encode(errors="backslashreplace").decode()


def _inserted(connection: sqlite3.Connection, entry: Entry) -> Entry:
    row = _row(entry)
    columns, marks = ", ".join(row), ", ".join(f":{column}" for column in row)
    made = connection.execute(f"INSERT INTO entries ({columns}) VALUES ({marks})", row)
    entry = replace(entry, number=made.lastrowid)
    _insert_subjects(connection, entry)
    if entry.number is not None and entry.number % _SWEEP == 0:
        _drop_old(connection)
    return entry


def _insert_subjects(connection: sqlite3.Connection, entry: Entry) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO subjects VALUES (?, ?, ?)",
        [(_text(entry.operation), _text(each), entry.number) for each in entry.subjects],
    )


def _drop_old(connection: sqlite3.Connection) -> None:
    """Drop the oldest entries, but of each operation on each thing the last."""
    oldest = connection.execute(
        "SELECT entry FROM entries ORDER BY entry DESC LIMIT 1 OFFSET ?", (KEPT,)
    ).fetchone()
    if oldest is None:
        return
    lasting = "SELECT max(entry) FROM subjects GROUP BY operation, subject"
    for table in ("entries", "subjects"):
        connection.execute(
            f"DELETE FROM {table} WHERE entry <= ? AND entry NOT IN ({lasting})", oldest
        )
