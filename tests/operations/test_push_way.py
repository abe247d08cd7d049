"""Which instance copies an object, and by which paths; from the topology alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from zmount.errors import SandboxRefused, UnknownName
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.push_way import way_of
from zmount.topology.load import load

CONF = """
directory {directory}
venv /venv
<zeo zeo>
  address var/zeo.sock
</zeo>
<site x.org/>
<site y.org/>
<storage shared/>
<storage archive/>
<instance dev>
  kind development
  http-address 127.0.0.1:8080
  <mount archive>
    mount-point /archive
    <client>
      read-only on
    </client>
  </mount>
</instance>
<instance pub>
  kind public
  http-address 127.0.0.1:8081
  <mount shared>
    mount-point /shared
  </mount>
</instance>
"""


@pytest.fixture
def local(tmp_path: Path) -> LocalProcesses:
    conf = tmp_path / "zmount.conf"
    conf.write_text(CONF.format(directory=tmp_path))
    topology = load(conf)
    return LocalProcesses(topology=topology, host=topology.hosts[0])


@pytest.mark.parametrize(
    ("source", "target", "instance", "paths"),
    [
        ("dev:/home/x.org/a", "dev:/pub/x.org/a", "dev", ("/home/x.org/a", "/pub/x.org/a")),
        ("dev:/home/x.org/a", "pub:/home/x.org/a", "dev", ("/home/x.org/a", "/pub/x.org/a")),
        ("pub:/home/x.org/a", "dev:/home/x.org/a", "dev", ("/pub/x.org/a", "/home/x.org/a")),
        ("dev:/dev/u/x.org/a", "pub:/home/y.org/b/a", "dev", ("/dev/u/x.org/a", "/pub/y.org/b/a")),
        ("pub:/home/x.org/a", "pub:/home/y.org/a", "pub", ("/home/x.org/a", "/home/y.org/a")),
        ("pub:/root/a", "pub:/home/y.org/a", "pub", ("/root/a", "/home/y.org/a")),
        ("dev:/pub/x.org/a", "pub:/shared/a", "pub", ("/home/x.org/a", "/shared/a")),
        ("dev:/home.x/a", "dev:/home/x.org.old/a", "dev", ("/home.x/a", "/home/x.org.old/a")),
    ],
)
def test_an_instance_that_shows_both_copies(
    local: LocalProcesses, source: str, target: str, instance: str, paths: tuple[str, str]
) -> None:
    way = way_of(local, source, target)

    assert way.instance.name == instance
    assert (way.source.path, way.target.path) == paths


def test_the_target_is_told_as_its_storage_has_it(local: LocalProcesses) -> None:
    target = way_of(local, "dev:/home/x.org/a", "dev:/pub/x.org/b/c").target

    assert (target.mount.storage.name, target.real) == ("pub/x.org", "/home/x.org/b/c")
    assert way_of(local, "dev:/dev/a", "dev:/dev/b").target.real == "/dev/b"


def test_none_that_shows_both_is_told_with_those_that_show_one(local: LocalProcesses) -> None:
    with pytest.raises(SandboxRefused, match="no instance shows both") as refused:
        way_of(local, "dev:/dev/u/a", "pub:/shared/a")

    assert "dev:/dev/u/a is shown by dev; pub:/shared/a is shown by pub" in refused.value.hint


def test_roots_are_their_own_whatever_their_paths(local: LocalProcesses) -> None:
    with pytest.raises(SandboxRefused, match="no instance shows both"):
        way_of(local, "dev:/a", "pub:/a")


def test_what_is_mounted_read_only_is_no_target(local: LocalProcesses) -> None:
    assert way_of(local, "dev:/archive/a", "dev:/dev/a").source.real == "/archive/a"
    with pytest.raises(SandboxRefused, match="dev may not write to archive"):
        way_of(local, "dev:/dev/a", "dev:/archive/a")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("/home/x.org/a", SandboxRefused),
        ("", SandboxRefused),
        ("prod:/home/x.org/a", UnknownName),
        (":/home/x.org/a", UnknownName),
        ("dev:", UnknownName),
        ("dev:/", UnknownName),
        ("dev:home/a", UnknownName),
        ("dev:/home/../a", UnknownName),
        ("dev:/home//a", UnknownName),
        ("dev:/home/a/", UnknownName),
    ],
)
def test_what_is_no_instance_and_path_is_refused(
    local: LocalProcesses, said: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        way_of(local, said, "dev:/dev/a")
