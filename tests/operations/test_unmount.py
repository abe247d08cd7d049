"""A site whose storage keeps its instance from starting is left out; with a real Zope."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployments import Deployment
from OFS.Folder import Folder
from visitors import ask
from zope_files import in_file

CONF = """
administrator admin
administrator-password a secret
<zeo zeo>
  address var/zeo.sock
</zeo>
<zeo other>
  address var/other.sock
</zeo>
<site x.org>
  server zeo
</site>
<site y.org>
  server other
</site>
<instance pub>
  http-address 127.0.0.1:{port}
</instance>
"""


@pytest.fixture(scope="module")
def broken() -> Iterator[Deployment]:
    """A deployment that is down; the storage of one of its sites is no FileStorage."""
    with tempfile.TemporaryDirectory(prefix="zm-") as directory:
        made = Deployment(Path(directory), CONF)
        try:
            applied = made.zmount("apply")
            assert applied.returncode == 0, applied.stderr
            data_fs(made).write_text("no FileStorage")
            yield made
        finally:
            made.end_all()


def data_fs(deployment: Deployment) -> Path:
    return deployment.directory / "var/pub/y.org/Data.fs"


def repair(deployment: Deployment) -> None:
    data_fs(deployment).unlink()

    def add_site(app: Folder) -> None:
        app._setObject("home", Folder("home"))
        app.home._setObject("y.org", Folder("y.org"))

    in_file(data_fs(deployment), add_site)


def zope_conf(deployment: Deployment) -> str:
    return (deployment.directory / "pub_client/etc/zope.conf").read_text()


def test_an_instance_starts_without_the_storage_and_with_it_when_it_is_mended(
    broken: Deployment,
) -> None:
    assert broken.zmount("start", "pub").returncode == 8  # not with it

    out = broken.zmount("offline", "y.org", "--unmount", "--reason", "damaged")
    started = broken.zmount("start", "pub")
    applied = broken.zmount("apply")

    assert out.returncode == started.returncode == applied.returncode == 0, (
        out.stderr + started.stderr + applied.stderr
    )
    assert "nothing to do" in applied.stdout
    assert "<zodb_db pub/y.org>" not in zope_conf(broken)
    assert ask(broken.port, "/home/y.org/any/page").status == 503
    assert ask(broken.port, "/home/x.org").status == 200
    assert "is off-line and unmounted since" in broken.zmount("status", "pub").stdout

    looked = broken.zmount("mounts", "pub")
    assert looked.returncode == 0  # nobody asks the damaged storage
    assert "off-line, unmounted  /home/y.org  pub/y.org" in looked.stdout
    assert ": damaged" in looked.stdout
    assert "> zmount online y.org" in looked.stdout
    remounted = broken.zmount("remount", "pub", "/home/y.org")
    assert remounted.returncode == 21
    assert "/home/y.org is off-line and unmounted since" in remounted.stderr
    assert "zmount online y.org puts it back" in remounted.stderr

    early = broken.zmount("online", "y.org", "--restart")
    assert early.returncode == 22
    assert "/home/y.org stays off-line" in early.stderr
    assert "<zodb_db pub/y.org>" not in zope_conf(broken)

    repair(broken)
    refused = broken.zmount("online", "y.org")
    assert refused.returncode == 22
    assert "pub is running: it opens its databases" in refused.stderr
    back = broken.zmount("online", "y.org", "--restart")
    assert back.returncode == 0, back.stderr
    assert "<zodb_db pub/y.org>" in zope_conf(broken)
    assert ask(broken.port, "/home/y.org").status == 200
    assert broken.zmount("mounts").returncode == 0


def test_changes_that_wait_to_be_applied_do_not_come_along(broken: Deployment) -> None:
    broken.rewrite(CONF + "<site z.org>\n  server zeo\n</site>\n")
    try:
        refused = broken.zmount("offline", "x.org", "--unmount", "--restart")
    finally:
        broken.rewrite(CONF)

    assert refused.returncode == 5
    assert "has changes that are not applied" in refused.stderr
    assert ask(broken.port, "/home/x.org").status == 200
