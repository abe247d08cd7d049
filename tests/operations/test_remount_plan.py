"""What is repaired in a root, and what is left alone and why, from what was seen of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zmount.effects.raw_found import FoundReference
from zmount.effects.raw_records import Reference
from zmount.effects.raw_roots import Content, MountState
from zmount.operations.remount_look import MountSeen, RootSeen
from zmount.operations.remount_plan import RemountPlan, RemountScope, plan_remount
from zmount.plan.offline import Offline
from zmount.plan.remount_steps import (
    RemoveReference,
    ReplaceByMountPoint,
    ReplaceReference,
    SetMountPath,
)
from zmount.plan.root_steps import MakeMountPoint, MendMountPoint, StopMaking
from zmount.topology.load import load
from zmount.topology.topology import Topology

CONF = """
directory /nowhere
venv /nowhere/venv
<zeo zeo>
  address 127.0.0.1:8100
</zeo>
<site x/>
<site y/>
{more}
<instance pub/>
"""
OID, OTHER = b"\0" * 7 + b"\5", b"\0" * 7 + b"\6"
THERE = Content(state="ok", class_name="OFS.Folder.Folder", own_id="x", oid=OID)
OFF = Offline(instance="pub", path="/home/x", site="x", storage="pub/x", since="today")


@pytest.fixture
def topology(tmp_path: Path) -> Topology:
    return read(tmp_path)


def read(tmp_path: Path, more: str = "") -> Topology:
    (tmp_path / "zmount.conf").write_text(CONF.format(more=more))
    return load(tmp_path / "zmount.conf")


def crossing(path: str, oid: bytes = OID, database: str = "pub/x") -> FoundReference:
    return FoundReference(
        path=path, holder=b"\0" * 8, reference=Reference(oid=oid, database=database)
    )


def plan(
    topology: Topology,
    *crossings: FoundReference,
    paths: tuple[str, ...] | None = None,
    offline: tuple[Offline, ...] = (),
    is_down: bool = False,
    why_not: str = "",
    **x: Any,
) -> RemountPlan:
    """Return the plan for a root that is right, but for CROSSINGS and what X says of /home/x."""
    instance = topology.instance("pub")
    mounts = []
    for mount in instance.mounts[1:]:
        right = MountState(
            mount=mount,
            point=mount.points[0],
            state="ok",
            holder=instance.root.name,
            content=THERE if mount.name == "pub/x" else replace(THERE, own_id="y", oid=OTHER),
        )
        is_x = mount.name == "pub/x"
        mounts.append(
            MountSeen(state=replace(right, **x) if is_x else right, why_not=why_not if is_x else "")
        )
    seen = RootSeen(is_known=True, mounts=tuple(mounts), crossings=crossings)
    scope = RemountScope(
        paths=paths, offline={each.path: each for each in offline}, is_down=is_down
    )
    return plan_remount(instance, seen, scope)


def refused(found: RemountPlan) -> str:
    assert found.steps == ()
    (one,) = found.refused
    return str(one)


def test_what_is_right_is_left_alone(topology: Topology) -> None:
    assert plan(topology) == RemountPlan()


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("missing", MakeMountPoint(virtual="/home/x", database="pub/x")),
        ("parent missing", MakeMountPoint(virtual="/home/x", database="pub/x")),
        ("unlisted", MendMountPoint(virtual="/home/x")),
        ("forgotten", MendMountPoint(virtual="/home/x")),
        ("wrong path", SetMountPath(virtual="/home/x")),
        (
            "shadowed",
            ReplaceByMountPoint(
                virtual="/home/x",
                database="pub/x",
                makes_missing=False,
                reason="in the way of the mount point of pub/x",
            ),
        ),
    ],
)
def test_each_state_has_its_step(topology: Topology, state: str, step: object) -> None:
    assert plan(topology, state=state).steps == (step,)
    assert plan(topology, state=state, paths=("/home/x",)).steps == (step,)
    assert plan(topology, state=state, paths=("/home/y",)).steps == ()


def test_a_mount_point_stops_making_what_its_storage_lacks(topology: Topology) -> None:
    lacking = Content(state="missing", missing_at="home", holds=("other",))

    found = plan(topology, makes_missing=True, content=lacking)

    assert found.steps == (StopMaking(virtual="/home/x"),)
    assert "there is no 'home', it holds other" in str(found.refused[0])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (Content(state="empty"), "the storage pub/x is empty"),
        (Content(state="missing", missing_at="home"), "the storage pub/x has no /home/x"),
        (Content(state="damaged", detail="a bad record"), "/home/x: a bad record"),
        (Content(state="unknown"), "the storage pub/x cannot be read"),
    ],
)
def test_nothing_is_made_without_the_object_that_it_shows(
    topology: Topology, content: Content, why: str
) -> None:
    assert why in refused(plan(topology, state="missing", content=content))


def test_a_server_that_is_away_is_waited_for_only_by_an_instance_that_is_down(
    topology: Topology,
) -> None:
    assert "zeo is down" in refused(plan(topology, state="missing", why_not="zeo is down"))
    assert len(plan(topology, state="missing", why_not="zeo is down", is_down=True).steps) == 1


def test_nothing_is_written_to_a_mounted_storage(topology: Topology) -> None:
    for state in ("missing", "shadowed"):
        found = plan(topology, state=state, holder="pub/y")
        assert "lies in the mounted storage pub/y" in refused(found)


def test_a_read_only_root_is_told(tmp_path: Path) -> None:
    topology = read(tmp_path, "<storage root/pub>\n  read-only on\n</storage>")
    assert "is read-only" in refused(plan(topology, state="missing"))
    assert "is read-only" in refused(plan(topology, crossing("/home/z")))


def test_what_is_off_line_is_left_alone_and_the_way_back_told(topology: Topology) -> None:
    for found in (
        plan(topology, offline=(OFF,), state="missing"),
        plan(topology, offline=(OFF,), state="off-line", detail="since today"),
    ):
        assert found.steps == found.refused == ()
        assert "zmount online x" in str(found.offline[0])


def test_a_site_that_is_off_line_is_refused_to_who_names_it(topology: Topology) -> None:
    found = plan(topology, offline=(OFF,), state="off-line", paths=("/home/x",))
    assert "it is off-line since today" in refused(found)


def test_a_reference_to_what_the_mount_point_shows_gives_way_to_it(topology: Topology) -> None:
    found = plan(topology, crossing("/home/x"), state="cross-database reference")
    assert found.steps == (ReplaceReference(virtual="/home/x", database="pub/x", oid=OID.hex()),)


def test_a_reference_to_what_another_mount_point_shows_goes_as_well(topology: Topology) -> None:
    other = crossing("/home/x", OTHER, "pub/y")
    found = plan(topology, other, state="cross-database reference")
    assert [str(step) for step in found.steps] == [
        "remove the reference at /home/x to what /home/y shows",
        "make the mount point /home/x",
    ]


def test_the_new_name_of_a_renamed_mount_point_goes_first(topology: Topology) -> None:
    found = plan(topology, crossing("/home/z"), state="missing")
    assert [type(step) for step in found.steps] == [RemoveReference, MakeMountPoint]


def test_a_reference_beside_is_found_by_its_own_path(topology: Topology) -> None:
    assert plan(topology, crossing("/home/z"), paths=("/home/y",)).steps == ()
    assert len(plan(topology, crossing("/home/z"), paths=("/home/z",)).steps) == 1


@pytest.mark.parametrize("path", ["/home/x", "/home/z"])
def test_a_reference_to_something_else_is_never_removed(topology: Topology, path: str) -> None:
    state = "cross-database reference" if path == "/home/x" else "ok"
    found = plan(topology, crossing(path, b"\0" * 7 + b"\7"), state=state)
    assert "to an object that no mount point shows" in refused(found)


def test_a_folder_with_such_a_reference_is_not_written(topology: Topology) -> None:
    found = plan(topology, crossing("/home/z", b"\0" * 7 + b"\7"), state="missing")
    assert found.steps == ()
    assert "its folder cannot be written, as /home/z in it" in str(found.refused[0])


def test_where_references_are_allowed_the_folder_is_written(tmp_path: Path) -> None:
    topology = read(tmp_path, "<database>\nallow-implicit-cross-references on\n</database>")
    found = plan(topology, crossing("/home/z", b"\0" * 7 + b"\7"), state="missing")
    assert found.steps == (MakeMountPoint(virtual="/home/x", database="pub/x"),)


def test_a_reference_into_a_database_that_is_not_configured_needs_that_first(
    topology: Topology,
) -> None:
    found = plan(topology, crossing("/home/z", database="gone"))
    assert "add a <mount> of it" in refused(found)


def test_an_object_that_calls_itself_something_else_is_told(topology: Topology) -> None:
    found = plan(topology, content=replace(THERE, own_id="z"))
    assert found.steps == ()
    assert "the object calls itself 'z', not 'x'" in found.notes[0]
