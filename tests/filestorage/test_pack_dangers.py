"""Where stock's packer loses data, or fails, and ours does not.

Each test does the same twice. First stock shows that the danger is real, then
ours does not lose anything: what :func:`pack_rule.promised` says loads.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from histories import (
    OIDS,
    Delete,
    History,
    Packer,
    Ref,
    Store,
    StoreBlob,
    Undo,
    Writer,
    stop_after,
    tid_at,
    wait_until,
)
from pack_rule import broken_promises, promised, read, stock
from packers import packer_here
from ZODB.FileStorage.FileStorage import FileStorageError
from ZODB.FileStorage.fspack import PackError
from ZODB.POSException import POSKeyError
from ZODB.utils import load_current

ROOT, A, B, C = OIDS[:4]


def store(oid: bytes, *refs: bytes, **how: Any) -> Store:
    """Return the step that OID gets a new state, which refers to REFS."""
    return Store(number=OIDS.index(oid), refs=tuple(Ref(oid=each) for each in refs), **how)


def blob(oid: bytes) -> StoreBlob:
    return StoreBlob(number=OIDS.index(oid))


class Written(Writer):
    """A storage with a history, and what a pack to AFTER owes it."""

    def pack_and_check(self, after: int, *, gc: bool = True) -> list[str]:
        """Pack and return what does not load that should."""
        owed = promised(read(self.path), stop_after(after), gc=gc)
        self.pack(after, gc=gc)
        return broken_promises(self.storage, owed)

    def blob_text(self, oid: bytes, number: int) -> bytes:
        """Return what is in the blob's file that the transaction of this number wrote."""
        return Path(self.storage.loadBlob(oid, tid_at(number))).read_bytes()

    @property
    def report(self) -> dict[str, Any]:
        """What our packer says of its last pack."""
        found: dict[str, Any] = json.loads(Path(f"{self.path}.pack-report").read_text())
        return found


Write = Callable[[Packer, History], Written]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """A function that returns a new storage with a packer and a history."""
    logging.disable(logging.ERROR)
    made: list[Written] = []

    def write(packer: Packer, history: History) -> Written:
        directory = tmp_path / str(len(made))
        directory.mkdir()
        made.append(Written(directory / "Data.fs", packer=packer))
        made[-1].write(history)
        return made[-1]

    yield write
    for written in made:
        written.close()
    logging.disable(logging.NOTSET)


def test_what_was_cut_before_the_pack_time_and_pasted_after_it_stays(write: Write) -> None:
    history = [
        (store(ROOT, A), store(A, B), store(B)),
        (store(ROOT),),
        (store(ROOT, A),),  # pasted; A and B themselves are not written again
    ]
    theirs = write(stock, history)
    theirs.pack(after=1)
    with pytest.raises(POSKeyError):
        load_current(theirs.storage, A)

    ours = write(packer_here, history)

    assert ours.pack_and_check(after=1) == []
    load_current(ours.storage, A)
    load_current(ours.storage, B)


def test_a_paste_into_garbage_stays_there_until_the_next_pack(write: Write) -> None:
    # C is garbage, and so is what it refers to; but somebody may be about to paste C, too
    history = [(store(ROOT), store(A), store(C)), (store(C, A),)]
    theirs = write(stock, history)
    theirs.pack(after=0)
    with pytest.raises(POSKeyError):
        load_current(theirs.storage, A)

    ours = write(packer_here, history)

    assert ours.pack_and_check(after=0) == []
    load_current(ours.storage, A)


def test_what_an_undo_brought_back_keeps_what_it_refers_to(write: Write) -> None:
    history = [
        (store(ROOT, A), store(A, B), store(B)),
        (store(A),),
        (store(ROOT),),  # at the pack time A is garbage
        (store(ROOT, A),),
        (Undo(number=2),),  # A as it was: it refers to B
    ]
    theirs = write(stock, history)
    theirs.pack(after=2)
    load_current(theirs.storage, A)
    with pytest.raises(POSKeyError):
        load_current(theirs.storage, B)

    ours = write(packer_here, history)

    assert ours.pack_and_check(after=2) == []
    load_current(ours.storage, B)


def test_a_paste_while_the_pack_runs_keeps_what_was_garbage_before(write: Write) -> None:
    history = [(store(ROOT, A), store(A)), (store(ROOT),), (store(ROOT, B), store(B))]
    theirs, ours = write(stock, history), write(packer_here, history)
    _pack_while_pasting(theirs, after=2)
    with pytest.raises(POSKeyError):
        load_current(theirs.storage, A)

    _pack_while_pasting(ours, after=2)

    load_current(ours.storage, A)
    assert read(ours.path).transactions[-1].tid == tid_at(3)


def _pack_while_pasting(written: Written, *, after: int) -> None:
    """Pack while a transaction has the commit lock that refers to A; it ends during the pack."""
    with written.held_commit(store(ROOT, A, B)):
        pack = threading.Thread(target=written.pack, args=(after,))
        pack.start()
        wait_until(Path(f"{written.path}.pack").exists, "the pack copies")
        # what was garbage is decided: it waits for the lock now, or soon
    pack.join(60)
    assert not pack.is_alive()


def test_a_paste_of_a_blob_while_the_pack_runs_keeps_its_file(write: Write) -> None:
    history = [(store(ROOT, A), blob(A)), (store(ROOT),), (store(ROOT, B), store(B))]
    theirs, ours = write(stock, history), write(packer_here, history)
    _pack_while_pasting(theirs, after=2)
    with pytest.raises(POSKeyError):
        theirs.blob_text(A, 0)

    _pack_while_pasting(ours, after=2)

    assert ours.blob_text(A, 0) == b"0 of " + A


def test_without_gc_an_undo_after_the_pack_time_does_not_end_the_pack(write: Write) -> None:
    # one of the commonest things that people do to a database
    history = [(store(ROOT),), (store(ROOT, size=5),), (Undo(number=0),)]
    theirs = write(stock, history)
    with pytest.raises(PackError, match="Invalid backpointer transaction id"):
        theirs.pack(after=1, gc=False)

    ours = write(packer_here, history)

    assert ours.pack_and_check(after=1, gc=False) == []
    assert len(read(ours.path).transactions) == 3


def test_without_gc_an_undo_may_need_a_revision_beside_one_that_is_kept(write: Write) -> None:
    # the transaction that the undo's data are in is there, but they are not
    history = [(store(ROOT), store(A)), (store(ROOT, size=5),), (Undo(number=0),)]
    theirs = write(stock, history)
    with pytest.raises(AssertionError):
        theirs.pack(after=1, gc=False)

    ours = write(packer_here, history)

    assert ours.pack_and_check(after=1, gc=False) == []


def test_an_undo_may_lead_to_the_second_record_of_an_object_in_a_transaction(write: Write) -> None:
    history = [
        (store(ROOT), store(C)),
        (store(ROOT, twice=True, other_data=True),),
        (store(ROOT, size=9),),
        (Undo(number=0),),
    ]
    theirs = write(stock, history)
    with pytest.raises(AssertionError):
        theirs.pack(after=0)

    ours = write(packer_here, history)

    assert ours.pack_and_check(after=0) == []
    assert [each.tid for each in read(ours.path).transactions] == [tid_at(n) for n in range(4)]


def test_two_undos_in_one_transaction_are_read_back_as_they_were(write: Write) -> None:
    # as by two ticks in an undo form; the second record counts, and the last undo leads to it
    history = [
        (store(ROOT), store(C)),
        (store(ROOT, size=1),),
        (store(ROOT, size=2),),
        (Undo(number=0), Undo(number=1)),
        (store(ROOT, size=4),),
        (Undo(number=0),),
    ]
    theirs = write(stock, history)
    [broken] = theirs.pack_and_check(after=0)
    assert "another state" in broken

    ours = write(packer_here, history)

    assert ours.pack_and_check(after=0) == []


def test_a_reference_that_leads_nowhere_is_reported_and_the_pack_goes_on(write: Write) -> None:
    history = [(store(ROOT, A), store(A, B)), (store(ROOT, A), store(C))]
    theirs = write(stock, history)
    with pytest.raises(KeyError, match=r"x02"):
        theirs.pack(after=1)

    ours = write(packer_here, history)

    assert ours.pack_and_check(after=1) == []
    with pytest.raises(POSKeyError):
        load_current(ours.storage, C)  # garbage was collected
    assert ours.report["dangling"] == [{"oid": "0x2", "holder": "0x1"}]
    assert ours.report["dangling_count"] == 1


def test_a_database_without_a_root_is_not_taken_for_garbage(write: Write) -> None:
    history = [(store(ROOT),), (Undo(number=0),), (store(A),), (store(ROOT, A),)]
    theirs = write(stock, history)
    with pytest.raises(KeyError):
        theirs.pack(after=2)
    ours = write(packer_here, history)
    before = ours.path.read_bytes()

    with pytest.raises(FileStorageError, match="there is no root object"):
        ours.pack(after=2)

    assert ours.path.read_bytes() == before
    assert ours.pack_and_check(after=2, gc=False) == []


def test_a_blob_that_was_garbage_keeps_the_file_that_it_got_later(write: Write) -> None:
    history = [(store(ROOT, A), blob(A)), (store(ROOT),), (store(ROOT, A), blob(A))]
    theirs = write(stock, history)
    theirs.pack(after=1)
    with pytest.raises(POSKeyError):
        theirs.blob_text(A, 2)  # the record is there: its whole directory was removed

    ours = write(packer_here, history)

    assert ours.pack_and_check(after=1) == []
    assert ours.blob_text(A, 2) == b"2 of " + A
    with pytest.raises(POSKeyError):
        ours.blob_text(A, 0)


def test_without_gc_a_deleted_blob_keeps_the_file_that_it_got_later(write: Write) -> None:
    history = [(store(ROOT),), (blob(A),), (Delete(number=1),), (blob(A),)]
    theirs = write(stock, history)
    theirs.pack(after=2, gc=False)
    with pytest.raises(POSKeyError):
        theirs.blob_text(A, 3)

    ours = write(packer_here, history)

    assert ours.pack_and_check(after=2, gc=False) == []
    assert ours.blob_text(A, 3) == b"3 of " + A
