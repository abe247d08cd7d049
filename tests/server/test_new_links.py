"""What must be on the disk before a generation becomes current, in case the power fails."""

from __future__ import annotations

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

MISSED = 7  # exit status


class Disk:
    """Which directories have names that the disk may not have yet, by what Python reports.

    A path of files may be known by another name by then, hence inodes.
    """

    def __init__(self, generations: Path) -> None:
        self.generations = str(generations)
        self.unflushed: dict[int, str] = {}
        self.links = 0
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

    def fsync(self, descriptor: int) -> None:
        self._fsync(descriptor)
        self.unflushed.pop(os.fstat(descriptor).st_ino, None)

    def sync_all(self, descriptor: int) -> None:
        self._sync_all(descriptor)
        self.unflushed.clear()


def _never(self: object) -> None:
    """A flush that is forgotten."""


def watched_swap(stages: Stages, flush: Any, **more: Any) -> int:
    """Swap in a process of its own; return FINISHED if the disk had all at the switch."""

    def here(module: str, function: str, *arguments: str, give_way: Any = None) -> int:
        count: int = getattr(importlib.import_module(module), function)(*arguments)
        return count

    def swap() -> None:
        blob_pool.in_child = here  # type: ignore[assignment]  # or it could not be watched
        if flush is not None:
            new_links.NewLinks.flush = flush  # type: ignore[method-assign]
            blob_pool.flush_tree = flush  # type: ignore[assignment]
        storage = StageStorage(stages.settings(**more))
        disk = Disk(storage.generations.path)
        storage.swap()
        storage.close()
        (missing,) = disk.at_switch
        assert disk.links > 1
        if missing:
            print(missing)  # noqa: T201
            os._exit(MISSED)

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


@pytest.mark.parametrize("prepare", [first, second, after_another_history])
@pytest.mark.parametrize("many", [0, 10**6])
def test_new_links_are_on_the_disk_before_the_switch(
    prepare: Callable[[Stages], None], many: int, stages: Stages, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(new_links, "MANY", many)
    stages.fill()
    prepare(stages)
    assert watched_swap(stages, None) == FINISHED


@pytest.mark.parametrize("prepare", [first, second, after_another_history])
def test_a_flush_that_is_forgotten_would_be_seen(prepare: Callable[[Stages], None], stages: Stages):
    stages.fill()
    prepare(stages)
    assert watched_swap(stages, _never) == MISSED
