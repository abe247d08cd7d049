"""What goes wrong while access rules are brought over leaves the root as it was, and is told."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from deployments import Deployment, wait_until
from transaction import Transaction
from ZEO.ClientStorage import ClientStorage
from zope_files import in_zope

from zmount.effects.zope_requests import requests_of
from zmount.errors import AccessCopyRefused, ProcessFailed, ZMountError
from zmount.operations.access import Pair, compare, pair
from zmount.operations.access_copy import copy
from zmount.operations.access_plan import CopyWish
from zmount.operations.local_processes import LocalProcesses
from zmount.plan.access_rules import Key

CONF = """
administrator admin
administrator-password a secret
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage root/pub>
</storage>
<instance dev>
  kind development
  http-address 127.0.0.1:{port}
</instance>
<instance pub>
  kind public
  root root/pub
  http-address 127.0.0.1:{port2}
</instance>
"""
ANN = 'app.acl_users._doAddUser("ann", "secret", ["Manager"], [])\nanswer = None\n'
WISH = CopyWish(source="dev", is_agreed=True)


@pytest.fixture
def deployment(deploy: Callable[[str], Deployment]) -> Deployment:
    """Two roots that are down; ann is a user of dev's only."""
    made = deploy(CONF)
    applied = made.zmount("apply")
    assert applied.returncode == 0, applied.stderr
    in_zope(made, "dev", ANN)
    return made


def both(deployment: Deployment) -> Pair:
    return pair(deployment.topology, ())


def differing(deployment: Deployment) -> list[Key]:
    """Return which rules differ."""
    return [each.key for each in compare(deployment.host, both(deployment)).found]


@contextmanager
def nobody_commits(deployment: Deployment) -> Iterator[None]:
    """Hold the lock that every commit to the public root needs."""
    address = str(deployment.process("zeo").address.socket)
    storage = ClientStorage(address, storage="root/pub")
    held = Transaction()
    storage.tpc_begin(held)
    storage.tpc_vote(held)
    try:
        yield
    finally:
        storage.tpc_abort(held)
        storage.close()


def test_an_instance_that_is_killed_in_the_middle_has_changed_nothing(
    deployment: Deployment,
) -> None:
    assert deployment.zmount("start").returncode == 0
    came: list[ZMountError] = []

    def bring() -> None:
        try:
            copy(deployment.topology, deployment.host, both(deployment), WISH, silent, None)
        except ZMountError as error:
            came.append(error)

    with nobody_commits(deployment):
        worker = threading.Thread(target=bring)
        worker.start()
        wait_until(lambda: is_asked(deployment), "the agent is at work", timeout_s=30)
        time.sleep(0.5)  # it waits for the lock by now
        os.kill(pid(deployment), signal.SIGKILL)
        worker.join(60)

    (error,) = came
    assert isinstance(error, ProcessFailed)
    assert "did not answer" in str(error)
    assert str(error).endswith("nothing was changed")
    assert differing(deployment) == [Key("user", "ann")]
    wait_until(
        lambda: deployment.zmount("status", "pub").returncode == 0, "pub is up again", timeout_s=30
    )
    again = deployment.zmount("access", "--copy-from", "dev", "--yes")
    assert again.returncode == 0, again.stderr
    assert differing(deployment) == []


def test_wrong_credentials_change_nothing(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deployment.zmount("start").returncode == 0
    for said, why in (
        ("admin:wrong", "does not let the administrator in"),
        ("ann:secret", "does not let the administrator in"),  # she is nobody there yet
        ("admin", "has no password"),
    ):
        monkeypatch.setenv("ZMOUNT_ADMINISTRATOR", said)
        done = deployment.zmount("access", "--copy-from", "dev", "--yes")
        assert (done.returncode, why in done.stderr) == (20, True), done.stderr
        assert "Traceback" not in done.stderr
    assert differing(deployment) == [Key("user", "ann")]


def test_a_root_that_cannot_be_written_is_told_and_stays(deployment: Deployment) -> None:
    """Whether zmount.conf knows that it is read-only, or its Zope finds out."""
    deployment.rewrite(CONF.replace("</storage>", "  read-only on\n</storage>"))
    known = deployment.zmount("access", "--copy-from", "dev", "--yes")
    deployment.rewrite(CONF)
    gathered = deployment.directory / "dev_client/var/Data.fs.tmp"  # where a commit begins
    gathered.unlink()
    gathered.mkdir()
    in_zope(deployment, "pub", ANN.replace("ann", "bob"))
    found = deployment.zmount("access", "--copy-from", "pub", "--yes")

    assert known.returncode == 25
    assert "the root of pub is read-only" in known.stderr
    assert found.returncode == 10, found.stderr
    assert "nothing was changed" in found.stderr
    assert "Traceback" not in known.stderr + found.stderr
    assert differing(deployment) == [Key("user", "ann"), Key("user", "bob")]


def test_a_plan_that_is_no_more_true_when_it_is_agreed_to_is_refused(
    deployment: Deployment,
) -> None:
    def ask(plan: object) -> bool:
        in_zope(deployment, "dev", ANN.replace("ann", "eve"))
        return True

    wish = CopyWish(source="dev")
    with pytest.raises(AccessCopyRefused, match="changed meanwhile"):
        copy(deployment.topology, deployment.host, both(deployment), wish, silent, ask)

    assert differing(deployment) == [Key("user", "ann"), Key("user", "eve")]


def test_a_root_that_is_a_file_of_another_host_is_not_read(deployment: Deployment) -> None:
    """A file with the same path here is another one, or one from before a move."""
    host = "<host {}>\n  address 127.0.0.1\n  directory {{directory}}\n</host>\n"
    text = (
        host.format("web1")
        + host.format("web2")
        + CONF.replace("<zeo zeo>", "<zeo zeo>\nhost web1")
    )
    text = text.replace("kind development", "kind development\n  host web2")
    deployment.rewrite(text.replace("kind public", "kind public\n  host web1"))

    done = deployment.zmount("--host", "web1", "access")

    assert done.returncode == 12, done.stdout + done.stderr
    assert "the root of dev is a file on host web2, and cannot be read from web1" in done.stderr


def silent(event: object) -> None:
    """Watch nothing."""


def pid(deployment: Deployment) -> int:
    local = LocalProcesses(topology=deployment.topology, host=deployment.host)
    found = local.manager.observe(deployment.process("pub")).pid
    assert found is not None
    return found


def is_asked(deployment: Deployment) -> bool:
    """True while a thread of the public instance works for its agent."""
    (replica,) = deployment.topology.instance("pub").replicas
    return any("zmount-agent" in each.path for each in requests_of(replica, pid(deployment)) or ())
