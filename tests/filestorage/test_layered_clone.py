"""A clone of a storage in two files is one file that shows the same."""

from __future__ import annotations

import random
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from crashing import killed_at
from layered import Stack, all_oids, before, contents, told
from persistent.mapping import PersistentMapping
from plone import Plone
from ZODB.blob import LAYOUTS, Blob, FilesystemHelper
from ZODB.Connection import TransactionMetaData
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.serialize import referencesf
from ZODB.utils import load_current, p64, u64, z64

from zmount.errors import CorruptFile, StorageUnreadable
from zmount.filestorage.clone import Cloned
from zmount.filestorage.index import read_index, write_buckets
from zmount.filestorage.index_check import judge
from zmount.filestorage.layered_clone import clone_layers
from zmount.filestorage.layered_verify import verify_layers
from zmount.filestorage.layers import Layers
from zmount.filestorage.named_blobs import blob_keys
from zmount.filestorage.packer import pack
from zmount.filestorage.source import committed_end, last_tid, open_source
from zmount.filestorage.verify import verify
from zmount.server.frozen import FrozenFile
from zmount.server.overlay import Overlay


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


def opened(made: Cloned, **options: Any) -> FileStorage:
    return FileStorage(str(made.data_fs), blob_dir=str(made.blob_dir), **options)


def must_show_the_same(stack: Stack, made: Cloned) -> None:
    """Compare every object, every transaction and every earlier moment; the clone is sound."""
    found = verify(made.data_fs, blob_dir=made.blob_dir)
    assert found.findings == (), [str(each) for each in found.findings]
    with open_source(made.data_fs) as source:
        assert source.end == made.size_bytes == found.end
        saved = read_index(made.data_fs.with_name(f"{made.data_fs.name}.index"))
        assert saved is not None
        assert judge(source, saved).is_taken
    clone = opened(made, read_only=True)
    with stack.opened() as storage:
        oids = all_oids(storage)
        assert contents(clone, oids) == contents(storage, oids)
        assert {oid for oid in clone._index} == oids  # noqa: C416
        assert len(clone) == made.objects == len(oids)
        assert told(clone) == told(storage)
        assert clone.lastTransaction() == storage.lastTransaction() == p64(made.last_tid)
        for oid in oids:
            for tid in [each.tid for each in storage.iterator()]:
                assert before(clone, oid, tid) == before(storage, oid, tid), (oid, tid)
            history = clone.history(oid, 100) if contents(clone, {oid})[oid] else []
            if history:
                seen = [(each["tid"], each["size"]) for each in storage.history(oid, 100)]
                assert [(each["tid"], each["size"]) for each in history] == seen
    clone.close()


def test_every_kind_of_change_is_in_it(stack: Stack, tmp_path: Path) -> None:
    stack.change_much()

    made = clone_layers(stack.layers, tmp_path / "clone")

    must_show_the_same(stack, made)
    assert made.data_fs == tmp_path / "clone" / "Data.fs"
    assert made.blobs_copied == 0
    names = sorted(each.name for each in (tmp_path / "clone").iterdir())
    assert names == ["Data.fs", "Data.fs.index", "blobs"]
    base = stack.layers.base.read_bytes()[: stack.layers.base_end]
    assert made.data_fs.read_bytes().startswith(base)


def test_what_production_does_later_is_not_in_it(stack: Stack, tmp_path: Path) -> None:
    stack.change_much()
    stack.produce(lambda root: root.update(later=Blob(b"later")))

    made = clone_layers(stack.layers, tmp_path / "clone")

    must_show_the_same(stack, made)
    assert b"later" not in made.data_fs.read_bytes()
    assert made.blobs_linked == len(list((tmp_path / "clone").rglob("*.blob"))) == 11


def test_without_changes_it_is_the_base(stack: Stack, tmp_path: Path) -> None:
    stack.mark()

    must_show_the_same(stack, clone_layers(stack.layers, tmp_path / "clone"))


def test_changes_that_were_packed(stack: Stack, tmp_path: Path) -> None:
    stack.change_much()
    for pause in (0.0, 0.01):
        with stack.opened() as storage:
            time.sleep(pause)
            storage.pack(time.time(), referencesf)
        stack.write(lambda root: root["item 1"].update(after="the pack"))

    made = clone_layers(stack.layers, tmp_path / "clone")

    found = verify(made.data_fs, blob_dir=made.blob_dir)
    assert found.findings == (), [str(each) for each in found.findings]
    clone = opened(made, read_only=True)
    with stack.opened() as storage:
        oids = all_oids(storage)
        assert contents(clone, oids) == contents(storage, oids)
        assert told(clone) == told(storage)
    clone.close()


def test_what_a_pack_has_dropped_is_not_answered_by_what_was_before(
    stack: Stack, tmp_path: Path
) -> None:
    oid = stack.oid("item 1")
    stack.write(
        lambda root: root["item 1"].update(number="dropped"),
        lambda root: root["item 1"].update(number="kept"),
    )
    with stack.opened() as storage:
        dropped, kept = (each.tid for each in list(storage.iterator())[-2:])
        storage.pack(time.time(), referencesf)

    clone = opened(clone_layers(stack.layers, tmp_path / "clone"), read_only=True)

    assert clone.loadBefore(oid, p64(u64(dropped) + 1)) is None, "it was another one then"
    assert clone.loadBefore(oid, p64(u64(kept) + 1))[1] == kept
    clone.close()


@pytest.mark.parametrize("packer", [None, pack])
def test_a_clone_of_packed_changes_can_be_packed(stack: Stack, tmp_path: Path, packer: Any) -> None:
    stack.change_much()
    with stack.opened() as storage:
        storage.pack(time.time(), referencesf)
    stack.write(lambda root: root["item 1"].update(after="the pack"))
    made = clone_layers(stack.layers, tmp_path / "clone")
    clone = opened(made, packer=packer)
    kept = contents(clone, set(clone._index))

    clone.pack(time.time(), referencesf)

    left = contents(clone, set(clone._index))
    assert left == {oid: kept[oid] for oid in left}
    assert stack.oid("new") in left
    clone.close()
    found = verify(made.data_fs, blob_dir=made.blob_dir)
    assert found.findings == (), [str(each) for each in found.findings]


@pytest.mark.parametrize("seed", range(6))
def test_any_changes(stack: Stack, tmp_path: Path, seed: int) -> None:
    choice = random.Random(seed)

    def step() -> None:
        name = f"item {choice.randrange(9)}"
        match choice.randrange(6):
            case 0:
                stack.write(lambda root: root.setdefault(name, PersistentMapping()).update(seed=1))
            case 1:
                value = choice.random()
                stack.write(lambda root: root["item 1"].update(number=value))
            case 2:
                stack.write(lambda root: root.update({name: PersistentMapping()}))
            case 3:
                stack.write(lambda root: root.update({f"blob {choice.randrange(3)}": Blob(b"x")}))
            case 4:
                stack.write(lambda root: root.update(number=choice.random()))
                stack.undo(0)
            case 5:
                stack.mark()

    for _ in range(12):
        step()

    must_show_the_same(stack, clone_layers(stack.layers, tmp_path / "clone"))


def test_without_an_index_of_the_base(stack: Stack, tmp_path: Path) -> None:
    stack.change_much()
    stack.layers.base.with_name("base.fs.index").unlink()

    made = clone_layers(stack.layers, tmp_path / "clone")

    assert made.index == "scan"
    must_show_the_same(stack, made)


def test_the_clone_is_a_storage_of_its_own(stack: Stack, tmp_path: Path) -> None:
    stack.change_much()
    stack.write(lambda root: root["item 0"].update(number="changed"))
    made = clone_layers(stack.layers, tmp_path / "clone")

    database = DB(opened(made))
    assert database.storage._used_index
    last = database.undoLog(0, 1)[0]["id"]
    with database.transaction() as connection:
        assert connection.root()["item 0"]["number"] == "changed"
    with database.transaction() as connection:
        database.undo(last, connection.transaction_manager.get())
    with database.transaction() as connection:
        assert connection.root()["item 0"]["number"] == 4  # production's
        connection.root()["item 0"]["number"] = 5
    database.pack()
    with database.transaction() as connection:
        assert connection.root()["new"]["of"] == "staging, again"
        assert connection.root()["blob 2"].open().read() == b"production 2"
    database.close()
    assert verify(made.data_fs, blob_dir=made.blob_dir).is_sound
    assert stack.layers.base.read_bytes()  # it is nobody's link


def test_what_is_being_voted_on_is_not_in_it(stack: Stack, tmp_path: Path) -> None:
    stack.change_much()
    with stack.opened() as storage:
        meta = TransactionMetaData()
        storage.tpc_begin(meta)
        storage.store(storage.new_oid(), z64, b"cA\nB\n.}.", "", meta)
        storage.tpc_vote(meta)

        made = clone_layers(stack.layers, tmp_path / "clone")

        storage.tpc_abort(meta)
    must_show_the_same(stack, made)


def test_a_pack_meanwhile_makes_it_begin_again(stack: Stack, tmp_path: Path) -> None:
    stack.change_much()
    packs: list[int] = []

    def pack_once(phase: str, done: int, of: int) -> None:
        if phase == "append" and not packs:
            packs.append(done)
            with stack.opened() as storage:
                storage.pack(time.time(), referencesf)

    made = clone_layers(stack.layers, tmp_path / "clone", progress=pack_once)

    assert packs
    clone = opened(made, read_only=True)
    with stack.opened() as storage:
        assert told(clone) == told(storage)
    clone.close()
    assert verify(made.data_fs, blob_dir=made.blob_dir).findings == ()


def test_blobs_that_only_others_need_are_left_out(stack: Stack, tmp_path: Path) -> None:
    stack.change_much()
    blob = next((tmp_path / "blobs").rglob("*.blob"))
    blob.with_name("0x0000000000000001.blob").write_bytes(b"of an older generation")

    made = clone_layers(stack.layers, tmp_path / "clone")

    must_show_the_same(stack, made)


def test_another_layout_of_blobs(stack: Stack, tmp_path: Path) -> None:
    stack.change_much()
    pool = tmp_path / "lawn"
    pool.mkdir()
    (pool / ".layout").write_text("lawn")
    names = FilesystemHelper(str(tmp_path / "blobs"))
    for blob in (tmp_path / "blobs").rglob("*.blob"):
        oid, tid = names.splitBlobFilename(str(blob))
        name = pool / LAYOUTS["lawn"].getBlobFilePath(oid, tid)
        name.parent.mkdir(exist_ok=True)
        name.hardlink_to(blob)

    made = clone_layers(replace(stack.layers, base_blobs=pool), tmp_path / "clone")

    must_show_the_same(stack, made)
    assert (tmp_path / "clone" / "blobs" / ".layout").read_text() == "lawn"


def test_another_file_is_no_base(stack: Stack, tmp_path: Path) -> None:
    stack.change_much()
    content = bytearray(stack.layers.base.read_bytes())
    stack.layers.base.unlink()
    end = stack.layers.base_end
    length = int.from_bytes(content[end - 8 : end], "big")
    content[end - 8 - length : end - length] = p64(stack.layers.base_tid - 1)
    stack.layers.base.write_bytes(content)

    with pytest.raises(CorruptFile, match=f"base.fs: damaged at byte {end}: no transaction 0x"):
        clone_layers(stack.layers, tmp_path / "clone")
    assert not (tmp_path / "clone").exists()

    stack.layers.base.write_bytes(content[: end - 10])
    with pytest.raises(CorruptFile, match="the file ends here"):
        clone_layers(stack.layers, tmp_path / "clone")
    assert not (tmp_path / "clone").exists()


def test_changes_of_before_the_base_are_refused(stack: Stack, tmp_path: Path) -> None:
    stack.change_much()
    content = bytearray(stack.layers.changes.read_bytes())
    content[4:12] = p64(stack.layers.base_tid)
    stack.layers.changes.write_bytes(content)

    with pytest.raises(CorruptFile, match=r"changes\.fs: damaged at byte 4: .* not later"):
        clone_layers(stack.layers, tmp_path / "clone")
    assert not (tmp_path / "clone").exists()


def test_a_wrong_index_of_the_base_is_not_used(stack: Stack, tmp_path: Path) -> None:
    stack.change_much()
    index = stack.layers.base.with_name("base.fs.index")
    saved = read_index(index)
    assert saved is not None
    buckets = saved.buckets.items()
    wrong = {key: each[:-1] + bytes([each[-1] ^ 1]) for key, each in buckets}
    write_buckets(index, saved.position, list(wrong.items()))

    made = clone_layers(stack.layers, tmp_path / "clone")

    assert made.index == "scan"
    must_show_the_same(stack, made)


def test_files_that_are_not_there(stack: Stack, tmp_path: Path) -> None:
    with pytest.raises(StorageUnreadable, match=r"changes\.fs: cannot be read"):
        clone_layers(stack.layers, tmp_path / "clone")
    stack.mark()
    stack.layers.base.unlink()
    with pytest.raises(StorageUnreadable, match=r"base\.fs: cannot be read"):
        clone_layers(stack.layers, tmp_path / "clone")
    assert not (tmp_path / "clone").exists()


# killed, and without space


def test_killed_at_any_call_it_leaves_no_half_clone(stack: Stack, tmp_path: Path) -> None:
    stack.mark()
    stack.write(lambda root: root.update({"item 1": 1, "blob 1": Blob(b"staging")}))
    directory = tmp_path / "clone"
    number, wholes = 0, 0
    while killed_at(number, lambda: clone_layers(stack.layers, directory)):
        number += 3
        made = directory / "Data.fs"
        if made.exists():
            wholes += 1
            assert verify(made, blob_dir=directory / "blobs").findings == ()
            shutil.rmtree(directory)
        # else the next one finds what two that were killed have left
    assert number > 50
    assert wholes >= 1
    assert verify(made, blob_dir=directory / "blobs").findings == ()
    assert sorted(each.name for each in directory.iterdir()) == [
        "Data.fs",
        "Data.fs.index",
        "blobs",
    ]


CLONE = """
import sys
from pathlib import Path
from zmount.errors import ZMountError
from zmount.filestorage.layered_clone import clone_layers
from zmount.filestorage.layers import Layers

base, changes, end, tid, directory = sys.argv[1:]
layers = Layers(base=Path(base), base_end=int(end), base_tid=int(tid), changes=Path(changes))
try:
    clone_layers(layers, directory)
except ZMountError as why:
    print(type(why).__name__, why)
"""


@pytest.mark.parametrize("where", ["in the base", "in the changes", "at the end"])
def test_a_disk_that_is_full_meanwhile_leaves_nothing(
    stack: Stack, tmp_path: Path, where: str
) -> None:
    stack.change_much()
    layers = stack.layers
    room = {
        "in the base": layers.base_end // 2,
        "in the changes": layers.base_end + 100,
        "at the end": layers.base_end + layers.changes.stat().st_size - 5,
    }[where]
    numbers = (layers.base, layers.changes, layers.base_end, layers.base_tid, tmp_path / "clone")

    done = subprocess.run(
        [sys.executable, "-c", CLONE, *map(str, numbers)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )

    assert done.stdout.startswith(f"StorageUnwritable {tmp_path}/clone"), done.stderr
    assert "File too large" in done.stdout
    assert done.stderr == ""
    assert not (tmp_path / "clone").exists()


def test_over_what_plone_wrote(plone_small: Plone, tmp_path: Path) -> None:
    with open_source(plone_small.data_fs) as source:
        end = committed_end(source)
        tid = last_tid(source, end)
    layers = Layers(
        base=plone_small.data_fs,
        base_end=end,
        base_tid=tid,
        changes=tmp_path / "changes.fs",
        base_blobs=plone_small.blob_dir,
        changes_blobs=tmp_path / "changes-blobs",
    )
    base = FrozenFile(layers.base, p64(tid), end, layers.base_blobs)
    storage = Overlay(layers.changes, base, blob_dir=layers.changes_blobs)
    storage.set_max_oid(p64(1 << 40))
    blobs = [oid for oid, _ in zip(*[iter(_blobs(layers))] * 2, strict=True)]
    for oid in (z64, *map(p64, blobs)):  # written again as they are
        data, serial = load_current(storage, oid)
        meta = TransactionMetaData()
        storage.tpc_begin(meta)
        if storage.is_blob_record(data):
            copy = tmp_path / "new.blob"
            copy.write_bytes(Path(storage.loadBlob(oid, serial)).read_bytes() + b"changed")
            storage.storeBlob(oid, serial, data, str(copy), "", meta)
        else:
            storage.store(oid, serial, data, "", meta)
        storage.tpc_vote(meta)
        storage.tpc_finish(meta)

    made = clone_layers(layers, tmp_path / "clone")

    before = verify(plone_small.data_fs, blob_dir=plone_small.blob_dir)
    for found in (verify_layers(layers), verify(made.data_fs, blob_dir=made.blob_dir)):
        errors = [each for each in found.findings if each.kind != "index"]
        assert [each.reason for each in errors] == [
            each.reason for each in before.findings if each.kind != "index"
        ]
    clone = opened(made, read_only=True)
    oids = all_oids(storage)
    assert contents(clone, oids) == contents(storage, oids)
    assert len(oids) == 8848
    clone.close()
    storage.close()


def _blobs(layers: Layers) -> list[int]:
    with open_source(layers.base, layers.base_end) as source:
        return list(blob_keys(source, layers.base_end, lambda done: None))
