"""``zmount health`` where nothing was made yet, and for a user who may see little."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from broken_mounts import running
from checkups import as_nobody, data_fs, deployed, fill, look, reading
from deployments import ZEO_AND_ZOPE, Deployment

from zmount.operations.health import HealthWish, health
from zmount.operations.health_checks import BY_NAME

SITE = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<site x.org/>
<storage content/>
<instance pub>
  http-address {port}
  <client>
    cache-path var/%s.zec
  </client>
</instance>
"""


@pytest.fixture(scope="module")
def served() -> Iterator[Deployment]:
    """A deployment of root's, in a directory that all may enter; its ZEO server runs."""
    with deployed(SITE) as deployment:
        deployment.directory.chmod(0o755)
        fill(deployment, "content", number=1)
        with running(deployment, "zeo"):
            yield deployment


def _as_nobody(deployment: Deployment, *names: str) -> dict[tuple[str, str], dict[str, Any]]:
    topology, host = deployment.topology, deployment.host
    answer = as_nobody(lambda: health(topology, host, HealthWish(names=names)).as_json())
    assert isinstance(answer, dict), answer
    return {(each["check"], each["subject"]): each for each in answer["readings"]}


def test_what_may_not_be_seen_is_unknown_and_not_ok(served: Deployment) -> None:
    found = _as_nobody(served, "content")

    hidden = [
        found[each] for each in (("data-file", "content"), ("process", "zeo"), ("zeo", "zeo"))
    ]
    assert {(each["state"], each["hint"]) for each in hidden} == {("unknown", "as root")}
    assert "Permission denied; 1 storage cannot be reached" in hidden[-1]["sentence"]
    assert found["lock-holder", "content"]["state"] == "ok"  # the lock file and ps tell


def test_a_directory_that_may_not_be_read_hides_nothing_else(served: Deployment) -> None:
    directory = data_fs(served, "content").parent
    directory.chmod(0o700)
    try:
        found = _as_nobody(served)
    finally:
        directory.chmod(0o755)

    for check in ("data-file", "lock-holder", "index", "blobs"):
        assert found[check, "content"]["state"] == "unknown", found[check, "content"]
        assert found[check, "content"]["hint"] == "as root"
    assert all(
        each["state"] in ("unknown", "critical")
        for (check, subject), each in found.items()
        if subject == "content" and check in ("storage", "clients")
    )
    assert ("data-file", "pub/x.org") in found


@pytest.mark.parametrize("place", ["", "var", "zeo", "pub_client", "var/zmount", "var/pub"])
def test_whatever_directory_may_not_be_read_there_is_no_traceback(
    served: Deployment, place: str
) -> None:
    directory = served.directory / place
    mode = directory.stat().st_mode
    directory.chmod(0o700)
    try:
        found = _as_nobody(served)
    finally:
        directory.chmod(mode)

    wrong = {check for (check, _), each in found.items() if each["state"] != "ok"}
    assert wrong


def test_before_the_first_apply_all_is_said_and_nothing_made() -> None:
    directory = Path(tempfile.mkdtemp(prefix="zm-"))
    try:
        deployment = Deployment(directory, ZEO_AND_ZOPE)
        before = sorted(directory.rglob("*"))

        found = look(deployment)

        assert sorted(directory.rglob("*")) == before
    finally:
        shutil.rmtree(directory)
    assert found.state == "critical"
    assert reading(found, "process", "zeo").sentence == "does not run"
    assert reading(found, "config", "localhost").state == "warning"
    assert "is not there yet" in reading(found, "data-file", "content").sentence


def test_before_the_first_start_it_is_known_what_will_be_missing() -> None:
    with deployed(SITE) as deployment:
        found = look(deployment)

    assert reading(found, "config", "localhost").state == "ok"
    assert reading(found, "process", "pub").hint == "zmount start pub"
    assert {each.check for each in found.readings} <= set(BY_NAME)
