"""Roots are made right, with real ZEO servers and real Zopes; nothing in the way is touched."""

from __future__ import annotations

import importlib
import json
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from certificates import make_certificates
from deployments import Deployment, wait_until
from OFS.Folder import Folder
from ZODB.FileStorage import FileStorage
from zope_files import in_file, in_zope, statuses

from zmount.effects.file_lock import writer
from zmount.effects.serving import is_served
from zmount.errors import PrepareFailed
from zmount.operations.prepare import prepare
from zmount.operations.prepared import Prepared

ADMINISTRATOR = """
administrator admin
"""
ZEO = """
administrator admin
<zeo zeo>
  address var/zeo.sock
</zeo>
"""
DEV = """
<instance dev>
  kind development
</instance>
"""
PUB = """
<instance pub/>
"""
SITE = "<site x/>\n"
BELOW_DEV = """
<storage s/>
<instance pub>
  <mount s>
    mount-point /dev/home/s
  </mount>
</instance>
"""
TLS = """
%define certificates {certificates}
<zeo zeo>
  address 127.0.0.1:{port}
  <ssl>
    certificate $certificates/server.pem
    key $certificates/server.key
    authenticate $certificates/client.pem
  </ssl>
</zeo>
<client>
  <ssl>
    certificate $certificates/client.pem
    key $certificates/client.key
    key-passphrase open sesame
    authenticate $certificates/server.pem
    server-hostname localhost
  </ssl>
</client>
<site x/>
<instance pub/>
"""
REMOTE = """
<host data>
  address 127.0.0.1
  directory /nowhere
</host>
<host front>
  address 127.0.0.1
</host>
<zeo zeo>
  host data
  address 127.0.0.1:{port}
</zeo>
<site x/>
<instance pub>
  host front
</instance>
"""
Deploy = Callable[[str], Deployment]


def prepared(deployment: Deployment, **said: Any) -> Prepared:
    return prepare(deployment.topology, deployment.host, **said)


def made(result: Prepared, instance: str) -> list[str]:
    return next([str(s) for s in root.made] for root in result.roots if root.instance == instance)


def refused(result: Prepared, instance: str) -> list[str]:
    return next(
        [str(r) for r in root.refused] for root in result.roots if root.instance == instance
    )


def last_tid(path: Path) -> bytes:
    storage = FileStorage(str(path), read_only=True)
    try:
        return bytes(storage.lastTransaction())
    finally:
        storage.close()


def contents(deployment: Deployment) -> dict[Path, int]:
    return {
        path: path.stat().st_mtime_ns for path in deployment.directory.rglob("*") if path.is_file()
    }


def test_a_new_root_gets_all_and_its_zope_says_that_every_mount_is_ok(deploy: Deploy) -> None:
    deployment = deploy(ZEO + SITE + DEV)

    result = prepared(deployment)

    assert made(result, "dev") == [
        "make /home/x, a Folder, in stage/x",
        "make /home/x, a Folder, in pub/x",
        "make the mount point /home/x",
        "make the mount point /pub/x",
        "make the folder for sandboxes /dev",
        "make the administrator admin",
    ]
    assert result.is_complete
    assert statuses(deployment, "dev") == {"/home/x": "Ok", "/pub/x": "Ok"}


def test_a_root_that_is_right_is_only_read(deploy: Deploy) -> None:
    deployment = deploy(ZEO + SITE + "<session/>" + DEV + PUB)
    prepared(deployment)
    before = contents(deployment)

    began = time.monotonic()
    result = prepared(deployment)

    assert time.monotonic() - began < 0.5
    assert not result.is_changed
    assert str(result) == "every root is as it should be"
    assert contents(deployment) == before


def test_a_dry_run_tells_and_writes_nothing(deploy: Deploy) -> None:
    deployment = deploy(ZEO + SITE + PUB)
    before = contents(deployment)

    result = prepared(deployment, dry_run=True)

    assert "pub: would make the mount point /home/x" in str(result)
    assert contents(deployment) == before


def test_only_the_instances_named_are_prepared(deploy: Deploy) -> None:
    deployment = deploy(ZEO + SITE + DEV + PUB)

    result = prepared(deployment, names=["pub"])

    assert [root.instance for root in result.roots] == ["pub"]
    assert not (deployment.directory / "dev_client/var/Data.fs").exists()


def test_a_site_that_is_added_later_is_made_beside_the_others(deploy: Deploy) -> None:
    deployment = deploy(ZEO + SITE + PUB)
    prepared(deployment)
    deployment.rewrite(ZEO + SITE + "<site y/>" + PUB)
    deployment.write_files()

    result = prepared(deployment)

    assert made(result, "pub") == [
        "make /home/y, a Folder, in pub/y",
        "make the mount point /home/y",
    ]
    assert statuses(deployment, "pub") == {"/home/x": "Ok", "/home/y": "Ok"}


def test_an_object_in_the_way_stays_and_the_other_mounts_are_made(deploy: Deploy) -> None:
    deployment = deploy(ZEO + SITE + "<site y/>" + PUB)
    root = deployment.directory / "pub_client/var/Data.fs"

    def in_the_way(app: Any) -> None:
        app._setObject("home", Folder("home"))
        app.home._setObject("x", Folder("x"))
        app.home.x.title = "somebody's work"

    in_file(root, in_the_way)

    result = prepared(deployment)

    assert "/home/x: something is in the way" in refused(result, "pub")[0]
    assert "zmount remount" in refused(result, "pub")[0]
    assert statuses(deployment, "pub") == {
        "/home/x": "** Something is in the way **",
        "/home/y": "Ok",
    }
    assert in_zope(deployment, "pub", "answer = app.home.x.title") == "somebody's work"


SITE_DATABASE = 'answer = list(app._p_jar.get_connection("pub/x").root())'


def with_a_site_elsewhere(deployment: Deployment) -> Path:
    """Let the production storage hold its site at /x, where /home/x is expected."""
    path = deployment.directory / "var/pub/x/Data.fs"
    in_file(path, lambda app: app._setObject("x", Folder("x")))
    return path


def test_no_empty_site_is_made_beside_the_real_one(deploy: Deploy) -> None:
    deployment = deploy(ZEO + SITE + PUB)
    path = with_a_site_elsewhere(deployment)
    before = last_tid(path)

    result = prepared(deployment)

    assert refused(result, "pub")[0].startswith(
        "/home/x: the storage pub/x has no /home/x: there is no 'home', it holds acl_users, x"
    )
    assert last_tid(path) == before
    assert statuses(deployment, "pub") == {"/home/x": "Ready to create"}


def test_zope_itself_would_make_the_empty_site_and_call_it_ok(deploy: Deploy) -> None:
    """What the refusal above is for; and once the mount point is there, it is stopped."""
    deployment = deploy(ZEO + SITE + PUB)
    path = with_a_site_elsewhere(deployment)
    before = last_tid(path)
    naive = """
from Products.ZODBMountPoint.MountedObject import manage_addMounts
manage_addMounts(app, ["/home/x"])
answer = sorted(app.home.x.objectIds())
"""
    assert in_zope(deployment, "pub", naive) == []
    assert last_tid(path) != before, "Zope no longer makes the empty site"
    assert statuses(deployment, "pub") == {"/home/x": "Ok"}

    in_file(path, lambda app: app._delObject("home"))
    result = prepared(deployment)

    assert "keep /home/x from making what its storage lacks" in made(result, "pub")
    assert len(refused(result, "pub")) == 1
    assert statuses(deployment, "pub") == {"/home/x": "<class 'KeyError'>: 'home'"}


def test_a_mount_below_a_folder_is_not_made_where_acquisition_leads(deploy: Deploy) -> None:
    deployment = deploy(ZEO + SITE + BELOW_DEV)

    prepared(deployment)

    assert in_zope(
        deployment,
        "pub",
        'answer = [app.home.objectIds(), app.dev.objectIds(), app.dev["home"].objectIds(),'
        ' "/".join(app.dev["home"].s.getPhysicalPath())]',
    ) == [["x"], ["home"], ["s"], "/dev/home/s"]


def test_zope_itself_would_make_it_where_acquisition_leads(deploy: Deploy) -> None:
    deployment = deploy(
        ZEO
        + "<storage s/>\n<instance pub>\n<mount s>\nmount-point /dev/home/s\n</mount>\n</instance>"
    )

    def folders(app: Any) -> None:
        app._setObject("home", Folder("home"))
        app._setObject("dev", Folder("dev"))

    in_file(deployment.directory / "pub_client/var/Data.fs", folders)
    naive = """
from Products.ZODBMountPoint.MountedObject import manage_addMounts
manage_addMounts(app, ["/dev/home/s"])
answer = [app.home.objectIds(), app.dev.objectIds()]
"""
    assert in_zope(deployment, "pub", naive) == [["s"], []]


def test_a_mount_below_a_mount_is_made_in_the_mounted_storage(deploy: Deploy) -> None:
    deployment = deploy(
        ZEO
        + SITE
        + """
<storage catalog/>
<instance pub>
  <mount catalog>
    mount-point /home/x/catalog
    container-class Products.BTreeFolder2.BTreeFolder2.BTreeFolder2
  </mount>
</instance>
"""
    )

    prepared(deployment)

    assert statuses(deployment, "pub") == {"/home/x": "Ok", "/home/x/catalog": "Ok"}
    where = "answer = [app.home.x.catalog._p_jar.db().database_name, app.home.x.catalog.meta_type]"
    assert in_zope(deployment, "pub", where) == ["catalog", "BTreeFolder2"]
    assert not prepared(deployment).is_changed


def test_a_container_class_that_does_not_exist_is_refused_by_name(deploy: Deploy) -> None:
    deployment = deploy(
        ZEO
        + SITE
        + """
<instance pub>
  <mount pub/x>
    container-class Products.NoSuchProduct.Site
  </mount>
</instance>
"""
    )

    result = prepared(deployment)

    (refusal,) = refused(result, "pub")
    assert "container class Products.NoSuchProduct.Site: No module named" in refusal
    assert made(result, "pub") == ["make the administrator admin"]
    assert in_zope(deployment, "pub", SITE_DATABASE) == []
    assert statuses(deployment, "pub") == {"/home/x": "Ready to create"}


def test_two_mounts_of_one_new_storage_are_both_made(deploy: Deploy) -> None:
    deployment = deploy(
        ZEO
        + """
<storage s/>
<instance pub>
  <mount s>
    mount-point /a
    mount-point /b
  </mount>
</instance>
"""
    )

    prepared(deployment)

    assert statuses(deployment, "pub") == {"/a": "Ok", "/b": "Ok"}


def test_replicas_that_share_a_root_on_zeo_are_prepared_once(deploy: Deploy) -> None:
    deployment = deploy(
        ZEO
        + SITE
        + """
<storage root/>
<instance pub>
  replicas 2
  root root
</instance>
"""
    )

    result = prepared(deployment)

    assert [root.instance for root in result.roots] == ["pub"]
    assert statuses(deployment, "pub") == {"/home/x": "Ok"}
    assert not prepared(deployment).is_changed


def test_a_root_is_prepared_over_tls(deploy: Deploy, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    deployment = deploy(TLS.replace("{certificates}", str(tmp_path)))

    prepared(deployment)

    assert statuses(deployment, "pub") == {"/home/x": "Ok"}


def test_a_zeo_server_of_another_host_that_does_not_answer_is_named(deploy: Deploy) -> None:
    deployment = deploy(REMOTE)
    front = deployment.topology.host("front")

    with pytest.raises(PrepareFailed, match="zeo on host data does not answer") as caught:
        prepare(deployment.topology, front)

    assert caught.value.hint == "zmount start zeo on host data, then zmount apply again"


def test_a_made_up_password_is_kept_once_and_never_told(deploy: Deploy) -> None:
    deployment = deploy(ADMINISTRATOR + DEV + PUB)

    result = prepared(deployment)

    file = deployment.directory / "etc/administrator"
    assert result.password_file == str(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (line,) = file.read_text().splitlines()
    name, password = line.split(":")
    assert name == "admin"
    assert password not in str(result) + json.dumps(result.as_json()) + repr(result)
    for instance in ("dev", "pub"):
        assert in_zope(deployment, instance, may_log_in(name, password)) == ["Manager"]


def may_log_in(name: str, password: str) -> str:
    return f"""
user = app.acl_users.authenticate({name!r}, {password!r}, app.REQUEST)
answer = [role for role in user.getRoles() if role == "Manager"]
"""


def test_a_configured_password_is_used_and_written_nowhere(deploy: Deploy) -> None:
    deployment = deploy("administrator-password open sesame" + ADMINISTRATOR + PUB)

    result = prepared(deployment)

    assert result.password_file is None
    assert not (deployment.directory / "etc/administrator").exists()
    assert in_zope(deployment, "pub", may_log_in("admin", "open sesame")) == ["Manager"]


def test_a_root_that_has_a_user_gets_no_other(deploy: Deploy) -> None:
    deployment = deploy(ADMINISTRATOR + PUB)
    in_file(
        deployment.directory / "pub_client/var/Data.fs",
        lambda app: app.acl_users._doAddUser("me", "secret", ["Manager"], []),
    )

    assert not prepared(deployment).is_changed
    assert not (deployment.directory / "etc/administrator").exists()


def test_an_owner_may_work_in_his_sandbox_and_nobody_else_may(deploy: Deploy) -> None:
    deployment = deploy(ADMINISTRATOR + DEV)
    prepared(deployment)

    may = """
from AccessControl.SecurityManagement import newSecurityManager
from OFS.Folder import manage_addFolder
for name in ("owner", "other"):
    app.acl_users._doAddUser(name, "secret", [], [])
manage_addFolder(app.dev, "owner")
sandbox = app.dev["owner"]
sandbox.manage_setLocalRoles("owner", ["Owner"])
def may(name, permission, where):
    user = app.acl_users.getUserById(name).__of__(app.acl_users)
    newSecurityManager(None, user)
    return bool(user.has_permission(permission, where))
answer = [
    may("owner", "Add Folders", sandbox),
    may("owner", "Add Page Templates", sandbox),
    may("owner", "View management screens", sandbox),
    may("owner", "Add Folders", app.dev),
    may("owner", "Manage users", sandbox),
    may("other", "Add Folders", sandbox),
]
"""
    assert in_zope(deployment, "dev", may) == [1, 1, 1, 0, 0, 0]


def test_sessions_are_kept_where_the_topology_says(deploy: Deploy) -> None:
    session = "<session>\n container box\n timeout-minutes 7\n max-objects 5\n</session>"
    deployment = deploy(ZEO + session + PUB)

    prepared(deployment)

    look = """
box = app.session.box
answer = [app.session_data_manager.getContainerPath(), box._p_jar.db().database_name,
          box.getTimeoutMinutes(), box.getSubobjectLimit()]
"""
    assert in_zope(deployment, "pub", look) == ["/session/box", "pub/session", 7, 5]


def test_an_unlisted_and_forgotten_mount_point_is_mended(deploy: Deploy) -> None:
    deployment = deploy(ZEO + SITE + PUB)
    prepared(deployment)

    def lose(app: Any) -> None:
        app.home._objects = ()
        del app.home._mount_points

    in_file(deployment.directory / "pub_client/var/Data.fs", lose)

    result = prepared(deployment)

    assert made(result, "pub") == ["list the mount point /home/x in its folder"]
    assert statuses(deployment, "pub") == {"/home/x": "Ok"}
    assert in_zope(deployment, "pub", "answer = app.home.objectIds()") == ["x"]


def test_a_root_with_an_object_whose_product_is_gone_is_prepared_too(
    deploy: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from OFS.Folder import Folder\nclass Poll(Folder):\n    pass\n"
    (tmp_path / "zmount_test_gone_poll.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    poll = importlib.import_module("zmount_test_gone_poll").Poll("home")
    deployment = deploy(ZEO + SITE + PUB)
    root = deployment.directory / "pub_client/var/Data.fs"
    in_file(root, lambda app: app._setObject("poll", poll))

    assert prepared(deployment).is_complete
    assert statuses(deployment, "pub") == {"/home/x": "Ok"}
    look = "from Acquisition import aq_base; answer = str(type(aq_base(app.poll)).__mro__)"
    assert "Broken" in in_zope(deployment, "pub", look), "the product is not gone"


def test_a_zope_that_cannot_start_gives_its_reason(deploy: Deploy) -> None:
    deployment = deploy(ADMINISTRATOR + PUB)
    zope_conf = deployment.topology.instance("pub").replicas[0].zope_conf
    Path(zope_conf).write_text(Path(zope_conf).read_text() + "\nno-such-key on\n")

    with pytest.raises(PrepareFailed, match=r"pub: Zope could not prepare its root: .*no-such-key"):
        prepared(deployment)


def test_killed_at_any_moment_it_is_finished_by_the_next_run(deploy: Deploy) -> None:
    deployment = deploy(ZEO + SITE + "<session/>" + PUB)
    server = deployment.topology.zeo_server("zeo")
    root = deployment.directory / "pub_client/var/Data.fs"
    program = f"""
from zmount.operations.prepare import prepare
from zmount.topology.load import load
topology = load({str(deployment.conf)!r})
prepare(topology, topology.hosts[0])
"""
    for alive_s in (0.7, 1.2, 1.5, 1.8, 2.1):
        child = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
        time.sleep(alive_s)
        child.kill()
        child.wait()
        wait_until(
            lambda: not is_served(server, deployment.host) and writer(root) is None,
            "what it ran has died with it",
        )

    prepared(deployment)

    assert statuses(deployment, "pub") == {"/home/x": "Ok", "/session": "Ok"}
    assert not prepared(deployment).is_changed
