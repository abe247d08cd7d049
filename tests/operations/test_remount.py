"""Mount points are repaired up or down, by crashes and wrong words nothing is harmed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from broken_mounts import (
    Administrator,
    add_document,
    delete,
    mount_status,
    replace_by_folder,
    running,
    start,
    stop,
)
from deployments import Deployment, wait_until
from OFS.Folder import Folder
from Products.BTreeFolder2.BTreeFolder2 import BTreeFolder2
from zope_files import in_file

from zmount.effects.credentials import VARIABLE
from zmount.effects.serving import is_served
from zmount.errors import AccessRefused, PrepareFailed, ProcessFailed, RemountFailed, UnknownName
from zmount.operations.attic import change_attic, list_attic, plan_drop, plan_restore
from zmount.operations.mounts import mounts
from zmount.operations.prepare import prepare
from zmount.operations.remount import RemountWish, remount
from zmount.operations.remounted import Remounted, RemountResult
from zmount.topology.instances import Replica

CONF = """
administrator admin
administrator-password a secret
<zeo zeo>
  address var/zeo.sock
</zeo>
<zeo zeo2>
  address var/zeo2.sock
</zeo>
<site x.org>
  server zeo
</site>
<site y.org>
  server zeo2
  staging none
</site>
<storage root/public>
  server zeo
</storage>
<instance dev>
  kind development
  http-address 127.0.0.1:{port}
</instance>
<instance pub>
  kind public
  replicas 2
  root root/public
  http-address 127.0.0.1:{port2}
</instance>
"""
# Kills the process before or after the root's file says that a transaction is complete.
CRASH = """
import os, signal
if "CRASH" in os.environ:
    from ZODB.FileStorage import FileStorage
    finish = FileStorage.tpc_finish
    def tpc_finish(self, *args, **keywords):
        try:
            with open(os.environ["CRASH"]) as file:
                when = file.read()
        except FileNotFoundError:
            when = ""
        if "dev_client" not in self.getName():
            when = ""
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = finish(self, *args, **keywords)
        if when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    FileStorage.tpc_finish = tpc_finish
"""
ALL = ("zeo", "zeo2", "dev", "pub-1", "pub-2")


@dataclass
class Zopes:
    """A deployment; ``children`` are those of its processes that run."""

    deployment: Deployment
    children: dict[str, Any]
    crash: Path

    @property
    def dev(self) -> Administrator:
        return Administrator(self.deployment.port)

    @property
    def pub(self) -> Administrator:
        return Administrator(self.deployment.port2)

    @property
    def replica(self) -> Replica:
        return self.deployment.topology.instance("dev").replicas[0]

    def remount(self, *paths: str, instances: tuple[str, ...] = ()) -> RemountResult:
        wish = RemountWish(paths=paths, instances=instances)
        return remount(self.deployment.topology, self.deployment.host, wish)

    def states(self, instance: str = "dev") -> dict[str, str]:
        found = mounts(self.deployment.topology, self.deployment.host, [instance])
        return {each.path: each.state for each in found.instances[0].mounts}

    def data_fs(self, storage: str) -> Path:
        path = self.deployment.topology.storage(storage).data_fs
        assert path is not None
        return Path(path)

    def start(self, *names: str) -> None:
        for name in names:
            start(self.deployment, self.children, name)

    def stop(self, *names: str) -> None:
        for name in names:
            stop(self.children, name)

    def is_right(self) -> bool:
        return {*self.states("dev").values(), *self.states("pub").values()} == {"ok"}


@pytest.fixture(scope="module")
def started() -> Iterator[Zopes]:
    with (
        tempfile.TemporaryDirectory(prefix="zm-") as name,
        pytest.MonkeyPatch.context() as patch,
    ):
        directory = Path(name)
        (directory / "site").mkdir()
        (directory / "site/sitecustomize.py").write_text(CRASH)
        patch.setenv("CRASH", str(directory / "crash"))
        patch.setenv("PYTHONPATH", str(directory / "site"))
        deployment = Deployment(directory, CONF)
        deployment.write_files()
        prepare(deployment.topology, deployment.host)
        with running(deployment, *ALL) as children:
            zopes = Zopes(deployment, children, directory / "crash")
            add_document(zopes.pub, "/home/x.org/doc", 1000)
            yield zopes


@pytest.fixture
def zopes(started: Zopes) -> Iterator[Zopes]:
    """The deployment, whole and up; it is left so."""
    yield started
    started.crash.unlink(missing_ok=True)
    for name in list(started.children):
        if started.children[name].poll() is not None:
            del started.children[name]
    started.start(*(name for name in ALL if name not in started.children))
    if not started.is_right():
        started.remount().refuse_failures()


def only(result: RemountResult, instance: str) -> Remounted:
    return next(each for each in result.instances if each.instance == instance)


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


def test_a_wrong_password_changes_nothing(zopes: Zopes, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_by_folder(zopes.dev, "/home/x.org")
    delete(zopes.pub, "/home/x.org")
    sizes = [zopes.data_fs(name).stat().st_size for name in ("root/dev", "root/public")]
    monkeypatch.setenv(VARIABLE, "admin:wrong")

    one, both = zopes.remount(instances=("dev",)), zopes.remount()

    with pytest.raises(AccessRefused, match="does not let the administrator in"):
        one.refuse_failures()
    with pytest.raises(AccessRefused, match=r"2 things were not repaired\n(.*\n)*pub: http"):
        both.refuse_failures()
    assert sizes == [zopes.data_fs(name).stat().st_size for name in ("root/dev", "root/public")]


@pytest.mark.parametrize("said_in", ["zmount.conf", "zope.conf"])
def test_a_root_that_zope_mounts_read_only_is_told_and_nothing_changed(
    zopes: Zopes, said_in: str
) -> None:
    replace_by_folder(zopes.dev, "/home/x.org")
    delete(zopes.dev, "/pub/x.org")
    zopes.stop("dev")
    size = zopes.data_fs("root/dev").stat().st_size

    with read_only_root(zopes, said_in):
        zopes.start("dev")
        assert zopes.dev.get("/home/x.org/title_or_id")[1] == "the new one"
        by_http = told_by_remount(zopes)
        status = zopes.dev.get("/home/x.org/title_or_id")[0]
        zopes.stop("dev")
        by_its_own_zope = told_by_remount(zopes)

    assert by_http == by_its_own_zope == READ_ONLY[said_in]
    assert status == 200
    assert zopes.data_fs("root/dev").stat().st_size == size
    assert zopes.states()["/home/x.org"] == "shadowed"


READ_ONLY = {
    "zmount.conf": [
        "zmount: dev: /home/x.org: nothing can be changed there, the database main is read-only",
        "  try: do it through an instance that may write there",
    ],
    "zope.conf": [
        "dev: repairing one thing in its root",
        "zmount: dev: cannot move what is at /home/x.org to the attic and make the mount point "
        "there: the database main is opened read-only",
        "  try: put that right, then zmount remount again",
    ],
}


@contextmanager
def read_only_root(zopes: Zopes, said_in: str) -> Iterator[None]:
    """Let dev's next start open its root read-only; what is SAID_IN zope.conf only is by hand."""
    deployment = zopes.deployment
    conf, zope_conf = deployment.conf.read_text(), Path(zopes.replica.zope_conf).read_text()
    root = zopes.data_fs("root/dev")
    try:
        if said_in == "zmount.conf":
            deployment.conf.write_text(
                f"{conf}<storage root/dev>\n  path {root}\n  read-only on\n</storage>\n"
            )
            deployment.write_files()
        else:
            marked = f"path {root}\n"
            assert zope_conf.count(marked) == 1
            Path(zopes.replica.zope_conf).write_text(
                zope_conf.replace(marked, f"{marked}      read-only on\n")
            )
        assert "read-only" in Path(zopes.replica.zope_conf).read_text()
        yield
    finally:
        deployment.conf.write_text(conf)
        deployment.write_files()


def told_by_remount(zopes: Zopes) -> list[str]:
    """Return what zmount remount says on stderr of one mount point, which it cannot repair."""
    done = zopes.deployment.zmount("remount", "dev", "/home/x.org")
    assert done.returncode == 21, done.stderr
    return done.stderr.splitlines()


@pytest.mark.parametrize(("when", "after"), [("before", "shadowed"), ("after", "ok")])
def test_a_kill_in_the_middle_of_a_running_instances_repair_leaves_all_or_nothing(
    zopes: Zopes, when: str, after: str
) -> None:
    replace_by_folder(zopes.dev, "/home/x.org")
    delete(zopes.pub, "/home/x.org")
    zopes.crash.write_text(when)

    result = zopes.remount()

    with pytest.raises(ProcessFailed, match="did not answer"):
        result.refuse_failures()
    assert zopes.states("pub")["/home/x.org"] == "ok"  # one failure does not stop the rest
    wait_until(lambda: zopes.children["dev"].poll() is not None, "it is dead")
    assert zopes.states("dev")["/home/x.org"] == after
    zopes.crash.unlink()
    again = only(zopes.remount(), "dev")
    assert again.error is None
    assert len(again.steps) == (1 if after == "shadowed" else 0)
    assert zopes.states("dev")["/home/x.org"] == "ok"


@pytest.mark.parametrize(("when", "after"), [("before", "shadowed"), ("after", "ok")])
def test_a_kill_in_the_middle_of_a_stopped_instances_repair_leaves_all_or_nothing(
    zopes: Zopes, when: str, after: str
) -> None:
    replace_by_folder(zopes.dev, "/home/x.org")
    zopes.stop("dev")
    known = {each.found.slot for each in attic(zopes)}
    zopes.crash.write_text(when)

    with pytest.raises(PrepareFailed):
        zopes.remount().refuse_failures()

    assert zopes.states("dev")["/home/x.org"] == after
    moved = {each.found.slot for each in attic(zopes)} - known
    assert len(moved) == (0 if after == "shadowed" else 1)
    zopes.crash.unlink()
    zopes.remount().refuse_failures()
    assert zopes.states("dev")["/home/x.org"] == "ok"


def test_a_site_whose_server_is_away_waits_and_the_others_are_repaired(zopes: Zopes) -> None:
    delete(zopes.dev, "/pub/x.org")
    delete(zopes.dev, "/pub/y.org")
    zopes.stop("zeo2")

    result = zopes.remount(instances=("dev",))

    with pytest.raises(RemountFailed, match=r"/pub/y.org: the storage pub/y.org cannot be read"):
        result.refuse_failures()
    assert zopes.states()["/pub/x.org"] == "ok"
    assert list(map(str, only(result, "dev").steps)) == ["make the mount point /pub/x.org"]


def test_an_emptied_storage_gets_no_empty_site(zopes: Zopes) -> None:
    delete(zopes.dev, "/pub/y.org")
    zopes.stop(*reversed(ALL))
    data_fs = zopes.data_fs("pub/y.org")
    kept = {path: path.read_bytes() for path in data_fs.parent.glob("Data.fs*") if path.is_file()}
    for path in kept:
        path.unlink()

    try:
        result = zopes.remount(instances=("dev",))

        with pytest.raises(RemountFailed, match=r"/pub/y.org: the storage pub/y.org is empty"):
            result.refuse_failures()
        assert not data_fs.exists() or data_fs.stat().st_size == 4
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


def test_a_wrong_real_path_gets_no_empty_site(zopes: Zopes) -> None:
    delete(zopes.dev, "/pub/y.org")
    zopes.stop(*reversed(ALL))

    def rename(app: Any) -> None:
        app.home._delOb("y.org")
        app.home._objects = ()

    kept = zopes.data_fs("pub/y.org").read_bytes()
    in_file(zopes.data_fs("pub/y.org"), rename)
    size = zopes.data_fs("pub/y.org").stat().st_size

    try:
        with pytest.raises(RemountFailed, match=r"has no /home/y.org: there is no 'y.org'"):
            zopes.remount(instances=("dev",)).refuse_failures()
        assert zopes.data_fs("pub/y.org").stat().st_size == size
    finally:
        zopes.data_fs("pub/y.org").write_bytes(kept)
        Path(f"{zopes.data_fs('pub/y.org')}.index").unlink(missing_ok=True)


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


def test_a_document_where_a_folder_belongs_is_told_and_left_alone(zopes: Zopes) -> None:
    delete(zopes.dev, "/pub")
    add_document(zopes.dev, "/pub", 10)
    try:
        with pytest.raises(RemountFailed, match="/pub is a DTML Document, not a folder"):
            zopes.remount(instances=("dev",)).refuse_failures()
        assert zopes.dev.get("/pub/title_or_id")[1] == "pub"
    finally:
        delete(zopes.dev, "/pub")


@pytest.mark.parametrize("path", ["/home/../x.org", "home/x.org", "/home//x.org", "/home/x.org/"])
def test_what_is_no_path_is_refused(zopes: Zopes, path: str) -> None:
    with pytest.raises(UnknownName, match="no path of an object"):
        zopes.remount(path)


def test_a_path_that_is_no_mount_point_is_refused(zopes: Zopes) -> None:
    with pytest.raises(UnknownName, match=r"no mount point /home/x.orgs") as refused:
        zopes.remount("/home/x.orgs")
    assert "/home/x.org" in refused.value.hint


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


def attic(zopes: Zopes) -> Any:
    return list_attic(zopes.deployment.topology, zopes.deployment.host, ("dev",))
