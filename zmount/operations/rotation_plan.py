"""Which logs can be rotated without losing a line, from what was seen of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zmount.effects.log_rotation import LogOnDisk
from zmount.effects.log_writers import FileId, Writers, is_server, is_zdaemon, reopens
from zmount.effects.process_table import Owner
from zmount.plan.log_shift import Shift, shift
from zmount.render.log_files import LogFile

TOLD = ("signal", "zdaemon")  # ways to open a file that somebody must be told to go


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationWish:
    """What rotation is asked for.

    ``keep``: how many old files stay; None: as many as the topology's ``old-files`` says.
    A log smaller than ``smallest_bytes`` is left alone, and so is an empty one.
    """

    keep: int | None = None
    smallest_bytes: int = 1
    compresses: bool = True
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPlan:
    """What is to be done with a log: SHIFT its old files and rename it, unless it is LEFT.

    ``left`` says why it is left alone, ``is_failure`` that this is not as it should be.
    ``held_old`` are old files whose writer was not told, or did not listen, last time.
    """

    shift: Shift = Shift()
    left: str = ""
    is_failure: bool = False
    held_old: tuple[FileId, ...] = ()


def plan_rotation(
    files: Sequence[LogFile], disk: LogOnDisk, seen: Writers, wish: RotationWish
) -> LogPlan:
    """Return what is to be done with the log DISK, which is FILES, written by whom was SEEN."""
    first = files[0]
    if any(file.reopening == "itself" for file in files):
        return LogPlan(left="its writer rotates it")
    if disk.refused:
        return LogPlan(left=disk.refused, is_failure="cannot" in disk.refused)
    is_told = any(file.reopening in TOLD for file in files)
    held_old = tuple(each.file for each in disk.old if is_told and seen.of(each.file))
    if disk.file is None:
        return LogPlan(left="it is not there", held_old=held_old)
    if disk.size_bytes < max(1, wish.smallest_bytes):
        small = "it is smaller than that" if disk.size_bytes else "it is empty"
        return LogPlan(left=small, held_old=held_old)
    if hindrance := _hindrance(files, disk, seen):
        return LogPlan(left=hindrance, is_failure=True, held_old=held_old)
    if first.reopening == "never" and (owners := seen.of(disk.file)):
        return LogPlan(left=f"{_pids(owners)} holds it open until it ends", held_old=held_old)
    keep = max(1, first.keep if wish.keep is None else wish.keep)
    steps = shift(disk.path.name, disk.old, keep)
    for each in disk.old:
        if each.name in steps.drops and (owners := seen.of(each.file)):
            why = f"{_pids(owners)} still writes {each.name}, which would be dropped"
            return LogPlan(left=why, is_failure=True, held_old=held_old)
    return LogPlan(shift=steps, held_old=held_old)


def _hindrance(files: Sequence[LogFile], disk: LogOnDisk, seen: Writers) -> str:
    """Return what keeps us from knowing that all who write it will open a new file; "" for none."""
    if all(file.reopening == "notices" for file in files) and not seen.is_known:
        return ""  # nobody need be told
    if not seen.is_known:
        return "who writes it is not to be known on this system, which has no /proc"
    for file in files:
        if file.process is not None and seen.hides(file.process):
            user = f"as root, or as {file.process.user}" if file.process.user else "as root"
            return f"whether {file.process.name} writes it is not ours to see: {user}"
    assert disk.file is not None
    for owner in seen.of(disk.file):
        if not any(_opens_anew(file, owner) for file in files):
            return f"{owner} writes it, and would not open a new file"
    return ""


def _opens_anew(file: LogFile, owner: Owner) -> bool:
    if file.process is None or file.reopening == "never":
        return file.reopening == "never"
    if file.reopening == "zdaemon":
        return is_zdaemon(owner, file.process)
    if not is_server(owner, file.process):
        return False
    return file.reopening == "notices" or reopens(owner)


def _pids(owners: Sequence[Owner]) -> str:
    return " and ".join(f"pid {owner.pid}" for owner in owners)
