"""Which clients are silently wrong after the naive swap (stop, copy, start), and none after ours.

Each case does both, so that it can be seen to fail.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import Any

import pytest
from deployments import wait_until
from stages import Client, Server, Stages

NAMES = [f"k{number:02}" for number in range(40)]
STAGE_ONLY, PUB_ONLY = NAMES[:10], NAMES[10:20]
QUEUE = 100  # transactions that a ZEO server remembers


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A client of staging, and what the naive swap does to it: right, stale or stuck."""

    name: str
    naive: str
    is_newer: bool = False  # staging's last transaction than the copy's
    cache: str = ""
    restarts: bool = False  # the client
    many: bool = False  # production's transactions since
    zeo: str = ""
    drop: bool = False

    def __str__(self) -> str:
        return self.name


CASES = [
    Case(name="stays up", naive="stale"),
    Case(name="stays up with a persistent cache", naive="stale", cache="c"),
    Case(name="drop cache rather verify", naive="stale", cache="c", drop=True),
    Case(name="restarts with a persistent cache", naive="stale", cache="c", restarts=True),
    Case(name="restarts without", naive="right", restarts=True),
    Case(name="many transactions behind", naive="right", many=True),
    Case(
        name="many behind with invalidation-age",
        naive="stale",
        many=True,
        zeo="invalidation-age 86400",
    ),
    Case(
        name="restarts, many behind, invalidation-age",
        naive="stale",
        many=True,
        zeo="invalidation-age 86400",
        cache="c",
        restarts=True,
    ),
    Case(name="staging is newer", naive="stuck", is_newer=True),
    Case(name="staging is newer, persistent cache", naive="stuck", is_newer=True, cache="c"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_naive(case: Case, stages: Stages):
    """What was seen, and has to be so for the next test to prove anything."""
    stages.fill(dict.fromkeys(NAMES, "pub"))
    server = stages.plain_server("pub", "stage", zeo=case.zeo)
    client = look(case, stages, server)
    copied = stages.directory / "copied"
    if case.is_newer:
        edit_pub(case, stages, server)
        shutil.copytree(stages.directory / "pub", copied)
    edit_stage(client)
    if not case.is_newer:
        edit_pub(case, stages, server)
    if case.restarts:
        client.close()
    server.stop()
    if not case.is_newer:
        shutil.copytree(stages.directory / "pub", copied)
    stage = stages.directory / "stage"
    shutil.rmtree(stage)
    copied.rename(stage)
    server.start()
    truth = stages.client(server).read()
    if case.restarts:
        client = stages.client(server, cache=case.cache)
    if case.naive == "stuck":
        time.sleep(2)
        assert not client.storage.is_connected()
        return
    wait_until(client.storage.is_connected, "it is back")
    assert (client.read() == truth) == (case.naive == "right")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_ours(case: Case, stages: Stages):
    stages.fill(dict.fromkeys(NAMES, "pub"))
    server = stages.server(zeo=case.zeo)
    client = look(case, stages, server)
    if case.is_newer:
        edit_pub(case, stages, server)
    edit_stage(client)
    if not case.is_newer:
        edit_pub(case, stages, server)
    if case.restarts:
        client.close()
        server.swap()
        client = stages.client(server, cache=case.cache)
    else:
        server.swap(client)
    must_be_right(client, stages, server)
    # and once more, while it is away, and the server is killed
    client.write({"k00": "stage 2", "gone 2": "stage 2"})
    shown(client)
    client.close()
    server.swap()
    server.stop(9)
    server.start()
    client = stages.client(server, cache=case.cache)
    must_be_right(client, stages, server)
    # and back: what that generation had, and no more
    server.undo(client)
    values, _ = shown(client)
    assert values["k00"] == values["gone 2"] == "stage 2"


def look(case: Case, stages: Stages, server: Server) -> Client:
    options: dict[str, Any] = {"drop_cache_rather_verify": True} if case.drop else {}
    client = stages.client(server, cache=case.cache, **options)
    shown(client)
    return client


def edit_stage(client: Client) -> None:
    client.write({**dict.fromkeys(STAGE_ONLY, "stage"), "gone": "stage"})
    client.write_blob("one", b"stage")
    shown(client)


def edit_pub(case: Case, stages: Stages, server: Server) -> None:
    client = stages.client(server, "pub")
    client.write(dict.fromkeys(PUB_ONLY, "pub 2"))
    if case.many:
        client.write_each(("k20", str(number)) for number in range(QUEUE + 10))
    client.close()


def shown(client: Client) -> tuple[dict[str, str], dict[str, bytes]]:
    return client.read(), client.read_blobs()


def must_be_right(client: Client, stages: Stages, server: Server) -> None:
    truth = shown(stages.client(server, "pub"))
    assert truth[0]["k10"] == "pub 2" and "gone" not in truth[0]
    assert shown(client) == truth
    assert shown(stages.client(server)) == truth
