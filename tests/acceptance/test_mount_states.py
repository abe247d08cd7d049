"""Every way to break a mount, done over HTTP; what Zope says of it, and ``zmount mounts``."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from broken_mounts import (
    CROSS_REFERENCES,
    Administrator,
    add_document,
    add_folder,
    cut_and_paste,
    delete,
    empty_storage,
    mount_status,
    paste_over,
    rename,
    replace_by_folder,
    running,
    start,
    stop,
)
from deployments import Deployment

from zmount.operations.prepare import prepare

# two.org's storage is shown at /one, /two, and as a whole at /whole
CONF = """
administrator admin
administrator-password a secret
<zeo zeo>
  address var/zeo.sock
</zeo>
<zeo zeo2>
  address var/zeo2.sock
</zeo>
<zeo zeo3>
  address var/zeo3.sock
</zeo>
<site fine.org>
  server zeo
</site>
<site deleted.org>
  server zeo
</site>
<site folder.org>
  server zeo
</site>
<site pasted.org>
  server zeo
</site>
<site renamed.org>
  server zeo
</site>
<site cut.org>
  server zeo
</site>
<site emptied.org>
  server zeo2
  staging none
</site>
<site down.org>
  server zeo3
  staging none
</site>
<storage two>
  server zeo
</storage>
<storage gone>
  server zeo
</storage>
<instance dev>
  kind development
  http-address 127.0.0.1:{port}
  <mount two>
    mount-point /one/x:/home/x
    mount-point /two/x:/home/x
    mount-point /whole/home:/home
    mount-point /three/y:/home/y
  </mount>
"""
GONE = """  <mount gone>
    mount-point /home/gone
  </mount>
"""
REST = """</instance>
<instance pub>
  kind public
  http-address 127.0.0.1:{port2}
</instance>
"""


@dataclass(kw_only=True)
class Seen:
    """What was seen of the broken mounts."""

    grown_bytes: int = 0
    before: dict[str, Any] = field(default_factory=dict)
    dev: dict[str, str] = field(default_factory=dict)
    pub: dict[str, str] = field(default_factory=dict)
    http: dict[str, int] = field(default_factory=dict)
    status: int = 0
    text: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    deep: dict[str, Any] = field(default_factory=dict)

    def mount(self, instance: str, path: str) -> dict[str, Any]:
        """Return what ``zmount mounts --json`` says of PATH."""
        return _mount(self.facts, instance, path)

    def states(self, instance: str, path: str) -> list[str]:
        """Return the states at PATH."""
        return [problem["state"] for problem in self.mount(instance, path)["problems"]]


def _mount(facts: dict[str, Any], instance: str, path: str) -> dict[str, Any]:
    mounts = {each["name"]: each["mounts"] for each in facts["instances"]}[instance]
    found: dict[str, Any] = {mount["path"]: mount for mount in mounts}[path]
    return found


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    directory = Path(tempfile.mkdtemp(prefix="zm-"))
    deployment = Deployment(directory, CROSS_REFERENCES + CONF + GONE + REST)
    try:
        deployment.write_files()
        prepare(deployment.topology, deployment.host)
        yield _broken(deployment)
    finally:
        deployment.end_all()
        shutil.rmtree(directory, ignore_errors=True)


def _broken(deployment: Deployment) -> Seen:
    seen = Seen()
    with running(deployment, "zeo", "zeo2", "zeo3", "dev", "pub") as children:
        dev, pub = Administrator(deployment.port), Administrator(deployment.port2)
        seen.before = json.loads(deployment.zmount("mounts", "--json").stdout)
        _break(deployment, dev, pub, seen)
        for name in ("dev", "pub", "zeo2"):
            stop(children, name)
        empty_storage(deployment, "pub/emptied.org")
        deployment.rewrite(CROSS_REFERENCES + CONF + REST)
        deployment.write_files()
        for name in ("zeo2", "dev", "pub"):
            start(deployment, children, name)
        seen.dev, seen.pub = mount_status(dev), mount_status(pub)
        for path in ("/home/fine.org", "/home/deleted.org", "/home/gone", "/home/renamed.org"):
            seen.http[path] = dev.get(path)[0]
        stop(children, "zeo3")
        _look(deployment, seen)
    return seen


def _break(deployment: Deployment, dev: Administrator, pub: Administrator, seen: Seen) -> None:
    delete(dev, "/home/deleted.org")
    replace_by_folder(dev, "/home/folder.org")
    for number in range(5):
        add_document(dev, f"/pub/pasted.org/d{number}", 300_000)
    root = Path(str(deployment.topology.instance("dev").root.storage.data_fs))
    size = root.stat().st_size
    paste_over(dev, "/home/pasted.org", "/pub/pasted.org")
    seen.grown_bytes = root.stat().st_size - size
    rename(dev, "/home/renamed.org", "other.org")
    add_folder(dev, "/elsewhere")
    cut_and_paste(dev, "/home/cut.org", "/elsewhere")
    delete(dev, "/two")
    rename(dev, "/one", "two")
    delete(dev, "/whole/home/y")
    replace_by_folder(pub, "/home/deleted.org")


def _look(deployment: Deployment, seen: Seen) -> None:
    looked = deployment.zmount("mounts")
    seen.text = looked.stdout
    assert looked.stderr == ""
    looked = deployment.zmount("mounts", "--json")
    seen.status, seen.facts = looked.returncode, json.loads(looked.stdout)
    seen.deep = json.loads(deployment.zmount("mounts", "dev", "--deep", "--json").stdout)


def test_all_is_right_before(seen: Seen) -> None:
    states = [
        (mount["path"], mount["state"])
        for each in seen.before["instances"]
        for mount in each["mounts"]
    ]

    assert {state for _, state in states} == {"ok"}
    assert seen.before["exit_status"] == 0
    assert len(states) > 20


def test_what_is_fine_stays_ok(seen: Seen) -> None:
    assert seen.mount("dev", "/home/fine.org")["state"] == "ok"
    assert seen.mount("pub", "/home/fine.org")["state"] == "ok"
    assert seen.dev["/home/fine.org"] == seen.pub["/home/fine.org"] == "Ok"
    assert seen.http["/home/fine.org"] == 200


def test_a_deleted_mount_is_missing(seen: Seen) -> None:
    (problem,) = seen.mount("dev", "/home/deleted.org")["problems"]

    assert problem["state"] == "missing"
    assert problem["is_repairable"]
    assert problem["advice"] == "zmount remount dev /home/deleted.org"
    assert seen.dev["/home/deleted.org"] == "Ready to create"
    assert seen.http["/home/deleted.org"] == 404


def test_a_folder_of_its_name_shadows_a_mount(seen: Seen) -> None:
    for instance, path, said in (
        ("dev", "/home/folder.org", seen.dev),
        ("pub", "/home/deleted.org", seen.pub),
    ):
        (problem,) = seen.mount(instance, path)["problems"]
        assert problem["state"] == "shadowed"
        assert problem["detail"] == "by an object of OFS.Folder.Folder"
        assert problem["lying"]["objects"] == 1
        assert said[path] == "** Something is in the way **"


def test_a_pasted_site_shadows_its_mount_and_its_bytes_are_what_the_root_grew_by(
    seen: Seen,
) -> None:
    (problem,) = seen.mount("dev", "/home/pasted.org")["problems"]

    assert problem["state"] == "shadowed"
    assert problem["lying"]["storage"] == "root/dev"
    assert problem["lying"]["objects"] == 6
    lying = problem["lying"]["record_bytes"]
    assert lying > 1_500_000
    # besides there are the folder's new record, and the headers of two transactions
    assert 0 < seen.grown_bytes - lying < 3000
    assert seen.dev["/home/pasted.org"] == "** Something is in the way **"
    assert "6 objects, 1.5 MB lie in the storage root/dev" in seen.text


def test_a_renamed_mount_is_missing_and_leaves_a_harmless_reference(seen: Seen) -> None:
    missing, other_id = seen.mount("dev", "/home/renamed.org")["problems"]
    (problem,) = seen.mount("dev", "/home/other.org")["problems"]

    assert missing["state"] == "missing"
    assert other_id["state"] == "other id"
    assert seen.dev["/home/renamed.org"] == "Ready to create"
    assert seen.http["/home/renamed.org"] == 404
    assert problem["state"] == "cross-database reference"
    assert problem["reference"]["database"] == "stage/renamed.org"
    assert problem["reference"]["class"] == "OFS.Folder.Folder"
    assert problem["reference"]["mounted_at"] == "/home/renamed.org"
    assert problem["reference"]["is_harmless"]
    assert problem["is_repairable"]


def test_a_mount_that_was_cut_and_pasted_elsewhere_is_found_by_a_deep_look(seen: Seen) -> None:
    assert seen.states("dev", "/home/cut.org") == ["missing"]
    assert seen.dev["/home/cut.org"] == "Ready to create"
    found = _mount(seen.deep, "dev", "/elsewhere/cut.org")

    (problem,) = found["problems"]
    assert problem["state"] == "cross-database reference"
    assert problem["reference"]["is_harmless"]
    assert not found["is_configured"]


def test_a_mount_point_in_a_folder_that_was_renamed_has_the_wrong_path(seen: Seen) -> None:
    (problem,) = seen.mount("dev", "/two/x")["problems"]

    assert problem["state"] == "wrong path"
    assert problem["detail"] == "the mount point there was made for /one/x"
    assert seen.dev["/two/x"] == "** Set to wrong path: '/one/x' **"
    (problem,) = seen.mount("dev", "/one/x")["problems"]
    assert problem["state"] == "parent missing"
    assert problem["detail"] == "/one is not there, where it should lie"
    assert seen.dev["/one/x"] == "Ready to create"


def test_a_storage_without_the_real_path_says_what_it_holds(seen: Seen) -> None:
    (problem,) = seen.mount("dev", "/three/y")["problems"]

    assert problem["state"] == "real path missing"
    assert problem["detail"] == "two has no /home/y: no 'y', it holds x"
    assert not problem["is_repairable"]
    assert "KeyError" in seen.dev["/three/y"]


def test_a_storage_that_was_emptied_is_told(seen: Seen) -> None:
    for instance, path, said in (
        ("dev", "/pub/emptied.org", seen.dev),
        ("pub", "/home/emptied.org", seen.pub),
    ):
        (problem,) = seen.mount(instance, path)["problems"]
        assert problem["state"] == "empty storage"
        assert not problem["is_repairable"]
        assert "KeyError" in said[path]


def test_a_server_that_is_stopped_is_no_connection(seen: Seen) -> None:
    for instance, path in (("dev", "/pub/down.org"), ("pub", "/home/down.org")):
        (problem,) = seen.mount(instance, path)["problems"]
        assert problem["state"] == "no connection"
        assert problem["advice"] == "zmount start zeo3 on host localhost"


def test_a_mount_that_zmount_conf_does_not_name_any_more_is_found(seen: Seen) -> None:
    found = seen.mount("dev", "/home/gone")

    assert not found["is_configured"]
    assert [problem["state"] for problem in found["problems"]] == ["not configured"]
    assert "/home/gone" not in seen.dev
    assert seen.http["/home/gone"] == 200  # with the root's own page, which it acquires


def test_the_exit_status_is_that_of_the_worst(seen: Seen) -> None:
    assert seen.status == seen.facts["exit_status"] == 2


def test_the_table_names_each_state_and_what_to_do(seen: Seen) -> None:
    for text in (
        "> zmount remount dev /home/deleted.org",
        "> zmount start zeo3 on host localhost",
        "shadowed",
        "not configured",
        "empty storage",
    ):
        assert text in seen.text
