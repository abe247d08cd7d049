"""Mounts that people broke over HTTP are right again: raw, for Zope, and for visitors."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from broken_mounts import (
    CONF,
    CROSS_REFERENCES,
    Administrator,
    add_document,
    add_folder,
    cut_and_paste,
    delete,
    mount_status,
    paste_over,
    rename,
    replace_by_folder,
    running,
    start,
    stop,
)
from deployments import Deployment
from zope_files import in_file

from zmount.agent.attic import ATTIC
from zmount.errors import RemountFailed
from zmount.operations.attic import change_attic, list_attic, plan_drop
from zmount.operations.mounts import mounts
from zmount.operations.pack import pack
from zmount.operations.pack_plan import PackWish
from zmount.operations.prepare import prepare
from zmount.operations.remount import RemountWish, remount
from zmount.operations.remounted import RemountResult

SIZE = 600_000  # of the document that x.org has


@dataclass
class Zopes:
    """A deployment, its development and its public instance, both up."""

    deployment: Deployment
    dev: Administrator
    pub: Administrator
    children: dict[str, Any] = field(default_factory=dict)

    def remount(self, *paths: str, **said: Any) -> RemountResult:
        wish = RemountWish(paths=paths, **said)
        return remount(self.deployment.topology, self.deployment.host, wish)

    def data_fs(self, instance: str) -> Path:
        path = self.deployment.topology.instance(instance).root.storage.data_fs
        assert path is not None
        return Path(path)

    def states(self, instance: str) -> dict[str, str]:
        found = mounts(self.deployment.topology, self.deployment.host, [instance])
        return {each.path: each.state for each in found.instances[0].mounts}

    def must_be_right(self) -> None:
        """Every mount is right for Zope, in the records, and for visitors."""
        assert set(mount_status(self.dev).values()) == {"Ok"}
        assert set(mount_status(self.pub).values()) == {"Ok"}
        assert set(self.states("dev").values()) == set(self.states("pub").values()) == {"ok"}
        anybody = Administrator(self.deployment.port, user="")
        public = Administrator(self.deployment.port2, user="")
        assert len(anybody.get("/pub/x.org/doc")[1]) == SIZE
        assert len(public.get("/home/x.org/doc")[1]) == SIZE
        assert public.get("/home/x.org/absolute_url")[1].endswith("/home/x.org")


def made(text: str) -> Iterator[Zopes]:
    with tempfile.TemporaryDirectory(prefix="zm-") as directory:
        deployment = Deployment(Path(directory), text)
        deployment.write_files()
        prepare(deployment.topology, deployment.host)
        with running(deployment, "zeo", "dev", "pub") as children:
            zopes = Zopes(
                deployment,
                Administrator(deployment.port),
                Administrator(deployment.port2),
                children,
            )
            add_document(zopes.pub, "/home/x.org/doc", SIZE)
            yield zopes


@pytest.fixture(scope="module")
def zopes() -> Iterator[Zopes]:
    yield from made(CONF)


@pytest.fixture(scope="module")
def lax() -> Iterator[Zopes]:
    """A deployment from before zmount: its databases may refer to each other."""
    yield from made(CONF + CROSS_REFERENCES)


def only(result: RemountResult, instance: str) -> Any:
    return next(each for each in result.instances if each.instance == instance)


def test_a_deleted_mount_point_is_there_again(zopes: Zopes) -> None:
    delete(zopes.dev, "/pub/x.org")
    delete(zopes.pub, "/home/x.org")

    result = zopes.remount()

    assert [str(step) for step in only(result, "dev").steps] == ["make the mount point /pub/x.org"]
    assert [str(step) for step in only(result, "pub").steps] == ["make the mount point /home/x.org"]
    assert only(result, "dev").seen_by == ("dev",)
    result.refuse_failures()
    zopes.must_be_right()


def test_a_copy_in_the_way_is_moved_aside_and_its_size_told(zopes: Zopes) -> None:
    before = zopes.data_fs("dev").stat().st_size
    paste_over(zopes.dev, "/home/x.org", "/pub/x.org")
    grown = zopes.data_fs("dev").stat().st_size - before
    add_document(zopes.dev, "/home/x.org/edited", 10)
    assert grown > SIZE

    done = only(zopes.remount(), "dev")

    aside = done.asides["/home/x.org"]
    assert aside.objects == 3
    assert SIZE < aside.size_bytes < grown
    assert f"a pack of root/dev gets {SIZE / 1000:.0f}" in "\n".join(done.lines)
    zopes.must_be_right()
    (found,) = list_attic(zopes.deployment.topology, zopes.deployment.host, ("dev",))
    assert (found.found.path, found.found.slot) == ("/home/x.org", done.slots["/home/x.org"])
    assert found.found.size == aside
    assert zopes.dev.get(f"/{ATTIC}/{found.found.slot}/x.org/edited")[0] == 200


def test_a_pack_gets_back_what_was_told(zopes: Zopes) -> None:
    topology, host = zopes.deployment.topology, zopes.deployment.host
    paste_over(zopes.dev, "/home/x.org", "/pub/x.org")
    aside = only(zopes.remount(), "dev").asides["/home/x.org"]
    with_it = would_free(zopes, "root/dev")

    change_attic(topology, host, plan_drop(list_attic(topology, host, ("dev",))[-1:], "x.org"))

    more = would_free(zopes, "root/dev") - with_it
    assert aside.size_bytes <= more < aside.size_bytes + 2000  # and its folder in the attic


def would_free(zopes: Zopes, storage: str) -> int:
    wish = PackWish(names=(storage,), days=0, is_dry_run=True)
    result = pack(zopes.deployment.topology, zopes.deployment.host, wish, lambda event: None)
    result.refuse_failures()
    freed = result.storages[0].freed_bytes
    assert freed is not None
    return freed


def test_visitors_do_not_get_into_the_attic_even_where_an_object_lets_them(zopes: Zopes) -> None:
    replace_by_folder(zopes.pub, "/home/z.org")
    add_document(zopes.pub, "/home/z.org/open", 10)
    zopes.pub.post(
        "/home/z.org/manage_permission",
        permission_to_manage="View",
        **{"roles:list": "Anonymous", "acquire": ""},
    )
    public = Administrator(zopes.deployment.port2, user="")
    assert public.get("/home/z.org/open")[0] == 200

    slot = only(zopes.remount("/home/z.org"), "pub").slots["/home/z.org"]

    for path in ("", f"/{slot}", f"/{slot}/z.org", f"/{slot}/z.org/open"):
        assert public.get(f"/{ATTIC}{path}")[0] == 401, path
    assert public.get(f"/home/z.org/{ATTIC}/{slot}/z.org/open")[0] == 401
    assert zopes.pub.get(f"/{ATTIC}/{slot}/z.org/open")[0] == 200


def test_a_replayed_repair_changes_nothing(zopes: Zopes) -> None:
    replace_by_folder(zopes.pub, "/home/y.org")
    zopes.remount()
    size = zopes.data_fs("pub").stat().st_size

    result = zopes.remount()

    assert [each.steps for each in result.instances] == [(), ()]
    assert str(result) == "nothing to repair: every mount point is in its place"
    assert zopes.data_fs("pub").stat().st_size == size


def test_a_dry_run_says_what_it_would_do_and_does_nothing(zopes: Zopes) -> None:
    replace_by_folder(zopes.dev, "/home/y.org")
    size = zopes.data_fs("dev").stat().st_size

    told = zopes.deployment.zmount("remount", "dev", "--all", "--dry-run", "--json")

    assert told.returncode == 0, told.stderr
    (dev,) = json.loads(told.stdout)["instances"]
    assert [step["step"] for step in dev["steps"]] == ["replace_by_mount_point"]
    assert dev["would_move"][0]["path"] == "/home/y.org"
    assert zopes.data_fs("dev").stat().st_size == size
    assert zopes.states("dev")["/home/y.org"] == "shadowed"
    zopes.remount().refuse_failures()


def test_a_mount_point_whose_parent_is_gone_gets_it_back(zopes: Zopes) -> None:
    delete(zopes.dev, "/pub")

    result = zopes.remount("/pub/x.org", "/pub/y.org", "/pub/z.org")

    assert len(only(result, "dev").steps) == 3
    zopes.must_be_right()


def test_a_parent_that_was_replaced_by_hand_is_kept_and_used(zopes: Zopes) -> None:
    replace_by_folder(zopes.pub, "/home")
    add_folder(zopes.pub, "/home/x.org")

    result = zopes.remount(instances=("pub",))

    assert len(only(result, "pub").steps) == 3
    assert len(only(result, "pub").slots) == 1
    assert zopes.pub.get("/home/title_or_id")[1] == "the new one"
    zopes.must_be_right()


def test_what_is_neither_listed_nor_remembered_is_again(zopes: Zopes) -> None:
    def forget(app: Any) -> None:
        app.pub._objects = tuple(each for each in app.pub._objects if each["id"] != "x.org")
        app.home._mount_points = {}
        app.pub._p_changed = True
        app.home.__dict__["z.org"]._path = "/elsewhere/z.org"

    stop(zopes.children, "dev")
    in_file(zopes.data_fs("dev"), forget)
    start(zopes.deployment, zopes.children, "dev")
    assert zopes.states("dev") == {
        "/": "ok",
        "/home/x.org": "listed, not remembered",
        "/home/y.org": "listed, not remembered",
        "/home/z.org": "wrong path",
        "/pub/x.org": "remembered, not listed",
        "/pub/y.org": "ok",
        "/pub/z.org": "ok",
    }

    result = zopes.remount()

    assert sorted(map(str, only(result, "dev").steps)) == [
        "list the mount point /home/x.org in its folder",
        "list the mount point /home/y.org in its folder",
        "list the mount point /pub/x.org in its folder",
        "set the mount point at /home/z.org to its path",
    ]
    zopes.must_be_right()


def test_what_renaming_and_cutting_left_is_cleaned_and_the_wrong_id_told(lax: Zopes) -> None:
    rename(lax.dev, "/pub/x.org", "gone.org")
    cut_and_paste(lax.dev, "/pub/y.org", "/")
    assert lax.states("dev")["/pub/gone.org"] == "cross-database reference"
    assert lax.states("dev")["/y.org"] == "cross-database reference"

    result = lax.remount()

    result.refuse_failures()
    assert [str(step) for step in only(result, "dev").steps] == [
        "remove the reference at /y.org to what /pub/y.org shows",
        "remove the reference at /pub/gone.org to what /pub/x.org shows",
        "make the mount point /pub/x.org",
        "make the mount point /pub/y.org",
    ]
    assert "calls itself 'gone.org', not 'x.org'" in only(result, "dev").notes[0]
    assert lax.states("dev")["/pub/x.org"] == "other id"
    assert {"/y.org", "/pub/gone.org"}.isdisjoint(lax.states("dev"))
    assert len(lax.dev.get("/pub/x.org/doc")[1]) == SIZE  # nothing is lost
    assert only(lax.remount(), "dev").steps == ()


def test_a_mount_point_that_was_renamed_and_back_is_one_again(lax: Zopes) -> None:
    rename(lax.dev, "/home/z.org", "for.a.moment")
    rename(lax.dev, "/home/for.a.moment", "z.org")
    assert lax.states("dev")["/home/z.org"] == "cross-database reference"

    result = lax.remount("/home/z.org", instances=("dev",))

    result.refuse_failures()
    assert [str(step) for step in only(result, "dev").steps] == [
        "replace the reference into stage/z.org at /home/z.org by the mount point"
    ]
    assert only(result, "dev").notes == ()
    assert lax.states("dev")["/home/z.org"] == "ok"
    assert mount_status(lax.dev)["/home/z.org"] == "Ok"


def test_a_reference_to_part_of_a_site_is_not_removed(lax: Zopes) -> None:
    add_document(lax.dev, "/pub/z.org/part", 100)
    cut_and_paste(lax.dev, "/pub/z.org/part", "/")
    delete(lax.dev, "/pub/z.org")

    with pytest.raises(RemountFailed, match="to an object that no mount point shows"):
        lax.remount("/pub/z.org", "/part").refuse_failures()

    assert len(lax.dev.get("/part")[1]) == 100
    assert lax.states("dev")["/pub/z.org"] == "ok"


def test_no_reference_comes_into_being_and_the_mounted_storage_is_not_written(
    zopes: Zopes,
) -> None:
    production = zopes.deployment.topology.storage("pub/x.org").data_fs
    assert production is not None
    size = Path(production).stat().st_size
    paste_over(zopes.dev, "/home/x.org", "/pub/x.org")
    zopes.remount()
    found = mounts(zopes.deployment.topology, zopes.deployment.host, ["dev"], is_deep=True)
    # what was copied holds no mount point; what was made is configured
    assert {each.state for each in found.instances[0].mounts} == {"ok"}
    assert zopes.dev.get(f"/{ATTIC}")[0] == 200
    assert Path(production).stat().st_size == size
