"""No line is lost while logs are rotated under load; with a real ZEO server and a real Zope."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployments import Deployment
from log_load import CONF, LOGS, OUTPUTS, Load, logrotate

from zmount.operations.rotate_logs import rotate_logs
from zmount.operations.rotation_plan import RotationWish

ROTATIONS = 12


@pytest.fixture
def load(short_directory: Path) -> Iterator[Load]:
    deployment = Deployment(short_directory, CONF)
    load = Load(deployment, pause_s=0.001)
    try:
        for command in (["apply"], ["start"]):
            done = deployment.zmount(*command)
            assert done.returncode == 0, done.stdout + done.stderr
        load.begin()
        yield load
    finally:
        deployment.end_all()


def copy_and_cut(path: Path, number: int) -> None:
    """What logrotate's copytruncate does."""
    shutil.copy(path, f"{path}.{number}")
    with path.open("r+") as file:
        file.truncate(0)


def test_no_line_is_lost_by_renaming(load: Load) -> None:
    wish = RotationWish(keep=100)
    for _ in range(ROTATIONS):
        time.sleep(0.25)
        result = rotate_logs(load.deployment.topology, load.deployment.host, wish=wish)
        assert result.error is None, result.error
    count = load.end()

    assert load.lost("zeo", count) == []
    assert load.lost("wsgi", count) == []
    for name in (*LOGS.values(), *OUTPUTS.values()):
        path = load.deployment.directory / name
        numbers = range(2, ROTATIONS + 1)
        assert all(Path(f"{path}.{number}.gz").exists() for number in numbers), name
    assert load.deployment.zmount("status").returncode == 0  # no signal has ended anybody


def test_logrotate_loses_no_line_by_our_rules(load: Load) -> None:
    directory = load.deployment.directory
    rotations = 5  # as many old files as it keeps
    for _ in range(rotations):
        time.sleep(0.25)
        said = logrotate(directory, directory / "etc" / "logrotate.conf", "--force")
        assert said == ""
    count = load.end()

    assert load.lost("zeo", count) == []
    assert load.lost("wsgi", count) == []
    for name in (*LOGS.values(), *OUTPUTS.values()):
        path = directory / name
        assert Path(f"{path}.1").exists(), name
        assert all(Path(f"{path}.{number}.gz").exists() for number in range(2, rotations + 1)), name
    assert load.deployment.zmount("status").returncode == 0  # no signal has ended anybody


def test_copying_and_cutting_loses_lines_so_the_load_is_enough_to_see_it(load: Load) -> None:
    lost: list[str] = []
    for number in range(1, 200):
        time.sleep(0.02)
        for name in LOGS.values():
            copy_and_cut(load.deployment.directory / name, number)
    count = load.end()

    lost = load.lost("zeo", count) + load.lost("wsgi", count)
    assert lost
