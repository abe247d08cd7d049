"""What a stage shows, read from its files: which they are, since when, what changed on it.

Nothing here takes a lock or changes anything; a ZEO server may be serving it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ZODB.POSException import POSError
from ZODB.utils import z64

from zmount.effects.stage_damage import damage_of, why_broken
from zmount.errors import StorageUnreadable, ZMountError
from zmount.filestorage.objects import scan
from zmount.filestorage.source import committed_end, last_end, last_tid, open_source
from zmount.filestorage.transactions import Transaction, oids_of, transactions
from zmount.server.changes_file import ChangesFile
from zmount.server.content import floor_of
from zmount.server.frozen import FrozenFile, NotFrozen
from zmount.server.generation import PLAIN, BrokenGeneration, Generation, Meta, pinned_bytes
from zmount.server.generations import Generations
from zmount.topology.storages import Storage

MOST_TOLD = 20  # the last changes that are told one by one
MANY = 1000  # changes, the latest, whose objects are counted one by one
_OWN = ("zmount: prepare ", "production's content took ", "initial database creation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A transaction on staging: when (its tid), by whom, how many objects."""

    tid: bytes
    user: str
    description: str
    objects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What people did to staging since its content was production's.

    ``last`` are the latest of them. What zmount itself wrote does not count: mount
    points, and the mark that a swap leaves.
    """

    objects: int = 0
    transactions: int = 0
    last: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A content from before that can come back; ``generation`` 0 is the plain file.

    ``pinned_bytes`` of the disk would be free without it.
    """

    generation: int
    base_tid: bytes
    swapped_at: float
    pinned_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageState:
    """What a stage shows: the plain file, or ``generation`` of production's content.

    ``base_tid`` is production's last transaction in it, which was of ``source``;
    ``swapped_at`` (seconds since 1970) is when it took its place, ``floor`` the tid
    of that; ``before`` is what an undo brings back. ``last_tid`` is the newest
    transaction that a client can have seen. ``files`` hold it all, the one that is
    written to last, the first up to byte ``base_end``; ``size_bytes`` is theirs as far
    as they count,
    ``pinned_bytes`` what only this content takes of the disk. ``broken`` says what is
    damaged: then nothing is shown, and ``generation`` is what most likely was.
    """

    generation: int
    files: tuple[Path, ...]
    last_tid: bytes = z64
    floor: bytes = z64
    base_tid: bytes = z64
    base_end: int = 0
    mode: str = ""
    source: str = ""
    swapped_at: float = 0.0
    size_bytes: int = 0
    pinned_bytes: int = 0
    kept: tuple[Kept, ...] = ()
    before: Kept | None = None
    broken: str = ""

    @property
    def is_plain(self) -> bool:
        """True where it is the file from before the first swap."""
        return self.generation == PLAIN and not self.broken


def generations_of(storage: Storage) -> Generations:
    """Return the generations of STORAGE, a stage."""
    assert storage.stage is not None
    return Generations(Path(storage.stage.generations))


def current_files(storage: Storage) -> tuple[Path, ...]:
    """Return the data files that STORAGE shows, on this host; the one that is written to last.

    Of a FileStorage that is its Data.fs, of a stage what is current now.

    :raises StorageUnreadable: which that is may not be seen
    """
    if storage.data_fs is None:
        return ()
    current = None if storage.stage is None else _current(storage)
    if current is None:
        return (Path(storage.data_fs),)
    return (current.base, current.changes)


def written_file(storage: Storage) -> Path | None:
    """Return the data file of STORAGE that is written to; None if it has none."""
    files = current_files(storage)
    return files[-1] if files else None


def is_swapped(storage: Storage) -> bool:
    """True if STORAGE shows production's content and not a file of its own.

    :raises StorageUnreadable: that may not be seen
    """
    return storage.stage is not None and _current(storage) is not None


def stage_blobs(storage: Storage) -> tuple[Path, ...]:
    """Return the directories of blobs of what STORAGE, a stage, shows now."""
    current = _current(storage)
    if current is None:
        return (Path(storage.blob_dir),) if storage.blob_dir is not None else ()
    copied = current.path / "base-blobs"
    base = copied if copied.exists() else generations_of(storage).blobs
    return (base, current.changes_blobs)


def stage_state(storage: Storage) -> StageState:
    """Return what STORAGE, a stage, shows.

    :raises StorageUnreadable: it may not be read
    """
    assert storage.data_fs is not None
    with _readable(storage):
        if why := why_broken(generations_of(storage), Path(storage.data_fs)):
            return _broken(storage, why)
        current = _current(storage)
        kept = tuple(_kept(storage, current))
        if current is None:
            return _plain(storage, kept)
        meta = current.meta
        changes_size = current.changes.stat().st_size
        return StageState(
            generation=current.number,
            files=(current.base, current.changes),
            last_tid=max(last_tid_of(current.changes), floor_of(generations_of(storage), current)),
            floor=bytes.fromhex(meta.floor),
            base_tid=bytes.fromhex(meta.base_tid),
            base_end=meta.base_end,
            mode=meta.mode,
            source=meta.source,
            swapped_at=meta.swapped_at,
            size_bytes=meta.base_end + changes_size,
            pinned_bytes=pinned_bytes(current),
            kept=kept,
            before=_before(storage, kept),
        )


def changes_on(storage: Storage) -> Changes:
    """Return what was changed on STORAGE, a stage, since it showed production's content.

    Of a plain file that is all there is in it; of a broken stage what can still be seen.

    :raises StorageUnreadable: it cannot be read, or is damaged
    """
    assert storage.data_fs is not None
    plain, generations = Path(storage.data_fs), generations_of(storage)
    with _readable(storage):
        if why_broken(generations, plain):
            one = generations.presumed
            with suppress(OSError, ZMountError):
                return _changes_in(plain if one is None else one.changes)
            return Changes()
        return _changes_in(current_files(storage)[-1])


def _changes_in(path: Path) -> Changes:
    if not path.exists() or not path.stat().st_size:
        return Changes()
    count, last = 0, deque[Transaction](maxlen=MANY)
    with open_source(path) as source:
        for transaction in transactions(source):
            if is_of_people(transaction):
                count += 1
                last.append(transaction)
        wrote = [oids_of(source, each) for each in last]
        # the cores count a whole site's history a hundred times as fast
        many = scan(source, last[-1].end).table.count if count > MANY else 0
    told = tuple(_change(each, len(oids)) for each, oids in zip(last, wrote, strict=True))
    objects = many or len(frozenset().union(*wrote))
    return Changes(objects=objects, transactions=count, last=told[-MOST_TOLD:])


def last_tid_of(path: Path) -> bytes:
    """Return the last transaction in the data file PATH; z64 if there is none.

    :raises StorageUnreadable: it cannot be read, or is damaged
    """
    if not path.exists() or not path.stat().st_size:
        return bytes(8)
    with open_source(path) as source:
        end = last_end(source)
        found: int = last_tid(source, committed_end(source) if end is None else end)
    return found.to_bytes(8, "big")


def is_of_people(transaction: Transaction) -> bool:
    """True if TRANSACTION is none that zmount or ZODB makes by itself."""
    return not transaction.description.startswith(_OWN)


class RawStage:
    """What a stage shows, opened read-only: RawStorage's methods."""

    def __init__(self, generation: Generation) -> None:
        self._meta: Meta = generation.meta
        base_tid = bytes.fromhex(self._meta.base_tid)
        self.base = FrozenFile(generation.base, base_tid, self._meta.base_end, None)
        try:
            self._changes = ChangesFile(str(generation.changes), read_only=True)
        except BaseException:
            self.base.close()
            raise

    def loadBefore(self, oid: bytes, tid: bytes) -> tuple[bytes, bytes, bytes | None] | None:
        """Return the newest record of OID that is older than TID."""
        storage = self._changes if oid in self._changes._index else self.base
        found: tuple[bytes, bytes, bytes | None] | None = storage.loadBefore(oid, tid)
        return found

    def lastTransaction(self) -> bytes:
        """Return the newest transaction's tid, at least that of the swap."""
        last: bytes = self._changes.lastTransaction()
        return max(last, bytes.fromhex(self._meta.floor))

    def close(self) -> None:
        """Close the files."""
        self._changes.close()
        self.base.close()


def open_stage(storage: Storage) -> RawStage | None:
    """Open what STORAGE, a stage, shows; None: it is the plain file.

    :raises StorageUnreadable: it cannot be read, or is damaged
    """
    with _readable(storage):
        current = _current(storage)
        return None if current is None else RawStage(current)


@contextmanager
def _readable(storage: Storage) -> Iterator[None]:
    """Turn what damaged or forbidden files raise into one error."""
    try:
        yield
    except BrokenGeneration as why:  # which names the file
        raise StorageUnreadable(
            f"storage {storage.name}: {why}",
            hint="zmount swap-stage makes it anew, or brings back the one before (--undo)",
        ) from None
    except (OSError, ValueError, TypeError, NotFrozen, POSError) as why:
        where, said = storage.data_fs if storage.stage is None else storage.stage.generations, why
        if isinstance(why, OSError):
            where, said = why.filename or where, why.strerror or why
        raise StorageUnreadable(
            f"storage {storage.name}: {where} cannot be read: {said}",
            hint="run zmount as a user that may read it; zmount swap-stage makes a new one",
        ) from None


def _current(storage: Storage) -> Generation | None:
    with _readable(storage):
        return generations_of(storage).current


def _plain(storage: Storage, kept: tuple[Kept, ...]) -> StageState:
    assert storage.data_fs is not None
    path = Path(storage.data_fs)
    generations = generations_of(storage)
    floor = bytes.fromhex(generations.plain_floor) or z64
    size = path.stat().st_size if path.exists() else 0
    return StageState(
        generation=PLAIN,
        files=(path,),
        last_tid=max(last_tid_of(path), floor_of(generations, None)),
        floor=floor,
        size_bytes=size,
        pinned_bytes=size,
        kept=kept,
        before=_before(storage, kept) if any(floor) else None,
    )


def _broken(storage: Storage, why: str) -> StageState:
    generations = generations_of(storage)
    presumed = generations.presumed
    kept = tuple(_kept(storage, presumed))
    openable = [one for one in generations.latest() if not damage_of(one)]
    back = openable[0].number if openable else PLAIN
    if openable and openable[0] == presumed:  # only what says that it is current is damaged
        kept = tuple(_kept(storage, None))
    return StageState(
        generation=PLAIN if presumed is None else presumed.number,
        files=(),
        kept=kept,
        before=next((each for each in kept if each.generation == back), None),
        broken=why,
    )


def _before(storage: Storage, kept: tuple[Kept, ...]) -> Kept | None:
    """Return which of those KEPT an undo brings back."""
    try:
        previous = generations_of(storage).previous()
    except BrokenGeneration:
        return None  # it is not kept any more
    number = PLAIN if previous is None else previous.number
    return next((each for each in kept if each.generation == number), None)


def _kept(storage: Storage, current: Generation | None) -> Iterator[Kept]:
    assert storage.data_fs is not None
    plain = Path(storage.data_fs)
    if current is not None and plain.exists():
        yield Kept(
            generation=PLAIN,
            base_tid=z64,
            swapped_at=0.0,
            pinned_bytes=plain.stat().st_blocks * 512,
        )
    for one in generations_of(storage).all():
        if (current is None or one.number != current.number) and one.path.exists():
            meta = one.known_meta
            yield Kept(
                generation=one.number,
                base_tid=z64 if meta is None else bytes.fromhex(meta.base_tid),
                swapped_at=0.0 if meta is None else meta.swapped_at,
                pinned_bytes=pinned_bytes(one),
            )


def _change(transaction: Transaction, objects: int) -> Change:
    return Change(
        tid=transaction.tid,
        user=_user(transaction.user),
        description=transaction.description.strip(),
        objects=objects,
    )


def _user(said: str) -> str:
    """Return the name in what Zope notes: the path of his folder, and the user; "" for nobody."""
    name = said.rpartition(" ")[2]
    return "" if name in ("None", "Anonymous") else name
