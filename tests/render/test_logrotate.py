"""logrotate's rules, judged and carried out by logrotate."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from log_load import logrotate
from topologies import file_of

TOPOLOGY = """
<zeo zeo/>
<storage content/>
<instance pub>
  http-address 8080
</instance>
"""


def conf_of(directory: Path, text: str = TOPOLOGY) -> Path:
    conf = directory / "logrotate.conf"
    conf.write_text(file_of(directory, text, "logrotate").text)
    conf.chmod(0o644)
    for name in ("zeo", "pub_client"):
        (directory / name / "log").mkdir(parents=True, exist_ok=True)
    return conf


def rule_of(text: str, path: str) -> str:
    """Return the rule in whose list PATH is."""
    return next(rule for rule in text.split("\n}\n") if f'{path}"' in rule)


def test_logrotate_has_nothing_against_the_rules(tmp_path: Path):
    said = logrotate(tmp_path, conf_of(tmp_path), "--debug")

    assert "error" not in said
    assert "pub_client/log/event.log" in said


def test_logrotate_reads_a_path_with_blanks(tmp_path: Path):
    directory = tmp_path / "a b"
    directory.mkdir()
    conf = conf_of(directory, "manager systemd\n" + TOPOLOGY)
    (directory / "pub_client" / "log" / "event.log").write_text("line\n")

    logrotate(directory, conf, "--force")

    assert (directory / "pub_client" / "log" / "event.log.1").read_text() == "line\n"


def test_a_zopes_log_is_renamed_and_no_signal_is_sent(tmp_path: Path):
    rule = rule_of(conf_of(tmp_path).read_text(), "pub_client/log/event.log")

    assert "copytruncate" not in rule
    assert "kill" not in rule


def test_zeo_is_told_by_sigusr2_to_open_its_log_anew(tmp_path: Path):
    rule = rule_of(conf_of(tmp_path).read_text(), "zeo/log/zeo.log")

    assert f"pid=$(cat {tmp_path}/zeo/var/zeo.pid" in rule
    assert "kill -USR2 $pid" in rule
    assert "copytruncate" not in rule


@contextmanager
def someone(directory: Path, code: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A process that does CODE and says that it runs, WORDS in its command line, its pid ZEO's."""
    with subprocess.Popen(
        [sys.executable, "-uc", code, *words], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "runs\n"
            (directory / "zeo" / "var").mkdir()
            (directory / "zeo" / "var" / "zeo.pid").write_text(f"{process.pid}\n")
            (directory / "zeo" / "log" / "zeo.log").write_text("line\n")
            yield process
        finally:
            process.kill()


def test_who_has_got_the_pid_of_a_dead_zeo_server_is_not_killed(tmp_path: Path):
    conf = conf_of(tmp_path)
    with someone(tmp_path, "print('runs'); import time; time.sleep(60)") as process:
        logrotate(tmp_path, conf, "--force")

        assert process.poll() is None


def test_a_zeo_server_is_told_when_it_is_ready_and_again_until_it_has_heard(tmp_path: Path):
    conf = conf_of(tmp_path)
    log = tmp_path / "zeo" / "log" / "zeo.log"
    code = f"""
import signal
def hear(*_):
    global count
    count += 1
    if count == 2:
        open({str(log)!r}, "w").write("new")
def be_ready(*_):
    signal.signal(signal.SIGUSR2, hear)  # which ends a process that has no handler
count = 0
signal.signal(signal.SIGALRM, be_ready)
signal.setitimer(signal.ITIMER_REAL, 0.7)
print("runs")
while True:
    signal.pause()
"""
    with someone(tmp_path, code, str(tmp_path / "zeo" / "etc" / "zeo.conf")) as process:
        logrotate(tmp_path, conf, "--force")

        assert process.poll() is None
    assert (log.read_text(), log.with_name("zeo.log.1").read_text()) == ("new", "line\n")


def test_a_read_only_zeo_server_has_no_pid_file_so_its_log_is_copied(tmp_path: Path):
    text = TOPOLOGY.replace("<zeo zeo/>", "<zeo zeo>\nread-only true\n</zeo>")

    rule = rule_of(conf_of(tmp_path, text).read_text(), "zeo/log/zeo.log")

    assert "copytruncate" in rule and "kill" not in rule


def test_zdaemon_is_asked_once_to_open_its_files_anew(tmp_path: Path):
    rule = rule_of(conf_of(tmp_path).read_text(), "pub_client/log/transcript.log")

    assert f"{tmp_path}/pub_client/log/zdaemon.log" in rule
    assert f"/bin/zdaemon -C {tmp_path}/pub_client/etc/zdaemon.conf reopen_transcript" in rule
    assert "sharedscripts" in rule and "copytruncate" not in rule


def test_logs_that_rotate_themselves_are_left_alone(tmp_path: Path):
    text = "<log>\nmax-size 5MB\n</log>\n<access-log>\nwhen D\n</access-log>\n" + TOPOLOGY

    rules = conf_of(tmp_path, text).read_text()

    assert "event.log" not in rules and "access.log" not in rules and "zeo.log" not in rules


def test_a_log_written_by_a_plain_file_handler_is_copied(tmp_path: Path):
    said = "<log>\nhandler FileHandler\n</log>"
    text = TOPOLOGY.replace("http-address 8080", f"http-address 8080\n{said}")

    assert "copytruncate" in rule_of(conf_of(tmp_path, text).read_text(), "event.log")


def test_old_files_says_how_many_are_kept(tmp_path: Path):
    text = "<access-log>\nold-files 30\n</access-log>\n" + TOPOLOGY

    assert "    rotate 30" in rule_of(conf_of(tmp_path, text).read_text(), "access.log")


def test_a_custom_eventlogs_file_is_rotated_too(tmp_path: Path):
    custom = "<zeo zeo>\n<eventlog>\n<logfile>\npath /srv/own.log\n</logfile>\n</eventlog>\n</zeo>"
    text = TOPOLOGY.replace("<zeo zeo/>", custom)

    assert "kill -USR2" in rule_of(conf_of(tmp_path, text).read_text(), "/srv/own.log")
