"""Mount points are repaired up or down, and what lies in the attic comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from broken_mounts import (
    Administrator,
    delete,
    mount_status,
    replace_by_folder,
)
from OFS.Folder import Folder
from Products.BTreeFolder2.BTreeFolder2 import BTreeFolder2
from remounting import ALL, Zopes, attic, make_whole, only, started
from zope_files import in_file

from zmount.effects.serving import is_served
from zmount.errors import RemountFailed, UnknownName
from zmount.operations.attic import change_attic, plan_drop, plan_restore


@pytest.fixture(scope="module")
def up() -> Iterator[Zopes]:
    with started() as zopes:
        yield zopes


@pytest.fixture
def zopes(up: Zopes) -> Zopes:
    """The deployment, whole and up."""
    make_whole(up)
    return up


def test_all_replicas_of_a_root_on_zeo_show_the_mount_again_at_once(zopes: Zopes) -> None:
    other = Administrator(zopes.deployment.port2 + 1, user="")
    assert other.get("/home/x.org/doc")[0] == 200
    replace_by_folder(zopes.pub, "/home/x.org")
    assert other.get("/home/x.org/doc")[0] == 404

    done = only(zopes.remount(), "pub")

    assert done.seen_by == ("pub-1", "pub-2")
    assert other.get("/home/x.org/doc")[0] == 200


def test_an_instance_that_is_down_is_repaired_by_its_own_zope(zopes: Zopes) -> None:
    replace_by_folder(zopes.dev, "/pub/x.org")
    zopes.stop("dev")

    done = only(zopes.remount(), "dev")

    assert done.error is None and done.seen_by == ()
    assert zopes.states()["/pub/x.org"] == "ok"
    zopes.start("dev")
    assert set(mount_status(zopes.dev).values()) == {"Ok"}
    assert zopes.dev.get("/pub/x.org/doc")[0] == 200


def test_a_mount_point_in_a_folder_with_a_tree_is_repaired(zopes: Zopes) -> None:
    def plant(app: Any) -> None:
        app._delOb("pub")
        app._setOb("pub", BTreeFolder2("pub"))
        app.pub._setObject("x.org", Folder("x.org"))

    zopes.stop("dev")
    in_file(zopes.data_fs("root/dev"), plant)
    zopes.start("dev")

    result = zopes.remount()

    result.refuse_failures()
    assert list(only(result, "dev").slots) == ["/pub/x.org"]
    assert zopes.dev.get("/pub/x.org/doc")[0] == 200
    assert set(mount_status(zopes.dev).values()) == {"Ok"}
    assert zopes.states()["/pub/x.org"] == "ok"
    delete(zopes.dev, "/pub")  # the next repair makes a plain folder of it


def test_where_nothing_runs_the_servers_run_meanwhile(zopes: Zopes) -> None:
    delete(zopes.dev, "/pub/y.org")
    delete(zopes.pub, "/home/y.org")
    zopes.stop(*reversed(ALL))

    result = zopes.remount()

    result.refuse_failures()
    assert [len(each.steps) for each in result.instances] == [1, 1]
    assert not is_served(zopes.deployment.topology.zeo_servers[0], zopes.deployment.host)
    zopes.start(*ALL)
    assert set(mount_status(zopes.pub).values()) == {"Ok"}


def test_what_is_off_line_stays_so(zopes: Zopes) -> None:
    done = zopes.deployment.zmount("offline", "x.org", "--reason", "it spins")
    assert done.returncode == 0, done.stderr
    try:
        result = zopes.remount()
        told = "\n".join(only(result, "pub").lines)
        result.refuse_failures()
        named = zopes.remount("/home/x.org", instances=("pub",))
        states = zopes.states("pub")
    finally:
        zopes.deployment.zmount("online", "x.org")

    assert "off-line: /home/x.org: it is off-line since" in told
    assert "it spins" in told and "zmount online x.org" in told
    assert states["/home/x.org"] == "off-line"
    with pytest.raises(RemountFailed, match="it is off-line"):
        named.refuse_failures()


def test_an_object_of_the_attic_comes_back_or_goes_up_or_down(zopes: Zopes) -> None:
    topology, host = zopes.deployment.topology, zopes.deployment.host
    for each in attic(zopes):
        change_attic(topology, host, plan_drop(attic(zopes), each.found.slot))
    for _ in range(2):
        replace_by_folder(zopes.dev, "/home/x.org")
        zopes.remount()
    first, second = (each.found.slot for each in attic(zopes))

    with pytest.raises(RemountFailed, match=r"stage/x.org is mounted there"):
        plan_restore(topology, host, attic(zopes), first, None)
    with pytest.raises(RemountFailed, match="that is in the mounted storage"):
        plan_restore(topology, host, attic(zopes), first, "/home/x.org/found")
    change = plan_restore(topology, host, attic(zopes), first, "/dev/found")
    change_attic(topology, host, change)
    assert zopes.dev.get("/dev/found/title_or_id")[1] == "the new one"
    with pytest.raises(RemountFailed, match="something is there"):
        plan_restore(topology, host, attic(zopes), second, "/dev/found")
    with pytest.raises(UnknownName, match="no 'x' in the attic"):
        plan_drop(attic(zopes), "x")
    assert plan_drop(attic(zopes), "x.org").of.found.slot == second  # the only one of that name
    zopes.stop("dev")
    assert change_attic(topology, host, plan_drop(attic(zopes), second)).is_done
    assert attic(zopes) == ()
    script = zopes.deployment.zmount("attic", "--drop", second)
    assert script.returncode == 3, script.stderr
