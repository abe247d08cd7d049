"""By crashes, wrong words and storages that are not there, no repair harms anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from broken_mounts import (
    Administrator,
    add_document,
    delete,
    replace_by_folder,
)
from deployments import wait_until
from remounting import ALL, Zopes, attic, make_whole, only, started
from zope_files import in_file

from zmount.effects.credentials import VARIABLE
from zmount.errors import AccessRefused, PrepareFailed, ProcessFailed, RemountFailed, UnknownName


@pytest.fixture(scope="module")
def up() -> Iterator[Zopes]:
    with started() as zopes:
        yield zopes


@pytest.fixture
def zopes(up: Zopes) -> Zopes:
    """The deployment, whole and up."""
    make_whole(up)
    return up


@pytest.fixture
def down(up: Zopes) -> Zopes:
    """The deployment, whole but for a mount point that was deleted; nothing of it runs."""
    if up.children:
        make_whole(up)
        delete(up.dev, "/pub/y.org")
        up.stop(*reversed(ALL))
    return up


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


@pytest.mark.parametrize(("when", "after"), [("before", "ok"), ("after", "off-line")])
def test_a_kill_while_a_site_goes_off_line_leaves_all_or_nothing(
    zopes: Zopes, when: str, after: str
) -> None:
    zopes.crash.write_text(when)

    done = zopes.deployment.zmount("offline", "x.org", "--instance", "dev", "--staging")

    assert done.returncode == 8, done.stderr
    assert "did not answer" in done.stderr
    wait_until(lambda: zopes.children["dev"].poll() is not None, "it is dead")
    assert zopes.states("dev")["/home/x.org"] == after
    zopes.crash.unlink()
    zopes.children.pop("dev")
    zopes.start("dev")
    visitor = Administrator(zopes.deployment.port, user="")
    assert visitor.get("/home/x.org")[0] == (200 if after == "ok" else 503)
    back = zopes.deployment.zmount("online", "x.org", "--instance", "dev", "--staging")
    assert back.returncode == 0, back.stderr
    assert ("was not off-line" in back.stdout) == (after == "ok")
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
def test_what_is_no_path_is_refused(up: Zopes, path: str) -> None:
    with pytest.raises(UnknownName, match="no path of an object"):
        up.remount(path)


def test_a_path_that_is_no_mount_point_is_refused(up: Zopes) -> None:
    with pytest.raises(UnknownName, match=r"no mount point /home/x.orgs") as refused:
        up.remount("/home/x.orgs")
    assert "/home/x.org" in refused.value.hint


# the last ones: whatever comes after them must start everything again


def test_an_emptied_storage_gets_no_empty_site(down: Zopes) -> None:
    data_fs = down.data_fs("pub/y.org")
    kept = {path: path.read_bytes() for path in data_fs.parent.glob("Data.fs*") if path.is_file()}
    for path in kept:
        path.unlink()

    try:
        result = down.remount(instances=("dev",))

        with pytest.raises(RemountFailed, match=r"/pub/y.org: the storage pub/y.org is empty"):
            result.refuse_failures()
        assert not data_fs.exists() or data_fs.stat().st_size == 4
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


def test_a_wrong_real_path_gets_no_empty_site(down: Zopes) -> None:
    def rename(app: Any) -> None:
        app.home._delOb("y.org")
        app.home._objects = ()

    kept = down.data_fs("pub/y.org").read_bytes()
    in_file(down.data_fs("pub/y.org"), rename)
    size = down.data_fs("pub/y.org").stat().st_size

    try:
        with pytest.raises(RemountFailed, match=r"has no /home/y.org: there is no 'y.org'"):
            down.remount(instances=("dev",)).refuse_failures()
        assert down.data_fs("pub/y.org").stat().st_size == size
    finally:
        down.data_fs("pub/y.org").write_bytes(kept)
        Path(f"{down.data_fs('pub/y.org')}.index").unlink(missing_ok=True)
