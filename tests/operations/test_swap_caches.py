"""Persistent caches of ZEO clients, where the files of staging are swapped without a server."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from swapping import CONF, PRODUCTION, STAGING, Swaps, root_of
from ZEO.cache import ClientCache

from zmount.operations.local_processes import LocalProcesses
from zmount.operations.swap_caches import caches_of
from zmount.operations.swap_plan import SwapPlan
from zmount.operations.swap_stage import Event

INSTANCES = """
<instance dev>
  kind development
  http-address {port}
  <mount stage/x.org>
    <client>
      cache-path var/%s.zec
    </client>
  </mount>
</instance>
"""
ELSEWHERE = """
<host one>
</host>
<host two>
  address two.example
</host>
<instance far>
  kind development
  host two
  http-address 8085
  <client>
    cache-path var/%s.zec
  </client>
</instance>
"""
Make = Callable[[str], Swaps]


@pytest.fixture
def down(make: Make) -> Swaps:
    """No server and no Zope; dev's client has remembered what staging showed."""
    swaps = make(CONF + INSTANCES)
    swaps.write(PRODUCTION, number=1)
    swaps.write(STAGING, number="of staging")
    swaps.start()
    cache = cache_of(swaps)
    cache.parent.mkdir(parents=True, exist_ok=True)
    database = swaps.client(STAGING, cache=str(cache))
    assert root_of(database)["number"] == "of staging"
    swaps.databases.remove(database)
    database.close()
    swaps.stop()
    assert cache.exists()
    return swaps


def cache_of(swaps: Swaps) -> Path:
    (dev,) = swaps.deployment.topology.instance("dev").replicas
    return Path(dev.directory) / "var" / "stage" / "x.org.zec"


def test_the_cache_of_a_client_that_does_not_run_goes(down: Swaps) -> None:
    events: list[Event] = []

    done = down.swap(drops_changes=True, watch=events.append)

    assert done.error is None
    assert not cache_of(down).exists()
    (plan,) = (each for each in events if isinstance(each, SwapPlan))
    assert [(each.name, each.fate) for each in plan.seen.caches] == [("dev", "goes")]
    assert [(each.name, each.fate) for each in done.caches] == [("dev", "removed")]
    # whose lock file may stay: the next client takes it
    down.start()
    assert root_of(down.client(STAGING, cache=str(cache_of(down))))["number"] == 1


def test_it_goes_with_an_undo_as_well(down: Swaps) -> None:
    down.swap(drops_changes=True)
    down.start()
    database = down.client(STAGING, cache=str(cache_of(down)))
    assert root_of(database)["number"] == 1
    down.databases.remove(database)
    database.close()
    down.stop()
    assert cache_of(down).exists()

    assert down.swap(undoes=True).error is None

    assert not cache_of(down).exists()


def test_a_dry_run_removes_none(down: Swaps) -> None:
    done = down.deployment.zmount("swap-stage", "x.org", "--dry-run")
    found = json.loads(down.deployment.zmount("swap-stage", "x.org", "--dry-run", "--json").stdout)

    assert f"{cache_of(down)}, the cache of dev, goes as well" in " ".join(done.stdout.split())
    assert [each["fate"] for each in found[0]["plan"]["caches"]] == ["goes"]
    assert found[0]["caches"] == []
    assert cache_of(down).exists()


def test_a_cache_that_is_in_use_stays_and_its_client_is_told(down: Swaps) -> None:
    database = cache_of(down)
    cache = ClientCache(str(database))  # as a client does, which waits for its server
    try:
        done = down.swap(drops_changes=True)
    finally:
        cache.close()

    (found,) = done.caches
    assert done.error is None
    assert found.fate == "stays"
    assert "has it open; staging's server will tell dev to forget it" in str(found)
    down.start()
    assert root_of(down.client(STAGING, cache=str(database)))["number"] == 1


def test_a_cache_that_is_open_without_a_lock_stays(down: Swaps) -> None:
    lock = cache_of(down).with_name("x.org.zec.lock")
    with cache_of(down).open("rb"):
        lock.unlink()
        done = down.swap(drops_changes=True)

    assert [each.fate for each in done.caches] == ["stays"]
    assert cache_of(down).exists()
    assert not lock.exists(), "nobody but the client makes it, whose it must be"


def test_what_is_no_cache_stays(down: Swaps) -> None:
    kept = down.deployment.directory / "precious"
    kept.write_text("ZEC3 as well")
    cache_of(down).unlink()
    cache_of(down).symlink_to(kept)
    linked = down.swap(drops_changes=True)
    cache_of(down).unlink()
    cache_of(down).write_text("precious")
    other = down.swap(undoes=True)

    assert [each.why for each in linked.caches] == ["it is a symbolic link"]
    assert [each.why for each in other.caches] == ["it is no file of a ZEO cache"]
    assert kept.read_text() == "ZEC3 as well"
    assert cache_of(down).read_text() == "precious"


def test_a_cache_that_may_not_be_removed_is_no_failure(down: Swaps) -> None:
    if os.geteuid() == 0:
        # root may: a directory in its place is what stops him
        cache_of(down).unlink()
        cache_of(down).mkdir()

    done = down.swap(drops_changes=True)

    assert done.error is None
    assert [each.fate for each in done.caches] == ["stays"]


def test_a_swap_through_the_server_leaves_caches_alone(down: Swaps) -> None:
    down.start()

    done = down.swap(drops_changes=True)

    assert done.caches == ()
    assert cache_of(down).exists()
    assert root_of(down.client(STAGING, cache=str(cache_of(down))))["number"] == 1


def test_no_cache_is_nothing_to_tell(make: Make) -> None:
    swaps = make(CONF + INSTANCES)
    swaps.write(PRODUCTION, number=1)

    assert swaps.swap().caches == ()


def test_a_refused_swap_removes_none(down: Swaps) -> None:
    assert down.swap().done == "refused"
    assert cache_of(down).exists()


def test_caches_on_other_hosts_are_told_of(make: Make) -> None:
    swaps = make(CONF.replace("<zeo zeo>", "<zeo zeo>\n  host one") + ELSEWHERE)
    topology = swaps.deployment.topology
    local = LocalProcesses(topology=topology, host=topology.host("one"))

    (found,) = caches_of(topology.storage(STAGING), local)

    assert (found.name, found.host, found.fate) == ("far", "two", "elsewhere")
    assert "on host two" in str(found)
    assert "Or remove it while far is down" in str(found)
