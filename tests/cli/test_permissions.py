"""Commands of a user who may not look at a part of the deployment: clear lines, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from deployments import ZEO_AND_ZOPE, Deployment
from fillings import fill

from zmount.cli.app import main

WITH_A_SITE = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<site s/>
<instance pub>
  http-address {port}
</instance>
"""
STORAGE_COMMANDS = (
    "pack --all",
    "pack --all --dry-run",
    "verify --all",
    "verify pub/s stage/s",
    "verify --file {0}/var/pub/s/Data.fs",
    "index pub/s stage/s",
    "clone pub/s {0}/clone-of-production",
    "clone stage/s {0}/clone-of-stage",
    "swap-stage s --dry-run",
    "swap-stage s --undo",
    "swap-stage s",
    "mounts",
    "status",
    "show s",
)
NOBODY = 65534
COMMANDS = ("status", "diff-config", "start", "stop", "undo --dry-run", "show")


def run(deployment: Deployment, command: str) -> tuple[int, str, str]:
    """Run COMMAND in this process; return its exit status, its output and what was not caught."""
    done = CliRunner().invoke(main, ["-f", str(deployment.conf), *command.split()])
    caught = done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.output, "" if caught else repr(done.exception)


def run_as_another(deployment: Deployment, command: str) -> tuple[int, str, str]:
    """Run COMMAND without root's rights, in a child."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.write(writing, json.dumps(run(deployment, command)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    code, output, uncaught = json.loads(text)
    return code, output, uncaught


@contextmanager
def hidden(directory: Path) -> Iterator[None]:
    """Let only root look into DIRECTORY."""
    found = directory.stat()
    directory.chmod(0)
    try:
        yield
    finally:
        directory.chmod(stat.S_IMODE(found.st_mode))


@pytest.fixture
def applied(deploy: Callable[[str], Deployment]) -> Deployment:
    """A deployment of a user without rights, applied; all modules are imported already."""
    deployment = deploy(ZEO_AND_ZOPE)
    for directory in (deployment.directory, deployment.directory.parent):
        directory.chmod(0o755)
    assert deployment.zmount("apply", "--no-prepare").returncode == 0
    for command in ("status", "diff-config", "undo --dry-run", "show", "start nothing", "stop"):
        assert run(deployment, command)[2] == ""
    "".encode("idna")  # a codec that a connection imports
    if os.geteuid() == 0:
        for path in (deployment.directory, *deployment.directory.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    return deployment


@pytest.mark.parametrize(
    "place", ["var", "var/zmount", "var/content", "zeo", "zeo/etc", "zeo/var", "pub_client", "etc"]
)
def test_what_may_not_be_looked_at_is_said(applied, place):
    with hidden(applied.directory / place):
        said = {command: run_as_another(applied, command) for command in COMMANDS}

    assert {command: uncaught for command, (_, _, uncaught) in said.items() if uncaught} == {}
    assert said["show"][0] == 0
    assert said["start"][0] != 0 or place == "etc"  # which no process needs
    code, text, _ = said["diff-config"]
    if place != "zeo/var":  # which holds nothing that is generated
        assert code != 0
        assert str(applied.directory / place) in text
        assert "Permission denied" in text


def test_a_hidden_directory_is_one_conflict_and_not_one_for_each_file_in_it(applied):
    with hidden(applied.directory / "pub_client"):
        _, text, _ = run_as_another(applied, "diff-config")

    refused = [line.split(":")[1].strip() for line in text.splitlines() if "refused:" in line]
    places = {str(Path(path).parent) for path in refused}
    assert places == {f"{applied.directory}/pub_client"}
    assert len(refused) == len(set(refused)) > 1


@pytest.fixture
def swapped(deploy: Callable[[str], Deployment]) -> Deployment:
    """As ``applied``, with a production that holds something, and a stage that shows it."""
    deployment = deploy(WITH_A_SITE)
    for directory in (deployment.directory, deployment.directory.parent):
        directory.chmod(0o755)
    assert deployment.zmount("apply", "--no-prepare").returncode == 0
    fill(deployment.directory / "var" / "pub" / "s" / "Data.fs")
    for command in ("swap-stage s", *STORAGE_COMMANDS):
        assert run(deployment, command.format(deployment.directory))[2] == ""
    for clone in deployment.directory.glob("clone-of-*"):
        shutil.rmtree(clone)
    if os.geteuid() == 0:
        for path in (deployment.directory, *deployment.directory.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    return deployment


@pytest.mark.parametrize("place", ["pub/s", "pub/s/blobs", "stage/s", "stage/s/generations"])
def test_a_storage_that_may_not_be_read_is_said(swapped, place):
    hidden_place = swapped.directory / "var" / place

    with hidden(hidden_place):
        said = {
            command: run_as_another(swapped, command.format(swapped.directory))
            for command in STORAGE_COMMANDS
        }

    assert {command: uncaught for command, (_, _, uncaught) in said.items() if uncaught} == {}
    storage = place.partition("/")[0]
    for command in ("verify pub/s stage/s", f"clone {storage}/s {{0}}/clone-of-"):
        (key,) = (each for each in said if each.startswith(command))
        code, text, _ = said[key]
        assert code != 0 and "Permission denied" in text, (key, text)
