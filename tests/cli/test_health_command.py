"""``zmount health``: what is looked at, exit statuses, JSON, Nagios, Prometheus, text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from broken_mounts import running
from checkups import as_nobody, deployed, fill
from click.testing import CliRunner, Result
from deployments import Deployment
from prometheus_client.parser import text_string_to_metric_families

from zmount.cli.app import main

CONF = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<zeo down>
  address var/down.sock
</zeo>
<storage content>
  server zeo
</storage>
<storage other>
  server zeo
</storage>
<storage away>
  server down
</storage>
<health>
  timeout 1s
</health>
"""
FEW = ("--only", "storage", "--only", "index")


@pytest.fixture(scope="module")
def served() -> Iterator[Deployment]:
    """A deployment of two ZEO servers, of which one runs."""
    with deployed(CONF) as deployment:
        deployment.directory.chmod(0o755)
        fill(deployment, "content", number=1)
        fill(deployment, "other", number=1)
        with running(deployment, "zeo"):
            yield deployment


def run(deployment: Deployment, *arguments: str) -> Result:
    """Run the command in this process."""
    done = CliRunner().invoke(main, ["-f", str(deployment.conf), *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def readings(done: Result) -> set[tuple[str, str]]:
    """Return the checks and subjects of what was printed as JSON."""
    return {(each["check"], each["subject"]) for each in json.loads(done.stdout)["readings"]}


def test_all_ok_is_0_and_one_line(served: Deployment) -> None:
    done = run(served, "health", *FEW, "content")

    assert done.exit_code == 0
    assert done.stdout.startswith("host localhost: ok; 2 of 2 readings ok, in 0.")


def test_a_warning_is_1_and_says_what_to_do(served: Deployment) -> None:
    done = run(served, "health", "--only", "process", "zeo")

    assert done.exit_code == 1
    first, do, _, last = done.stdout.splitlines()
    assert first.startswith("warning  server zeo  process: runs for ")
    assert do == "         try: zmount restart zeo, at a quiet time: then it is kept alive again"
    assert last.startswith("host localhost: warning; 0 of 1 readings ok")


def test_something_critical_is_2_and_comes_first(served: Deployment) -> None:
    done = run(served, "health")

    assert done.exit_code == 2
    assert done.stdout.splitlines()[0].startswith("critical server down  ")


def test_what_is_not_to_be_known_is_3(served: Deployment) -> None:
    arguments = ("health", "--only", "data-file", "content")
    status, printed = as_nobody(lambda: [(done := run(served, *arguments)).exit_code, done.output])

    assert status == 3, printed
    assert printed.startswith("unknown  storage content  data-file: ")


def test_names_of_servers_storages_and_nothing_else(served: Deployment) -> None:
    one = readings(run(served, "--json", "health", *FEW, "content"))
    server = readings(run(served, "--json", "health", *FEW, "zeo"))

    assert one == {("storage", "content"), ("index", "content")}
    assert server == one | {("storage", "other"), ("index", "other")}


def test_only_and_except_are_checks(served: Deployment) -> None:
    every = readings(run(served, "--json", "health", "content"))
    rest = readings(run(served, "--json", "health", "content", "--except", "index"))
    none = readings(run(served, "--json", "health", "--only", "index", "--except", "index"))

    assert every - rest == {("index", "content")}
    assert none == set()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "indx"], "there is no check 'indx'"),
        (["--except", "disk"], "there is no check 'disk'"),
        (["contnt"], "there is no ZEO server, storage, site or instance 'contnt'"),
    ],
)
def test_a_name_that_is_none_is_told_and_nothing_looked_at(
    served: Deployment, arguments: list[str], said: str
) -> None:
    done = run(served, "health", *arguments)

    assert done.exit_code == 3
    assert done.stdout == ""
    assert said in done.stderr


def test_json_has_every_number_with_its_limits(served: Deployment) -> None:
    done = run(served, "--json", "health", "--only", "index", "content")

    said = json.loads(done.stdout)
    assert (said["host"], said["state"], said["exit_status"]) == ("localhost", "ok", 0)
    (index,) = said["readings"]
    assert index["numbers"]["index_behind_bytes"] == {
        "value": 0,
        "unit": "bytes",
        "warning": 200 * 1024**2,
        "critical": 2 * 1024**3,
    }


def test_a_commit_is_tried_only_when_asked_for_and_leaves_nothing(served: Deployment) -> None:
    path = Path(str(served.topology.storage("content").data_fs))
    before = path.read_bytes()
    unasked = readings(run(served, "--json", "health", "content"))

    asked = readings(run(served, "--json", "health", "--write", "content"))

    assert asked - unasked == {("write", "content")}
    assert path.read_bytes() == before


def test_nagios_gets_one_line_with_numbers_and_their_limits(served: Deployment) -> None:
    done = run(served, "health", "--nagios", "--only", "index", "--only", "zeo")

    assert done.exit_code == 2
    (line,) = done.stdout.splitlines()
    said, _, numbers = line.partition(" | ")
    assert said.startswith("ZMOUNT CRITICAL - down: zeo: does not answer at ")
    assert f"'content index_behind_bytes'=0B;{200 * 1024**2};{2 * 1024**3}" in numbers


def test_prometheus_reads_what_is_printed_and_what_is_written(
    served: Deployment, tmp_path: Path
) -> None:
    path = tmp_path / "zmount.prom"
    done = run(served, "health", "--prometheus", "--prometheus-file", str(path))

    assert done.exit_code == 2
    assert path.read_text().splitlines()[:3] == done.stdout.splitlines()[:3]
    assert path.stat().st_mode & 0o777 == 0o644
    found = {each.name: each.samples for each in text_string_to_metric_families(path.read_text())}
    states = {
        (each.labels["check"], each.labels["subject"]): each.value
        for each in found["zmount_health_state"]
    }
    assert (states["zeo", "down"], states["zeo", "zeo"]) == (2, 0)
    assert found["zmount_commits"][0].labels["kind"] == "storage"


def test_a_file_that_cannot_be_written_is_one_clear_line(served: Deployment) -> None:
    done = run(served, "health", *FEW, "--prometheus-file", str(served.directory / "none" / "x"))

    assert done.exit_code not in (0, 1, 2)
    assert "none" in done.stderr and "Traceback" not in done.stderr
