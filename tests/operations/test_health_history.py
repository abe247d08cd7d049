"""What ``zmount health`` makes of the history: packs, verifications, swaps."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from checkups import data_fs, deployed, fill, read
from deployments import Deployment
from swapping import STAGING, Swaps

from zmount.effects.history import Entry, append, history_file
from zmount.operations.health_readings import Reading
from zmount.operations.verify import verify_storages

CONF = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
<health>
  last-pack 8d 30d
  last-verify 8d 30d
</health>
"""
DAY_S = 86400


@pytest.fixture
def old() -> Any:
    """A deployment whose storage was first committed to 100 days ago, and is in use."""
    with deployed(CONF) as deployment:
        fill(deployment, "content", number=1)
        _let_it_begin(data_fs(deployment, "content"), days_ago=100)
        yield deployment


def _let_it_begin(path: Path, *, days_ago: float) -> None:
    """Let the first transaction in PATH be of another day; nothing else reads that."""
    from persistent.timestamp import TimeStamp

    tid = TimeStamp(*time.gmtime(time.time() - days_ago * DAY_S)[:5], 0.0).raw()
    with path.open("r+b") as file:
        file.seek(4)
        file.write(tid)


def _done(deployment: Deployment, operation: str, *, days_ago: float, **said: Any) -> None:
    facts: dict[str, Any] = {"result": "done", "duration_s": 1.0, **said}
    append(
        history_file(deployment.conf),
        Entry(
            operation=operation,
            began=time.time() - days_ago * DAY_S,
            who="anna",
            host="localhost",
            subjects=("content",),
            **facts,
        ),
    )


def _idle_for(deployment: Deployment, days: float) -> None:
    """Let the last write into the storage's file be so long ago."""
    then = time.time() - days * DAY_S
    os.utime(data_fs(deployment, "content"), (then, then))


@pytest.mark.parametrize(("operation", "word"), [("pack", "packed"), ("verify", "verified")])
def test_what_was_not_done_for_long_is_judged_by_its_limit(
    old: Deployment, operation: str, word: str
) -> None:
    check = f"last-{operation}"
    never = read(old, check, "content")
    found = []
    for days in (20, 2):
        _done(old, operation, days_ago=days)
        found.append(read(old, check, "content"))

    assert never.state == "critical"
    assert never.sentence == f"never {word}, its first commit was 100 days ago"
    assert [(each.state, each.sentence) for each in found] == [
        ("warning", f"{word} 20 days ago"),
        ("ok", f"{word} 2 days ago"),
    ]
    assert never.hint == f"zmount {operation} content"


def test_what_nobody_wrote_to_since_needs_nothing(old: Deployment) -> None:
    _done(old, "pack", days_ago=50)
    _idle_for(old, 60)

    found = read(old, "last-pack", "content")

    assert (found.state, found.sentence) == (
        "ok",
        "packed 50 days ago; nothing was committed since",
    )


def test_a_pack_that_failed_is_a_warning_with_its_reason(old: Deployment) -> None:
    _done(old, "pack", days_ago=2)
    _done(old, "pack", days_ago=1, result="failed", sentence="no space")

    found = read(old, "last-pack", "content")

    assert found.state == "warning"
    assert found.sentence == "packed 2 days ago; the last try, 24 h ago, failed: no space"


def test_damage_that_was_found_is_critical_though_nobody_wrote_since(old: Deployment) -> None:
    """A disk that loses bits writes nothing: the file is as old as when it was sound."""
    _done(old, "verify", days_ago=2)
    _idle_for(old, 3)
    _damage(data_fs(old, "content"))
    _idle_for(old, 3)
    sound = read(old, "last-verify", "content")
    (verified,) = verify_storages(old.topology, old.host, ["content"], lambda *_: None)
    assert verified.result == "damaged"

    found = read(old, "last-verify", "content")
    _done(old, "verify", days_ago=0, result="interrupted")
    still = read(old, "last-verify", "content")
    _done(old, "verify", days_ago=-0.001)
    repaired = read(old, "last-verify", "content")

    assert sound.state == "ok"
    assert found.state == "critical"
    assert "; damage was found " in found.sentence
    assert str(data_fs(old, "content")) in found.sentence
    assert still.state == "critical"
    assert repaired.state == "ok"


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    at = content.rindex(b"number")
    content[at - 5] ^= 0xFF
    path.write_bytes(content)


def test_a_verification_that_was_only_interrupted_is_no_damage(old: Deployment) -> None:
    _done(old, "verify", days_ago=2)
    _done(old, "verify", days_ago=1, result="interrupted")

    found = read(old, "last-verify", "content")

    assert found.state == "warning"
    assert found.sentence.endswith("; the last try, 24 h ago, was interrupted")


def test_a_history_that_cannot_be_read_is_unknown_and_stops_nothing(old: Deployment) -> None:
    history_file(old.conf).write_bytes(b"no database" * 1000)

    found = read(old, "last-pack", "localhost")

    assert found.state == "unknown"
    assert str(history_file(old.conf)) in found.sentence


def _swap_limit(deployment: Deployment, limits: str) -> Reading:
    text = deployment.conf.read_text()
    deployment.conf.write_text(f"{text}\n<health>\n  last-swap {limits}\n</health>\n")
    try:
        return read(deployment, "last-swap", STAGING)
    finally:
        deployment.conf.write_text(text)


def test_a_staging_that_is_old_is_judged_by_its_limit(swaps: Swaps) -> None:
    never = _swap_limit(swaps.deployment, "1d 2d")
    unlimited = read(swaps.deployment, "last-swap", STAGING)
    swaps.swap()
    fresh = _swap_limit(swaps.deployment, "1d 2d")
    old = _swap_limit(swaps.deployment, "0s 1d")

    assert [each.state for each in (never, unlimited, fresh, old)] == [
        "warning",
        "ok",
        "ok",
        "warning",
    ]
    assert never.hint == "zmount swap-stage x.org"
    assert fresh.sentence.startswith("it took production's content ")
