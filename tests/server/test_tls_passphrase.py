"""A TLS key with a passphrase: in one private file, read by ZEO and by Zope."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deployments import Deployment, wait_until

from zmount.render.generated import sign
from zmount.server.tls_passphrase import VARIABLE, tls_passphrase
from zmount.topology.processes import PASSPHRASE_FILE, Process

PASSPHRASE = 'open $$HOME "sesame" # 5 %'
TOPOLOGY = f"""
<zeo zeo>
  address 127.0.0.1:{{port}}
  <ssl>
    certificate ../tls/server.pem
    key ../tls/server.key
    key-passphrase {PASSPHRASE}
    authenticate ../tls/client.pem
  </ssl>
</zeo>
<storage content/>
<client>
  wait-timeout 10
  <ssl>
    certificate tls/client.pem
    key tls/client.key
    key-passphrase {PASSPHRASE}
    authenticate tls/server.pem
    server-hostname zeo.example.org
  </ssl>
</client>
<instance pub>
  http-address {{port2}}
  <mount content>
    mount-point /content
  </mount>
</instance>
"""
# what a Zope does with its zope.conf, as far as the databases
OPEN = """
import sys
import transaction
from Zope2.Startup.options import ZopeWSGIOptions

databases = ZopeWSGIOptions(sys.argv[1])().configroot.dbtab
connection = databases.getDatabase(name="content").open()
connection.root()["seen"] = True
transaction.commit()
print(connection.db().storage.is_connected())
"""


def make_certificate(directory: Path, name: str) -> None:
    """Make a self-signed certificate that ZEO accepts, its key under the passphrase."""
    program = shutil.which("openssl")
    assert program, "openssl is needed for this test: apt install openssl"
    directory.mkdir(exist_ok=True)
    extensions = (
        "subjectAltName=DNS:zeo.example.org",
        "basicConstraints=critical,CA:TRUE",
        "keyUsage=critical,digitalSignature,keyCertSign",
    )
    subprocess.run(
        [program, "req", "-x509", "-newkey", "rsa:2048", "-days", "2", "-subj", f"/CN={name}"]
        + [word for extension in extensions for word in ("-addext", extension)]
        + ["-keyout", str(directory / f"{name}.key"), "-out", str(directory / f"{name}.pem")]
        + ["-passout", "pass:" + PASSPHRASE.replace("$$", "$")],
        check=True,
        capture_output=True,
    )


def start(process: Process, *, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        process.program,
        cwd=process.directory,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def environment_of(process: Process) -> dict[str, str]:
    return {name: str(values[-1]) for name, values in process.environment.items_}


@pytest.fixture
def tls(deploy: Callable[[str], Deployment]) -> Iterator[Deployment]:
    """A deployment with certificates; its ZEO server runs."""
    deployment = deploy(TOPOLOGY)
    for name in ("server", "client"):
        make_certificate(deployment.directory / "tls", name)
    zeo = deployment.process("zeo")
    server = start(zeo, environment=environment_of(zeo))
    try:
        log = Path(str(zeo.log.path))
        wait_until(lambda: log.exists() and "listening on" in log.read_text(), "ZEO listens")
        yield deployment
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=20)


def open_content(deployment: Deployment, environment: dict[str, str]):
    zope = deployment.process("pub")
    return subprocess.run(
        [sys.executable, "-c", OPEN, str(zope.noun.zope_conf)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_zope_mounts_a_storage_over_tls(tls: Deployment):
    done = open_content(tls, environment_of(tls.process("pub")))

    assert done.stdout == "True\n", done.stderr


def test_without_the_variable_the_reason_is_one_clear_line(tls: Deployment):
    done = open_content(tls, {})

    assert f"{VARIABLE} is not set" in done.stderr.splitlines()[-1]


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the environment names; it is not there yet."""
    path = tmp_path / "tls-passphrase"
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def test_the_passphrase_is_the_line_under_the_signature(said: Path):
    said.write_text(sign("# not a comment\n", source="zmount.conf"))

    assert tls_passphrase() == "# not a comment"


def test_a_missing_file_is_named(said: Path):
    with pytest.raises(RuntimeError, match=f"{said}: No such file"):
        tls_passphrase()


def test_an_empty_file_is_named(said: Path):
    said.write_text(sign("\n", source="zmount.conf"))

    with pytest.raises(RuntimeError, match=f"{said} holds no passphrase"):
        tls_passphrase()


def test_the_variable_is_the_one_that_zmount_sets():
    assert VARIABLE == PASSPHRASE_FILE
