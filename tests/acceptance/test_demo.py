"""``zmount demo``, as a new user runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from zmount.effects.administrator_file import password
from zmount.effects.zope_http import ZopeClient
from zmount.errors import ProcessFailed
from zmount.operations.demo_content import prove_same_objects
from zmount.render.demo_conf import PORTS, demo_conf
from zmount.topology.load import load

VSA = Path(__file__).parent.parent.parent / "configs" / "vsa" / "zmount.conf"


def zmount(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the installed command, as a terminal would."""
    environment = {key: text for key, text in os.environ.items() if key != "ZMOUNT_CONF"}
    return subprocess.run(
        [sys.executable, "-m", "zmount", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_demonstration_is_the_design_documents_deployment(tmp_path):
    conf = tmp_path / "zmount.conf"
    conf.write_text(demo_conf(PurePosixPath("/opt/zope/venv"), PORTS))
    ours, theirs = load(conf), load(VSA)

    def shape(topology):
        return (
            [site.name for site in topology.sites],
            [(storage.name, storage.role) for storage in topology.storages],
            [
                (instance.name, instance.kind, [str(m.points[0]) for m in instance.mounts])
                for instance in topology.instances
            ],
            topology.session.timeout_minutes,
        )

    assert shape(ours) == shape(theirs)


def test_a_demonstration_proves_itself_is_left_running_and_stops(tmp_path):
    try:
        brought_up = zmount("demo", "--any-port", "--directory", "d", cwd=tmp_path)

        assert brought_up.returncode == 0, brought_up.stderr
        assert "restart pub, count on to 4" in brought_up.stderr
        (command,) = re.findall(r"^what runs +(.+)$", brought_up.stdout, re.M)
        status = subprocess.run(["/bin/sh", "-c", command], env={"PATH": os.defpath}, timeout=60)
        assert status.returncode == 0, "what it prints works where zmount is not on the PATH"
        addresses = re.findall(r"http://\S+/srichinmoyraces.org/", brought_up.stdout)
        pages = [
            ZopeClient(load(tmp_path / "d" / "zmount.conf").instance(name).http_address).get(path)
            for name, path in (
                ("pub", "/home/srichinmoyraces.org/index_html"),
                ("dev", "/pub/srichinmoyraces.org/index_html"),
            )
        ]
        assert all("srichinmoyraces.org, changed by http" in page for page in pages)
        assert len(addresses) == 3

        topology = load(tmp_path / "d" / "zmount.conf")
        dev = topology.instance("dev").http_address
        secret = password(topology.administrator, topology.hosts[0]).reveal()
        with pytest.raises(ProcessFailed, match="not the same object"):
            # dev's own /home/SITE is the staging area: another object, and seen as one
            prove_same_objects(
                topology,
                ZopeClient(dev, user="admin", password=secret),
                ZopeClient(dev),
                seen_within_s=0.5,
            )

        again = zmount("demo", "--any-port", "--directory", "d", cwd=tmp_path)
        assert again.returncode == 0, again.stderr
        assert "is there already" in again.stderr
    finally:
        stopped = zmount("-f", "d/zmount.conf", "stop", cwd=tmp_path)
    assert stopped.returncode == 0, stopped.stderr
    assert zmount("-f", "d/zmount.conf", "status", cwd=tmp_path).returncode == 1


def test_a_demonstration_that_is_torn_down_leaves_nothing(tmp_path):
    done = zmount("demo", "--any-port", "--stop", "--directory", "d", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "everything is stopped again" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_directory_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")

    refused = zmount("demo", "--stop", "--directory", ".", cwd=tmp_path)

    assert refused.returncode == 5
    assert "is not empty" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
