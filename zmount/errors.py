"""What zmount refuses, and the exit status of each refusal.

Every error that an operator can meet is a :class:`ZMountError`; only
``cli/app.py`` prints them. Anything else that is raised is a bug and shows its
traceback. The exit codes are this file and nowhere else; ``docs`` lists them.
"""

from __future__ import annotations

from os import PathLike, fspath


class ZMountError(Exception):
    """What went wrong, in one sentence that names the thing concerned.

    ``hint`` says what the operator can do next; it may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class TopologyError(ZMountError):
    """The topology file cannot be read, or says something impossible."""

    exit_code = 2


class TopologyNotFound(TopologyError):
    """There is no topology file where zmount looks for one."""


class UnknownName(TopologyError):
    """No host, server, storage, site or instance has this name."""

    exit_code = 3


class RenderError(ZMountError):
    """A generated file would not load in the real schema of its reader."""

    exit_code = 4


class ApplyRefused(ZMountError):
    """Writing now would overwrite or lose something that a person made."""

    exit_code = 5


class ApplyFailed(ZMountError):
    """A step failed (disk full, permission); what had been done was undone."""

    exit_code = 6


class Locked(ZMountError):
    """Another zmount, or another process, holds the lock."""

    exit_code = 7


class ProcessFailed(ZMountError):
    """A server did not start, did not answer or did not stop."""

    exit_code = 8


class EnvironmentMissing(ZMountError):
    """A virtual environment, program or Python package is not there."""

    exit_code = 9


class PrepareFailed(ZMountError):
    """Mount points, administrator or sessions could not be created in a root."""

    exit_code = 10


class AdoptError(ZMountError):
    """An existing configuration file cannot be read."""

    exit_code = 11


class StorageUnreadable(ZMountError):
    """A storage cannot be opened, or what it holds is damaged."""

    exit_code = 12


class CoreUnavailable(ZMountError):
    """The FileStorage core that was asked for cannot run here, or answers wrongly."""

    exit_code = 13


class StorageUnwritable(ZMountError):
    """A storage's file, index or copy cannot be written (disk full, no permission)."""

    exit_code = 15


class PackRefused(ZMountError):
    """Packing now could lose something, or there is no room for it."""

    exit_code = 16


class PackFailed(ZMountError):
    """A storage was not packed, or not all was done; of several, all others that could be were."""

    exit_code = 17


class SwapRefused(ZMountError):
    """Replacing staging's content now would lose something, or cannot be done."""

    exit_code = 18


class SwapFailed(ZMountError):
    """Staging's content was not replaced, or what came of it is not right."""

    exit_code = 19


class AccessRefused(ZMountError):
    """An instance refuses the administrator's name and password, or there are none."""

    exit_code = 20


class RemountFailed(ZMountError):
    """A mount point is not right; of several, all others that could be repaired were."""

    exit_code = 21


class OfflineFailed(ZMountError):
    """A site is not off-line, or not on-line again, everywhere it should be."""

    exit_code = 22


class SessionsLost(ZMountError):
    """Sessions did not survive what they should, or are not kept where they should be."""

    exit_code = 23


class ProofRefused(SessionsLost):
    """Nobody agreed to the proof that sessions survive, and nothing was restarted."""


class SandboxRefused(ZMountError):
    """A sandbox, or a copy between sandboxes and sites, would harm something."""

    exit_code = 24


class AccessDiffers(ZMountError):
    """Access rules could not be brought from one root to the other."""

    exit_code = 25


class AccessCopyRefused(AccessDiffers):
    """Nobody agreed to bringing access rules to the other root, or not to what it would be now."""


class HistoryUnreadable(ZMountError):
    """The history of operations cannot be read, or not be written; what was done is done."""

    exit_code = 26


class JobFailed(ZMountError):
    """A scheduled job did not begin, or was ended; else its exit status is that of what it did."""

    exit_code = 27


class JobRefused(JobFailed):
    """A scheduled job may not begin now."""


class LogsUnreadable(ZMountError):
    """A log file cannot be read; all others were."""

    exit_code = 28


class LogsNotRotated(ZMountError):
    """A log file was not rotated, or its writer goes on in the old one; no line is lost."""

    exit_code = 29


class CorruptFile(StorageUnreadable):
    """A storage's file holds something that no FileStorage writes.

    ``path`` is the file, ``offset`` the byte where the transaction, record or
    field begins that is wrong, ``reason`` what is wrong with it.
    """

    exit_code = 14

    def __init__(self, path: str | PathLike[str], offset: int, reason: str) -> None:
        self.path = fspath(path)
        self.offset = offset
        self.reason = reason
        super().__init__(
            f"{self.path}: damaged at byte {offset}: {reason}",
            hint="restore a backup beside it and compare, or read ZODB's fsrecover",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.offset, self.reason)  # to cross a process


class UnreadableRecord(CorruptFile):
    """An object's record whose references cannot be read.

    ``offset`` is where the record begins, ``oid`` the object's id.
    """

    def __init__(self, path: str | PathLike[str], offset: int, reason: str, oid: int) -> None:
        super().__init__(path, offset, f"record of oid 0x{oid:016x}: {reason}")
        self.oid = oid
        self._said = reason

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.offset, self._said, self.oid)
