"""``zmount verify`` of a stage, with real ZEO servers: what it shows, wherever that lies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from persistent.mapping import PersistentMapping
from stage_writer import writing
from swapping import CONF, PRODUCTION, STAGING, Swaps
from ZODB.blob import Blob

from zmount.operations import verify as verify_module
from zmount.operations.verify import Verified, exit_status, verify_storages

Make = Callable[[str], Swaps]


@pytest.fixture
def staged(make: Make) -> Swaps:
    """A ZEO server, up; staging shows production, and has changes and blobs of its own."""
    swaps = make(CONF)
    swaps.write(PRODUCTION, item=PersistentMapping(of="production"), blob=Blob(b"production"))
    swaps.start()
    swaps.swap()
    swaps.write(STAGING, draft=PersistentMapping(of="staging"), new=Blob(b"staging"))
    return swaps


def generations(swaps: Swaps) -> Path:
    stage = swaps.deployment.topology.storage(STAGING).stage
    assert stage is not None
    return Path(str(stage.generations))


def verified(swaps: Swaps, watch: Callable[..., Any] = lambda *told: None) -> Verified:
    (found,) = verify_storages(swaps.deployment.topology, swaps.deployment.host, (STAGING,), watch)
    return found


def test_a_served_stage_is_sound(staged: Swaps) -> None:
    staged.write(PRODUCTION, later=Blob(b"later"))

    done = staged.deployment.zmount("verify", STAGING)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{STAGING}: sound; 5 objects, ")
    assert ", 2 blobs, " in done.stdout
    (said,) = json.loads(staged.deployment.zmount("verify", STAGING, "--json").stdout)
    one = generations(staged) / "gen-000001"
    assert (said["path"], said["base"]) == (str(one / "changes.fs"), str(one / "base.fs"))
    assert said["unchecked"] == {}


def test_a_stage_that_is_down_and_one_that_was_never_swapped(staged: Swaps, make: Make) -> None:
    for database in staged.databases:
        database.close()
    staged.databases.clear()
    staged.stop()
    assert staged.deployment.zmount("verify", STAGING).returncode == 0

    plain = make(CONF)
    plain.write(STAGING, own=1)
    done = plain.deployment.zmount("verify", STAGING, "--json")

    (said,) = json.loads(done.stdout)
    assert (done.returncode, said["result"], said["base"]) == (0, "sound", None)
    assert said["path"].endswith("stage/x.org/Data.fs")


def test_while_it_is_written_to(staged: Swaps, tmp_path: Path) -> None:
    with writing(staged, tmp_path / "cache") as written:
        for _ in range(10):
            found = verified(staged)
            assert found.verification is not None
            told = [str(each) for each in found.verification.findings]
            assert told == []
    assert len(written) > 10


def test_what_is_damaged_is_told_with_stage_file_and_object(staged: Swaps) -> None:
    one = generations(staged) / "gen-000001"
    content = bytearray((one / "changes.fs").read_bytes())
    content[content.rindex(b"staging") - 5] = 0xFF
    staged.stop()
    (one / "changes.fs").write_bytes(content)

    done = staged.deployment.zmount("verify", STAGING)
    (said,) = json.loads(staged.deployment.zmount("verify", STAGING, "--json").stdout)

    assert (done.returncode, done.stderr) == (14, "")
    first, second, _ = done.stdout.splitlines()
    assert first.startswith(f"{STAGING}: damaged; ")
    (finding,) = said["findings"]
    assert second.startswith(
        f"    error: root['draft'] (oid {finding['oid']}, persistent.mapping.PersistentMapping): "
    )
    assert second.endswith(f" [byte {finding['offset']} of {one}/changes.fs] [record]")
    assert (finding["file"], finding["kind"]) == (str(one / "changes.fs"), "record")
    assert int(finding["oid"], 16) > 1 << 40


def test_a_blob_of_productions_that_is_missing(staged: Swaps) -> None:
    (blob,) = (generations(staged) / "blobs").rglob("*.blob")
    blob.unlink()

    found = verified(staged)

    assert found.verification is not None
    (finding,) = found.verification.findings
    assert (finding.kind, finding.path) == ("blob", "root['blob']")
    assert finding.file == generations(staged) / "gen-000001" / "base.fs"
    assert str(blob) in finding.reason


def test_after_packs_swaps_and_an_undo_it_is_sound(staged: Swaps) -> None:
    staged.write(PRODUCTION, blob=Blob(b"another"))
    for storage in (PRODUCTION, STAGING):
        assert staged.deployment.zmount("pack", "--days", "0", storage).returncode == 0
    assert (verified(staged).result, verified(staged).hints) == ("sound", ())
    for wish in ({}, {"mode": "copy"}, {"undoes": True}, {}):
        assert staged.swap(drops_changes=True, **wish).error is None
        staged.write(STAGING, blob=Blob(b"of staging"))
        found = verified(staged)
        assert found.verification is not None
        assert found.verification.findings == (), (wish, found.verification.findings)


def test_a_swap_meanwhile_makes_it_begin_again(staged: Swaps) -> None:
    swapped: list[str] = []

    def swap(name: str, phase: str, done: int, total: int) -> None:
        if phase == "changes: records" and not swapped:
            for number in range(3):  # one is kept, so the one that is read goes
                staged.write(PRODUCTION, number=number)
                swapped.append(staged.swap(drops_changes=True).done)

    found = verified(staged, swap)

    assert swapped == ["swapped"] * 3
    assert found.verification is not None
    assert found.verification.findings == ()
    assert found.verification.path == generations(staged) / "gen-000004" / "changes.fs"


def test_the_first_swap_meanwhile(make: Make) -> None:
    swaps = make(CONF)
    swaps.write(PRODUCTION, number=1)
    swaps.write(STAGING, own=1)
    swaps.start()
    swapped: list[str] = []

    def swap(name: str, phase: str, done: int, total: int) -> None:
        if not swapped:
            swapped.append("")
            swapped.append(swaps.swap(drops_changes=True).done)

    found = verified(swaps, swap)

    assert swapped == ["", "swapped"]
    assert found.verification is not None
    assert found.verification.path == generations(swaps) / "gen-000001" / "changes.fs"
    assert found.verification.findings == ()


def test_swaps_without_end_are_said(staged: Swaps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_module, "LOOKS", 1)
    swapped: list[str] = []

    def swap(name: str, phase: str, done: int, total: int) -> None:
        if not swapped:
            swapped.append("")
            swapped.append(staged.swap(drops_changes=True).done)

    found = verified(staged, swap)

    assert found.verification is not None
    told = [str(each) for each in found.verification.findings]
    assert told == ["it was swapped 1 times meanwhile: this is of what it showed before"]
    assert exit_status([found]) == 1
    assert found.hints == ("verify it again when no pack or swap runs",)


def breaks(directory: Path) -> dict[str, Callable[[], object]]:
    """Return what can be done to a generation, and what is then said of it."""
    one = directory / "gen-000001"
    link = directory / "current"

    def point(name: str) -> None:
        link.unlink()
        link.symlink_to(name)

    def no_link() -> None:
        link.unlink()
        link.mkdir()

    base = one / "base.fs"
    return {
        "it names gen-000009, which is not there": lambda: point("gen-000009"),
        "this is not a symbolic link": no_link,
        "it is missing, though gen-000001 was current": link.unlink,
        "meta.json: it cannot be read: No such file": (one / "meta.json").unlink,
        "meta.json: it cannot be read: Expecting": lambda: (one / "meta.json").write_text("?"),
        "base.fs: it is not there": base.unlink,
        "changes.fs: it is not there": (one / "changes.fs").unlink,
        "no transaction 0x": lambda: (base.unlink(), base.write_bytes(b"FS30" + bytes(9999))),
        "the file ends here, not at": lambda: (base.unlink(), base.write_bytes(b"FS30")),
        "the file is empty": lambda: (one / "changes.fs").write_bytes(b""),
    }


@pytest.mark.parametrize("number", range(10))
def test_a_broken_generation_is_one_clear_finding(staged: Swaps, number: int) -> None:
    for database in staged.databases:
        database.close()
    staged.databases.clear()
    staged.stop()
    said, do = list(breaks(generations(staged)).items())[number]
    do()

    done = staged.deployment.zmount("verify", STAGING)

    assert (done.returncode, done.stderr) == (14, "")
    first, second, third = done.stdout.splitlines()
    assert first.startswith(f"{STAGING}: damaged")
    assert said in second
    assert str(generations(staged)) in second
    assert second.endswith(" [files]")
    assert third.startswith("    try: zmount swap-stage ")
