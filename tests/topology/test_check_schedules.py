"""Schedules: what is read, and what ``zmount check`` finds wrong with them."""

from __future__ import annotations

import shlex

import pytest

from zmount.cli.app import Commands
from zmount.cli.app import main as zmount_command
from zmount.topology.checks.schedules import OPTIONS

AROUND = """
directory /srv/zope
<zeo zeo/>
<site example.org/>
<site plain.org>
  staging none
</site>
<instance dev>
  kind development
  http-address 8081
</instance>
<instance pub>
  http-address 8080
</instance>
"""


def one(text: str) -> str:
    """Return a topology with one schedule, called night, that says TEXT."""
    return AROUND + f"<schedule night>\n{text}\n</schedule>\n"


def test_a_schedule_says_everything(topology):
    schedule = topology(
        one(
            """
            job pack
            of pub/example.org
            at 15 3 * * sun
            jitter 10m
            window 01:00-05:00
            window 22:00-24:00 sat
            if-running wait 30m
            timeout 4h
            options --days 7
            on-failure /usr/local/bin/alarm
            mail root admin@example.org
            """
        )
    ).schedule("night")

    assert schedule.job == "pack"
    assert [named.name for named in schedule.of] == ["pub/example.org"]
    assert schedule.at.fields == "15 3 * * 0"
    assert (schedule.jitter_s, schedule.wait_s, schedule.timeout_s) == (600, 1800, 14400)
    assert [window.text for window in schedule.windows] == ["01:00-05:00", "22:00-24:00 sat"]
    assert schedule.options == ("--days", "7")
    assert schedule.mail == ("root", "admin@example.org")


def test_a_good_schedule_has_nothing_wrong(finds):
    finds(one("job pack\nat 15 3 * * sun\nwindow 01:00-05:00\njitter 10m"))


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("job pakc\nat @daily", "unknown-job", "job pakc"),
        ("at @daily", "missing-key", "<schedule night>"),
        ("job pack", "missing-key", "<schedule night>"),
        ("job pack\nof pub/exmple.org\nat @daily", "unknown-name", "of pub/exmple"),
        ("job restart\nof pub/example.org\nat @daily", "unknown-name", "of pub/example"),
        ("job pack\nat 61 3 * * *", "cron-syntax", "at 61"),
        ("job pack\nat 0 0 30 2 *", "never-runs", "at 0 0 30 2"),
        ("job pack\nat @daily\nwindow 5-6", "window-syntax", "window 5-6"),
        ("job pack\nat 15 6 * * *\nwindow 01:00-05:00", "window-missed", "window 01"),
        ("job pack\nat 15 3 * * mon\nwindow 01:00-05:00 sun", "window-missed", "window 01"),
        ("job pack\nat 55 4 * * *\njitter 10m\nwindow 01:00-05:00", "window-jitter", "jitter"),
        ("job pack\nat @daily\nif-running wait 3x", "wrong-type", "if-running"),
        ("job pack\nat @daily\nif-running queue", "wrong-type", "if-running"),
        ("job pack\nat @daily\noptions --day 3", "schedule-option", "options"),
        ("job pack\nat @daily\noptions --host=other", "schedule-option", "options"),
        ("job pack\nat @daily\ncommand true", "schedule-command", "command true"),
        ("job pack\nat @daily\nuser zope", "schedule-command", "user zope"),
        ("job command\nat @daily", "schedule-command", "<schedule night>"),
        ("job command\nat @daily\ncommand true\nof zeo", "schedule-command", "of zeo"),
        ("job swap-stage\nof plain.org\nat @daily", "schedule-no-stage", "of plain.org"),
        ("job pack\nat @daily\nhost nowhere", "unknown-host", "host nowhere"),
        ("job pack\nat @daily\nat @weekly", "syntax", "at @weekly"),
    ],
)
def test_what_is_wrong_with_a_schedule_has_its_line(finds, text: str, rule: str, line: str):
    finds(one(text), (rule, line))


def test_a_window_over_midnight_holds_a_run_of_the_night(finds):
    finds(one("job pack\nat 15 3 * * sun\nwindow 22:00-04:00 sat"))


def test_either_day_of_a_cron_line_may_fall_into_the_window(finds):
    finds(one("job pack\nat 15 3 13 * mon\nwindow 01:00-05:00 sun"))


def test_two_packs_of_one_time_are_told(finds):
    two = one("job pack\nof pub/example.org\nat 0 3 * * *").replace("night", "first")
    second = "<schedule second>\njob pack\nof pub/plain.org\nat */30 * * * *\n</schedule>\n"

    finds(two + second, ("schedules-collide", "at */30"))
    finds(two + second.replace("*/30 *", "30 *"))


def test_jobs_of_different_locks_may_have_one_time(finds):
    finds(
        one("job pack\nat 0 3 * * *")
        + "<schedule other>\njob verify\nat 0 3 * * *\n</schedule>\n"
        + "<schedule third>\njob command\ncommand true\nat 0 3 * * *\n</schedule>\n"
        + "<schedule fourth>\njob command\ncommand true\nat 0 3 * * *\n</schedule>\n"
    )


def test_a_schedule_does_not_write_into_the_log_of_a_server(finds):
    text = (
        one("job pack\nat 0 3 * * *")
        .replace("night", "zeo")
        .replace("<zeo zeo/>", "<zeo zeo>\n<log>\npath /srv/zope/log/zeo.log\n</log>\n</zeo>")
    )

    finds(text, ("schedule-log", "<schedule zeo>"))


TWO_HOSTS = """
directory /srv/zope
<host one/>
<host two/>
<zeo zeo>
  host one
  <ssl>
    certificate c.pem
    authenticate clients.pem
  </ssl>
</zeo>
<client>
  <ssl>
    certificate c.pem
    authenticate server.pem
  </ssl>
</client>
<storage content/>
<storage pub-root/>
<instance pub>
  host one two
  root pub-root
  <mount content>
    mount-point /content
  </mount>
</instance>
"""


def test_a_job_is_done_where_what_it_is_about_lives(topology):
    seen = topology(
        TWO_HOSTS
        + "<schedule a>\njob pack\nat @daily\n</schedule>\n"
        + "<schedule b>\njob restart\nof pub\nat @daily\n</schedule>\n"
        + "<schedule c>\njob command\ncommand true\nhost two\nat @daily\n</schedule>\n"
    )
    hosts = {each.name: [host.name for host in each.hosts] for each in seen.schedules}

    assert hosts == {"a": ["one"], "b": ["one", "two"], "c": ["two"]}
    assert seen.schedule("b").names_on(seen.host("two")) == ("pub",)


def test_a_host_that_has_nothing_of_it_is_told(finds):
    text = TWO_HOSTS + "<schedule a>\njob pack\nof content\nhost two\nat @daily\n</schedule>\n"

    finds(text, ("schedule-elsewhere", "host two"))


def test_the_options_that_a_schedule_may_have_are_those_of_its_command():
    group = zmount_command
    assert isinstance(group, Commands)
    for job, options in OPTIONS.items():
        command = group.get_command(None, job)
        if command is None or not options:
            continue
        known = {
            option for param in command.params for option in (*param.opts, *param.secondary_opts)
        }
        assert options <= known, shlex.join(options - known)
