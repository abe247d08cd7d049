"""A check of a storage in two files finds what is wrong in either, and between them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from layered import Stack
from persistent.mapping import PersistentMapping
from ZODB.blob import Blob
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.serialize import referencesf
from ZODB.utils import p64, u64

from zmount.errors import StorageUnreadable
from zmount.filestorage.layered_verify import verify_layers
from zmount.filestorage.layers import Layers
from zmount.filestorage.verification import Finding, Verification
from zmount.filestorage.verify import verify


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


def one(found: Verification) -> Finding:
    """Return the only finding."""
    assert len(found.findings) == 1, [str(each) for each in found.findings]
    (finding,) = found.findings
    assert found.counts == ((finding.severity, finding.kind, 1),)
    return finding


def damaged(path: Path, text: bytes, *, shift: int = 0) -> int:
    """Spoil the byte of PATH that lies SHIFT after the last TEXT; return where that is."""
    content = bytearray(path.read_bytes())
    at = content.rindex(text) + shift
    content[at] ^= 0xFF
    path.unlink()  # it may be production's file, too
    path.write_bytes(content)
    return at


def test_a_sound_one_has_no_findings(stack: Stack) -> None:
    stack.change_much()
    stack.produce(lambda root: root.update(later=Blob(b"later")))
    with stack.layers.base.open("ab") as file:
        file.write(b"half a transaction of production's")

    found = verify_layers(stack.layers)

    assert found.findings == (), [str(each) for each in found.findings]
    assert (found.path, found.base) == (stack.layers.changes, stack.layers.base)
    assert found.blobs == 11
    with stack.opened() as storage:
        assert found.objects == len(set(storage._index) | set(storage.base._index))
        assert found.transactions == len(list(storage.iterator()))
        assert found.records == sum(len(list(each)) for each in storage.iterator())
    assert found.end == stack.layers.base_end + stack.layers.changes.stat().st_size


def test_what_only_the_base_holds_is_there(stack: Stack) -> None:
    stack.write(lambda root: root.update(link=root["item 2"]))

    assert verify_layers(stack.layers).findings == ()
    alone = {each.kind for each in verify(stack.layers.changes).findings}
    assert alone == {"dangling"}, "the naive way"


def test_what_was_deleted_in_the_changes_is_missed_by_the_base(stack: Stack) -> None:
    oid = stack.oid("item 2")
    stack.delete(oid)

    finding = one(verify_layers(stack.layers))

    assert (finding.kind, finding.oid, finding.holder) == ("dangling", u64(oid), 0)
    assert finding.file == stack.layers.base
    assert finding.offset is not None
    record = stack.layers.base.read_bytes()[finding.offset :]
    assert record.startswith(p64(0))
    assert str(finding).endswith(f" [byte {finding.offset} of {stack.layers.base}]")
    assert finding.path == "root"
    assert verify(stack.layers.base).findings == (), "the naive way"


def test_what_the_changes_no_longer_refer_to_is_not_missed(stack: Stack) -> None:
    oid = stack.oid("item 2")
    stack.write(lambda root: root.pop("item 2"))
    stack.delete(oid)

    assert verify_layers(stack.layers).findings == ()


def test_a_reference_to_nothing_in_the_changes(stack: Stack) -> None:
    data = b"cA\nB\n.](C\x08" + p64(0x77) + b"Qe."
    stack.write(lambda root: root["item 1"].update(child=PersistentMapping()))
    with stack.opened() as storage:
        (oid,) = {oid for oid in storage._index if u64(oid) > 1 << 40}
    stack.store(oid, data)

    finding = one(verify_layers(stack.layers))

    assert (finding.kind, finding.oid, finding.holder) == ("dangling", 0x77, u64(oid))
    assert finding.file == stack.layers.changes
    # the root is in the base, the item in the changes
    assert finding.path == "root['item 1']['child']"


@pytest.mark.parametrize("name", ["base", "changes"])
def test_a_record_that_cannot_be_read(stack: Stack, name: str) -> None:
    stack.write(lambda root: root["item 1"].update(number="new text"))
    path: Path = getattr(stack.layers, name)
    text = b"new text" if name == "changes" else b"item 4"
    damaged(path, text, shift=-5)

    finding = one(verify_layers(stack.layers))

    assert (finding.kind, finding.file) == ("record", path)
    assert finding.oid == (u64(stack.oid("item 1")) if name == "changes" else 0)


@pytest.mark.parametrize("name", ["base", "changes"])
def test_a_transaction_that_cannot_be_read(stack: Stack, name: str) -> None:
    stack.write(*[lambda root: root["item 1"].update(number=os.urandom(3).hex())] * 3)
    layers = stack.layers
    path: Path = getattr(layers, name)
    end = layers.base_end if name == "base" else path.stat().st_size
    content = bytearray(path.read_bytes())
    length = int.from_bytes(content[end - 8 : end], "big")
    middle = end - 8 - length
    content[middle - 1] ^= 0xFF  # of the length of the one before
    path.unlink()
    path.write_bytes(content)
    path.with_name(f"{path.name}.index").unlink(missing_ok=True)

    found = verify_layers(layers)

    assert {each.kind for each in found.findings} >= {"structure"}
    assert {each.file for each in found.findings if each.kind == "structure"} == {path}


def test_the_index_of_the_base_and_of_the_changes(stack: Stack) -> None:
    stack.change_much()
    for path in (stack.layers.base, stack.layers.changes):
        index = path.with_name(f"{path.name}.index")
        kept = index.read_bytes()
        content = bytearray(kept)
        content[-10] ^= 1  # of a position
        index.write_bytes(content)

        finding = one(verify_layers(stack.layers))

        assert (finding.kind, finding.file) == ("index", path)
        assert str(index) in finding.reason
        index.write_bytes(kept)


def test_blobs_of_both(stack: Stack) -> None:
    stack.change_much()
    layers = stack.layers
    assert layers.base_blobs and layers.changes_blobs
    of_base = sorted(layers.base_blobs.rglob("*.blob"))
    of_changes = sorted(layers.changes_blobs.rglob("*.blob"))
    of_base[0].with_name("0x0000000000000001.blob").write_bytes(b"an older generation's")
    of_changes[0].with_name("0x0000000000000001.blob").write_bytes(b"nobody's")
    of_base[0].unlink()
    of_base[1].unlink()  # changed since
    of_changes[-1].unlink()

    found = verify_layers(layers)

    told = [(each.severity, each.kind, each.file) for each in found.findings]
    assert told == [
        ("error", "blob", layers.base),
        ("error", "blob", layers.changes),
        ("warning", "blob", layers.base),
        ("warning", "blob", layers.changes),
    ]
    reasons = [each.reason for each in found.findings]
    assert str(of_base[0]) in reasons[0]
    assert str(of_changes[-1]) in reasons[1]
    assert f"{of_base[1]} of an earlier revision" in reasons[2]
    assert "no record of oid" in reasons[3]


def broken(stack: Stack) -> Iterator[tuple[str, Layers, Path | None]]:
    """Yield what becomes of the files, why they do not belong together, and which says so."""
    layers, base = stack.layers, stack.layers.base
    yield "no transaction 0x5 ends here", replace(layers, base_tid=5), base
    yield "no transaction", replace(layers, base_end=layers.base_end - 1), base
    size = base.stat().st_size
    yield "the file ends here", replace(layers, base_end=size + 100), base
    yield "does not begin as", replace(layers, base=Path(__file__)), None
    yield "does not begin as", replace(layers, changes=Path(__file__)), None


def test_files_that_do_not_belong_together_are_one_finding(stack: Stack) -> None:
    stack.change_much()
    for reason, layers, file in broken(stack):
        found = verify_layers(layers)

        finding = one(found)
        assert (finding.severity, finding.kind, finding.file) == ("error", "files", file)
        assert reason in finding.reason
        assert not found.is_sound


def test_changes_of_before_the_base(stack: Stack) -> None:
    stack.change_much()
    content = bytearray(stack.layers.changes.read_bytes())
    content[4:12] = p64(stack.layers.base_tid)
    stack.layers.changes.write_bytes(content)

    finding = one(verify_layers(stack.layers))

    assert (finding.kind, finding.file, finding.offset) == ("order", stack.layers.changes, 4)


def test_what_is_not_there_or_may_not_be_read_is_an_error(stack: Stack) -> None:
    with pytest.raises(StorageUnreadable, match=r"changes\.fs: cannot be read: No such file"):
        verify_layers(stack.layers)


def test_a_pack_of_the_changes_meanwhile(stack: Stack) -> None:
    stack.change_much()
    packs: list[str] = []

    def pack(phase: str, done: int, total: int) -> None:
        if phase == "changes: records" and not packs:
            packs.append(phase)
            with stack.opened() as storage:
                storage.pack(time.time(), referencesf)

    found = verify_layers(stack.layers, progress=pack)

    assert packs
    assert found.findings == (), [str(each) for each in found.findings]
    with stack.opened() as storage:
        assert found.transactions == len(list(storage.iterator()))


def test_another_storage_refers_to_both_files(stack: Stack, tmp_path: Path) -> None:
    oids = [stack.oid("item 2"), stack.oid("item 3")]
    stack.write(lambda root: root.update(new=PersistentMapping()))
    oids.append(stack.oid("new"))
    stack.write(lambda root: root.pop("item 3"))
    stack.delete(oids[1])
    other = tmp_path / "other.fs"
    databases: dict[str, Any] = {}
    database = DB(FileStorage(str(other)), database_name="main", databases=databases)
    with stack.opened() as storage:
        DB(storage, database_name="stage", databases=databases)
        with database.transaction() as connection:
            stage = connection.get_connection("stage")
            for number in (0, 2):
                connection.root()[number] = stage.get(oids[number])
            gone = stage.root()["item 1"]
            connection.root()["gone"] = gone
        database.close()
    stack.write(lambda root: root.pop("item 1"))
    stack.delete(gone._p_oid)

    finding = one(verify(other, others={"stage": stack.layers}))

    assert (finding.kind, finding.oid) == ("foreign", u64(gone._p_oid))


def test_references_to_others_from_both_files(stack: Stack, tmp_path: Path) -> None:
    other = tmp_path / "other.fs"
    databases: dict[str, Any] = {}
    database = DB(FileStorage(str(other)), database_name="other", databases=databases)
    with database.transaction() as connection:
        for name in "abc":
            connection.root()[name] = PersistentMapping()

    def refer(item: str, name: str) -> Callable[[Any], None]:
        def change(root: Any) -> None:
            root[item]["to"] = root._p_jar.get_connection("other").root()[name]

        return change

    stack.produce(refer("item 1", "a"), databases)
    stack.produce(refer("item 2", "b"), databases)
    stack.layers.base.unlink()
    stack.freeze()
    stack.write(refer("item 2", "c"), databases=databases)
    database.close()
    layers = stack.layers

    assert verify_layers(layers).unchecked == (("other", 2),)
    assert verify_layers(layers, others={"other": other}).findings == ()
    FileStorage(str(tmp_path / "empty.fs")).close()
    found = verify_layers(layers, others={"other": tmp_path / "empty.fs"})
    assert [(each.kind, each.file, each.path) for each in found.findings] == [
        ("foreign", layers.base, "root['item 1']"),
        ("foreign", layers.changes, "root['item 2']"),
    ]
