"""A FileStorage that an instance opens itself is packed by the instance while it is up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from deployments import Deployment
from fillings import OBJECTS, fill
from ZODB.FileStorage import FileStorage

from zmount.errors import PackFailed
from zmount.operations.pack import pack
from zmount.operations.pack_plan import PackWish
from zmount.operations.packed import Packed

ZOPE = """
{administrator}
<storage own/>
<instance pub>
  http-address {port}
  <mount own>
    mount-point /own
  </mount>
</instance>
"""
Deploy = Callable[[str], Deployment]


@pytest.fixture
def up(deploy: Deploy) -> Callable[[str], Deployment]:
    """A function: an instance that is up, with or without an administrator; ``own`` has garbage."""

    def up(administrator: str) -> Deployment:
        deployment = deploy(ZOPE.replace("{administrator}", administrator))
        assert deployment.zmount("apply").returncode == 0
        fill(data_fs(deployment))
        done = deployment.zmount("start")
        assert done.returncode == 0, done.stderr
        return deployment

    return up


def data_fs(deployment: Deployment) -> Path:
    return deployment.directory / "var/own/Data.fs"


def packs(deployment: Deployment, **wish: object) -> Packed:
    said = PackWish(names=("own",), days=0, **wish)  # type: ignore[arg-type]
    (found,) = pack(deployment.topology, deployment.host, said, lambda _: None).storages
    return found


def test_zope_packs_it_as_its_administrator_while_it_goes_on(up: Callable[[str], Deployment]):
    deployment = up("administrator admin")
    before = data_fs(deployment).stat().st_size

    kept = packs(deployment, keeps_garbage=True)

    assert (kept.done, kept.way, kept.error, kept.objects_dropped) == ("packed", "Zope", None, 0)
    storage = FileStorage(str(data_fs(deployment)), read_only=True)
    assert len(storage) > OBJECTS
    storage.close()
    assert data_fs(deployment).stat().st_size < before


def test_without_an_administrator_that_zmount_knows_it_waits_until_the_instance_is_down(
    up: Callable[[str], Deployment],
):
    deployment = up("")

    refused = packs(deployment)

    assert refused.done == "failed"
    assert "instance pub has it open" in str(refused.error)
    everything = pack(deployment.topology, deployment.host, PackWish(days=0), lambda _: None)
    assert {each.done for each in everything.storages} == {"failed"}
    with pytest.raises(PackFailed, match="2 of 2 were not packed: own, root/pub") as raised:
        everything.refuse_failures()
    assert "say administrator in zmount.conf" in raised.value.hint
    assert deployment.zmount("stop").returncode == 0
    packed = packs(deployment)
    assert (packed.done, packed.way) == ("packed", "file")
    assert packed.objects_dropped == OBJECTS // 3 + 1


def test_a_password_that_is_wrong_is_said(up: Callable[[str], Deployment]):
    deployment = up("administrator admin\nadministrator-password right")
    deployment.rewrite(
        ZOPE.format(
            administrator="administrator admin\nadministrator-password wrong",
            port="{port}",
        )
    )

    refused = packs(deployment)

    assert refused.done == "failed"
    assert "does not let the administrator in" in str(refused.error)
