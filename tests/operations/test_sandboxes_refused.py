"""Sandboxes that cannot be: nothing runs, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zmount.errors import SandboxRefused, StorageUnreadable
from zmount.operations.sandboxes import SandboxChange, plan_add, plan_remove
from zmount.topology.load import load

CONF = """
directory {directory}
venv /venv
<zeo zeo>
  address var/zeo.sock
</zeo>
<site x.org/>
<storage root/dev>
  path var/root.fs
  read-only {read_only}
</storage>
<instance dev>
  kind development
  http-address 127.0.0.1:8080
  sandboxes {sandboxes}
</instance>
"""


@pytest.fixture
def plan(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., SandboxChange]:
    """What plans to add, or to remove, a sandbox of medur in a deployment that is down."""

    def planned(*sites: str, read_only: str = "off", sandboxes: str = "/dev") -> SandboxChange:
        conf = tmp_path / "zmount.conf"
        conf.write_text(CONF.format(directory=tmp_path, read_only=read_only, sandboxes=sandboxes))
        topology = load(conf)
        change: SandboxChange = request.param(topology, topology.hosts[0], "medur", sites)
        return change

    return planned


both = pytest.mark.parametrize("plan", [plan_add, plan_remove], indirect=True)


@both
def test_a_read_only_root_gets_none_and_loses_none(
    plan: Callable[..., SandboxChange], tmp_path: Path
) -> None:
    with pytest.raises(SandboxRefused, match="the root of dev is read-only"):
        plan("x.org", read_only="on")

    assert [each.name for each in tmp_path.iterdir()] == ["zmount.conf"]


@both
def test_an_instance_may_have_no_folder_for_them(plan: Callable[..., SandboxChange]) -> None:
    with pytest.raises(SandboxRefused, match="no instance on localhost has a folder for sandb"):
        plan("x.org", sandboxes="none")


@both
def test_a_root_that_is_none_is_told(plan: Callable[..., SandboxChange], tmp_path: Path) -> None:
    root = tmp_path / "var/root.fs"
    root.parent.mkdir()
    root.write_bytes(b"no storage at all")

    with pytest.raises(StorageUnreadable, match=r"root\.fs"):
        plan("x.org")

    assert [each.name for each in root.parent.iterdir()] == ["root.fs"]
    assert root.read_bytes() == b"no storage at all"
