"""``zmount apply``, ``diff-config`` and ``undo`` as an administrator says them."""

from __future__ import annotations

import getpass
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from crashing import snapshot
from deployments import ZEO_AND_ZOPE, ZEO_ONLY, Deployment, commands, wait_until

Deploy = Callable[[str], Deployment]
Result = subprocess.CompletedProcess[str]

SECRETS = """
administrator admin
administrator-password hunter1
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
<instance pub>
  http-address {port}
  <environment>
    DB_PASSWORD hunter2
  </environment>
  <mount content>
    mount-point /content
  </mount>
</instance>
"""


@pytest.fixture
def empty(short_directory: Path) -> Callable[[str], Deployment]:
    """A function that makes a deployment of which only zmount.conf exists."""

    def make(text: str) -> Deployment:
        return Deployment(short_directory, text)

    return make


def write(deployment: Deployment, *options: str) -> Result:
    return deployment.zmount("apply", "--no-prepare", *options)


def test_a_first_apply_makes_everything_and_a_second_one_nothing(empty: Deploy) -> None:
    deployment = empty(ZEO_AND_ZOPE)
    first = write(deployment)
    assert (first.returncode, first.stderr) == (0, "")
    assert "write" in first.stdout
    assert (deployment.directory / "zeo/etc/zeo.conf").exists()
    second = write(deployment)
    assert second.stdout == "nothing to do: every file is as it should be\n"
    assert deployment.zmount("diff-config").returncode == 0


def test_an_apply_also_prepares_the_roots(empty: Deploy) -> None:
    deployment = empty("administrator admin\n" + ZEO_AND_ZOPE)
    done = deployment.zmount("apply", "--json")
    assert done.returncode == 0, done.stderr
    prepared = json.loads(done.stdout)["prepared"]
    assert "make the mount point /content" in prepared["instances"][0]["made"]
    again = deployment.zmount("apply")
    assert again.stdout == "nothing to do: every file is as it should be\n"
    facts = json.loads(deployment.zmount("apply", "--json").stdout)
    assert (facts["dry_run"], facts["prepared"]["dry_run"]) == (False, False)


def test_a_dry_run_says_what_would_be_done_and_does_nothing(empty: Deploy) -> None:
    deployment = empty(ZEO_ONLY)
    done = write(deployment, "--dry-run")
    assert done.returncode == 0
    assert "zeo/etc/zeo.conf (new, mode 0644)" in done.stdout
    assert [path.name for path in deployment.directory.iterdir()] == ["zmount.conf"]


def test_a_topology_with_errors_is_refused_with_all_of_them(empty: Deploy) -> None:
    deployment = empty(ZEO_ONLY + "<zeo zeo2>\n  address var/../zeo/var/zeo.sock\n</zeo>\n")
    done = write(deployment)
    assert done.returncode == 2
    assert "error" in done.stderr
    assert [path.name for path in deployment.directory.iterdir()] == ["zmount.conf"]


def test_what_zope_would_not_read_is_never_written(empty: Deploy) -> None:
    extra = "  <zope-conf>\n    no-such-key-of-zope on\n  </zope-conf>\n</instance>"
    deployment = empty(ZEO_AND_ZOPE.replace("</instance>", extra))
    done = write(deployment)
    assert done.returncode == 4
    assert "no-such-key-of-zope" in done.stderr
    made = {path.name for path in deployment.directory.iterdir()}
    assert made == {"zmount.conf", "zmount.history"}


def test_diff_config_shows_what_would_change_and_says_so_by_its_exit(empty: Deploy) -> None:
    deployment = empty(ZEO_ONLY)
    new = deployment.zmount("diff-config")
    assert new.returncode == 1
    assert "zeo.conf (new, mode 0644)\n  " in new.stdout
    assert "+<zeo>" not in new.stdout
    assert "+<zeo>" in deployment.zmount("diff-config", "--full").stdout
    write(deployment)
    deployment.rewrite(ZEO_ONLY.replace("</zeo>", "  transaction-timeout 61\n</zeo>"))
    changed = deployment.zmount("diff-config")
    assert changed.returncode == 1
    assert "+  transaction-timeout 61\n" in changed.stdout
    assert "\x1b" not in changed.stdout, "no colours in a pipe"


def on_a_terminal(deployment: Deployment, *arguments: str, **environment: str) -> bytes:
    """Return what zmount prints on a terminal."""
    ours, theirs = pty.openpty()
    clean = {name: text for name, text in os.environ.items() if name != "NO_COLOR"}
    child = subprocess.Popen(
        [sys.executable, "-m", "zmount", "-f", str(deployment.conf), *arguments],
        stdout=theirs,
        env={**clean, "TERM": "xterm-256color", **environment},
    )
    os.close(theirs)
    printed = b""
    try:
        while piece := os.read(ours, 4096):
            printed += piece
    except OSError:
        pass  # Linux says EIO when the other end is closed
    finally:
        os.close(ours)
        child.wait(timeout=30)
    return printed


def test_a_difference_is_in_colour_on_a_terminal_unless_no_color_is_said(empty: Deploy) -> None:
    deployment = empty(ZEO_ONLY)
    write(deployment)
    deployment.rewrite(ZEO_ONLY.replace("</zeo>", "  transaction-timeout 61\n</zeo>"))
    assert b"\x1b[32m+  transaction-timeout 61" in on_a_terminal(deployment, "diff-config")
    plain = on_a_terminal(deployment, "diff-config", NO_COLOR="1")
    assert b"+  transaction-timeout 61" in plain
    assert b"\x1b[32m" not in plain


def test_no_secret_is_ever_shown_old_or_new(empty: Deploy) -> None:
    deployment = empty(SECRETS)
    shown = [deployment.zmount("diff-config", "--full"), write(deployment, "--json")]
    files = [path for path in deployment.directory.rglob("*") if path.is_file()]
    holders = [path for path in files if b"hunter2" in path.read_bytes()]
    assert {path.stat().st_mode & 0o777 for path in holders if path != deployment.conf} == {0o600}
    deployment.rewrite(SECRETS.replace("hunter2", "hunter3"))
    shown += [deployment.zmount("diff-config", *options) for options in ((), ("--json",))]
    conf = deployment.directory / "pub_client/etc/zope.conf"
    conf.write_text(conf.read_text() + "# mine\n")
    shown += [write(deployment), write(deployment, "--overwrite"), deployment.zmount("undo")]
    assert [result.returncode for result in shown] == [1, 0, 1, 1, 5, 0, 0]
    assert "DB_PASSWORD ••••••" in shown[2].stdout
    assert b"hunter" not in deployment.conf.with_suffix(".history").read_bytes()
    for result in shown:
        assert "hunter" not in result.stdout + result.stderr


def test_an_edited_file_is_refused_and_the_difference_shown(empty: Deploy) -> None:
    deployment = empty(ZEO_ONLY)
    write(deployment)
    conf = deployment.directory / "zeo/etc/zeo.conf"
    conf.write_text(conf.read_text() + "# mine\n")
    refused = write(deployment)
    assert refused.returncode == 5
    assert f"{conf}: a person changed it since zmount wrote it" in refused.stderr
    assert "\n-# mine\n" in refused.stderr
    assert "--overwrite" in refused.stderr
    diff = deployment.zmount("diff-config")
    assert diff.returncode == 1
    assert "-# mine" in diff.stdout
    assert write(deployment, "--overwrite").returncode == 0
    assert "# mine" not in conf.read_text()
    assert deployment.zmount("undo").returncode == 0
    assert "# mine" in conf.read_text()


def test_undo_says_what_it_does_and_what_it_does_not(empty: Deploy) -> None:
    deployment = empty(ZEO_ONLY)
    nothing = deployment.zmount("undo")
    assert nothing.returncode == 5
    assert "there is no apply" in nothing.stderr
    write(deployment)
    dry = deployment.zmount("undo", "--dry-run", "--json")
    assert json.loads(dry.stdout)["dry_run"] is True
    assert (deployment.directory / "zeo/etc/zeo.conf").exists()
    done = deployment.zmount("undo")
    assert "zmount apply would write all this again" in done.stdout
    assert not (deployment.directory / "zeo").exists()


def test_a_killed_apply_is_finished_or_undone_by_the_next(empty: Deploy) -> None:
    deployment = empty(ZEO_ONLY)
    before = snapshot(deployment.directory)
    took = time.monotonic()
    write(deployment)
    took = time.monotonic() - took
    after = snapshot(deployment.directory)
    assert deployment.zmount("undo").returncode == 0
    command = [sys.executable, "-m", "zmount", "-f", str(deployment.conf), "apply", "--no-prepare"]
    for part in (0.8, 0.9, 0.97):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(took * part)
        child.send_signal(signal.SIGKILL)
        child.wait()
        done = write(deployment)
        assert done.returncode == 0, done.stderr
        assert snapshot(deployment.directory) == after
        assert deployment.zmount("diff-config").returncode == 0
        assert deployment.zmount("undo").returncode == 0
        left = snapshot(deployment.directory)
        assert {name: what for name, what in left.items() if name in before} == before


HOLD = """
import sys, time
from pathlib import PurePosixPath
from zmount.effects.lock import locked
with locked(PurePosixPath(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_apply_at_the_same_time_is_refused_with_the_pid_of_the_first(
    empty: Deploy,
) -> None:
    deployment = empty(ZEO_ONLY)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(deployment.directory)], stdout=subprocess.PIPE, text=True
    )
    with holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            refused = write(deployment)
        finally:
            holder.kill()
    assert refused.returncode == 7
    assert f"pid {holder.pid}" in refused.stderr
    assert write(deployment).returncode == 0


def test_roots_that_cannot_be_prepared_are_said_and_the_files_stay(empty: Deploy) -> None:
    deployment = empty(
        """
<host data>
  address 127.0.0.1
  directory data
</host>
<host web>
  address 127.0.0.1
  directory web
</host>
<zeo zeo>
  host data
  address 127.0.0.1:{port2}
</zeo>
<storage content/>
<instance pub>
  host web
  http-address {port}
  <mount content>
    mount-point /content
  </mount>
</instance>
"""
    )
    text = deployment.conf.read_text()
    for host in ("data", "web"):
        text = text.replace(f"directory {host}", f"directory {deployment.directory}/{host}")
    deployment.conf.write_text(text)
    done = deployment.zmount("--host", "web", "apply")
    assert done.returncode == 10, done.stderr
    assert "write" in done.stdout
    assert "does not answer" in done.stderr
    assert "the files are as they should be" in done.stderr
    assert list((deployment.directory / "web").rglob("zope.conf"))


def test_running_processes_that_have_not_read_their_files_are_named(empty: Deploy) -> None:
    deployment = empty(ZEO_ONLY)
    try:
        write(deployment)
        assert deployment.zmount("start").returncode == 0
        assert "restart" not in write(deployment).stdout
        time.sleep(2)  # the kernel tells a process' start in whole seconds
        deployment.rewrite(ZEO_ONLY.replace("</zeo>", "  transaction-timeout 61\n</zeo>"))
        assert "zmount restart zeo" in write(deployment).stdout
        assert "zmount restart zeo" in write(deployment).stdout, "also the next time"
        assert deployment.zmount("restart").returncode == 0
        assert "restart" not in write(deployment).stdout
    finally:
        deployment.end_all()


def test_the_files_of_a_server_that_runs_are_not_removed(empty: Deploy) -> None:
    one = ZEO_ONLY.replace("<storage content/>", "<storage content>\n  server zeo\n</storage>")
    two = f"{one}<zeo two>\n  address var/two.sock\n</zeo>\n"
    two += "<storage more>\n  server two\n</storage>\n"
    deployment = empty(two)
    try:
        write(deployment)
        assert deployment.zmount("start").returncode == 0
        deployment.rewrite(one)
        refused = write(deployment)
        assert refused.returncode == 5
        assert "no use for it any more, but two still runs with it: pid " in refused.stderr
        (advice,) = re.findall(r"kill -INT (\d+); or with zmount.conf as it was", refused.stderr)
        conf = str(deployment.directory / "two/etc/zeo.conf")
        server = [pid for pid, words in commands() if conf in words and "-d" not in words]
        assert [int(advice)] == server
        os.kill(int(advice), signal.SIGINT)
        wait_until(lambda: not [1 for _, words in commands() if conf in words], "all of it ended")
        wait_until(lambda: write(deployment).returncode == 0, "two's files are removed")
        assert not (deployment.directory / "two/etc/zeo.conf").exists()
    finally:
        deployment.end_all()


def test_the_file_of_a_supervisord_that_runs_is_not_removed(empty: Deploy) -> None:
    deployment = empty("manager supervisor\n" + ZEO_ONLY)
    try:
        write(deployment)
        assert deployment.zmount("start").returncode == 0
        deployment.rewrite(ZEO_ONLY)

        refused = write(deployment)

        assert refused.returncode == 5
        conf = deployment.directory / "etc/supervisord.conf"
        assert f"{conf}: the topology has no use for it any more, but supervisord" in refused.stderr
        assert f"supervisorctl -c {conf} shutdown" in refused.stderr
        assert conf.exists()
    finally:
        deployment.end_all()


def test_a_user_that_zmount_cannot_act_for_is_refused_before_anything_is_made(
    empty: Deploy,
) -> None:
    deployment = empty("user no-such-user\n" + ZEO_ONLY)
    done = write(deployment)
    assert done.returncode == 5
    assert "no-such-user" in done.stderr
    made = {path.name for path in deployment.directory.iterdir()}
    assert made == {"zmount.conf", "zmount.history"}


def test_what_processes_write_is_their_users_and_what_they_read_is_not(empty: Deploy) -> None:
    user = "nobody" if os.geteuid() == 0 else getpass.getuser()
    deployment = empty(f"user {user}\n" + SECRETS)
    assert write(deployment).returncode == 0
    owners = {
        name: (deployment.directory / name).owner()
        for name in ("pub_client/var", "pub_client/log", "pub_client/var/blobs")
    }
    assert set(owners.values()) == {user}
    conf = deployment.directory / "pub_client/etc/zope.conf"
    assert (conf.owner(), conf.stat().st_mode & 0o777) == (user, 0o600)
    me = Path("/proc/self").owner()
    for name in ("pub_client", "pub_client/etc", "pub_client/etc/zdaemon.conf"):
        assert (deployment.directory / name).owner() == me, name
