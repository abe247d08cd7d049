"""What must be on the disk before a generation becomes current, in case the power fails."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crashing import FINISHED, run_in_child
from stages import Stages
from test_stage_crash import stage, write_pub

from zmount.server import blob_pool, new_links
from zmount.server.stage import StageStorage

MISSED, MANY = 7, 8  # exit statuses: not on the disk at the switch, too much at a time before it
BATCH = 20  # so few directories are flushed at a time here
BLOBS = 40
ON_THE_WAY = 12  # names of one blob: its own, those of its directories


class Disk:
    """Which directories have names that the disk may not have yet, by what Python reports.

    A path of files may be known by another name by then, hence inodes.
    """

    def __init__(self, generations: Path) -> None:
        self.generations = str(generations)
        self.unflushed: dict[int, str] = {}
        self.links = 0
        self.most = 0
        self.at_switch: list[dict[int, str]] = []
        self._fsync, self._sync_all = os.fsync, new_links.sync_file_system
        os.fsync, new_links.sync_file_system = self.fsync, self.sync_all  # type: ignore[assignment]
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("os.link", "os.mkdir", "os.rename"):
            return
        path = str(arguments[0 if event == "os.mkdir" else 1])
        if not path.startswith(self.generations) or path.endswith(("/tmp", ".tmp", ".lock")):
            return
        if event == "os.rename" and path.endswith("/current"):
            self.at_switch.append(dict(self.unflushed))
            return
        self.links += event == "os.link"
        parent = Path(path).parent
        if parent.exists():  # else it fails
            self.unflushed[parent.stat().st_ino] = f"{event} {path}"
            self.most = max(self.most, len(self.unflushed))

    def fsync(self, descriptor: int) -> None:
        self._fsync(descriptor)
        self.unflushed.pop(os.fstat(descriptor).st_ino, None)

    def sync_all(self, descriptor: int) -> None:
        self._sync_all(descriptor)
        self.unflushed.clear()


def never(self: object) -> None:
    """A flush that is forgotten."""


def only_at_the_end(self: Any, *arguments: Path) -> None:
    """Note a directory, and do not flush it with some others."""
    path, top = arguments
    while path != top.parent:
        self._directories.add(path)
        path = path.parent


def watched_swap(stages: Stages, **broken: Any) -> int:
    """Swap in a process of its own; return FINISHED if the disk had all at the switch.

    :param broken: methods of NewNames
    """

    def here(module: str, function: str, *arguments: str, give_way: Any = None) -> int:
        count: int = getattr(importlib.import_module(module), function)(*arguments)
        return count

    def swap() -> None:
        blob_pool.in_child = here  # type: ignore[assignment]  # or it could not be watched
        for name, method in broken.items():
            setattr(new_links.NewNames, name, method)
        storage = StageStorage(stages.settings())
        disk = Disk(storage.generations.path)
        storage.swap()
        storage.close()
        (missing,) = disk.at_switch
        assert disk.links > 1
        if missing:
            print(missing)  # noqa: T201
            os._exit(MISSED)
        if disk.most > BATCH + ON_THE_WAY:
            print(disk.most)  # noqa: T201
            os._exit(MANY)

    return run_in_child(swap)


def first(stages: Stages) -> None:
    pass


def second(stages: Stages) -> None:
    with stage(stages) as storage:
        storage.swap()
    write_pub(stages, "later")


def after_another_history(stages: Stages) -> None:
    second(stages)
    with stage(stages) as storage:
        (storage.generations.path / "gen-000001" / "meta.json").write_text("")
    with stage(stages) as storage:
        assert storage.broken


@pytest.fixture
def filled(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> Stages:
    """Production with so many blobs that they are flushed in several parts."""
    monkeypatch.setattr(new_links, "BATCH", BATCH)
    stages.fill(blobs=dict.fromkeys(("one", *map(str, range(BLOBS - 1))), b"pub"))
    return stages


@pytest.mark.parametrize("prepare", [first, second, after_another_history])
def test_new_links_are_on_the_disk_before_the_switch_and_go_there_a_few_at_a_time(
    prepare: Callable[[Stages], None], filled: Stages
):
    prepare(filled)
    assert watched_swap(filled) == FINISHED


@pytest.mark.parametrize("prepare", [first, second, after_another_history])
def test_a_flush_that_is_forgotten_would_be_seen(prepare: Callable[[Stages], None], filled: Stages):
    prepare(filled)
    assert watched_swap(filled, flush=never) == MISSED


def test_a_flush_of_all_at_the_end_would_be_seen(filled: Stages):
    assert watched_swap(filled, note=only_at_the_end) == MANY


def test_blobs_that_cannot_be_linked_are_copied_and_flushed(
    filled: Stages, monkeypatch: pytest.MonkeyPatch
):
    """The system forbids links to the files of another user: fs.protected_hardlinks."""
    blobs, pool = filled.directory / "pub" / "blobs", filled.directory / "pool"
    flushed = []

    def forbidden(source: str, target: str) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", forbidden)
    monkeypatch.setattr(
        new_links, "sync_file_system", lambda _: flushed.append(len([*pool.rglob("*.blob")]))
    )
    assert new_links.link_all(blobs, pool) == BLOBS
    assert flushed == [BLOBS]


def test_the_mark_of_the_layout_is_flushed(filled: Stages, monkeypatch: pytest.MonkeyPatch):
    pool, flushed, fsync = filled.directory / "pool", set(), os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        flushed.add(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", noted)
    assert new_links.link_all(filled.directory / "pub" / "blobs", pool) == BLOBS
    assert (pool / ".layout").stat().st_ino in flushed
