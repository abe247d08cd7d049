"""What ``zmount mounts`` says of roots that no Zope has open, of Plone's data, of servers away."""

from __future__ import annotations

import shutil
import socket
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import transaction
from broken_mounts import running
from deployments import Deployment
from OFS.Application import Application
from OFS.Folder import Folder
from Products.ZODBMountPoint.MountedObject import MountedObject
from ZODB import DB
from ZODB.FileStorage import FileStorage

from zmount.effects.raw_file import DataFile
from zmount.errors import UnknownName
from zmount.operations.mount_reports import InstanceMounts, MountReport
from zmount.operations.mounts import mounts

PLONE = Path(__file__).parents[1] / "data" / "plone-small.tar.xz"
SITE = "srichinmoyraces.org"
ALONE = """
<storage plone>
  host localhost
  path {directory}/plone/filestorage/Prod.fs
  blob-dir {directory}/plone/blobs
</storage>
<instance pub>
  root main
  http-address {port}
  <mount plone>
    mount-point /home/srichinmoyraces.org
  </mount>
</instance>
<storage main>
  path {directory}/main/filestorage/Prod.fs
  blob-dir {directory}/main/blobs
</storage>
"""
ROOT_ON_ZEO = """
<host data>
  address 127.0.0.1
</host>
<host front>
  address 127.0.0.1
</host>
<zeo zeo>
  host data
  address 127.0.0.1:{port}
</zeo>
<storage main/>
<storage x/>
<storage y/>
<instance pub>
  host front
  root main
  http-address 127.0.0.1:{port2}
  <mount x>
    mount-point /home/x
  </mount>
  <mount y>
    mount-point /home/y
  </mount>
</instance>
"""
IN_MEMORY = """
<storage main>
  <mappingstorage/>
</storage>
<instance pub>
  root main
  http-address {port}
</instance>
"""
SHARED = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage main>
  server zeo
  path {directory}/main/filestorage/Prod.fs
</storage>
<instance pub>
  root main
  http-address {port}
</instance>
<instance pub2>
  root main
  http-address {port2}
</instance>
"""
DUMB = """
<host data>
  address 127.0.0.1
</host>
<host front>
  address 127.0.0.1
</host>
<zeo zeo>
  host data
  address 127.0.0.1:{port}
</zeo>
<zeo zeo2>
  host data
  address 127.0.0.1:{port2}
</zeo>
<instance pub>
  host front
  http-address 127.0.0.1:1
"""
Deploy = Callable[[str], Deployment]


def of_pub(deployment: Deployment, **options: Any) -> InstanceMounts:
    """Return what is said of the instance ``pub``."""
    topology = deployment.topology
    host = topology.instance("pub").hosts[0]
    (seen,) = mounts(topology, host, **options).instances
    return seen


def at(seen: InstanceMounts, path: str) -> MountReport:
    """Return what is said of PATH."""
    return {mount.path: mount for mount in seen.mounts}[path]


def write_root(path: Path, fill: Callable[[Application], None]) -> None:
    """Make a root at PATH."""
    path.parent.mkdir(parents=True, exist_ok=True)
    database = DB(FileStorage(str(path)))
    connection = database.open()
    app = connection.root()["Application"] = Application()
    fill(app)
    transaction.commit()
    connection.close()
    database.close()


def folder(parent: Any, name: str) -> Any:
    """Put a folder into PARENT, without Zope's events."""
    return put(parent, Folder(name))


def put(parent: Any, thing: Any) -> Any:
    """Put THING into PARENT, a mount point as one that is remembered."""
    setattr(parent, thing.id, thing)
    parent._objects = (*parent._objects, {"id": thing.id, "meta_type": "Folder"})
    if isinstance(thing, MountedObject):
        parent._mount_points = {**getattr(parent, "_mount_points", {}), thing.id: thing}
    return thing


def mount_point(path: str) -> MountedObject:
    """Return a mount point for PATH as zmount makes them."""
    made = MountedObject(path)
    made._create_mount_points = False
    return made


@pytest.fixture
def plone(deploy: Deploy) -> Iterator[Deployment]:
    """An instance whose root and whose mounted storage both are of a Plone."""
    deployment = deploy(ALONE)
    with tarfile.open(PLONE) as archive:
        archive.extractall(deployment.directory / "plone", filter="fully_trusted")  # it is ours
    shutil.copytree(
        deployment.directory / "plone", deployment.directory / "main", dirs_exist_ok=True
    )
    yield deployment


def test_a_plone_site_that_was_pasted_over_its_mount_is_told_with_its_size(
    plone: Deployment,
) -> None:
    seen = of_pub(plone)

    (problem,) = at(seen, f"/home/{SITE}").problems
    assert problem.state == "shadowed"
    assert problem.detail == "by an object of Products.CMFPlone.Portal.PloneSite"
    assert problem.lying is not None
    assert problem.lying.objects == 8759
    assert 3_600_000 < problem.lying.record_bytes < 4_055_034
    assert problem.lying.blob_bytes > 0
    assert seen.severity == 1


def test_a_mounted_plone_site_is_ok_without_plone(plone: Deployment) -> None:
    def fill(app: Application) -> None:
        put(folder(app, "home"), mount_point(f"/home/{SITE}"))

    main = plone.directory / "main" / "filestorage"
    shutil.rmtree(main)
    write_root(main / "Prod.fs", fill)

    seen = of_pub(plone)

    assert [(mount.path, mount.state) for mount in seen.mounts] == [
        ("/", "ok"),
        (f"/home/{SITE}", "ok"),
    ]
    assert seen.severity == 0


def test_a_deep_look_finds_a_mount_point_in_a_folder_that_no_mount_is_near(
    plone: Deployment,
) -> None:
    def fill(app: Application) -> None:
        put(folder(app, "home"), mount_point(f"/home/{SITE}"))
        put(folder(folder(app, "far"), "away"), mount_point("/far/away/x"))

    main = plone.directory / "main" / "filestorage"
    shutil.rmtree(main)
    write_root(main / "Prod.fs", fill)

    assert all(mount.path != "/far/away/x" for mount in of_pub(plone).mounts)
    (problem,) = at(of_pub(plone, is_deep=True), "/far/away/x").problems
    assert problem.state == "not configured"


def test_a_mount_point_in_the_attic_is_no_matter(plone: Deployment) -> None:
    def fill(app: Application) -> None:
        put(folder(app, "home"), mount_point(f"/home/{SITE}"))
        put(folder(folder(app, "zmount_attic"), "1"), mount_point("/home/x"))

    main = plone.directory / "main" / "filestorage"
    shutil.rmtree(main)
    write_root(main / "Prod.fs", fill)

    assert of_pub(plone, is_deep=True).severity == 0


def test_a_root_that_only_zope_can_open_is_told(plone: Deployment) -> None:
    plone.rewrite(IN_MEMORY)

    (root,) = of_pub(plone).mounts

    assert root.state == "unreadable"
    assert root.problems[0].detail == "only Zope can open main: it is no FileStorage"


def test_what_the_index_does_not_know_yet_is_read_all_the_same(plone: Deployment) -> None:
    main = plone.directory / "main" / "filestorage"
    shutil.rmtree(main)
    write_root(main / "Prod.fs", lambda app: folder(app, "home"))
    assert at(of_pub(plone), f"/home/{SITE}").state == "missing"
    database = DB(FileStorage(str(main / "Prod.fs")))
    connection = database.open()
    put(connection.root()["Application"].home, mount_point(f"/home/{SITE}"))
    transaction.commit()
    try:
        assert at(of_pub(plone), f"/home/{SITE}").state == "ok"
    finally:
        connection.close()
        database.close()


def test_the_index_of_another_file_misleads_nobody(plone: Deployment) -> None:
    main = plone.directory / "main" / "filestorage"
    expected = at(of_pub(plone), f"/home/{SITE}")
    other = plone.directory / "other" / "Prod.fs"
    write_root(other, lambda app: [folder(app, f"f{n}") for n in range(50)] and None)
    shutil.copy(f"{other}.index", main / "Prod.fs.index")

    assert at(of_pub(plone), f"/home/{SITE}") == expected


def test_servers_that_say_nothing_cost_one_time_out_for_all_their_mounts(deploy: Deploy) -> None:
    deployment = deploy("")
    text = DUMB + "".join(
        f"  <mount s{n}>\n    mount-point /home/s{n}\n  </mount>\n" for n in range(100)
    )
    text += "</instance>\n" + "".join(
        f"<storage s{n}>\n  server {'zeo' if n % 2 else 'zeo2'}\n</storage>\n" for n in range(100)
    )
    deployment.rewrite(text)

    def fill(app: Application) -> None:
        home = folder(app, "home")
        for n in range(100):
            put(home, mount_point(f"/home/s{n}"))

    write_root(Path(str(deployment.topology.instance("pub").root.storage.data_fs)), fill)
    with socket.socket() as one, socket.socket() as other:
        for each, port in ((one, deployment.port), (other, deployment.port2)):
            each.bind(("127.0.0.1", port))
            each.listen(200)
        start = time.monotonic()
        seen = of_pub(deployment)
        took = time.monotonic() - start

    assert took < 3.9  # two servers one after the other would take 4 s
    states = [problem.state for mount in seen.mounts for problem in mount.problems]
    assert states == ["no connection"] * 100
    assert seen.severity == 2
    assert "says nothing" in at(seen, "/home/s7").problems[0].detail


def test_a_damaged_root_is_one_problem_and_no_traceback(plone: Deployment) -> None:
    path = plone.directory / "main" / "filestorage" / "Prod.fs"
    file = DataFile(path)
    place = file.position(0)
    file.close()
    with path.open("r+b") as damaged:
        damaged.seek(place + 42)
        damaged.write(b"\xff" * 20)

    seen = of_pub(plone)

    assert [mount.path for mount in seen.mounts] == ["/"]
    assert seen.severity == 2
    (problem,) = seen.mounts[0].problems
    assert problem.state == "unreadable"
    assert problem.detail.startswith("storage main: object 0x0 cannot be read")


def test_a_name_that_is_no_instance_is_refused(plone: Deployment) -> None:
    with pytest.raises(UnknownName, match="there is no instance 'bup'"):
        mounts(plone.topology, plone.host, ["bup"])


def test_a_site_that_is_off_line_is_told_and_is_no_fault(plone: Deployment) -> None:
    def fill(app: Application) -> None:
        stand_in = folder(folder(app, "home"), SITE)
        stand_in._zmount_offline = {
            "since": "2026-11-26T04:00:00+00:00",
            "reason": "it spins",
            "by": "ann",
            "site": SITE,
        }

    main = plone.directory / "main" / "filestorage"
    shutil.rmtree(main)
    write_root(main / "Prod.fs", fill)

    seen = of_pub(plone)
    looked = plone.zmount("mounts")

    assert at(seen, f"/home/{SITE}").state == "off-line"
    assert seen.severity == looked.returncode == 0
    assert "since 2026-11-26T04:00:00+00:00 by ann: it spins" in looked.stdout
    assert f"> zmount online {SITE}" in looked.stdout


def test_instances_that_share_a_root_are_told_once(plone: Deployment) -> None:
    plone.rewrite(SHARED)

    seen = mounts(plone.topology, plone.host)

    assert dict(seen.shared_roots) == {"main": ("pub", "pub2")}
    assert [each.instance for each in seen.instances] == ["pub", "pub2"]
    text = plone.zmount("mounts").stdout
    assert text.count("pub and pub2 share the root main") == 1


def test_a_root_on_the_zeo_server_of_another_host_is_read_through_it(deploy: Deploy) -> None:
    deployment = deploy(ROOT_ON_ZEO)

    def fill(app: Application) -> None:
        home = folder(app, "home")
        put(home, mount_point("/home/x"))
        folder(folder(folder(home, "y"), "below"), "further")

    def content(app: Application) -> None:
        home = folder(app, "home")
        folder(home, "x")
        folder(home, "y")

    for name, filled in (("main", fill), ("x", content), ("y", content)):
        write_root(Path(str(deployment.topology.storage(name).data_fs)), filled)
    with running(deployment, "zeo"):
        seen = of_pub(deployment)
    away = of_pub(deployment)

    assert {mount.path: mount.state for mount in seen.mounts} == {
        "/": "ok",
        "/home/x": "ok",
        "/home/y": "shadowed",
    }
    (problem,) = at(seen, "/home/y").problems
    assert problem.lying is not None
    assert problem.lying.objects == 3
    assert [(mount.path, mount.state) for mount in away.mounts] == [("/", "no connection")]


def test_looking_writes_nothing(plone: Deployment) -> None:
    def files() -> dict[Path, int]:
        return {path: path.lstat().st_mtime_ns for path in sorted(plone.directory.rglob("*"))}

    before = files()
    of_pub(plone, is_deep=True)

    assert files() == before
