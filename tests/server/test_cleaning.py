"""Clean-ups that take long, what they leave, and who meets them."""

from __future__ import annotations

import time
from pathlib import Path

from deployments import wait_until
from stages import Server, Stages
from test_stage_crash import stage

MANY = 20_000  # files; to remove them takes a second


def burden(generation: Path) -> None:
    """Let GENERATION have many files."""
    for number in range(MANY):
        (generation / "changes-blobs" / f"{number}.blob").touch()


def gone(server: Server) -> list[str]:
    return sorted(path.name for path in server.generations.glob("*.gone"))


def test_a_swap_that_meets_a_clean_up_goes_first_and_the_clean_up_goes_on(stages: Stages):
    stages.fill()
    server = stages.server("keep 0\n  drain-timeout 0")
    client = stages.client(server)
    server.swap(client)
    burden(server.generations / "gen-000001")
    server.swap(client)
    wait_until(lambda: gone(server) == ["gen-000001.gone"], "it is cleaned up")

    for _ in range(3):
        server.swap(client)

    assert gone(server)[0] == "gen-000001.gone", "they did not wait until it was ready"
    assert client.read() == {"a": "pub", "b": "pub", "c": "pub"}
    wait_until(lambda: not gone(server), "it goes on", timeout_s=30)
    wait_until(
        lambda: [each.name for each in server.generations.glob("gen-*")] == ["gen-000005"],
        "all is cleaned up",
        timeout_s=30,
    )
    assert "Traceback" not in server.log


def test_a_pack_and_an_undo_go_before_a_clean_up(stages: Stages):
    stages.fill()
    server = stages.server("keep 1\n  drain-timeout 0")
    client = stages.client(server)
    server.swap(client)
    server.swap(client)
    burden(server.generations / "gen-000001")
    server.swap(client)
    wait_until(lambda: bool(gone(server)), "it is cleaned up")
    client.db.pack()
    server.undo(client)
    assert gone(server) == ["gen-000001.gone"]
    wait_until(lambda: not gone(server), "it goes on", timeout_s=30)


def test_a_server_that_ends_does_not_wait_for_a_clean_up(stages: Stages):
    stages.fill()
    server = stages.server("keep 0")
    server.swap()
    burden(server.generations / "gen-000001")
    server.swap()
    wait_until(lambda: bool(gone(server)), "it is cleaned up")
    start = time.monotonic()
    server.stop()
    assert time.monotonic() - start < 5
    server.start()
    assert gone(server) == []


def test_what_is_not_ours_keeps_its_generation(stages: Stages):
    stages.fill()
    generations = stages.directory / "stage" / "generations"
    with stage(stages, keep=0) as storage:
        storage.swap()
        (generations / "gen-000001" / "notes.txt").write_text("mine")
        storage.swap()
        storage.swap()
    assert (generations / "gen-000001" / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in generations.glob("gen-*")) == ["gen-000001", "gen-000003"]
