"""``zmount history`` as an administrator reads it, and a script."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from deployments import Deployment
from fillings import fill

from zmount.effects.history import Entry, append, history_file
from zmount.errors import PackFailed
from zmount.operations.recorded import recorded

Deploy = Callable[[str], Deployment]
CONF = "<zeo zeo>\n  address var/zeo.sock\n</zeo>\n<storage a/>\n<storage b/>\n"


@pytest.fixture
def deployment(deploy: Deploy) -> Deployment:
    deployment = deploy(CONF)
    with recorded(deployment.conf, "h", "pack", subjects=["a"]) as record:
        record.numbers(freed=2_000_000)
    with recorded(deployment.conf, "h", "verify", subjects=["a", "b"]) as record:
        record.failed(PackFailed("it \x1b[31mburns", hint="water"))
    with recorded(deployment.conf, "h", "start", subjects=list("abcdefg")) as record:
        record.plan(["one", "two"])
    return deployment


def told(deployment: Deployment, *arguments: str) -> list[str]:
    found = json.loads(deployment.zmount("history", "--json", *arguments).stdout)
    return [each["operation"] for each in found]


def test_a_table_tells_the_newest_last(deployment: Deployment):
    done = deployment.zmount("history")

    heading, *lines = done.stdout.splitlines()
    assert heading.split() == ["began", "operation", "what", "who", "result", "took"]
    assert [line.split()[2] for line in lines] == ["pack", "verify", "start"]
    assert "2.0 MB freed" in lines[0]
    assert "it ?[31mburns" in lines[1], "nobody commands the terminal"
    assert "a b c and 4 more" in lines[2]


def test_what_is_wanted_is_said(deployment: Deployment):
    assert told(deployment) == ["pack", "verify", "start"]
    assert told(deployment, "b") == ["verify", "start"]
    assert told(deployment, "--operation", "pack") == ["pack"]
    assert told(deployment, "--failed") == ["verify"]
    assert told(deployment, "-n", "1") == ["start"]
    assert told(deployment, "--since", "1h") == ["pack", "verify", "start"]
    assert told(deployment, "--since", "2999-01-01") == []


def test_json_tells_all_of_it(deployment: Deployment):
    (entry,) = json.loads(deployment.zmount("history", "--json", "--failed").stdout)

    assert entry["subjects"] == ["a", "b"]
    assert (entry["result"], entry["exit_status"], entry["hint"]) == ("failed", 17, "water")
    assert entry["error"] == "it \x1b[31mburns"
    assert (entry["who"], entry["job"]) != ("", "")


def test_thirty_are_told_unless_more_are_asked_for(deployment: Deployment):
    for number in range(40):
        entry = Entry(operation="stop", began=float(number), who="", host="", duration_s=0.0)
        append(history_file(deployment.conf), entry)

    assert len(told(deployment)) == 30
    assert len(told(deployment, "--since", "1970-01-01")) == 43
    assert len(told(deployment, "-n", "5", "--since", "1970-01-01")) == 5


def test_without_a_history_it_says_so(deploy: Deploy):
    done = deploy(CONF).zmount("history", "a")

    assert (done.returncode, done.stdout) == (0, "nothing of that is in the history\n")


def test_it_is_told_of_a_topology_that_cannot_be_read_any_more(deployment: Deployment):
    deployment.conf.write_text("<nonsense")

    assert told(deployment) == ["pack", "verify", "start"]


def test_a_damaged_history_is_an_error_of_its_own(deployment: Deployment):
    history_file(deployment.conf).write_bytes(b"rubbish " * 1000)

    done = deployment.zmount("history")

    assert done.returncode == 26
    assert "file is not a database" in done.stderr
    assert "Traceback" not in done.stderr


def test_operations_of_the_command_line_are_in_it_with_their_exit_status(deployment: Deployment):
    fill(deployment.directory / "var/a/Data.fs")
    assert deployment.zmount("verify", "a").returncode == 0
    assert deployment.zmount("pack", "a", "--dry-run").returncode == 0
    assert deployment.zmount("pack", "a", "--days", "0").returncode == 0
    refused = deployment.zmount("undo")
    assert refused.returncode == 5
    assert deployment.zmount("pack", "nonsense").returncode == 3

    found = json.loads(deployment.zmount("history", "--json", "-n", "3").stdout)
    assert [(each["operation"], each["result"], each["exit_status"]) for each in found] == [
        ("verify", "done", 0),
        ("pack", "done", 0),
        ("undo", "refused", 5),
    ]
    assert found[1]["arguments"] == {"days": 0.0}
    assert found[1]["numbers"]["freed"] > 0
