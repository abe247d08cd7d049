"""Storages are read from their files or by ZEO, whoever else has them open."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certificates import make_certificates
from deployments import Deployment, wait_until
from persistent.mapping import PersistentMapping
from ZODB import DB
from ZODB.FileStorage import FileStorage

from zmount.effects import raw_storages
from zmount.effects.raw_storages import RawDatabases
from zmount.effects.serving import is_served, served
from zmount.errors import EnvironmentMissing, PrepareFailed, StorageUnreadable

ZEO = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<site x/>
<instance pub>
  http-address {port}
</instance>
"""
TWO_HOSTS = """
<host data>
  address 127.0.0.1
</host>
<host front>
  address 127.0.0.1
</host>
<zeo zeo>
  host data
  address 127.0.0.1:{port2}
</zeo>
<site x/>
<instance pub>
  host front
  http-address 127.0.0.1:{port}
</instance>
"""
TLS = """
%define certificates {certificates}
<client>
  <ssl>
    certificate $certificates/client.pem
    key $certificates/client.key
    key-passphrase open sesame
    authenticate $certificates/server.pem
    server-hostname localhost
  </ssl>
</client>
""" + TWO_HOSTS.replace(
    "</zeo>",
    """
  <ssl>
    certificate $certificates/server.pem
    key $certificates/server.key
    authenticate $certificates/client.pem
  </ssl>
</zeo>
""",
)
Deploy = Callable[[str], Deployment]


@pytest.fixture
def running() -> Iterator[Callable[[Deployment], None]]:
    """A function that runs a deployment's ZEO server until the test ends."""
    children: list[subprocess.Popen[bytes]] = []

    def run(deployment: Deployment) -> None:
        process = deployment.process("zeo")
        children.append(subprocess.Popen(process.program, stderr=subprocess.DEVNULL))
        server = deployment.topology.zeo_server("zeo")
        wait_until(lambda: is_served(server, server.host), "the ZEO server answers")

    yield run
    for child in children:
        child.terminate()
        child.wait(10)


def write(path: Path, key: str) -> None:
    """Write a mapping under KEY into the file PATH, and close it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    database = DB(FileStorage(str(path)))
    with database.transaction() as connection:
        connection.root()[key] = PersistentMapping()
    database.close()


def roots(deployment: Deployment, *names: str) -> dict[str, object]:
    """Return what the root of each mount NAMES of ``pub`` holds; None for an unreadable one."""
    with RawDatabases(deployment.topology.instance("pub").replicas[0]) as databases:
        found = {name: databases.get(name) for name in names}
        return {
            name: None if database is None else sorted(database.root())
            for name, database in found.items()
        }


def test_a_file_that_is_not_there_yet_is_an_empty_database(deploy: Deploy) -> None:
    assert roots(deploy(ZEO), "main", "pub/x") == {"main": [], "pub/x": []}


def test_a_local_storage_is_read_while_its_zeo_server_runs(
    deploy: Deploy, running: Callable[[Deployment], None]
) -> None:
    deployment = deploy(ZEO)
    write(deployment.directory / "var/pub/x/Data.fs", "here")
    running(deployment)

    assert roots(deployment, "pub/x") == {"pub/x": ["here"]}


def test_a_root_is_read_while_another_process_has_it_open(deploy: Deploy) -> None:
    deployment = deploy(ZEO)
    path = deployment.directory / "pub_client/var/Data.fs"
    write(path, "before")
    database = DB(FileStorage(str(path)))
    with database.transaction() as connection:
        connection.root()["now"] = 1

    assert roots(deployment, "main") == {"main": ["before", "now"]}
    database.close()


def test_a_storage_of_another_host_is_read_by_zeo(
    deploy: Deploy, running: Callable[[Deployment], None]
) -> None:
    deployment = deploy(TWO_HOSTS)
    write(deployment.directory / "var/pub/x/Data.fs", "there")
    running(deployment)

    assert roots(deployment, "pub/x") == {"pub/x": ["there"]}


def test_a_storage_of_another_host_that_is_down_is_unknown_at_once(deploy: Deploy) -> None:
    began = time.monotonic()

    assert roots(deploy(TWO_HOSTS), "pub/x") == {"pub/x": None}
    assert time.monotonic() - began < 1


def test_a_storage_that_the_server_does_not_have_is_told_in_three_seconds(
    deploy: Deploy, running: Callable[[Deployment], None]
) -> None:
    deployment = deploy(TWO_HOSTS)
    running(deployment)
    deployment.rewrite(TWO_HOSTS.replace("<site x/>", "<site y/>"))

    with pytest.raises(StorageUnreadable, match="pub/y: the ZEO server zeo does not give it"):
        roots(deployment, "pub/y")


def test_a_storage_of_another_host_is_read_over_tls(
    deploy: Deploy, running: Callable[[Deployment], None], tmp_path: Path
) -> None:
    make_certificates(tmp_path)
    deployment = deploy(TLS.replace("{certificates}", str(tmp_path)))
    write(deployment.directory / "var/pub/x/Data.fs", "there")
    running(deployment)

    assert roots(deployment, "pub/x") == {"pub/x": ["there"]}


def test_a_certificate_that_cannot_be_used_is_named(
    deploy: Deploy, running: Callable[[Deployment], None], tmp_path: Path
) -> None:
    make_certificates(tmp_path)
    text = TLS.replace("{certificates}", str(tmp_path))
    deployment = deploy(text)
    running(deployment)
    deployment.rewrite(text.replace("open sesame", "wrong"))

    with pytest.raises(StorageUnreadable, match=r"client\.pem cannot be used"):
        roots(deployment, "pub/x")


def test_a_file_that_is_no_filestorage_is_told(deploy: Deploy) -> None:
    deployment = deploy(ZEO)
    path = deployment.directory / "var/pub/x/Data.fs"
    path.write_bytes(b"this is not a database" * 100)

    with pytest.raises(
        StorageUnreadable, match=r"storage pub/x: .*Data.fs: the file does not begin as"
    ):
        roots(deployment, "pub/x")


def test_more_storages_than_may_be_open_are_read_all_the_same(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_storages, "MOST_OPEN", 2)
    names = [f"s{number}" for number in range(6)]
    deployment = deploy(ZEO.replace("<site x/>", "\n".join(f"<site {name}/>" for name in names)))
    for name in names:
        write(deployment.directory / f"var/pub/{name}/Data.fs", name)

    with RawDatabases(deployment.topology.instance("pub").replicas[0]) as databases:
        for _ in range(2):
            for name in names:
                database = databases.get(f"pub/{name}")
                assert database is not None
                assert list(database.root()) == [name]


def test_reading_writes_nothing(deploy: Deploy) -> None:
    deployment = deploy(ZEO)
    write(deployment.directory / "var/pub/x/Data.fs", "here")
    before = {path: path.stat().st_mtime_ns for path in deployment.directory.rglob("*")}

    roots(deployment, "main", "pub/x")

    assert {path: path.stat().st_mtime_ns for path in deployment.directory.rglob("*")} == before


def test_a_server_that_nobody_runs_is_run_for_a_while_and_saves_its_index(deploy: Deploy) -> None:
    deployment = deploy(ZEO)
    server = deployment.topology.zeo_server("zeo")
    said: list[str] = []

    with served(deployment.topology, deployment.host, (server,), said.append):
        assert is_served(server, deployment.host)

    assert not is_served(server, deployment.host)
    assert (deployment.directory / "var/pub/x/Data.fs.index").exists()
    assert said == ["zeo: running the ZEO server meanwhile"]


def test_a_server_that_runs_is_left_alone(
    deploy: Deploy, running: Callable[[Deployment], None]
) -> None:
    deployment = deploy(ZEO)
    running(deployment)
    server = deployment.topology.zeo_server("zeo")

    with served(deployment.topology, deployment.host, (server,), pytest.fail):
        pass

    assert is_served(server, deployment.host)


def test_a_server_run_for_a_while_does_not_outlive_a_killed_zmount(deploy: Deploy) -> None:
    deployment = deploy(ZEO)
    server = deployment.topology.zeo_server("zeo")
    program = f"""
import os, signal
from zmount.effects.serving import served
from zmount.topology.load import load
topology = load({str(deployment.conf)!r})
with served(topology, topology.hosts[0], topology.zeo_servers, print):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL)

    assert killed.returncode == -9
    wait_until(lambda: not is_served(server, deployment.host), "the ZEO server ended")


def test_a_server_that_does_not_start_says_why(deploy: Deploy) -> None:
    deployment = deploy(ZEO)
    (deployment.directory / "var/pub/x/Data.fs").mkdir()
    server = deployment.topology.zeo_server("zeo")

    with (
        pytest.raises(PrepareFailed, match=r"zeo does not start: .*directory"),
        served(deployment.topology, deployment.host, (server,), lambda _: None),
    ):
        pass


def test_a_server_without_its_configuration_is_not_run(deploy: Deploy) -> None:
    deployment = deploy(ZEO)
    server = deployment.topology.zeo_server("zeo")
    Path(server.conf).unlink()

    with (
        pytest.raises(EnvironmentMissing, match=r"zeo\.conf is not there"),
        served(deployment.topology, deployment.host, (server,), lambda _: None),
    ):
        pass


def test_a_server_of_another_host_is_not_run_here(deploy: Deploy) -> None:
    deployment = deploy(TWO_HOSTS)
    server = deployment.topology.zeo_server("zeo")
    front = deployment.topology.host("front")

    with (
        pytest.raises(PrepareFailed, match="zeo on host data does not answer") as caught,
        served(deployment.topology, front, (server,), lambda _: None),
    ):
        pass

    assert caught.value.hint == "zmount start zeo on host data, then zmount apply again"
