"""What is made in a root, and what is left alone, from what was seen of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zmount.effects.raw_roots import Content, MountState
from zmount.operations.prepare_plan import RootPlan, Seen, plan_root
from zmount.plan.offline import Offline
from zmount.plan.offline_steps import TakeOffline
from zmount.plan.root_steps import (
    MakeAdministrator,
    MakeContent,
    MakeMountPoint,
    MakeSandboxes,
    MakeSessionContainer,
    MendMountPoint,
    PointSessions,
    StopMaking,
)
from zmount.topology.administrator import Administrator
from zmount.topology.load import load
from zmount.topology.topology import Topology

CONF = """
directory /nowhere
venv /nowhere/venv
administrator admin
<zeo zeo>
  address 127.0.0.1:8100
</zeo>
<site x/>
<session/>
<instance pub/>
"""
EMPTY = Content(state="empty")
CONTENT = MakeContent(
    database="pub/x", root="Application", real="/home/x", container_class="OFS.Folder.Folder"
)
THERE = Content(state="ok", class_name="OFS.Folder.Folder")


@pytest.fixture
def topology(tmp_path: Path) -> Topology:
    return read(tmp_path, CONF)


def read(tmp_path: Path, text: str) -> Topology:
    (tmp_path / "zmount.conf").write_text(text)
    return load(tmp_path / "zmount.conf")


def seen(topology: Topology, **said: Any) -> Seen:
    """Return what a root of ``pub`` that is right looks like, but for what is SAID.

    ``x`` and ``session`` say how those two mount points differ.
    """
    instance = topology.instance("pub")
    states = []
    for mount in instance.mounts[1:]:
        state = MountState(
            mount=mount, point=mount.points[0], state="ok", holder="main", content=THERE
        )
        key = "session" if mount.storage.role == "session" else "x"
        states.append(replace(state, **said.pop(key, {})))
    right = Seen(
        is_known=True,
        mounts=tuple(states),
        has_users=True,
        has_sandboxes=None,
        has_session_container=True,
        session_path="/session/session_data",
    )
    return replace(right, **said)


def plan(topology: Topology, **said: Any) -> RootPlan:
    instance = topology.instance("pub")
    administrator = Administrator(name="admin")
    return plan_root(instance, seen(topology, **said), topology.session, administrator)


def test_nothing_is_done_to_a_root_that_is_right(topology: Topology) -> None:
    assert plan(topology) == RootPlan()


def test_a_missing_mount_point_is_made_after_the_object_it_shows(topology: Topology) -> None:
    missing = {"state": "parent missing", "detail": "/home", "content": EMPTY}

    assert plan(topology, x=missing).steps == (
        CONTENT,
        MakeMountPoint(virtual="/home/x", database="pub/x"),
    )


def test_a_mount_point_alone_is_made_where_the_object_is_there(topology: Topology) -> None:
    assert plan(topology, x={"state": "missing"}).steps == (
        MakeMountPoint(virtual="/home/x", database="pub/x"),
    )


def test_a_mount_point_may_no_longer_make_what_is_missing(topology: Topology) -> None:
    assert plan(topology, x={"makes_missing": True}).steps == (StopMaking(virtual="/home/x"),)


def test_content_comes_before_every_mount_point(topology: Topology) -> None:
    missing = {"state": "missing", "content": EMPTY}
    steps = plan(topology, x=missing, session=missing).steps

    kinds = [type(step) for step in steps]
    assert kinds == [MakeContent, MakeContent, MakeMountPoint, MakeMountPoint]


@pytest.mark.parametrize("state", ["unlisted", "forgotten"])
def test_a_mount_point_that_its_folder_lost_is_mended(topology: Topology, state: str) -> None:
    assert plan(topology, x={"state": state}).steps == (MendMountPoint(virtual="/home/x"),)


def test_an_object_in_the_way_is_left_alone(topology: Topology) -> None:
    result = plan(topology, x={"state": "shadowed", "detail": "OFS.Folder.Folder"})

    assert result.steps == ()
    assert "in the way, an object of OFS.Folder.Folder" in result.refused[0].what
    assert "zmount remount" in result.refused[0].hint


def test_a_mount_point_for_another_path_is_left_alone(topology: Topology) -> None:
    result = plan(topology, x={"state": "wrong path", "detail": "/pub/x"})

    assert result.steps == ()
    assert "was made for /pub/x" in result.refused[0].what


def test_a_reference_into_another_database_is_left_alone(topology: Topology) -> None:
    result = plan(topology, x={"state": "cross-database reference", "detail": "stage/x"})

    assert result.steps == ()
    assert "a reference into the database stage/x" in result.refused[0].what


def test_no_empty_site_is_made_in_a_storage_that_holds_something_else(topology: Topology) -> None:
    content = Content(state="missing", missing_at="home", holds=("acl_users", "x"))

    result = plan(topology, x={"state": "missing", "content": content})

    assert result.steps == ()
    assert result.refused[0].what == (
        "/home/x: the storage pub/x has no /home/x: there is no 'home', it holds acl_users, x"
    )


def test_a_mount_point_that_would_make_an_empty_site_is_stopped(topology: Topology) -> None:
    content = Content(state="missing", missing_at="home", holds=("x",))

    result = plan(topology, x={"makes_missing": True, "content": content})

    assert result.steps == (StopMaking(virtual="/home/x"),)
    assert len(result.refused) == 1


def test_sessions_get_their_container_and_the_manager_is_pointed_to_it(
    topology: Topology,
) -> None:
    steps = plan(topology, has_session_container=False, session_path=None).steps

    assert steps == (
        MakeSessionContainer(
            path="/session", container="session_data", timeout_minutes=20, max_objects=0
        ),
        PointSessions(path="/session/session_data"),
    )


def test_the_container_that_zope_chooses_for_sessions_is_replaced(topology: Topology) -> None:
    steps = plan(topology, session_path="/temp_folder/session_data").steps

    assert steps == (PointSessions(path="/session/session_data"),)


def test_the_container_that_a_person_chose_for_sessions_is_kept(topology: Topology) -> None:
    result = plan(topology, session_path="/mine/data")

    assert result.steps == ()
    assert "sessions are kept in /mine/data" in result.refused[0].what


def test_no_session_container_is_made_in_what_is_in_the_way_of_its_mount(
    topology: Topology,
) -> None:
    result = plan(
        topology,
        session={"state": "shadowed", "detail": "OFS.Folder.Folder"},
        has_session_container=False,
        session_path=None,
    )

    assert result.steps == ()


def test_a_root_without_users_gets_the_administrator(topology: Topology) -> None:
    assert plan(topology, has_users=False).steps == (MakeAdministrator(user="admin"),)


def test_without_an_administrator_in_the_topology_no_user_is_made(topology: Topology) -> None:
    result = plan_root(
        topology.instance("pub"), seen(topology, has_users=False), topology.session, None
    )

    assert result == RootPlan()


def test_a_development_instance_gets_its_folder_for_sandboxes(tmp_path: Path) -> None:
    topology = read(
        tmp_path, CONF.replace("<instance pub/>", "<instance pub>\n sandboxes /dev\n</instance>")
    )

    (step,) = plan(topology, has_sandboxes=False).steps

    assert isinstance(step, MakeSandboxes)
    assert step.path == "/dev"
    reaching_code = {"Add External Methods", "Change proxy roles", "Manage users"}
    assert not reaching_code & set(step.permissions)
    assert plan(topology, has_sandboxes=True).steps == ()


@pytest.mark.parametrize(
    "said", ["<client>\n read-only on\n</client>", "<storage pub/x>\n read-only on\n</storage>"]
)
def test_nothing_is_made_in_a_storage_that_is_read_only(tmp_path: Path, said: str) -> None:
    topology = read(tmp_path, CONF.replace("<session/>", "") + said)

    result = plan(topology, x={"state": "missing", "content": EMPTY})

    assert result.steps == ()
    assert "pub/x is read-only" in result.refused[0].what


def test_a_read_only_storage_that_has_its_object_gets_a_mount_point(tmp_path: Path) -> None:
    topology = read(tmp_path, CONF.replace("<session/>", "<client>\n read-only on\n</client>"))

    assert plan(topology, x={"state": "missing"}).steps == (
        MakeMountPoint(virtual="/home/x", database="pub/x"),
    )


def test_a_storage_in_memory_may_make_its_object_at_each_start(tmp_path: Path) -> None:
    memory = "<storage pub/x>\n server none\n <mappingstorage/>\n</storage>"
    topology = read(tmp_path, CONF + memory)
    unknown = Content(state="unknown")

    missing = plan(topology, x={"state": "missing", "content": unknown})
    there = plan(topology, x={"makes_missing": True, "content": unknown})

    assert missing.steps == (
        MakeMountPoint(virtual="/home/x", database="pub/x", makes_missing=True),
    )
    assert there == RootPlan()


def test_a_storage_that_cannot_be_read_now_is_trusted_once_it_is_mounted(
    topology: Topology,
) -> None:
    unknown = Content(state="unknown")

    assert plan(topology, x={"content": unknown}) == RootPlan()
    assert plan(topology, x={"state": "missing", "content": unknown}).steps == (
        CONTENT,
        MakeMountPoint(virtual="/home/x", database="pub/x"),
    )


def test_a_root_that_cannot_be_read_gets_everything_that_is_missing(topology: Topology) -> None:
    unknown = {"state": "unknown", "content": Content(state="unknown")}

    steps = plan(
        topology,
        is_known=False,
        has_users=None,
        has_session_container=None,
        session_path=None,
        x=unknown,
        session=unknown,
    ).steps

    kinds = [type(step).__name__ for step in steps]
    assert kinds == [
        "MakeContent",
        "MakeContent",
        "MakeMountPoint",
        "MakeMountPoint",
        "MakeSessionContainer",
        "PointSessions",
        "MakeAdministrator",
    ]


OUT = Offline(instance="pub", path="/home/x", site="x", storage="pub/x", since="2026-01-01")


def plan_offline(topology: Topology, **said: Any) -> RootPlan:
    instance = topology.instance("pub")
    root = seen(topology, **said)
    return plan_root(instance, root, topology.session, None, {OUT.path: OUT})


def test_what_is_off_line_is_left_so(topology: Topology) -> None:
    assert plan_offline(topology, x={"state": "off-line"}) == RootPlan()
    # its storage may be the reason: nothing is made there either
    assert plan_offline(topology, x={"state": "off-line", "content": EMPTY}) == RootPlan()


@pytest.mark.parametrize(
    "state", ["ok", "missing", "parent missing", "wrong path", "unlisted", "forgotten"]
)
def test_a_root_that_lost_what_is_off_line_gets_it_again(topology: Topology, state: str) -> None:
    found = plan_offline(topology, x={"state": state, "content": EMPTY})

    assert found == RootPlan(steps=(TakeOffline(offline=OUT),))


def test_what_covers_a_mount_point_is_not_touched_for_going_off_line(topology: Topology) -> None:
    found = plan_offline(topology, x={"state": "shadowed", "detail": "a.B"})

    assert found.steps == ()
    assert "something is in the way" in found.refused[0].what


def test_what_is_off_line_and_not_known_to_be_is_told(topology: Topology) -> None:
    found = plan(topology, x={"state": "off-line", "detail": "since yesterday"})

    assert found.steps == ()
    (refusal,) = found.refused
    assert "it is off-line since yesterday" in refusal.what


def test_nothing_is_made_below_what_is_off_line(tmp_path: Path) -> None:
    below = "<mount catalog>\n mount-point /home/x/catalog\n</mount>"
    conf = CONF.replace(
        "<instance pub/>", f"<storage catalog/><instance pub>\n{below}\n</instance>"
    )
    topology = read(tmp_path, conf.replace("<storage catalog/><", "<storage catalog/>\n<"))
    instance = topology.instance("pub")
    states = tuple(
        MountState(
            mount=mount,
            point=mount.points[0],
            state="off-line" if mount.storage.site else "parent missing",
            holder="main",
        )
        for mount in instance.mounts[1:]
        if mount.storage.role != "session"
    )
    root = replace(seen(topology), mounts=states)

    assert plan_root(instance, root, None, None, {OUT.path: OUT}) == RootPlan()
