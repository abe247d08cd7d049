"""Each operation that changes or proves something leaves an entry in the history.

::

    with recorded(topology.file, host.name, "pack", subjects=[storage.name]) as record:
        record.numbers(freed=pack_it())

The entry is written when the block begins, and again when it ends: with what was said to
the :class:`Record`, or with the error that was raised. A SIGTERM is one, too. A dry run
leaves none; neither does what was never begun, because a name or the topology was wrong.
That the history cannot be written is one line on stderr, and stops nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from zmount.effects.clock import Stopwatch, now
from zmount.effects.history import (
    ENDED,
    Entry,
    Result,
    Scalar,
    amend,
    append,
    forget,
    history_file,
    last,
)
from zmount.effects.person import login_name, user_id
from zmount.effects.signals import terminable
from zmount.errors import (
    AccessCopyRefused,
    AccessRefused,
    ApplyRefused,
    HistoryUnreadable,
    JobRefused,
    Locked,
    PackRefused,
    ProofRefused,
    SandboxRefused,
    SwapRefused,
    TopologyError,
    ZMountError,
)

T = TypeVar("T")

JOB = "ZMOUNT_JOB"  # the environment's variable with the scheduled job's name
PAUSE_S = 60  # before a history that could not be written is tried again
INTERRUPTED = 130  # the exit status, as shells say it
_REFUSALS = (
    ApplyRefused,
    PackRefused,
    SwapRefused,
    SandboxRefused,
    AccessRefused,
    AccessCopyRefused,
    ProofRefused,
    JobRefused,
    Locked,
)
_log = logging.getLogger("zmount.history")  # without a handler Python writes it to stderr
_given_up: dict[Path, Stopwatch] = {}


class Record:
    """What an operation says of itself while it is at work."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry

    def subjects(self, names: Iterable[str]) -> None:
        """It is about NAMES, too."""
        known = (*self.entry.subjects, *names)
        self.entry = replace(self.entry, subjects=tuple(dict.fromkeys(known)))

    def plan(self, lines: Iterable[object]) -> None:
        """It does what LINES say, besides what was said before."""
        more = (part for line in lines for part in str(line).splitlines())
        self.entry = replace(self.entry, plan=(*self.entry.plan, *more))

    def numbers(self, **numbers: Scalar) -> None:
        """What came of it: sizes in bytes, counts, a word or two; None is left out."""
        known = {name: value for name, value in numbers.items() if value is not None}
        self.entry = replace(self.entry, numbers={**self.entry.numbers, **known})

    def nothing_to_do(self) -> None:
        """All was as it should be already."""
        self._came("nothing to do")

    def failed(self, error: ZMountError | None) -> None:
        """It came to ERROR, which is told and not raised; None is no error."""
        if error is not None:
            refused = isinstance(error, _REFUSALS)
            self._came("refused" if refused else "failed", error.exit_code, error)

    def judged_by(self, refuse: Callable[[], None]) -> None:
        """It came to the error that REFUSE raises, which tells what went wrong, if anything did."""
        try:
            refuse()
        except ZMountError as error:
            self.failed(error)

    def interrupted(self, error: ZMountError | None = None) -> None:
        """Somebody did not want to wait for its end; ERROR is how that ended it."""
        self._came("interrupted", INTERRUPTED, error or ZMountError("interrupted"))

    def _came(self, result: Result, exit_status: int = 0, error: ZMountError | None = None) -> None:
        self.entry = replace(
            self.entry,
            result=result,
            exit_status=exit_status,
            sentence=str(error or ""),
            hint=error.hint if error is not None else "",
        )


@contextmanager
def recorded(
    file: str | os.PathLike[str],
    host: str,
    operation: str,
    *,
    subjects: Iterable[str] = (),
    arguments: Mapping[str, Scalar] | None = None,
    dry_run: bool = False,
) -> Iterator[Record]:
    """Record the block as OPERATION on SUBJECTS, in the history of the topology FILE.

    Of ARGUMENTS those that are None, False or "" are left out. No secret may be among them.
    """
    record = Record(_begun(host, operation, subjects, arguments or {}))
    if dry_run:
        yield record
        return
    path, stopwatch = history_file(file), Stopwatch()
    with terminable():
        is_wanted = True
        _begin(path, record)
        try:
            yield record
        except ZMountError as error:
            record.failed(error)
            is_wanted = not isinstance(error, TopologyError)
            raise
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            record.interrupted()
            raise
        except BaseException as bug:
            record.failed(ZMountError(f"{type(bug).__name__}: {bug}"))
            raise
        finally:
            _end(path, record, stopwatch.seconds, is_wanted=is_wanted)


@contextmanager
def refusals_recorded(
    file: str | os.PathLike[str], host: str, operation: str, subjects: Iterable[str]
) -> Iterator[None]:
    """Record the block only where it raises: what it does, parts of it record on their own."""
    began = _begun(host, operation, subjects, {})
    try:
        yield
    except TopologyError:
        raise
    except ZMountError as error:
        record = Record(began)
        record.failed(error)
        _end(history_file(file), record, now() - began.began, is_wanted=True)
        raise


def last_ended(file: str | os.PathLike[str], operation: str, subject: str) -> Entry | None:
    """Return the last OPERATION on SUBJECT that has ended; None if none, or none can be read."""
    path = history_file(file)
    return _tried(path, lambda: last(path, operation, subject, results=ENDED))


def _begun(
    host: str, operation: str, subjects: Iterable[str], arguments: Mapping[str, Scalar]
) -> Entry:
    return Entry(
        operation=operation,
        began=now(),
        who=login_name(),
        uid=user_id(),
        job=os.environ.get(JOB, ""),
        host=host,
        subjects=tuple(dict.fromkeys(subjects)),
        arguments={name: value for name, value in arguments.items() if _is_said(value)},
    )


def _is_said(value: Scalar) -> bool:
    return value is not None and value is not False and value != ""


def _begin(path: Path, record: Record) -> None:
    record.entry = _tried(path, lambda: append(path, record.entry)) or record.entry


def _end(path: Path, record: Record, seconds: float, *, is_wanted: bool) -> None:
    entry = record.entry
    if entry.result == "running":
        entry = replace(entry, result="done", exit_status=0)
    entry = record.entry = replace(entry, duration_s=round(seconds, 3))
    if entry.number is None:
        if is_wanted:
            _tried(path, lambda: append(path, entry))
    elif is_wanted:
        _tried(path, lambda: amend(path, entry), is_urgent=True)
    else:
        _tried(path, lambda: forget(path, entry), is_urgent=True)


def _tried(path: Path, act: Callable[[], T], *, is_urgent: bool = False) -> T | None:
    """Return what ACT on the history PATH does; None if it fails, or failed a moment ago."""
    before, here = _given_up.get(path), Stopwatch()
    if before is not None and before.seconds < PAUSE_S and not is_urgent:
        return None
    try:
        result = act()
    except HistoryUnreadable as why:
        if before is None and _given_up.setdefault(path, here) is here:
            _log.warning("zmount: warning: %s (%s)", why, why.hint)
        _given_up[path] = Stopwatch()
        return None
    _given_up.pop(path, None)
    return result
