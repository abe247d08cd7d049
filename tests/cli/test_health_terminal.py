"""What ``zmount health`` shows on a terminal, and what it tells Nagios when it cannot look."""

from __future__ import annotations

import os
import pty
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from click.testing import CliRunner
from deployments import Deployment

from zmount.cli.app import main
from zmount.cli.health_nagios import nagios_line
from zmount.operations.health_readings import Health, Number, Reading
from zmount.topology.health import Limits

CONF = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
"""
CLEARED = b"\x1b[2J"
EMPTY: Mapping[bytes, Callable[[], object]] = MappingProxyType({})


def watched(
    *arguments: str, looks: int, after: Mapping[bytes, Callable[[], object]] = EMPTY
) -> tuple[bytes, int]:
    """Return what zmount ARGUMENTS writes to a terminal, and its exit status.

    When the text of an item of AFTER is printed, its function is called, once. So many LOOKS
    after the last one Ctrl-C ends it.
    """
    todo = dict(after)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execv(sys.executable, [sys.executable, "-m", "zmount", *arguments])
    printed, is_told, before = b"", False, 0
    try:
        while True:
            try:
                printed += os.read(terminal, 65536)
            except OSError:  # the other side is closed
                break
            for text in [text for text in todo if text in printed]:
                todo.pop(text)()
                before = printed.count(CLEARED)
            if not is_told and not todo and printed.count(CLEARED) - before >= looks:
                os.write(terminal, b"\x03")
                is_told = True
        return printed, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.close(terminal)


def test_watch_draws_anew_what_it_saw_and_never_an_empty_screen(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(CONF)

    printed, status = watched(
        *("-f", str(deployment.conf), "health", "--only", "zeo", "--watch", "0.2"), looks=3
    )

    assert status == 2
    before, *screens = printed.split(CLEARED)
    assert before == b""
    for screen in screens[:2]:
        assert re.search(rb"\d\d:\d\d:\d\d, every 0.2 s until Ctrl-C", screen)
        assert b"does not answer" in screen
        assert b"host localhost: " in screen


def test_watch_outlives_a_mistake_in_zmount_conf(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(CONF)
    text = deployment.conf.read_text()
    after = {
        b"does not answer": lambda: deployment.conf.write_text("<zeo zeo>\n"),
        b"has no end": lambda: deployment.conf.write_text(text),
    }

    printed, status = watched(
        *("-f", str(deployment.conf), "health", "--only", "zeo", "--watch", "0.2"),
        looks=3,
        after=after,
    )

    assert status == 2
    assert b"does not answer" in printed.rpartition(b"has no end")[2]


def test_what_cannot_be_looked_at_even_once_is_not_watched(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["-f", str(tmp_path / "none"), "health", "--watch"])

    assert done.exit_code == 2
    assert "there is no such file" in done.stderr


def test_where_nothing_can_be_looked_at_nagios_hears_unknown(tmp_path: Path) -> None:
    conf = tmp_path / "zmount.conf"
    conf.write_text("<zeo zeo>\n")

    done = CliRunner().invoke(main, ["-f", str(conf), "health", "--nagios"])

    assert done.exit_code == 3
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"ZMOUNT UNKNOWN - {conf}:1: error: ")


def test_performance_data_has_no_exponents() -> None:
    age = Number(name="a_seconds", value=12345678.9, unit="seconds", limits=Limits(warning=3.024e6))
    small = Number(name="b_seconds", value=0.0000123, unit="seconds")
    reading = Reading(
        check="last-pack",
        kind="storage",
        subject="s",
        state="ok",
        sentence="",
        numbers=(age, small),
    )

    line = nagios_line(Health(host="h", at=time.time(), seconds=1, readings=(reading,)))

    assert "'s a_seconds'=12345678.9s;3024000 " in line
    assert "'s b_seconds'=0.000012s" in line
