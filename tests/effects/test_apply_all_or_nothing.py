"""All or nothing, with real kill -9, full disks and missing permissions."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest
from crashing import FINISHED, killed_at, run_in_child, snapshot

from zmount.effects.apply import apply_plan, recover, verify
from zmount.effects.journal import complete, unfinished
from zmount.effects.lock import locked
from zmount.errors import ApplyFailed, ApplyRefused
from zmount.plan.manifest import MANIFEST
from zmount.plan.plan import Plan
from zmount.plan.steps import (
    FileState,
    MakeDirectory,
    RemoveDirectory,
    RemoveFile,
    SetMode,
    Step,
    WriteFile,
)

NOBODY = 65534


def state(text: str, mode: int = 0o644) -> FileState:
    return FileState(text=text, mode=mode)


class World:
    """A directory in which every kind of step has something to do."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("etc", "old/empty"):
            (directory / name).mkdir(parents=True)
        (directory / "var").mkdir()
        for name, text in (("changed", "old a\n"), ("gone", "old b\n"), ("mode", "same\n")):
            (directory / "etc" / name).write_text(text)
            (directory / "etc" / name).chmod(0o644)

    def path(self, name: str) -> PurePosixPath:
        return PurePosixPath(self.directory / name)

    @property
    def plan(self) -> Plan:
        etc = self.path("etc")
        steps: tuple[Step, ...] = (
            MakeDirectory(path=self.path("new"), mode=0o755),
            MakeDirectory(path=self.path("new/blobs"), mode=0o700),
            WriteFile(path=etc / "changed", new=state("new a\n"), old=state("old a\n")),
            WriteFile(path=self.path("new") / "file", new=state("secret\n", 0o600), old=None),
            RemoveFile(path=etc / "gone", old=state("old b\n")),
            SetMode(path=etc / "mode", new=state("same\n", 0o600), old=state("same\n")),
            RemoveDirectory(path=self.path("old/empty"), mode=0o755),
        )
        record = WriteFile(
            path=self.path(str(MANIFEST)), new=state('{"files": {}}', 0o600), old=None
        )
        return Plan(title="change everything", host="here", steps=steps, record=record)

    def apply(self) -> None:
        with locked(PurePosixPath(self.directory)) as place:
            recover(place)
            apply_plan(self.plan, place)

    def apply_naively(self) -> None:
        """What apply would be without a journal: the steps, one after the other."""
        for step in self.plan.all_steps:
            if isinstance(step, MakeDirectory):
                Path(step.path).mkdir(mode=step.mode, exist_ok=True)
            elif isinstance(step, RemoveDirectory):
                Path(step.path).rmdir()
            elif isinstance(step, RemoveFile):
                Path(step.path).unlink()
            else:
                Path(step.path).parent.mkdir(parents=True, exist_ok=True)
                Path(step.path).write_text(step.new.text)
                Path(step.path).chmod(step.new.mode)

    def recover(self) -> None:
        with locked(PurePosixPath(self.directory)) as place:
            recover(place)

    def snapshot(self) -> dict[str, tuple[int, str]]:
        return snapshot(self.directory)


Make = Callable[[], World]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A function that makes a world that was never touched."""

    def make() -> World:
        return World(Path(tempfile.mkdtemp(dir=tmp_path)) / "vsa")

    return make


@pytest.fixture
def old(make: Make) -> dict[str, tuple[int, str]]:
    return make().snapshot()


@pytest.fixture
def new(make: Make) -> dict[str, tuple[int, str]]:
    world = make()
    world.apply()
    return world.snapshot()


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """A directory that a user without any rights can reach; pytest's is root's alone."""
    directory = Path(tempfile.mkdtemp(prefix="zm-"))
    directory.chmod(0o755)
    yield directory
    for path in directory.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(directory)


def test_a_plan_is_applied_and_leaves_nothing_beside(make: Make) -> None:
    world = make()
    world.apply()
    verify(world.plan)
    assert set(world.snapshot()) == {
        "etc",
        "etc/changed",
        "etc/mode",
        "new",
        "new/blobs",
        "new/file",
        "old",
        "var",
        str(MANIFEST),
    }
    assert world.snapshot()["new/file"] == (0o600, "secret\n")
    assert world.snapshot()["new/blobs"][0] == 0o700
    assert world.snapshot()["etc/mode"] == (0o600, "same\n")
    assert world.snapshot()["etc/changed"] == (0o644, "new a\n")


def test_killed_at_any_call_everything_is_old_or_everything_is_new(
    make: Make, old: dict[str, tuple[int, str]], new: dict[str, tuple[int, str]]
) -> None:
    outcomes = []
    for number in range(1000):
        world = make()
        if not killed_at(number, world.apply):
            break
        world.recover()
        found = world.snapshot()
        assert found in (old, new), f"a mix after a kill at call {number}"
        outcomes.append(found == new)
    assert number > 60, "too few calls to have met every point"
    # one commit point: old before it, new after it
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {False, True}


def test_killed_at_any_call_a_naive_apply_leaves_a_mix(
    make: Make, old: dict[str, tuple[int, str]], new: dict[str, tuple[int, str]]
) -> None:
    mixed = 0
    for number in range(1000):
        world = make()
        if not killed_at(number, world.apply_naively):
            break
        world.recover()
        mixed += world.snapshot() not in (old, new)
    assert mixed > 5, "the test above would not see a mix"


def test_killed_while_recovering_it_is_recovered_by_the_next(
    make: Make, old: dict[str, tuple[int, str]], new: dict[str, tuple[int, str]]
) -> None:
    for first in range(0, 1000, 5):
        for second in range(0, 1000, 3):
            world = make()
            if not killed_at(first, world.apply):
                assert first > 50
                return
            was_killed = killed_at(second, world.recover)
            world.recover()
            assert world.snapshot() in (old, new), f"a mix after kills at {first} and {second}"
            if not was_killed:
                break


def test_killed_at_random_times_everything_is_old_or_everything_is_new(
    make: Make, old: dict[str, tuple[int, str]], new: dict[str, tuple[int, str]]
) -> None:
    luck = random.Random(7)
    for _ in range(60):
        world = make()
        pid = os.fork()
        if pid == 0:
            try:
                world.apply()
            finally:
                os._exit(0)
        time.sleep(luck.uniform(0, 0.02))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        world.recover()
        assert world.snapshot() in (old, new)


def test_a_plan_is_stale_when_a_file_was_changed_since(make: Make) -> None:
    world = make()
    plan = world.plan
    Path(world.path("etc/changed")).write_text("a person's\n")
    before = world.snapshot()
    with (
        pytest.raises(ApplyRefused, match="etc/changed was changed after the plan was made"),
        locked(PurePosixPath(world.directory)) as place,
    ):
        apply_plan(plan, place)
    assert world.snapshot() == before


def killed_after_the_commit_point(make: Make) -> World:
    """Return a world whose apply was decided, and killed before the first rename."""
    for number in range(1000):
        world = make()
        assert killed_at(number, world.apply)
        with locked(PurePosixPath(world.directory)) as place:
            if [entry.state for entry in unfinished(place)] == ["committed"]:
                return world
    raise AssertionError("no apply came so far")


def test_a_file_that_a_person_changed_after_a_crash_stays_his(make: Make) -> None:
    world = killed_after_the_commit_point(make)
    Path(world.path("etc/changed")).write_text("a person's\n")
    world.recover()
    assert Path(world.path("etc/changed")).read_text() == "a person's\n"
    assert Path(world.path("new/file")).read_text() == "secret\n"
    assert not list(world.directory.rglob(".*zmount-*"))


@pytest.mark.parametrize("left", [None, "new", ""])
def test_a_new_text_that_was_lost_beside_its_place_is_in_the_journal(
    make: Make, new: dict[str, tuple[int, str]], left: str | None
) -> None:
    world = killed_after_the_commit_point(make)
    staged = list(world.directory.rglob(".*zmount-*"))
    assert len(staged) == 3
    for path in staged:
        path.unlink() if left is None else path.write_text(left)
    world.recover()
    assert world.snapshot() == new


def test_a_file_changed_while_new_texts_are_being_written_is_seen(make: Make) -> None:
    world = make()
    path = Path(world.path("etc/changed"))

    def apply() -> None:
        def edit(event: str, arguments: tuple[object, ...]) -> None:
            if event == "os.rename" and str(arguments[1]).endswith("begun.json"):
                path.write_text("a person's\n")

        sys.addaudithook(edit)
        with pytest.raises(ApplyRefused, match="etc/changed was changed after the plan was made"):
            world.apply()

    before = world.snapshot()
    assert run_in_child(apply) == FINISHED
    assert world.snapshot() == {**before, "etc/changed": (0o644, "a person's\n")}


def test_what_an_apply_did_is_kept_with_the_old_texts_for_undo(make: Make) -> None:
    world = make()
    world.apply()
    with locked(PurePosixPath(world.directory)) as place:
        (entry,) = complete(place)
        assert entry.plan == world.plan
        assert entry.directory.stat().st_mode & 0o777 == 0o700
        assert (entry.directory / "done.json").stat().st_mode & 0o777 == 0o600


def test_only_the_last_20_journals_are_kept(make: Make) -> None:
    world = make()
    path = world.path("etc/many")
    with locked(PurePosixPath(world.directory)) as place:
        before = None
        for number in range(25):
            after = state(f"{number}\n")
            step = WriteFile(path=path, new=after, old=before)
            apply_plan(Plan(title=str(number), host="here", steps=(step,)), place)
            before = after
        assert [entry.plan.title for entry in complete(place)] == [
            str(number) for number in range(24, 4, -1)
        ]


def test_a_file_too_large_for_the_limit_leaves_everything_as_it_was(
    make: Make, old: dict[str, tuple[int, str]]
) -> None:
    world = make()

    def apply() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
        with pytest.raises(ApplyFailed, match="File too large; everything is as it was before"):
            world.apply()

    assert run_in_child(apply) == FINISHED
    assert world.snapshot() == old


def test_a_limit_met_after_the_journal_was_written_leaves_everything_as_it_was(
    make: Make, old: dict[str, tuple[int, str]]
) -> None:
    world = make()

    def apply() -> None:
        def limit(event: str, arguments: tuple[object, ...]) -> None:
            if event == "os.rename" and str(arguments[1]).endswith("begun.json"):
                resource.setrlimit(resource.RLIMIT_FSIZE, (3, 3))

        sys.addaudithook(limit)
        with pytest.raises(ApplyFailed, match=r"etc/changed: File too large"):
            world.apply()

    assert run_in_child(apply) == FINISHED
    assert world.snapshot() == old
    world.apply()
    verify(world.plan)


FULL_DISK = """
import os, pathlib, sys
sys.path[:0] = [{tests!r}, {here!r}]
from test_apply_all_or_nothing import World
from zmount.errors import ApplyFailed
mount = pathlib.Path({mount!r})
world = World(mount / "vsa")
before = world.snapshot()
world.recover()
for pages in range(100):
    (mount / "filler").write_bytes(b"")
    with open(mount / "filler", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass
        filler.truncate(max(0, os.fstat(filler.fileno()).st_size - pages * 4096))
    try:
        world.apply()
        break
    except ApplyFailed as why:
        assert "No space left on device" in str(why), why
        assert world.snapshot() == before, (pages, world.snapshot())
        assert not list(world.directory.rglob(".*zmount-*"))
assert pages > 3, f"the disk was never full: {{pages}}"
print("full at", pages)
"""


MOUNTED = [
    *("unshare", "--map-root-user", "--mount", "sh", "-ec"),  # a mount that ends with the process
    'mount -t tmpfs -o size=256k none "$1"; shift; exec "$@"',
    "sh",
]


def test_a_disk_that_is_really_full_leaves_everything_as_it_was(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    if subprocess.run([*MOUNTED, str(mount), "true"], capture_output=True).returncode:
        pytest.skip("no mounts are allowed here; the limits on file size above are the same error")
    here = Path(__file__).parent
    script = tmp_path / "full.py"
    script.write_text(FULL_DISK.format(tests=str(here.parent), here=str(here), mount=str(mount)))
    done = subprocess.run(
        [*MOUNTED, str(mount), sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("full at")


def without_rights(function: Callable[[], object]) -> Callable[[], None]:
    """Return FUNCTION to be run in a child: it gives up root's rights first."""

    def unprivileged() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        function()

    return unprivileged


def as_nobody(function: Callable[[], object]) -> int:
    """Run FUNCTION in a child without root's rights."""
    return run_in_child(without_rights(function))


def given_away(directory: Path) -> World:
    world = World(directory / "vsa")
    if os.geteuid() == 0:
        for path in (world.directory, *world.directory.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    return world


def test_a_directory_that_is_not_writable_leaves_everything_as_it_was(
    public_directory: Path,
) -> None:
    world = given_away(public_directory)
    (world.directory / "etc").chmod(0o555)
    before = world.snapshot()

    def apply() -> None:
        with pytest.raises(ApplyFailed, match=r"etc/changed: Permission denied; everything is as"):
            world.apply()

    assert as_nobody(apply) == FINISHED
    assert world.snapshot() == before


def fails_at_the_last_step(world: World) -> Callable[[], None]:
    """Make the removal of old/empty, the last step, impossible for who is not root."""
    (world.directory / "old").chmod(0o555)

    def apply() -> None:
        with pytest.raises(ApplyFailed, match="old/empty: Permission denied; everything is as"):
            world.apply()

    return apply


def test_what_fails_after_the_commit_point_is_undone_in_reverse(public_directory: Path) -> None:
    world = given_away(public_directory)
    apply = fails_at_the_last_step(world)
    before = world.snapshot()
    assert as_nobody(apply) == FINISHED
    assert world.snapshot() == before


def test_killed_while_undoing_a_failure_nothing_is_mixed(
    public_directory: Path, old: dict[str, tuple[int, str]], new: dict[str, tuple[int, str]]
) -> None:
    outcomes = set()
    for number in range(1000):
        world = given_away(public_directory / str(number))
        apply = fails_at_the_last_step(world)
        was_killed = killed_at(number, without_rights(apply))
        (world.directory / "old").chmod(0o755)
        assert as_nobody(world.recover) == FINISHED
        assert world.snapshot() in (old, new), f"a mix after a kill at call {number}"
        outcomes.add(world.snapshot() == new)
        if not was_killed:
            break
    # killed before it failed, it is finished: the reason is gone by then
    assert outcomes == {True, False}


def test_a_directory_that_cannot_be_made_is_one_clear_line(public_directory: Path) -> None:
    public_directory.chmod(0o555)
    place = PurePosixPath(public_directory) / "opt" / "vsa"

    def apply() -> None:
        with (
            pytest.raises(ApplyFailed, match=f"{place.parent} cannot be made: Permission denied"),
            locked(place),
        ):
            pass

    assert as_nobody(apply) == FINISHED
