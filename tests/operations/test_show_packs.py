"""What ``zmount show`` says of a storage's packs is what a pack of it does."""

from __future__ import annotations

import json
from typing import Any

from swapping import PRODUCTION, STAGING, Swaps

OF_CHANGES = "of what was changed since the swap; garbage stays there, and no Data.fs.old"


def packs(swaps: Swaps, storage: str) -> dict[str, Any]:
    (shown,) = json.loads(swaps.deployment.zmount("show", storage, "--json").stdout)["storages"]
    found: dict[str, Any] = shown["pack"]
    return found


def test_a_stage_collects_garbage_until_it_is_swapped_and_never_after(swaps: Swaps) -> None:
    as_configured = {"days": 1.0, "gc": True, "keep_old": True}
    before = packs(swaps, STAGING)
    swaps.swap()
    after, of_production = packs(swaps, STAGING), packs(swaps, PRODUCTION)
    said = swaps.deployment.zmount("show", STAGING).stdout

    done = swaps.deployment.zmount("pack", STAGING, "--json")

    assert before == of_production == as_configured
    assert after == {"days": 1.0, "gc": False, "keep_old": False, "note": OF_CHANGES}
    assert OF_CHANGES in said
    assert json.loads(done.stdout)["storages"][0]["gc"] is False
