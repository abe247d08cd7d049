"""Sessions of a public instance of two processes: where they are, and that they last."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployments import Deployment, wait_until
from ZEO.ClientStorage import ClientStorage
from ZODB import DB

from zmount.effects.history import Entry, Search, entries, history_file
from zmount.effects.zope_http import ZopeClient, one_browser
from zmount.errors import AccessRefused, SessionsLost
from zmount.operations.changes import Change
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.root_changes import change_root
from zmount.operations.sessions import SessionStatus, sessions
from zmount.operations.sessions_plan import Proof, ProofPlan, ProofWish, Tried
from zmount.operations.sessions_proof import prove
from zmount.plan.root_steps import PointSessions

CONF = """
administrator admin
administrator-password a secret
<zeo zeo>
  address var/zeo.sock
</zeo>
<session>
  timeout-minutes 30
  max-objects 100
</session>
<storage root/pub/>
<instance pub>
  kind public
  replicas 2
  root root/pub
  http-address {directory}/pub.sock
</instance>
<instance dev>
  kind development
  http-address 127.0.0.1:{port}
</instance>
"""
MEMORY = "/temp_folder/session_data"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The deployment, with the public instance up."""
    made = Deployment(tmp_path_factory.mktemp("s"), CONF)
    try:
        for words in (("apply",), ("start", "pub")):
            done = made.zmount(*words)
            assert done.returncode == 0, done.stdout + done.stderr
        yield made
    finally:
        made.end_all()


def seen(deployment: Deployment) -> SessionStatus:
    return sessions(deployment.topology, deployment.host)


def manager(deployment: Deployment, name: str = "pub-1") -> ZopeClient:
    address = deployment.process(name).address
    return ZopeClient(address, user="admin", password="a secret", cookies=one_browser())


def pid(deployment: Deployment, name: str) -> int | None:
    local = LocalProcesses(topology=deployment.topology, host=deployment.host)
    return local.manager.observe(deployment.process(name)).pid


def point_sessions(deployment: Deployment, path: str) -> None:
    """Let the public root keep sessions at PATH."""
    local = LocalProcesses(topology=deployment.topology, host=deployment.host)
    done = change_root(
        local,
        deployment.topology.instance("pub"),
        [PointSessions(path=path)],
        note="a test",
        say=lambda line: None,
    )
    assert len(done.done) == 1


def forget_sessions(deployment: Deployment) -> None:
    """Empty the container, as a Zope without persistent sessions would at its start."""
    storage = ClientStorage(str(deployment.process("zeo").address.socket), storage="pub/session")
    database = DB(storage)
    with database.transaction() as connection:
        connection.root()["Application"].session.session_data._reset()
    database.close()


def last_proof(deployment: Deployment) -> Entry:
    """Return what the history tells of the last proof."""
    return list(entries(history_file(deployment.conf), Search(operation="sessions")))[-1]


def test_the_status_tells_the_container_and_who_uses_it(up: Deployment) -> None:
    done = up.zmount("sessions", "--json")

    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["container"] == "/session/session_data"
    assert (facts["sessions"], facts["expired"]) == (0, 0)
    assert (facts["timeout_minutes"], facts["limit"], facts["pack_days"]) == (30, 100, 0)
    assert facts["objects"] > 30
    assert facts["size_bytes"] > 1000
    assert [(user["instance"], user["uses_it"]) for user in facts["instances"]] == [("pub", True)]
    assert facts["problems"] == facts["notes"] == []


def test_only_managers_reach_the_page_and_reading_makes_no_session(up: Deployment) -> None:
    client = manager(up)
    address = up.process("pub-1").address
    with pytest.raises(AccessRefused):
        ZopeClient(address).ask_agent("get", page="zmount-session")

    assert client.ask_agent("get", page="zmount-session")["value"] is None
    assert seen(up).container.live == 0  # type: ignore[union-attr]
    assert client.ask_agent("set", page="zmount-session", value="x")["value"] == "x"
    assert client.ask_agent("get", page="zmount-session")["value"] == "x"
    assert manager(up).ask_agent("get", page="zmount-session")["value"] is None
    assert seen(up).container.live == 1  # type: ignore[union-attr]
    client.ask_agent("end", page="zmount-session")
    assert seen(up).container.live == 0  # type: ignore[union-attr]
    assert client.ask_agent("get", page="zmount-session")["value"] is None


def test_a_pack_leaves_nothing_of_sessions_that_are_over(up: Deployment) -> None:
    before = seen(up).objects
    for number in range(10):
        client = manager(up)
        client.ask_agent("set", page="zmount-session", value=str(number))
        client.ask_agent("end", page="zmount-session")
    grown = seen(up).objects

    packed = up.zmount("pack", "pub/session")

    assert packed.returncode == 0, packed.stderr
    after = seen(up)
    assert before is not None and grown is not None and after.objects is not None
    assert grown >= before + 10
    assert after.objects < grown - 9
    assert after.last_pack is not None


def test_nothing_is_restarted_unasked(up: Deployment) -> None:
    before = [pid(up, name) for name in ("zeo", "pub-1", "pub-2")]

    dry = up.zmount("sessions", "--prove", "--dry-run")
    refused = up.zmount("sessions", "--prove")
    wrong = up.zmount("sessions", "--prove", "dev", "--yes")

    assert dry.returncode == 0, dry.stderr
    assert "kill -9 pub-1, pub-2" in dry.stdout
    assert (refused.returncode, wrong.returncode) == (23, 3)
    assert "a script must say --yes" in refused.stderr
    assert (last_proof(up).result, last_proof(up).exit_status) == ("refused", 23)
    assert [pid(up, name) for name in ("zeo", "pub-1", "pub-2")] == before


def test_a_session_outlives_a_restart_a_kill_and_the_zeo_servers_restart(up: Deployment) -> None:
    done = up.zmount("sessions", "--prove", "--yes", "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    proof = json.loads(done.stdout)
    assert proof["is_proved"]
    assert (last_proof(up).result, last_proof(up).numbers["result"]) == (
        "done",
        "kept in 3 of 3 trials",
    )
    assert [len(trial["hits"]) for trial in proof["tried"]] == [2, 2, 1]
    for trial in proof["tried"]:
        assert {each["value"] for each in trial["before"] + trial["after"]} == {trial["value"]}
        assert [each["process"] for each in trial["after"]] == ["pub-1", "pub-2"]
        assert all(hit["pid_before"] != hit["pid_after"] for hit in trial["hits"])
    clean, killed, zeo = proof["tried"]
    for trial in (clean, killed):
        assert [hit["pid_after"] for hit in trial["hits"]] == [
            each["pid"] for each in trial["after"]
        ]
        assert [hit["pid_before"] for hit in trial["hits"]] == [
            each["pid"] for each in trial["before"]
        ]
    assert zeo["hits"][0]["process"] == "zeo"
    assert seen(up).container.live == 0  # type: ignore[union-attr]


def test_an_interrupted_proof_leaves_everything_up_and_no_session(up: Deployment) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "zmount", "-f", str(up.conf), "sessions", "--prove", "--yes"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    before = pid(up, "pub-2")
    wait_until(lambda: pid(up, "pub-2") != before, "pub-2 is being restarted", timeout_s=60)
    os.kill(child.pid, signal.SIGINT)

    assert child.wait(90) == 130
    assert up.zmount("status", "pub").returncode == 0
    assert seen(up).container.live == 0  # type: ignore[union-attr]


def test_a_session_that_is_lost_is_told_and_the_rest_is_put_in_order(up: Deployment) -> None:
    seen_trials: list[Tried] = []

    def watch(event: object) -> None:
        if isinstance(event, Change) and event.process.name == "pub-1" and event.done == "started":
            forget_sessions(up)
        if isinstance(event, Tried):
            seen_trials.append(event)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prove(up.topology, up.host, ProofWish(is_agreed=True), watch, None)

    (tried,) = seen_trials
    assert all(each.is_kept for each in tried.before)
    assert [each.found for each in tried.after] == [None, None]
    plan = ProofPlan(trials=(tried.trial,), readers=(), left_out=())
    with pytest.raises(SessionsLost, match="restart pub-1, pub-2: pub-1 shows nothing"):
        Proof(plan=plan, tried=(tried,)).refuse_losses()
    assert up.zmount("status", "pub").returncode == 0


def test_sessions_elsewhere_are_a_problem_and_nothing_is_restarted(up: Deployment) -> None:
    before = pid(up, "pub-1")
    point_sessions(up, MEMORY)
    try:
        status = up.zmount("sessions")
        proof = up.zmount("sessions", "--prove", "--yes")
    finally:
        point_sessions(up, "/session/session_data")

    assert (status.returncode, proof.returncode) == (23, 23), status.stderr + proof.stderr
    assert f"it keeps sessions in {MEMORY}, not in /session/session_data" in status.stdout
    assert pid(up, "pub-1") == before


def test_a_container_that_is_gone_is_a_problem_and_a_restart_makes_it_again(
    up: Deployment,
) -> None:
    manager(up).post("/session/manage_delObjects", **{"ids:list": "session_data"})

    status = up.zmount("sessions")
    proof = up.zmount("sessions", "--prove", "--yes")
    up.zmount("restart", "pub")

    assert (status.returncode, proof.returncode) == (23, 23), status.stderr + proof.stderr
    assert "pub/session has no session_data" in status.stderr
    assert "zmount restart" in status.stderr
    assert up.zmount("sessions").returncode == 0


def test_a_topology_without_sessions_is_told(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, "<instance pub>\n  http-address {port}\n</instance>\n")

    done = deployment.zmount("sessions")

    assert done.returncode == 23
    assert "has no <session>" in done.stderr
