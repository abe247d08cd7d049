"""The list of what is off-line is whole, or nobody goes by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from topologies import topology_of

from zmount.effects.offline_state import offline_mounts, remember_offline
from zmount.errors import OfflineFailed
from zmount.operations.offline_facts import known_offline
from zmount.plan.offline import OFFLINE, Offline
from zmount.topology.hosts import Host

ONE = Offline(
    instance="pub",
    path="/home/x.org",
    site="x.org",
    storage="pub/x.org",
    since="2026-11-26T04:11:34+00:00",
    reason='a "quoted" reason',
)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = topology_of(tmp_path, "<instance pub/>\n").hosts[0]
    Path(found.directory / OFFLINE).parent.mkdir(parents=True)
    return found


def test_what_is_remembered_is_read_again(host):
    assert offline_mounts(host) == ()

    remember_offline(host, [ONE])

    assert offline_mounts(host) == (ONE,)
    remember_offline(host, [])
    assert offline_mounts(host) == ()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"offline": [1]}', '{"offline": [{}]}'])
def test_a_damaged_list_is_said_and_nothing_is_taken_for_on_line(host, text):
    Path(host.directory / OFFLINE).write_text(text)

    with pytest.raises(OfflineFailed, match="cannot be read"):
        offline_mounts(host)
    assert known_offline([host]) == ()  # show and status go on


def test_a_list_that_cannot_be_written_is_what_it_was(host):
    remember_offline(host, [ONE])
    Path(host.directory / f"{OFFLINE}.new").mkdir()

    with pytest.raises(OfflineFailed, match="cannot be written"):
        remember_offline(host, [])

    assert offline_mounts(host) == (ONE,)
