"""apply and undo of real topologies on a real disk, and every sequence of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from crashing import killed_at
from hypothesis import HealthCheck, Verbosity, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run
from topologies import topology_of

from zmount.effects.apply import apply_plan, recover, verify
from zmount.effects.journal import complete
from zmount.effects.lock import locked
from zmount.errors import ApplyRefused
from zmount.operations.plan_host import plan_host, refuse_conflicts, what_is_wanted
from zmount.operations.undo import undo
from zmount.plan.plan import Plan
from zmount.topology.topology import Topology

ZEO = "<zeo zeo>\n  address 127.0.0.1:{port}\n</zeo>\n<site x.org/>\n"
INSTANCE = "<instance {name}>\n  kind development\n  http-address 127.0.0.1:{port}\n</instance>\n"
TEXTS = (
    ZEO.format(port=8100),
    ZEO.format(port=8101),
    ZEO.format(port=8100) + INSTANCE.format(name="dev", port=8080),
    ZEO.format(port=8100)
    + INSTANCE.format(name="dev", port=8081)
    + "<site y.org/>\n"
    + INSTANCE.format(name="dev2", port=8082),
)

Files = dict[str, str]


def write(topology: Topology, *, overwrite: bool = False) -> Plan:
    """apply, without asking Zope's schemas (tests of zmount apply do)."""
    host = topology.hosts[0]
    with locked(host.directory) as state:
        recover(state)
        plan = plan_host(what_is_wanted(topology, host), overwrite=overwrite)
        refuse_conflicts(plan, topology)
        if plan.all_steps:
            apply_plan(plan, state)
            verify(plan)
    return plan


def files(directory: Path) -> Files:
    """Return the texts of all files, but for zmount's own, the topology and its history."""
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and "var/zmount" not in str(path) and path.parent != directory
    }


class Place:
    """A directory with a deployment whose topology changes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def says(self, number: int) -> Topology:
        return topology_of(self.directory, TEXTS[number])

    @property
    def files(self) -> Files:
        return files(self.directory)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_an_apply_writes_what_the_topology_says_and_a_second_one_nothing(place: Place) -> None:
    topology = place.says(2)
    assert write(topology).changes_anything
    wanted = what_is_wanted(topology, topology.hosts[0])
    assert place.files == {
        str(file.path.relative_to(place.directory)): file.text for file in wanted.files
    }
    assert write(topology).all_steps == ()


def test_blob_directories_are_made_as_zodb_wants_them(place: Place) -> None:
    write(place.says(0))
    assert (place.directory / "var/pub/x.org/blobs").stat().st_mode & 0o7777 == 0o700
    assert (place.directory / "var/pub/x.org").stat().st_mode & 0o7777 == 0o755


def test_the_umask_of_who_applies_does_not_matter(place: Place) -> None:
    before = os.umask(0o077)
    try:
        write(place.says(0))
    finally:
        os.umask(before)
    assert (place.directory / "zeo/etc/zeo.conf").stat().st_mode & 0o7777 == 0o644
    assert (place.directory / "zeo/etc").stat().st_mode & 0o7777 == 0o755


def test_files_of_an_instance_that_is_gone_are_removed(place: Place) -> None:
    write(place.says(3))
    write(place.says(2))
    assert not any(name.startswith("dev2_client") for name in place.files)
    assert (place.directory / "dev2_client/var").is_dir(), "there may be a database in it"


def test_an_edited_file_is_refused_with_its_difference(place: Place) -> None:
    write(place.says(0))
    path = place.directory / "zeo/etc/zeo.conf"
    path.write_text(path.read_text() + "# mine\n")
    before = place.files
    with pytest.raises(ApplyRefused, match=r"(?s)a person changed it.*\n-# mine") as refused:
        write(place.says(1))
    assert "--overwrite" in refused.value.hint
    assert place.files == before


def test_an_edited_file_comes_back_by_undo_after_overwriting_it(place: Place) -> None:
    write(place.says(0))
    path = place.directory / "zeo/etc/zeo.conf"
    edited = path.read_text() + "# mine\n"
    path.write_text(edited)
    path.chmod(0o640)
    topology = place.says(1)
    write(topology, overwrite=True)
    assert "# mine" not in path.read_text()
    undo(topology, topology.hosts[0])
    assert path.read_text() == edited
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_of_somebody_else_is_refused(place: Place) -> None:
    path = place.directory / "zeo/etc/zeo.conf"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff foreign\n")
    with pytest.raises(ApplyRefused, match="zmount did not write this file"):
        write(place.says(0))
    topology = place.says(0)
    write(topology, overwrite=True)
    undo(topology, topology.hosts[0])
    assert path.read_bytes() == b"\xff foreign\n"


def test_a_link_in_the_place_of_a_file_is_refused(place: Place) -> None:
    path = place.directory / "zeo/etc/zeo.conf"
    path.parent.mkdir(parents=True)
    path.symlink_to(place.directory / "elsewhere")
    with pytest.raises(ApplyRefused, match="symbolic link"):
        write(place.says(0), overwrite=True)
    assert not (place.directory / "elsewhere").exists()


def test_data_on_another_disk_behind_a_link_is_fine(place: Place) -> None:
    disk = place.directory / "disk2"
    disk.mkdir()
    (place.directory / "var").mkdir()
    (place.directory / "var/pub").symlink_to(disk)
    write(place.says(0))
    assert (disk / "x.org/blobs").is_dir()


def test_undo_goes_back_one_apply_at_a_time(place: Place) -> None:
    seen = [place.files]
    for number in (0, 1, 3):
        write(place.says(number))
        seen.append(place.files)
    topology = place.says(3)
    for expected in reversed(seen[:-1]):
        undo(topology, topology.hosts[0])
        assert place.files == expected
    with pytest.raises(ApplyRefused, match="there is no apply"):
        undo(topology, topology.hosts[0])


def test_undo_without_any_apply_says_so_and_makes_nothing(place: Place) -> None:
    topology = place.says(0)
    with pytest.raises(ApplyRefused, match="there is no apply"):
        undo(topology, topology.hosts[0])
    made = {path.name for path in place.directory.iterdir()}
    assert made == {"zmount.conf", "zmount.history"}


def test_undo_leaves_alone_what_a_person_changed_since(place: Place) -> None:
    write(place.says(0))
    write(place.says(1))
    path = place.directory / "zeo/etc/zeo.conf"
    path.write_text(path.read_text() + "# mine\n")
    before = place.files
    topology = place.says(1)
    with pytest.raises(ApplyRefused, match="a person changed it since"):
        undo(topology, topology.hosts[0])
    assert place.files == before


def test_undo_never_removes_what_lies_in_a_directory(place: Place) -> None:
    topology = place.says(0)
    write(topology)
    (place.directory / "var/pub/x.org/Data.fs").write_text("precious")
    undo(topology, topology.hosts[0])
    assert place.files == {"var/pub/x.org/Data.fs": "precious"}
    assert not (place.directory / "zeo").exists()


def test_a_dry_undo_changes_nothing(place: Place) -> None:
    topology = place.says(0)
    write(topology)
    before = place.files
    found = undo(topology, topology.hosts[0], dry_run=True)
    assert found.plan.changes_anything
    assert place.files == before


def test_a_lost_list_of_files_loses_only_the_removal_of_old_ones(place: Place) -> None:
    write(place.says(3))
    (place.directory / "var/zmount/generated.json").unlink()
    write(place.says(2))
    assert any(name.startswith("dev2_client") for name in place.files)
    assert write(place.says(2)).all_steps == ()


class Life(RuleBasedStateMachine):
    """A topology changes, people edit, apply and undo run and are killed: in any order.

    Whatever happens, the files are those of before or those of after, and what a
    person wrote is lost only by --overwrite, from which undo brings it back.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.place = Place(directory)
        for path in directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        self.number = 0
        self.history: list[tuple[Files, Files]] = []  # before and after each apply

    @property
    def topology(self) -> Topology:
        return self.place.says(self.number)

    def generated(self) -> list[Path]:
        return [self.place.directory / name for name in self.place.files]

    @rule(number=st.integers(0, len(TEXTS) - 1))
    def the_topology_changes(self, number: int) -> None:
        self.number = number

    @precondition(lambda self: self.place.files)
    @rule(draw=st.data())
    def a_person_edits_a_file(self, draw: st.DataObject) -> None:
        path = draw.draw(st.sampled_from(self.generated()))
        path.write_text(path.read_text() + "# mine\n")

    @precondition(lambda self: self.place.files)
    @rule(draw=st.data())
    def a_person_removes_a_file(self, draw: st.DataObject) -> None:
        draw.draw(st.sampled_from(self.generated())).unlink()

    @rule(overwrite=st.booleans(), kill=st.none() | st.integers(0, 250))
    def apply(self, overwrite: bool, kill: int | None) -> None:
        topology = self.topology
        host = topology.hosts[0]
        before = self.place.files
        plan = plan_host(what_is_wanted(topology, host), overwrite=overwrite)
        mine = {name for name, text in before.items() if text.endswith("# mine\n")}
        if plan.conflicts:
            with pytest.raises(ApplyRefused):
                write(topology, overwrite=overwrite)
            assert self.place.files == before
            return
        wanted = {
            str(file.path.relative_to(host.directory)): file.text
            for file in what_is_wanted(topology, host).files
        }
        after = {name: text for name, text in before.items() if name in mine} | wanted
        self.do(lambda: write(topology, overwrite=overwrite), kill)
        found = self.place.files
        if plan.changes_anything and found == after:
            self.history.append((before, after))
        assert found in (before, after), "a mix"
        assert kill is not None or found == after

    @rule(kill=st.none() | st.integers(0, 250))
    def undo(self, kill: int | None) -> None:
        topology = self.topology
        now = self.place.files
        if not self.history:
            with pytest.raises(ApplyRefused):
                undo(topology, topology.hosts[0])
            return
        before, after = self.history[-1]
        changed = {
            name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
        }
        if any(now.get(name) not in (None, before.get(name), after.get(name)) for name in changed):
            with pytest.raises(ApplyRefused):
                undo(topology, topology.hosts[0])
            assert self.place.files == now
            return
        back = {name: text for name, text in now.items() if name not in changed}
        back |= {name: before[name] for name in changed if name in before}
        self.do(lambda: undo(topology, topology.hosts[0]), kill)
        found = self.place.files
        assert found in (now, back), "a mix"
        if found == back and self.is_undone():
            self.history.pop()

    def is_undone(self) -> bool:
        with locked(self.topology.hosts[0].directory) as state:
            return next(complete(state)).plan.undoes != 0

    def do(self, function: Callable[[], object], kill: int | None) -> None:
        if kill is None:
            function()
        elif killed_at(kill, function):
            with locked(self.topology.hosts[0].directory) as state:
                recover(state)

    @invariant()
    def nothing_is_left_beside(self) -> None:
        assert not list(self.place.directory.rglob(".*zmount-*"))


@pytest.fixture
def shared_memory() -> Iterator[Path]:
    """A directory in memory where there is one: thousands of fsyncs follow."""
    memory = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(prefix="zm-", dir=memory if memory.is_dir() else None))
    yield directory
    shutil.rmtree(directory)


def test_in_any_sequence_nothing_is_mixed_and_nothing_of_a_person_is_lost(
    shared_memory: Path,
) -> None:
    run(
        lambda: Life(shared_memory),
        settings=settings(
            max_examples=30,
            stateful_step_count=15,
            deadline=None,
            verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck),
        ),
    )
