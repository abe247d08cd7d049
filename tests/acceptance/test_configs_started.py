"""The example topologies, as an administrator brings them up: check, apply, start, look.

``configs/vsa`` is what ``zmount demo`` runs, and is here once more as the file
that people copy.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from certificates import PASSPHRASE, make_certificates
from deployments import Deployment, free_port
from zope_files import statuses

CONFIGS = Path(__file__).parent.parent.parent / "configs"
FILES_OF_SECRETS = {"administrator", "tls-passphrase"}


def started_from(directory: Path, name: str) -> Deployment:
    """Return the deployment of configs/NAME in DIRECTORY, on free ports, not yet applied."""
    text = (CONFIGS / name / "zmount.conf").read_text()
    text = re.sub(r"^(directory|venv|user) .*\n", "", text, flags=re.M)
    text = re.sub(r"^(%define certificates) .*", rf"\1 {directory}/certificates", text, flags=re.M)
    text = re.sub(r"127\.0\.0\.1:\d+", lambda _: f"127.0.0.1:{free_port()}", text)
    return Deployment(directory, text)


def zmount(deployment: Deployment, *arguments: str, status: int = 0) -> str:
    """Run the command with the secrets of configs/tls, and return what it printed."""
    secrets = {"ZEO_KEY_PASSPHRASE": PASSPHRASE, "ZOPE_KEY_PASSPHRASE": PASSPHRASE}
    done = subprocess.run(
        [sys.executable, "-m", "zmount", "-f", str(deployment.conf), *arguments],
        env={**os.environ, **secrets},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def bring_up(short_directory: Path):
    """A function that applies and starts configs/NAME; everything is ended afterwards."""
    made: list[Deployment] = []

    def bring_up(name: str) -> Deployment:
        (short_directory / "certificates").mkdir()
        make_certificates(short_directory / "certificates")
        made.append(started_from(short_directory, name))
        for command in ("check", "apply", "start"):
            zmount(made[0], command)
        return made[0]

    yield bring_up
    for deployment in made:
        deployment.end_all()


@pytest.mark.parametrize("name", ["vsa", "single", "tls"])
def test_an_example_runs_restarts_and_stops_cleanly(
    name: str, bring_up: Callable[[str], Deployment], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ZEO_KEY_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("ZOPE_KEY_PASSPHRASE", PASSPHRASE)
    deployment = bring_up(name)

    seen = json.loads(zmount(deployment, "status", "--json"))
    assert seen["is_well"]
    up = {each["name"]: each["pid"] for each in seen["processes"] if each["autostart"]}
    assert up and all(up.values())
    assert "nothing would change" in zmount(deployment, "diff-config")

    zmount(deployment, "restart")
    again = json.loads(zmount(deployment, "status", "--json"))
    assert again["is_well"]
    assert not set(up.values()) & {each["pid"] for each in again["processes"]}

    zmount(deployment, "stop")
    zmount(deployment, "status", status=1)
    instances = [each for each in deployment.topology.instances if each.autostart]
    for instance in instances:
        found = statuses(deployment, instance.name)
        assert set(found.values()) <= {"Ok"}, found
        assert len(found) == sum(len(mount.points) for mount in instance.mounts) - 1
        assert Path(instance.root.storage.index).exists()


def test_no_file_of_a_secret_is_readable_by_others(bring_up: Callable[[str], Deployment]):
    deployment = bring_up("tls")

    files = [path for path in deployment.directory.rglob("*") if path.is_file()]
    public = [path for path in files if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)]

    assert {path.name for path in files} >= FILES_OF_SECRETS
    assert not FILES_OF_SECRETS & {path.name for path in public}
    passphrase = PASSPHRASE.encode()
    assert [path for path in public if passphrase in path.read_bytes()] == []
    shown = zmount(deployment, "show") + zmount(deployment, "show", "--json")
    assert PASSPHRASE not in shown
