"""Which directories a host needs, and whose they are."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from topologies import topology_of

from zmount.plan.directories import Directory, directories
from zmount.render.files import generated_files

TEXT = """
user zope
<zeo zeo>
  address run/zeo.sock
</zeo>
<site x.org/>
<session/>
<instance pub>
  replicas 2
  http-address 127.0.0.1:8080
  <log>
    path /var/log/zope/event.log
  </log>
</instance>
<instance dev>
  kind development
  http-address 127.0.0.1:8090
</instance>
"""


@pytest.fixture
def found(tmp_path: Path) -> dict[str, Directory]:
    topology = topology_of(tmp_path, TEXT)
    return {
        str(directory.path).removeprefix(f"{tmp_path}/"): directory
        for directory in directories(topology, topology.hosts[0])
    }


def test_every_directory_comes_after_its_parent(found: dict[str, Directory]) -> None:
    met: set[PurePosixPath] = {PurePosixPath("/")}
    for directory in found.values():
        assert directory.path.parent in met
        met.add(directory.path)


def test_blob_directories_are_closed_to_others(found: dict[str, Directory]) -> None:
    blobs = {name: d.mode for name, d in found.items() if name.endswith("/blobs")}
    assert len(blobs) >= 4
    assert set(blobs.values()) == {0o700}


def test_what_processes_write_is_their_users_and_nothing_else(
    found: dict[str, Directory],
) -> None:
    users = {name: directory.user for name, directory in found.items()}
    for name in ("var/pub/x.org", "var/pub/x.org/blobs", "dev_client/var", "dev_client/log"):
        assert users[name] == "zope", name
    for name in ("dev_client", "dev_client/etc", "zeo/etc", "var", "dev_client/Extensions"):
        assert users[name] == "", f"{name}: who owns it owns root's process manager"


def test_what_lies_in_a_process_directory_of_its_own_is_its_users(
    found: dict[str, Directory],
) -> None:
    assert found["dev_client/var/blobcache"].user == "zope"
    assert found["dev_client/var/blobcache/pub"].user == "zope"


def test_directories_of_sockets_logs_and_caches_are_made(found: dict[str, Directory]) -> None:
    assert {
        "zeo/run",
        "/var/log/zope",
        "dev_client/var/cache",
        "dev_client/import",
        "dev_client/Extensions",
        "dev_client/etc/package-includes",
    } <= set(found)


def test_each_replica_has_its_own(found: dict[str, Directory]) -> None:
    assert {"pub_client/var", "pub_client-2/var", "pub_client-2/log"} <= set(found)


def test_the_directories_of_generated_files_are_made(tmp_path: Path) -> None:
    topology = topology_of(tmp_path, TEXT)
    path = PurePosixPath("/etc/systemd/system/zmount.target")
    made = directories(topology, topology.hosts[0], [path])
    assert path.parent in {directory.path for directory in made}


def test_only_what_is_on_the_host_is_made(tmp_path: Path) -> None:
    topology = topology_of(
        tmp_path,
        """
<host one>
  address 127.0.0.1
  directory /srv/one
</host>
<host two>
  address 127.0.0.2
  directory /srv/two
</host>
<zeo zeo>
  host one
  address 8100
</zeo>
<storage content/>
<instance pub>
  host two
  http-address 8080
  <mount content>
    mount-point /content
  </mount>
</instance>
""",
    )
    paths = {
        host.name: {str(directory.path) for directory in directories(topology, host)}
        for host in topology.hosts
    }
    assert not any(path.startswith("/srv/two") for path in paths["one"])
    assert not any(path.startswith("/srv/one") for path in paths["two"])
    assert any(path.endswith("blobs") for path in paths["one"])
    assert any("pub" in path for path in paths["two"])


def test_every_file_of_a_backend_has_a_directory_that_its_server_can_write(tmp_path: Path) -> None:
    demo = (
        "user zope\n<zeo zeo/>\n<storage d>\n<demostorage>\n<filestorage base>\npath one/base.fs\n"
        "</filestorage>\n<filestorage changes>\npath two/changes.fs\n</filestorage>\n"
        "</demostorage>\n</storage>\n"
    )
    topology = topology_of(tmp_path, demo)
    files = [file.path for file in generated_files(topology, topology.hosts[0])]

    users = {each.path: each.user for each in directories(topology, topology.hosts[0], files)}

    assert users[tmp_path / "one"] == users[tmp_path / "two"] == "zope"
