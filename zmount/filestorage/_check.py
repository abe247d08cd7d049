# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Compiled core: what a check of a FileStorage needs beyond what a pack does.

Records are those of _records, the table of objects is that of _mark. The records
have been scanned: their own lengths are right, what they point to may not be.
"""

try:
    import cython
except ImportError:  # must stay this form: the compiler knows only `import cython`
    from zmount.filestorage import _cython as cython

from zmount.filestorage.table_hash import MULTIPLIER

# what can be doubtful in a record; numbers of records are shifted by DOUBTS
PREVIOUS = 1  # its previous record is not the object's last one
BACK = 2  # its back pointer leads to no record of the object
TID = 4  # it has another tid than its transaction
DOUBTS = 4

# what a record may be
BLOB = 1  # its class is ZODB.blob.Blob
UNKNOWN = 2  # compressed, or at the end of a long chain of back pointers

GONE = 1  # as in _mark
SHIFT = 4
DATA_HEADER = 42  # as in _records
RECORD_FIELDS = 6
LONGEST_CHAIN = 64  # as in _references

_multiplier = cython.declare(cython.ulonglong, MULTIPLIER)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong)
def _u64(source, pos):
    if not cython.compiled:
        return int.from_bytes(source[pos : pos + 8], "big")
    return (
        (cython.cast(cython.ulonglong, source[pos]) << 56)
        | (cython.cast(cython.ulonglong, source[pos + 1]) << 48)
        | (cython.cast(cython.ulonglong, source[pos + 2]) << 40)
        | (cython.cast(cython.ulonglong, source[pos + 3]) << 32)
        | (cython.cast(cython.ulonglong, source[pos + 4]) << 24)
        | (cython.cast(cython.ulonglong, source[pos + 5]) << 16)
        | (cython.cast(cython.ulonglong, source[pos + 6]) << 8)
        | cython.cast(cython.ulonglong, source[pos + 7])
    )


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(table="unsigned long long[::1]", mask=cython.ulonglong, oid=cython.ulonglong)
@cython.locals(at=cython.ulonglong)
def _slot(table, mask, oid):
    """As _mark._slot."""
    at = (oid >> 3) * _multiplier
    if not cython.compiled:
        at %= 2**64
    # the product's highest 32 bits, scaled to the number of eights of slots
    at = (((((at >> 32) * ((mask >> 3) + 1)) >> 32) << 3) | (oid & 7)) & mask
    while table[2 * at + 1] and table[2 * at] != oid:
        at = (at + 1) & mask
    return 2 * at


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.bint)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong, oid=cython.ulonglong)
@cython.locals(transaction=cython.ulonglong, size=cython.ulonglong)
def _is_record_of(source, pos, oid):
    """Whether a record of ``oid`` is at ``pos``, in a transaction that says so, too."""
    size = len(source)
    if pos > size or size - pos < DATA_HEADER or _u64(source, pos) != oid:
        return False
    transaction = _u64(source, pos + 24)
    return (
        transaction < pos
        and _u64(source, transaction) == _u64(source, pos + 8)
        and _u64(source, transaction + 8) > pos - transaction
    )


@cython.locals(source="const unsigned char[::1]", table="unsigned long long[::1]")
@cython.locals(records="unsigned long long[::1]", count=cython.ulonglong)
@cython.locals(doubts="unsigned long long[::1]", doubtful=cython.ulonglong)
@cython.locals(number=cython.ulonglong, i=cython.ulonglong, at=cython.ulonglong)
@cython.locals(mask=cython.ulonglong, new=cython.ulonglong, last=cython.ulonglong)
@cython.locals(oid=cython.ulonglong, place=cython.ulonglong, owner=cython.ulonglong)
@cython.locals(previous=cython.ulonglong, back=cython.ulonglong, doubt=cython.ulonglong)
def note(source, table, records, count, doubts):
    """Take in the records, which come in the order of the file; look at what they point to.

    As _mark.note. ``doubts`` takes the number of each doubtful record, shifted by
    DOUBTS, and what is doubtful; it must have room for all. The previous record of
    one that a pack wrote is 0; of one that its transaction has twice it is that
    of the first.

    :return: how many objects are new, how many records are doubtful
    """
    if len(doubts) < count:
        raise ValueError("doubts has not room enough")
    mask = len(table) // 2 - 1
    new = 0
    doubtful = 0
    with cython.nogil:
        for number in range(count):
            i = number * RECORD_FIELDS
            oid = records[i]
            place = records[i + 1]
            back = records[i + 3]
            previous = records[i + 4]
            owner = records[i + 5]
            at = _slot(table, mask, oid)
            last = table[at + 1] >> SHIFT
            doubt = 0
            if last >= owner:
                last = _u64(source, last + 16)
            if previous != last and (previous or source[owner + 16] != 112):  # "p"
                doubt = PREVIOUS
            if back and not _is_record_of(source, back, oid):
                doubt |= BACK
            if _u64(source, place + 8) != _u64(source, owner):
                doubt |= TID
            if doubt:
                doubts[doubtful] = (number << DOUBTS) | doubt
                doubtful += 1
            if table[at + 1] == 0:
                table[at] = oid
                new += 1
            table[at + 1] = place << SHIFT
            if records[i + 2] == 0 and back == 0:
                table[at + 1] |= GONE
    return new, doubtful


@cython.locals(table="unsigned long long[::1]", records="unsigned long long[::1]")
@cython.locals(count=cython.ulonglong, current="unsigned long long[::1]")
@cython.locals(old="unsigned long long[::1]", number=cython.ulonglong, i=cython.ulonglong)
@cython.locals(mask=cython.ulonglong, new_count=cython.ulonglong, old_count=cython.ulonglong)
def divide(table, records, count, current, old):
    """Put the positions of the objects' last records into ``current``, others into ``old``.

    :return: how many are in each; both must have room for all
    """
    if len(current) < count or len(old) < count:
        raise ValueError("current or old has not room enough")
    mask = len(table) // 2 - 1
    new_count = 0
    old_count = 0
    with cython.nogil:
        for number in range(count):
            i = number * RECORD_FIELDS
            if table[_slot(table, mask, records[i]) + 1] >> SHIFT == records[i + 1]:
                current[new_count] = records[i + 1]
                new_count += 1
            else:
                old[old_count] = records[i + 1]
                old_count += 1
    return new_count, old_count


@cython.locals(table="unsigned long long[::1]", oids="unsigned long long[::1]")
@cython.locals(count=cython.ulonglong, missing="unsigned long long[::1]")
@cython.locals(i=cython.ulonglong, word=cython.ulonglong, mask=cython.ulonglong)
@cython.locals(lost=cython.ulonglong)
def dangling(table, oids, count, missing):
    """Put the numbers of the oids that no record is of into ``missing``; return how many."""
    if len(missing) < count:
        raise ValueError("missing has not room enough")
    mask = len(table) // 2 - 1
    lost = 0
    with cython.nogil:
        for i in range(count):
            word = table[_slot(table, mask, oids[i]) + 1]
            if word == 0 or word & GONE:
                missing[lost] = i
                lost += 1
    return lost


@cython.locals(table="unsigned long long[::1]", parents="unsigned long long[::1]")
@cython.locals(positions="unsigned long long[::1]", oids="unsigned long long[::1]")
@cython.locals(ends="unsigned long long[::1]", first=cython.ulonglong, done=cython.ulonglong)
@cython.locals(found="unsigned long long[::1]", number=cython.ulonglong, i=cython.ulonglong)
@cython.locals(at=cython.ulonglong, word=cython.ulonglong, mask=cython.ulonglong)
@cython.locals(parents_mask=cython.ulonglong, new=cython.ulonglong, count=cython.ulonglong)
def adopt(table, parents, positions, oids, ends, first, done, found):
    """Give each object that has no parent yet the record that refers to it.

    ``oids[ends[n - 1]:ends[n]]`` are the references of the record at
    ``positions[n]``. The word of an oid in ``parents`` is the position of the
    record; there must be room for all oids. The positions of the records of the
    objects that are new there are put into ``found``.

    :return: how many positions are found, how many oids are new to ``parents``
    """
    if first < done and len(found) < ends[done - 1]:
        raise ValueError("found has not room enough")
    mask = len(table) // 2 - 1
    parents_mask = len(parents) // 2 - 1
    new = 0
    count = 0
    i = 0
    with cython.nogil:
        for number in range(first, done):
            while i < ends[number]:
                at = _slot(parents, parents_mask, oids[i])
                if parents[at + 1] == 0:
                    parents[at] = oids[i]
                    parents[at + 1] = positions[number] << SHIFT
                    new += 1
                    word = table[_slot(table, mask, oids[i]) + 1]
                    if word and not word & GONE:
                        found[count] = word >> SHIFT
                        count += 1
                i += 1
    return count, new


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.int)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong, end=cython.ulonglong)
def _kind(source, pos, end):
    """Return what the record is that has its pickles from ``pos`` to ``end``."""
    if end - pos >= 2 and source[pos] == 46 and source[pos + 1] == 122:  # ".z"
        return UNKNOWN
    if end - pos >= 2 and source[pos] == 128:  # PROTO
        pos += 2
    if end - pos >= 1 and source[pos] == 40:  # MARK: a class with arguments
        pos += 1
    if (
        end - pos >= 16  # "cZODB.blob\nBlob\n"; the compiler takes no longer literals
        and _u64(source, pos) == ((cython.cast(cython.ulonglong, 0x635A4F44) << 32) | 0x422E626C)
        and _u64(source, pos + 8)
        == ((cython.cast(cython.ulonglong, 0x6F620A42) << 32) | 0x6C6F620A)
    ):
        return BLOB
    return 0


@cython.locals(source="const unsigned char[::1]", records="unsigned long long[::1]")
@cython.locals(count=cython.ulonglong, found="unsigned long long[::1]")
@cython.locals(number=cython.ulonglong, pos=cython.ulonglong, back=cython.ulonglong)
@cython.locals(hops=cython.int, size=cython.ulonglong, length=cython.ulonglong)
@cython.locals(kind=cython.int, blobs=cython.ulonglong)
def blobs(source, records, count, found):
    """Put the number of each record that is a blob's, or may be, into ``found``.

    The numbers are shifted by DOUBTS; below is what the record is. ``found`` must
    have room for all. Return how many there are.
    """
    if len(found) < count:
        raise ValueError("found has not room enough")
    size = len(source)
    blobs = 0
    with cython.nogil:
        for number in range(count):
            pos = records[number * RECORD_FIELDS + 1]
            length = records[number * RECORD_FIELDS + 2]
            hops = 0
            while length == 0 and hops < LONGEST_CHAIN:
                back = _u64(source, pos + DATA_HEADER)
                if back == 0 or back >= pos or size - back < DATA_HEADER + 8:
                    break
                pos = back
                length = _u64(source, pos + 34)
                hops += 1
            kind = UNKNOWN if hops == LONGEST_CHAIN else 0
            if length and length <= size - pos - DATA_HEADER:
                kind = _kind(source, pos + DATA_HEADER, pos + DATA_HEADER + length)
            if kind:
                found[blobs] = (number << DOUBTS) | kind
                blobs += 1
    return blobs


@cython.locals(table="unsigned long long[::1]", prefix=cython.ulonglong)
@cython.locals(content="const unsigned char[::1]", count=cython.ulonglong, i=cython.ulonglong)
@cython.locals(key=cython.ulonglong, last=cython.ulonglong, at=cython.ulonglong)
@cython.locals(position=cython.ulonglong, mask=cython.ulonglong)
def differing(table, prefix, content):
    """Return the number of the first entry of an index's bucket that is not as in ``table``.

    The number of entries: none differs. They are keys of 2 bytes, which must
    ascend, then positions of 6 bytes; ``prefix`` is the rest of the oids.
    """
    count = len(content) // 8
    mask = len(table) // 2 - 1
    last = 0
    i = 0
    with cython.nogil:
        while i < count:
            key = (content[2 * i] << 8) | content[2 * i + 1]
            at = 2 * count + 6 * i
            position = (content[at] << 8) | content[at + 1]
            position = (position << 16) | (content[at + 2] << 8) | content[at + 3]
            position = (position << 16) | (content[at + 4] << 8) | content[at + 5]
            if position == 0 or (i and key <= last):
                break
            if table[_slot(table, mask, (prefix << 16) | key) + 1] >> SHIFT != position:
                break
            last = key
            i += 1
    return i
