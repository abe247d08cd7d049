"""The path of a request leads to a mount point, whatever stands before it and in it."""

from __future__ import annotations

import pytest

from zmount.operations.request_paths import mount_of_path
from zmount.topology.load import load

CONF = """
directory /nowhere
venv /nowhere/venv
<zeo zeo>
  address 127.0.0.1:8100
</zeo>
<site x.org/>
<site y.org/>
<storage catalog/>
<instance dev>
  kind development
  <mount catalog>
    mount-point /home/x.org/catalog
  </mount>
</instance>
"""
VIRTUAL = "/VirtualHostBase/https/www.x.org:443/home/x.org/VirtualHostRoot"


@pytest.mark.parametrize(
    ("path", "mount_point"),
    [
        ("/home/x.org", "/home/x.org"),
        ("/home/x.org/", "/home/x.org"),
        ("/home/x.org/a/b", "/home/x.org"),
        ("//home//x.org//a", "/home/x.org"),
        ("/home/x.org/catalog/a", "/home/x.org/catalog"),
        ("/pub/x.org/a", "/pub/x.org"),
        ("/other/home/y.org/a", "/home/y.org"),
        (f"{VIRTUAL}/a", "/home/x.org"),
        (f"{VIRTUAL}/_vh_sub/_vh_dir/a", "/home/x.org"),
        ("/VirtualHostBase/http/x.org:80/home/VirtualHostRoot/x.org/a", "/home/x.org"),
        ("/VirtualHostBase", ""),
        ("/VirtualHostBase/http", ""),
        ("/home/x.orgs", ""),
        ("/home", ""),
        ("/x.org", ""),
        ("/", ""),
        ("", ""),
    ],
)
def test_a_path_leads_to_a_mount_point(path, mount_point, tmp_path):
    (tmp_path / "zmount.conf").write_text(CONF)
    mounts = load(tmp_path / "zmount.conf").instance("dev").mounts

    found = mount_of_path(path, mounts)

    assert (found[1].virtual if found else "") == mount_point
