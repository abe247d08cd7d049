"""The format of a FileStorage, and words for what can be wrong with one.

Source: ZODB/FileStorage/format.py. After the magic come transactions: a header,
user, description and extension, data records, and the transaction's length
once more. Numbers are big-endian; a length of a transaction leaves out its
last 8 bytes.
"""

from __future__ import annotations

from array import array

MAGIC = b"FS30"
MAGIC_OF_PYTHON_2 = b"FS21"  # its strings are ambiguous: FileStorage refuses it, too
FIRST = 4  # position of the first transaction
TRANSACTION_HEADER = 23  # tid, length, status, lengths of user, description, extension
DATA_HEADER = 42  # oid, tid, previous, transaction, 2 zero bytes, length of the pickles
WRITTEN = ord(" ")  # the status of a transaction that no pack has copied
STATUSES = b" pu"  # written, packed, undone (by a ZODB of before 2004)
VOTED = ord("c")  # the status of a transaction until it is finished
MAX_TID = 2**64 - 1

# what the codes of _records mean
REASONS = {
    1: "a transaction's header is cut short",
    2: "a transaction runs past the end of the file",
    3: "a transaction is shorter than its own header",
    4: "a transaction's status is none of those that exist",
    5: "a transaction's two lengths differ",
    6: "a data record's header is cut short",
    7: "a data record runs past its transaction",
    8: "a data record does not know its transaction's position",
    9: "a data record belongs to a version; ZODB 3.9 and later have none",
    10: "a data record's previous record comes after it",
    11: "a data record's back pointer does not point backwards",
    12: "a transaction is not later than the one before",
}


def new_cursor(position: int = FIRST, last_tid: int = 0) -> array[int]:
    """Return a cursor of ``_records`` that stands at a transaction, or the end."""
    from zmount.filestorage.cores import chosen

    records = chosen().records
    cursor = array("Q", bytes(8 * records.CURSOR_FIELDS))
    cursor[records.POSITION] = position
    cursor[records.LAST_TID] = last_tid
    return cursor


def words(count: int) -> array[int]:
    """Return COUNT words of 8 bytes, all 0."""
    return array("Q", bytes(8)) * count


def oid_text(oid: int) -> str:
    """Return the oid as ZODB's own messages write it: 0x and hexadecimal digits."""
    return f"{oid:#x}"
