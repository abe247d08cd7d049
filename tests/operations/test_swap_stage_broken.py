"""A staging storage whose files are damaged: what is said of it, and how a swap repairs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from swapping import PRODUCTION, STAGING, Swaps, root_of

from zmount.effects.stage_files import generations_of, stage_state
from zmount.errors import SwapRefused
from zmount.operations.pack import pack
from zmount.operations.pack_plan import PackWish
from zmount.operations.stage_facts import stage_facts, stage_text


def _no_base(path: Path) -> None:
    (path / "gen-000001" / "base.fs").unlink()


def _other_base(path: Path) -> None:
    base = path / "gen-000001" / "base.fs"
    content = base.read_bytes()
    base.unlink()  # it is production's file
    base.write_bytes(content[:-8] + bytes(8))


def _no_changes(path: Path) -> None:
    (path / "gen-000001" / "changes.fs").unlink()


def _empty_meta(path: Path) -> None:
    (path / "gen-000001" / "meta.json").write_text("")


def _no_current(path: Path) -> None:
    (path / "current").unlink()


WRONGS = [_no_base, _other_base, _no_changes, _empty_meta, _no_current]
each_wrong = pytest.mark.parametrize("spoil", WRONGS, ids=lambda each: each.__name__.strip("_"))


def break_it(swaps: Swaps, spoil: Callable[[Path], None]) -> Path:
    path = generations_of(swaps.staging).path
    assert swaps.swap().done == "swapped"
    swaps.stop()
    spoil(path)
    swaps.start()
    return path


@each_wrong
def test_it_is_said_in_one_line_and_a_swap_repairs_it(
    spoil: Callable[[Path], None], swaps: Swaps
) -> None:
    path = break_it(swaps, spoil)

    said = stage_text(swaps.staging)
    assert said.startswith("broken: ") and said.endswith("; zmount swap-stage makes it anew")
    assert str(path) in said and "\n" not in said
    facts: Any = stage_facts(swaps.staging)
    assert facts["broken"] == stage_state(swaps.staging).broken
    planned = swaps.swap(is_dry_run=True)
    assert planned.error is None and planned.plan is not None
    assert planned.plan.as_json()["staging"]["broken"] == facts["broken"]

    swaps.write(PRODUCTION, number=2)
    done = swaps.swap()

    assert done.error is None and done.done == "swapped"
    assert root_of(swaps.client(STAGING))["number"] == 2
    facts = stage_facts(swaps.staging)
    assert facts["broken"] is None


@each_wrong
def test_files_that_no_server_has_open_are_repaired_too(
    spoil: Callable[[Path], None], swaps: Swaps
) -> None:
    break_it(swaps, spoil)
    swaps.stop()
    done = swaps.swap()
    assert done.error is None and done.done == "swapped"
    swaps.start()
    assert root_of(swaps.client(STAGING))["number"] == 1


def test_changes_that_can_still_be_read_are_not_dropped_unasked(swaps: Swaps) -> None:
    swaps.swap()
    swaps.write(STAGING, user="/acl_users ann", draft=1)
    swaps.stop()
    _no_base(generations_of(swaps.staging).path)
    swaps.start()

    refused = swaps.swap()

    assert isinstance(refused.error, SwapRefused) and "by ann" in str(refused.error)
    assert swaps.swap(drops_changes=True).done == "swapped"


@each_wrong
def test_an_undo_says_what_it_brings_back_and_does(
    spoil: Callable[[Path], None], swaps: Swaps
) -> None:
    break_it(swaps, spoil)
    done = swaps.swap(undoes=True)
    assert done.error is None and done.done == "undone"
    assert done.plan is not None and done.plan.back_to is not None
    is_link = spoil is _no_current
    assert done.plan.back_to.generation == (1 if is_link else 0)
    assert ("number" in root_of(swaps.client(STAGING))) == is_link


@pytest.mark.parametrize("is_up", [True, False])
def test_one_that_was_put_right_by_hand_is_swapped_and_undone_as_ever(
    is_up: bool, swaps: Swaps
) -> None:
    path = generations_of(swaps.staging).path
    current = (path / "current").readlink() if swaps.swap().error is None else None
    assert current is not None
    swaps.stop()
    (path / "current").unlink()
    swaps.start()  # clients see that it is broken
    swaps.stop()
    (path / "current").symlink_to(current)
    if is_up:
        swaps.start()

    done = swaps.swap()
    assert done.error is None and done.done == "swapped"
    undone = swaps.swap(undoes=True)
    assert undone.error is None and undone.done == "undone"


@pytest.mark.parametrize("is_dry_run", [True, False])
def test_a_pack_says_what_is_broken_and_what_to_do(is_dry_run: bool, swaps: Swaps) -> None:
    path = break_it(swaps, _no_current)
    wish = PackWish(names=(swaps.staging.name,), is_dry_run=is_dry_run)
    deployment = swaps.deployment

    (found,) = pack(deployment.topology, deployment.host, wish, lambda _: None).storages

    assert found.done == "failed" and found.error is not None
    assert str(found.error).startswith(f"storage {swaps.staging.name}: {path / 'current'}: ")
    assert found.error.hint.startswith("zmount swap-stage makes it anew")


def test_a_server_that_cannot_pack_it_says_why_in_words(swaps: Swaps) -> None:
    path = break_it(swaps, _no_base)
    deployment = swaps.deployment
    wish = PackWish(names=(swaps.staging.name,))

    (found,) = pack(deployment.topology, deployment.host, wish, lambda _: None).storages

    assert str(found.error).startswith("the ZEO server says: ")
    assert str(path / "gen-000001" / "base.fs") in str(found.error)
    assert "BrokenStage" not in str(found.error) and "(" not in str(found.error)
