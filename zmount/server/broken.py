"""What a stage shows whose files are damaged: an error, whatever is asked for.

Its ZEO server starts nevertheless, and serves production. A client is connected at
once, is told to forget what it remembers, and hears why it gets nothing: were it
refused it would try again for half a minute, and its threads would wait. It is
never shown an empty storage, which a database would fill with a root object.
"""

from __future__ import annotations

import struct
import tempfile
from contextlib import suppress
from typing import Any

import zope.interface
from ZODB.FileStorage import FileStorage
from ZODB.FileStorage.format import CorruptedError
from ZODB.interfaces import IBlobStorageRestoreable
from ZODB.POSException import StorageError
from ZODB.utils import p64

from zmount.errors import ZMountError
from zmount.server.freezing import last_transaction
from zmount.server.frozen import NotFrozen
from zmount.server.generations import Generations
from zmount.server.marks import OID_RANGE, tid_after
from zmount.server.settings import StageSettings

# what opening a damaged content raises
DAMAGES = (StorageError, OSError, ValueError, TypeError, CorruptedError, struct.error, NotFrozen)
RANGES = 1 << 10  # of oids that are left out, as it cannot be known which ones clients have
_REFUSED = (
    "checkCurrentSerialInTransaction copyTransactionsFrom deleteObject getTid history iterator "
    "lastTid load loadBefore loadBlob loadSerial new_oid openCommittedBlobFile pack "
    "record_iternext restore restoreBlob store storeBlob tpc_begin tpc_finish tpc_vote undo "
    "undoInfo undoLog"
)


class BrokenStage(StorageError):  # type: ignore[misc]
    """A stage whose files are damaged was to be read or written."""


class BrokenContent:
    """See the module; WHY is what is damaged."""

    tryToResolveConflict: Any = None
    blob_dir = None

    def __init__(self, settings: StageSettings, generations: Generations, why: str) -> None:
        self.why = why
        self.said = f"{settings.name} is broken: {why}; zmount swap-stage SITE makes it anew"
        self.floor = _floor(settings, generations)
        self._oid = _oid(generations)
        zope.interface.directlyProvides(self, zope.interface.implementedBy(FileStorage))
        if settings.blob_dir is not None:
            zope.interface.alsoProvides(self, IBlobStorageRestoreable)

    def lastTransaction(self) -> bytes:
        """Return what is later than all that clients have seen, so that they connect."""
        return self.floor

    def lastInvalidations(self, count: int) -> list[tuple[bytes, list[bytes]]]:
        """Return that nobody knows what was changed before now."""
        return [(self.floor, [])]

    def isReadOnly(self) -> bool:
        """Return False, or clients would try again and again to find one that is not."""
        return False

    def supportsUndo(self) -> bool:
        """Return True, as the content to come."""
        return True

    def getSize(self) -> int:
        """Return 0: nothing can be read."""
        return 0

    def __len__(self) -> int:
        return 0

    def temporaryDirectory(self) -> str:
        """Return where a blob may arrive, since only the vote after it can be refused."""
        return tempfile.gettempdir()

    def tpc_transaction(self) -> None:
        """Return that there is none."""

    def tpc_abort(self, transaction: Any) -> None:
        """Do nothing: none has begun."""

    def set_max_oid(self, oid: bytes) -> None:
        """Do nothing: no oids are given out."""

    def registerDB(self, db: Any) -> None:
        """Do nothing: nothing is changed here."""

    def close(self) -> None:
        """Do nothing: no file is open."""


def _refused(name: str) -> Any:
    def method(self: BrokenContent, *args: Any, **options: Any) -> Any:
        raise BrokenStage(self.said)

    method.__name__ = name
    method.__doc__ = "Refuse."
    return method


for _name in _REFUSED.split():
    setattr(BrokenContent, _name, _refused(_name))


def _floor(settings: StageSettings, generations: Generations) -> bytes:
    """Return a tid later than all that clients can have seen."""
    known = [generations.plain_floor, generations.broken_floor]
    known += [one.known_floor for one in generations.all()]
    seen = [p64(_number(each)) for each in known]
    for path in (settings.path, *(one.changes for one in generations.all())):
        with suppress(OSError, ValueError, ZMountError):
            seen.append(last_transaction(path))
    return tid_after(seen)


def _oid(generations: Generations) -> bytes:
    """Return an oid that is larger than all that clients can have in stock.

    Each swap began another range of them, and each undo.
    """
    metas = [one.known_meta for one in generations.all()]
    known = [generations.plain_first_oid, *(meta.first_oid for meta in metas if meta is not None)]
    latest = max(_number(each) >> OID_RANGE for each in known)
    swaps = max((one.number for one in generations.all()), default=0)
    oid: bytes = p64(max(latest, swaps) + RANGES << OID_RANGE)
    return oid


def _number(hexadecimal: str) -> int:
    """Return what HEXADECIMAL says; 0: nothing sensible."""
    try:
        return int(hexadecimal, 16) % (1 << 63)
    except ValueError:
        return 0
