"""zope.conf: which client, which address, whose paths."""

from __future__ import annotations

from pathlib import Path

from topologies import file_of, topology_of

import zmount
from zmount.render.zope_conf import zope_conf

MOUNT = "<mount content>\n  mount-point /content\n</mount>\n"
TOPOLOGY = f"<zeo zeo/>\n<storage content/>\n<instance pub>\n{MOUNT}</instance>\n"
TWO_HOSTS = f"""
<host one>
  address 10.0.0.1
  directory /srv/one
</host>
<host two>
  address 10.0.0.2
  directory /srv/two
</host>
<zeo zeo>
  host one
  address :8100
</zeo>
<storage content/>
<storage root/>
<instance pub>
  host one two
  replicas 2
  http-address 8080
  root root
  {MOUNT}
</instance>
"""
SSL = "<client>\n<ssl>\ncertificate tls/c.pem\nauthenticate /etc/ssl/s.pem\n</ssl>\n</client>\n"


def conf(directory: Path, text: str) -> str:
    return file_of(directory, text, "zope").text


def test_a_mount_is_a_zeoclient_unless_it_needs_more(tmp_path: Path):
    text = conf(tmp_path, TOPOLOGY)

    assert "<zeoclient>" in text
    assert "%import" not in text


def test_a_key_that_only_clientstorage_has_makes_it_one_and_imports_zeo_once(tmp_path: Path):
    said = "<client>\nwait-timeout 5\n</client>\n<storage other/>\n"
    mounts = MOUNT + MOUNT.replace("content", "other")

    text = conf(tmp_path, said + TOPOLOGY.replace(MOUNT, mounts))

    assert text.count("<clientstorage>") == 2 and "<zeoclient>" not in text
    assert text.count("%import ZEO\n") == 1


def test_tls_makes_it_a_clientstorage(tmp_path: Path):
    text = conf(tmp_path, SSL + TOPOLOGY)

    assert "<clientstorage>" in text
    assert f"      certificate {tmp_path}/tls/c.pem\n" in text


def test_the_client_is_labelled_with_its_process_unless_that_is_unset(tmp_path: Path):
    unset = "<client>\nclient-label unset\n</client>\n"

    assert "    client-label pub\n" in conf(tmp_path, TOPOLOGY)
    assert "client-label" not in conf(tmp_path, unset + TOPOLOGY)


def test_several_servers_that_were_said_replace_the_servers_own(tmp_path: Path):
    said = "<client>\nserver 10.0.0.8:8100\nserver 10.0.0.9:8100\n</client>\n"

    text = conf(tmp_path, said + TOPOLOGY)

    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("server ")]
    assert lines == ["server 10.0.0.8:8100", "server 10.0.0.9:8100"]


def test_each_replica_has_its_own_directory_and_paths(tmp_path: Path):
    replicas = topology_of(tmp_path, TWO_HOSTS).instance("pub").replicas
    texts = [zope_conf(replica) for replica in replicas]

    homes = ("/srv/one/pub_client", "/srv/one/pub_client-2", "/srv/two/pub_client")
    for home, text in zip(homes, texts, strict=False):
        assert f"instancehome {home}\n" in text
        assert f"pid-filename {home}/var/Z4.pid\n" in text
        assert f"    blob-dir {home}/var/blobcache/content\n" in text


def test_a_replica_connects_from_its_own_host(tmp_path: Path):
    replicas = topology_of(tmp_path, TWO_HOSTS).instance("pub").replicas

    assert "    server 127.0.0.1:8100\n" in zope_conf(replicas[0])
    assert "    server 10.0.0.1:8100\n" in zope_conf(replicas[2])


def test_a_path_of_the_deployment_is_in_each_hosts_own_directory(tmp_path: Path):
    replicas = topology_of(tmp_path, SSL + TWO_HOSTS).instance("pub").replicas

    assert "certificate /srv/one/tls/c.pem\n" in zope_conf(replicas[0])
    assert "certificate /srv/two/tls/c.pem\n" in zope_conf(replicas[2])
    assert "authenticate /etc/ssl/s.pem\n" in zope_conf(replicas[2])


def test_a_replica_runs_in_its_own_hosts_virtual_environment(tmp_path: Path):
    text = TWO_HOSTS.replace("directory /srv/two", "directory /srv/two\n  venv /opt/two")

    replicas = topology_of(tmp_path, text).instance("pub").replicas

    assert [str(replica.venv) for replica in replicas[1:3]] == [
        str(replicas[0].venv),
        "/opt/two",
    ]


def test_a_storage_without_a_server_is_opened_where_the_topology_says(tmp_path: Path):
    text = conf(tmp_path, TOPOLOGY)

    assert f"    path {tmp_path}/pub_client/var/Data.fs\n" in text


def test_cross_references_are_forbidden_in_every_database(tmp_path: Path):
    text = conf(tmp_path, TOPOLOGY)

    assert text.count("allow-implicit-cross-references false") == text.count("<zodb_db ") == 2


def test_the_python_api_gives_the_same_text(tmp_path: Path):
    conf(tmp_path, TOPOLOGY)

    text = zmount.load(tmp_path / "zmount.conf").instance("pub").zope_conf()

    assert text == conf(tmp_path, TOPOLOGY).partition("\n")[2]
