"""A check finds what is wrong with a FileStorage, and nothing where nothing is."""

from __future__ import annotations

import os
import random
import shutil
import time
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pack_rule
import pytest
from fs_bytes import Record, Transaction, file_of
from histories import (
    Delete,
    Pack,
    Ref,
    Store,
    StoreBlob,
    Undo,
    Writer,
    examples,
    fast_directory,
    histories,
    tid_at,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from packers import packer_here
from persistent.mapping import PersistentMapping
from plone import Plone
from ZODB.blob import FilesystemHelper
from ZODB.Connection import TransactionMetaData
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.FileStorage.FileStorage import FileStorageError
from ZODB.fsIndex import fsIndex
from ZODB.utils import p64, u64, z64

from zmount.errors import StorageUnreadable
from zmount.filestorage.objects import scan
from zmount.filestorage.source import open_source
from zmount.filestorage.verification import MOST_TOLD, Finding, Verification
from zmount.filestorage.verify import verify

DATA = b"cA\nB\n.}."


def referring(*oids: int) -> bytes:
    """Return a record that refers to OIDS."""
    return b"cA\nB\n.](" + b"".join(b"C\x08" + p64(oid) + b"Q" for oid in oids) + b"e."


def written(path: Path, *transactions: Transaction) -> Path:
    path.write_bytes(file_of(*transactions))
    return path


def one(found: Verification) -> Finding:
    """Return the only finding."""
    assert len(found.findings) == 1, [str(each) for each in found.findings]
    (finding,) = found.findings
    assert found.counts == ((finding.severity, finding.kind, 1),)
    return finding


def facts(found: Verification) -> list[tuple[str, str, int | None, int | None]]:
    return [(each.severity, each.kind, each.oid, each.offset) for each in found.findings]


# what is sound


def test_a_sound_file_has_no_findings(plone_small: Plone) -> None:
    plone_small.index.unlink()
    found = verify(plone_small.data_fs, blob_dir=plone_small.blob_dir)

    assert found.findings == ()
    assert found.is_sound
    assert (found.transactions, found.records, found.objects) == (16, 9520, 8848)
    assert (found.blobs, found.unchecked, found.odd_records) == (4, (), 0)
    assert found.end == plone_small.data_fs.stat().st_size


def test_an_empty_storage_is_sound(tmp_path: Path) -> None:
    FileStorage(str(tmp_path / "Data.fs")).close()

    assert verify(tmp_path / "Data.fs").findings == ()


@given(histories(packed=False))
@settings(deadline=None, max_examples=examples(60))
def test_whatever_a_filestorage_wrote_is_sound_but_for_what_dangles(history: Any) -> None:
    finds_what_dangles(history)


@given(histories(packed=True))
@settings(deadline=None, max_examples=examples(6))
def test_whatever_a_pack_wrote_is_sound_but_for_what_dangles(history: Any) -> None:
    finds_what_dangles(history)


def finds_what_dangles(history: Any) -> None:
    with TemporaryDirectory(dir=fast_directory(Path("/tmp"))) as directory:
        writer = Writer(Path(directory, "Data.fs"), packer=packer_here)
        with suppress(FileStorageError):  # a pack may refuse: then what is there is there
            writer.write(history)
        writer.close()
        file = pack_rule.read(writer.path)
        current = pack_rule.current(file.transactions)
        dangling = {
            (u64(record.oid), u64(oid))
            for record in current.values()
            for oid in pack_rule.references(file, record)
            if oid not in current
        }

        found = verify(writer.path, blob_dir=writer.blob_dir)

        assert dangling == {
            (each.holder, each.oid) for each in found.findings if each.kind == "dangling"
        }
        # an undo that fails half-way leaves the files of blobs behind
        others = [each for each in found.findings if not each.reason.startswith("no record of")]
        kinds = {each.kind for each in others} - {"dangling"}
        assert kinds <= ({"root"} if z64 not in current else set()), writer.log
        assert found.records == len(file.by_position)


def test_a_storage_that_is_written_to_is_sound(tmp_path: Path) -> None:
    """The vote's bytes are in the file already, and the index is of long ago."""
    writer = Writer(tmp_path / "Data.fs")
    root = Store(number=0, refs=(Ref(kind="class", number=1),))
    writer.write([(root, Store(number=1)), (StoreBlob(number=2, twice=True),)])
    writer.storage._save_index()
    writer.write([(Undo(number=0),), (Store(number=1, size=99),)])
    voting = TransactionMetaData()
    writer.storage.tpc_begin(voting)
    writer.storage.store(p64(77), z64, b"x" * 100_000, "", voting)
    for vote in (False, True):
        if vote:
            writer.storage.tpc_vote(voting)
        found = verify(writer.path, blob_dir=writer.blob_dir)
        assert found.findings == ()
        assert found.transactions == 4
    size = writer.path.stat().st_size
    assert found.end < size - 100_000
    # the vote dies half-way
    os.truncate(writer.path, size - 50_000)
    assert verify(writer.path, blob_dir=writer.blob_dir).findings == ()
    writer.storage.tpc_abort(voting)
    writer.close()


def test_compressed_records_are_looked_into(tmp_path: Path) -> None:
    def compressed(data: bytes) -> bytes:
        return b".z" + zlib.compress(data)

    blob = b"\x80\x03cZODB.blob\nBlob\nq\x00.\x80\x03N."
    path = written(
        tmp_path / "Data.fs",
        Transaction(
            tid=1,
            records=(
                Record(oid=0, data=compressed(referring(5, 6))),
                Record(oid=6, data=compressed(blob)),
            ),
        ),
    )
    blobs = FilesystemHelper(str(tmp_path / "blobs"))
    blobs.create()

    found = verify(path, blob_dir=tmp_path / "blobs")

    assert found.blobs == 1
    assert {(each.kind, each.oid) for each in found.findings} == {("dangling", 5), ("blob", 6)}


# damaged structure; a transaction is 23 + 42 + len(DATA) + 8 bytes here


def three(record: dict[str, Any] | None = None, **changes: Any) -> tuple[Transaction, ...]:
    """Return three transactions, the second one with CHANGES, also to its RECORD."""
    second = Transaction(tid=20, records=(replace(Record(oid=1, data=DATA), **(record or {})),))
    return (
        Transaction(tid=10, records=(Record(oid=0, data=referring(1, 2)),)),
        replace(second, **changes),
        Transaction(tid=30, records=(Record(oid=2, data=DATA),)),
    )


SECOND = 4 + 23 + 42 + len(referring(1, 2)) + 8
THIRD = SECOND + 23 + 42 + len(DATA) + 8


@pytest.mark.parametrize(
    ("changes", "offset", "reason"),
    [
        ({"length": 1 << 40}, SECOND, "runs past the end of the file"),
        ({"length": 5}, SECOND, "shorter than its own header"),
        ({"length": 76}, SECOND, "two lengths differ"),
        ({"length_at_end": 1}, SECOND, "two lengths differ"),
        ({"status": b"?"}, SECOND, "status is none of those"),
        ({"status": b"c"}, SECOND, "status is none of those"),
        ({"length": 23 + 41, "length_at_end": 0}, SECOND, "two lengths differ"),
        ({"record": {"owner": 4}}, SECOND + 23, "does not know its transaction's position"),
        ({"record": {"version": 1}}, SECOND + 23, "belongs to a version"),
        ({"record": {"previous": 1 << 50}}, SECOND + 23, "previous record comes after it"),
    ],
)
def test_what_follows_a_damaged_transaction_is_read(
    tmp_path: Path, changes: dict[str, Any], offset: int, reason: str
) -> None:
    found = verify(written(tmp_path / "Data.fs", *three(**changes)))

    structure = [each for each in found.findings if each.kind == "structure"]
    assert len(structure) == 1
    assert reason in structure[0].reason
    assert structure[0].offset == offset
    assert f"{THIRD - offset} bytes cannot be read" in structure[0].reason
    assert not found.is_sound
    # object 1 was there: now it is missed
    assert [(each.kind, each.oid) for each in found.findings if each not in structure] == [
        ("dangling", 1)
    ]
    assert (found.records, found.objects) == (2, 2)


def test_a_data_record_with_a_length_that_lies_costs_its_transaction_only(tmp_path: Path) -> None:
    for length in (1 << 60, len(DATA) + 1, len(DATA) - 1):
        found = verify(written(tmp_path / "Data.fs", *three({"length": length})))
        assert [each.kind for each in found.findings if each.oid != 1] == ["structure"]
        assert 2 <= found.objects <= 3


def test_in_a_damaged_transaction_the_other_records_are_read(tmp_path: Path) -> None:
    """A site that was imported at once is one transaction."""
    for damage in ({"length": 1 << 60}, {"owner": 5}, {"version": 9}, {"previous": 1 << 60}):
        records = [Record(oid=n, data=referring(999)) for n in range(300)]
        for number in (17, 200):
            records[number] = replace(records[number], **damage)
        path = written(tmp_path / "Data.fs", Transaction(tid=1 << 57, records=tuple(records)))

        found = verify(path)

        size = 42 + len(referring(999))
        structure = [each for each in found.findings if each.kind == "structure"]
        assert [each.offset for each in structure] == [27 + 17 * size, 27 + 200 * size]
        assert found.objects == found.records == 298
        assert {each.holder for each in found.findings} - {None} == {*range(300)} - {17, 200}


def test_each_damaged_region_is_told_once(tmp_path: Path) -> None:
    many = [
        Transaction(tid=10 * n, records=(Record(oid=n, data=DATA), Record(oid=n + 500, data=DATA)))
        for n in range(1, 200)
    ]
    path = written(
        tmp_path / "Data.fs", Transaction(tid=1, records=(Record(oid=0, data=DATA),)), *many
    )
    content = bytearray(path.read_bytes())
    size = 23 + 2 * (42 + len(DATA)) + 8
    first = 4 + 23 + 42 + len(DATA) + 8
    for number in (20, 90, 91, 150):
        at = first + size * number
        content[at + 8 : at + 16] = random.Random(number).randbytes(8)
    path.write_bytes(content)

    found = verify(path)

    assert [each.offset for each in found.findings if each.kind == "structure"] == [
        first + size * number for number in (20, 90, 150)
    ]
    assert found.objects == 1 + 2 * 195


def test_what_lies_between_two_damaged_transactions_is_read(tmp_path: Path) -> None:
    """The last one is damaged, too, so the end of the file tells nothing."""
    first = u64(tid_at(0))
    transactions = [
        Transaction(
            tid=first + n,
            records=(Record(oid=n, data=DATA),),
            length=1 << 60 if n in (2, 9) else None,
        )
        for n in range(10)
    ]
    found = verify(written(tmp_path / "Data.fs", *transactions))

    assert [each.kind for each in found.findings] == ["structure", "structure"]
    assert found.objects == 8


def test_a_transaction_that_is_not_later_is_told_and_read(tmp_path: Path) -> None:
    found = one(verify(written(tmp_path / "Data.fs", *three(tid=10))))

    assert (found.severity, found.kind, found.offset) == ("error", "order", SECOND)


def test_a_transaction_with_the_tid_0_is_passed(tmp_path: Path) -> None:
    """It cannot be later than anything: to begin anew with it would never end."""
    for number, damaged in enumerate((three(), three(tid=0))):
        first = replace(damaged[0], tid=10 * number)
        found = verify(written(tmp_path / "Data.fs", first, *damaged[1:]))
        assert {each.kind for each in found.findings} >= {"structure" if number == 0 else "order"}
        assert found.objects >= 2


def test_a_record_with_another_tid_than_its_transaction_is_told(tmp_path: Path) -> None:
    transactions = three()
    changed = Transaction(tid=20, records=(Record(oid=1, data=DATA, tid=21),))
    found = one(verify(written(tmp_path / "Data.fs", transactions[0], changed, transactions[2])))

    assert (found.kind, found.oid, found.offset) == ("structure", 1, SECOND + 23)


def test_a_previous_record_that_is_none_of_the_object_is_told(tmp_path: Path) -> None:
    found = one(verify(written(tmp_path / "Data.fs", *three({"previous": 27}))))

    assert (found.severity, found.kind, found.oid) == ("error", "history", 1)
    assert "should be at byte 27" in found.reason


def test_a_history_that_is_cut_or_skips_a_record_is_doubtful(tmp_path: Path) -> None:
    places = [27, 27 + 50 + 31, 27 + 100 + 62]
    for previous in (0, places[0]):
        transactions = [
            Transaction(tid=n + 1, records=(Record(oid=0, data=DATA, previous=each),))
            for n, each in enumerate((0, places[0], previous))
        ]
        found = one(verify(written(tmp_path / "Data.fs", *transactions)))
        assert (found.severity, found.kind) == ("warning", "history")
        assert found.offset == places[2]


def test_a_pack_cuts_histories_and_nobody_minds(tmp_path: Path) -> None:
    path = written(
        tmp_path / "Data.fs",
        Transaction(tid=1, status=b"p", records=(Record(oid=0, data=DATA),)),
        Transaction(tid=2, status=b"p", records=(Record(oid=0, data=DATA),)),
    )
    assert verify(path).findings == ()


@pytest.mark.parametrize("back", [4, 5, 27, 28, SECOND])
def test_a_back_pointer_to_another_object_is_told(tmp_path: Path, back: int) -> None:
    found = verify(written(tmp_path / "Data.fs", *three({"data": b"", "back": back})))

    assert ("error", "back pointer", 1, SECOND + 23) in facts(found)


def test_without_a_root_all_is_lost(tmp_path: Path) -> None:
    path = written(tmp_path / "Data.fs", Transaction(tid=1, records=(Record(oid=1, data=DATA),)))

    assert one(verify(path)).kind == "root"


def test_a_tid_from_the_future_is_doubtful(tmp_path: Path) -> None:
    ahead = 1 << 59  # in the year 2154
    transactions = (*three(), Transaction(tid=ahead, records=(Record(oid=3, data=DATA),)))
    found = one(verify(written(tmp_path / "Data.fs", *transactions)))

    assert (found.severity, found.kind) == ("warning", "order")


# the end


def test_an_end_that_was_finished_and_is_cut_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path / "Data.fs", *three())
    os.truncate(path, THIRD + 40)

    found = verify(path)

    assert ("error", "structure", None, THIRD) in facts(found)
    assert "the rest of the file" in found.findings[0].reason


def test_some_bytes_at_the_end_are_doubtful(tmp_path: Path) -> None:
    path = written(tmp_path / "Data.fs", *three())
    path.write_bytes(path.read_bytes() + b"\0" * 9)

    found = one(verify(path))

    assert (found.severity, found.kind) == ("warning", "tail")


def test_a_vote_in_the_middle_hides_nothing(tmp_path: Path) -> None:
    """The status says that nothing follows, which is wrong; the end is torn besides."""
    path = written(tmp_path / "Data.fs", *three(status=b"c"))
    path.write_bytes(path.read_bytes() + b"torn")

    found = verify(path)

    assert {each.kind for each in found.findings} == {"structure", "dangling"}
    assert found.objects == 2


# records


def test_an_unreadable_record_is_told_with_its_way_and_class(plone_small: Plone) -> None:
    content = bytearray(plone_small.data_fs.read_bytes())
    with open_source(plone_small.data_fs) as source:
        place = scan(source, source.end).table.word(0x774) >> 4
    at = content.index(b"X", place + 42)
    content[at + 1 : at + 5] = b"\xff\xff\xff\x7f"
    plone_small.data_fs.write_bytes(content)

    found = verify(plone_small.data_fs).findings[0]

    assert (found.kind, found.oid, found.offset) == ("record", 0x774, place)
    assert found.path == (
        "/home/srichinmoyraces.org/mimetypes_registry._mimetypes['text']['x-credits']"
    )
    assert found.class_name == "Products.MimetypesRegistry.MimeTypeItem.MimeTypeItem"


def test_an_old_record_must_be_readable_too(tmp_path: Path) -> None:
    path = written(
        tmp_path / "Data.fs",
        Transaction(tid=1, records=(Record(oid=0, data=b"what is this?"),)),
        Transaction(tid=2, records=(Record(oid=0, data=DATA, previous=27),)),
    )
    found = one(verify(path))

    assert (found.kind, found.offset) == ("record", 27)


def test_a_dangling_reference_is_told_with_who_refers(tmp_path: Path) -> None:
    database = DB(FileStorage(str(tmp_path / "Data.fs")))
    with database.transaction() as connection:
        application = connection.root()["Application"] = PersistentMapping()
        home = application["home"] = PersistentMapping()
        lost = home["x"] = PersistentMapping()
    holder, missing = home._p_oid, lost._p_oid
    meta = TransactionMetaData()
    storage = database.storage
    storage.tpc_begin(meta)
    storage.deleteObject(missing, storage.load(missing)[1], meta)
    storage.tpc_vote(meta)
    storage.tpc_finish(meta)
    database.close()

    found = one(verify(tmp_path / "Data.fs"))

    assert (found.kind, found.oid, found.holder) == ("dangling", u64(missing), u64(holder))
    assert found.path == "/['home']"
    assert found.class_name == "persistent.mapping.PersistentMapping"
    assert f"oid {u64(missing):#x}, which is nowhere" in str(found)


def test_a_reference_of_an_old_record_may_dangle(tmp_path: Path) -> None:
    path = written(
        tmp_path / "Data.fs",
        Transaction(tid=1, records=(Record(oid=0, data=referring(9)),)),
        Transaction(tid=2, records=(Record(oid=0, data=DATA, previous=27),)),
    )
    assert verify(path).findings == ()


def test_what_hangs_nowhere_has_no_way_but_a_class(tmp_path: Path) -> None:
    path = written(
        tmp_path / "Data.fs",
        Transaction(tid=1, records=(Record(oid=0, data=DATA), Record(oid=5, data=referring(9)))),
    )
    found = one(verify(path))

    assert (found.path, found.class_name) == ("", "A.B")
    assert str(found).startswith("0x5, A.B: it refers to oid 0x9, which is nowhere")


def test_thousands_of_findings_are_counted_and_not_told(tmp_path: Path) -> None:
    many = tuple(Record(oid=n, data=referring(n + 1_000_000)) for n in range(20_000))
    path = written(tmp_path / "Data.fs", Transaction(tid=1, records=many))

    found = verify(path)

    assert found.counts == (("error", "dangling", 20_000),)
    assert [each.holder for each in found.findings] == list(range(MOST_TOLD))


# other databases


def foreign(name: str, *oids: int) -> bytes:
    ids = b"".join(
        b"](X\x01\0\0\0n(X"
        + len(name).to_bytes(4, "little")
        + name.encode()
        + b"C\x08"
        + p64(oid)
        + b"teQ"
        for oid in oids
    )
    return b"cA\nB\n.](" + ids + b"e."


def test_references_to_other_databases_are_looked_up(tmp_path: Path) -> None:
    records = (
        Record(oid=0, data=foreign("other", 1, 99)),
        Record(oid=1, data=foreign("unknown", 5, 6)),
        Record(oid=2, data=foreign("gone", 7)),
    )
    path = written(tmp_path / "Data.fs", Transaction(tid=1, records=records))
    other = written(tmp_path / "Other.fs", *three())

    found = verify(path, others={"other": other, "gone": tmp_path / "Gone.fs"})

    assert found.unchecked == (("unknown", 2),)
    error, warning = found.findings
    assert (error.kind, error.oid, error.holder, error.offset) == ("foreign", 99, 0, 27)
    assert "of database other" in error.reason
    assert (warning.severity, warning.kind) == ("warning", "foreign")
    assert "Gone.fs: cannot be read" in warning.reason


def test_old_references_to_other_databases_do_not_count(tmp_path: Path) -> None:
    path = written(
        tmp_path / "Data.fs",
        Transaction(tid=1, records=(Record(oid=0, data=foreign("other", 99)),)),
        Transaction(tid=2, records=(Record(oid=0, data=DATA, previous=27),)),
    )
    found = verify(path, others={"other": written(tmp_path / "Other.fs", *three())})

    assert (found.findings, found.unchecked) == ((), ())


# the index


def indexed(path: Path, *, position: int | None = None, **entries: int) -> None:
    """Save an index for PATH: the right one, with ENTRIES (_OID=position) put in."""
    with open_source(path) as source:
        end = source.end if position is None else position
        table = scan(source, end).table
        index = fsIndex({p64(oid): table.word(oid) >> 4 for oid in range(3) if table.word(oid)})
    for oid, place in entries.items():
        index[p64(int(oid[1:]))] = place
    index.save(end if position is None else position, f"{path}.index")


@pytest.mark.parametrize("position", [None, THIRD, SECOND, 4])
def test_a_right_index_is_right_however_old(tmp_path: Path, position: int | None) -> None:
    path = written(tmp_path / "Data.fs", *three())
    indexed(path, position=position)

    assert verify(path).findings == ()


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"_1": 27}, f"oid 0x1 is at byte {SECOND + 23}; it says byte 27"),
        ({"_7": 27}, "oid 0x7 is nowhere; it says byte 27"),
    ],
)
def test_an_index_with_a_wrong_entry_is_told(
    tmp_path: Path, entries: dict[str, int], reason: str
) -> None:
    path = written(tmp_path / "Data.fs", *three())
    indexed(path, **entries)

    found = one(verify(path))

    assert (found.severity, found.kind) == ("error", "index")
    assert reason in found.reason


def test_an_index_that_lacks_an_object_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "Data.fs", *three())
    fsIndex({p64(0): 27}).save(path.stat().st_size, f"{path}.index")

    assert f"it does not know oid 0x1, whose last record is at byte {SECOND + 23}" in (
        one(verify(path)).reason
    )


@pytest.mark.parametrize("position", [THIRD - 1, 1 << 40])
def test_an_index_that_ends_nowhere_is_told(tmp_path: Path, position: int) -> None:
    path = written(tmp_path / "Data.fs", *three())
    fsIndex().save(position, f"{path}.index")

    assert f"ends at byte {position}" in one(verify(path)).reason


def test_an_index_that_is_none_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "Data.fs", *three())
    Path(f"{path}.index").write_bytes(b"cos\nsystem\n(S'true'\ntR.")

    assert "no index that a FileStorage saved" in one(verify(path)).reason


# blobs


@pytest.fixture(params=["bushy", "lawn"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A writer of two revisions of a blob, in each layout, and where the files are."""
    FilesystemHelper(str(tmp_path / "Data.fs.blobs"), request.param).create()
    writer = Writer(tmp_path / "Data.fs")
    writer.write(
        [
            (Store(number=0, refs=(Ref(kind="class", number=1),)), StoreBlob(number=1)),
            (StoreBlob(number=1, twice=True),),
        ]
    )
    writer.close()
    Path(f"{writer.path}.index").unlink()
    return writer


def blob_files(writer: Writer) -> list[Path]:
    return sorted(writer.blob_dir.rglob("*.blob"), key=lambda path: path.name)


def test_blobs_that_are_there_are_sound(blobs: Writer) -> None:
    found = verify(blobs.path, blob_dir=blobs.blob_dir)

    assert (found.findings, found.blobs) == ((), 2)


def test_a_missing_blob_is_an_error_and_a_missing_old_one_a_warning(blobs: Writer) -> None:
    old, new = blob_files(blobs)
    old.unlink()
    found = one(verify(blobs.path, blob_dir=blobs.blob_dir))
    assert (found.severity, found.kind, found.oid) == ("warning", "blob", 1)
    assert str(old) in found.reason

    new.unlink()
    error, warning = verify(blobs.path, blob_dir=blobs.blob_dir).findings
    assert (error.severity, warning.severity) == ("error", "warning")
    assert str(new) in error.reason


def test_an_empty_blob_and_one_without_a_record_are_doubtful(blobs: Writer) -> None:
    _, new = blob_files(blobs)
    new.write_bytes(b"")
    stray = new.with_name("0x0100000000000007.blob")
    stray.write_bytes(b"x")
    (new.parent / "0x0100000000000007garbage.tmp").write_bytes(b"x")

    reasons = [each.reason for each in verify(blobs.path, blob_dir=blobs.blob_dir).findings]

    assert sorted(reasons) == [
        f"its file {new} is empty",
        f"no record of oid 0x1 belongs to the file {stray}",
    ]


def test_the_file_of_a_blob_that_is_written_now_is_nobodys_business(blobs: Writer) -> None:
    _, new = blob_files(blobs)
    new.with_name("0x0fffffffffffffff.blob").write_bytes(b"x")

    assert verify(blobs.path, blob_dir=blobs.blob_dir).findings == ()


def test_a_blob_directory_that_is_not_there_is_told_once(blobs: Writer) -> None:
    shutil.rmtree(blobs.blob_dir)

    found = one(verify(blobs.path, blob_dir=blobs.blob_dir))

    assert f"the directory {blobs.blob_dir} cannot be read" in found.reason


def test_without_a_blob_directory_blobs_are_not_looked_for(blobs: Writer) -> None:
    found = verify(blobs.path)

    assert (found.blobs, found.findings) == (None, ())


# a pack meanwhile


def test_a_pack_meanwhile_makes_it_begin_again(blobs: Writer) -> None:
    seen: list[str] = []

    def pack_once(phase: str, done: int, total: int) -> None:
        if phase == "records" and phase not in seen:
            blobs.open()
            blobs.pack(5, gc=False)
            blobs.close()
        if phase not in seen[-1:]:
            seen.append(phase)

    found = verify(blobs.path, blob_dir=blobs.blob_dir, progress=pack_once)

    assert found.findings == ()
    assert seen.count("records") == 2
    assert found.blobs == 1


def test_two_packs_meanwhile_are_told(tmp_path: Path) -> None:
    path = written(tmp_path / "Data.fs", *three())

    def switch(phase: str, done: int, total: int) -> None:
        shutil.copy(path, tmp_path / "new")
        (tmp_path / "new").replace(path)

    found = one(verify(path, progress=switch))

    assert (found.severity, found.kind) == ("warning", "packed")


# what is no FileStorage


def unreadable(path: Path) -> str:
    with pytest.raises(StorageUnreadable) as caught:
        verify(path)
    return str(caught.value)


def test_what_is_no_filestorage_is_one_clear_line(tmp_path: Path) -> None:
    text, empty = tmp_path / "text", tmp_path / "empty"
    text.write_text("This is a letter to the administrator.")
    empty.write_bytes(b"")
    os.mkfifo(tmp_path / "fifo")

    assert "does not begin as a FileStorage does" in unreadable(text)
    assert "the file is empty" in unreadable(empty)
    assert "this is a directory" in unreadable(tmp_path)
    assert "no regular file" in unreadable(tmp_path / "fifo")
    assert "No such file" in unreadable(tmp_path / "nothing")


def test_text_behind_the_first_bytes_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"
    path.write_bytes(b"FS30" + b"This is a letter to the administrator." * 1000)

    assert {each.kind for each in verify(path).findings} == {"structure"}


def test_a_cycle_of_back_pointers_ends(tmp_path: Path) -> None:
    place = SECOND + 23
    for back in (place, place + 50):
        content = bytearray(file_of(*three({"data": b"", "back": 27})))
        content[place + 42 : place + 50] = p64(back)
        (tmp_path / "Data.fs").write_bytes(content)
        kinds = {each.kind for each in verify(tmp_path / "Data.fs").findings}
        assert "structure" in kinds


def test_a_long_chain_of_back_pointers_takes_no_time(tmp_path: Path) -> None:
    """Each of them leads to the one before: to follow each to its end would take hours."""
    first = Transaction(tid=1, records=(Record(oid=0, data=DATA),))
    start = 4 + 23 + 42 + len(DATA) + 8
    places = [27, *(start + 23 + 50 * n for n in range(30_000))]
    chain = tuple(Record(oid=0, back=back, previous=27) for back in places[:-1])
    path = written(tmp_path / "Data.fs", first, Transaction(tid=2, records=chain))

    watch = time.monotonic()
    found = verify(path)

    assert time.monotonic() - watch < 20
    assert found.findings == ()


def test_a_record_that_unpacks_to_gigabytes_does_not_take_them(tmp_path: Path) -> None:
    bomb = zlib.compressobj()
    data = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(300)) + bomb.flush()
    records = (Record(oid=0, data=b".z" + data),)

    found = verify(written(tmp_path / "Data.fs", Transaction(tid=1, records=records)))

    assert "has more than 268435456 bytes" in one(found).reason


# what it is for: whatever happens to the bytes


def any_file(directory: Path) -> Path:
    """Write a FileStorage with all that there can be in one."""
    writer = Writer(directory / "Data.fs", packer=packer_here)
    refs = tuple(Ref(kind=kind, number=1) for kind in ("class", "bare", "weak", "other database"))
    writer.write(
        [
            (Store(number=0, refs=refs), Store(number=1, refs=refs), StoreBlob(number=2)),
            (Store(number=1, size=40),),
            (Undo(number=0),),
            (Store(number=3), StoreBlob(number=2, twice=True)),
            Pack(before=2, gc=False),
            (Delete(number=3),),
            (Store(number=0, refs=(*refs, Ref(kind="class", number=2))),),
            (Undo(number=0),),
        ]
    )
    writer.close()
    return writer.path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = any_file(tmp_path_factory.mktemp("whole"))
    assert {each.kind for each in verify(path).findings} <= {"dangling"}
    return path.read_bytes()


@given(st.data())
@settings(deadline=None, max_examples=examples(150))
def test_damage_of_any_kind_gives_findings_and_never_a_traceback(
    whole: bytes, data: st.DataObject
) -> None:
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        what = data.draw(
            st.one_of(
                st.sampled_from([bytes([content[at] ^ 1 << bit]) for bit in range(8)]),
                st.sampled_from([b"\xff" * 8, bytes(8), p64(at), p64(4), b"c", b"u"]),
                st.binary(min_size=1, max_size=60),
            )
        )
        content[at : at + len(what)] = what
    del content[data.draw(st.integers(0, len(content)) | st.just(len(content))) :]
    with TemporaryDirectory(dir=fast_directory(Path("/tmp"))) as directory:
        path = Path(directory, "Data.fs")
        path.write_bytes(content)
        watch = time.monotonic()
        try:
            found = verify(path, others={"other": path})
        except StorageUnreadable:
            assert content[:4] != b"FS30"
        else:
            assert all(str(each) for each in found.findings)
        assert time.monotonic() - watch < 5


def test_no_changed_byte_of_a_header_goes_unseen(tmp_path: Path) -> None:
    """Each field of three transactions is damaged in turn, bit by bit."""
    original = file_of(*three())
    path = tmp_path / "Data.fs"
    harmless = set()
    for start in (4, SECOND, THIRD):
        harmless.add(start + 16)  # " ", "p" and "u" are all right
        end = {4: SECOND, SECOND: THIRD, THIRD: len(original)}[start]
        data = start + 23 + 42
        for at in (*range(start, data), *range(end - 8, end)):
            content = bytearray(original)
            content[at] ^= 0x10
            path.write_bytes(content)
            assert at in harmless or verify(path).findings, f"byte {at - start} of {start}"
