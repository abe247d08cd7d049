# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Compiled core: writes what a pack keeps, piece by piece, into a buffer.

The source has been scanned by _records before: its lengths are known to be
right. The table and ``targets`` are those of _mark: oid to position, and
position of a record that a back pointer needs to its position in the output.

Until the pack time only the kept records are copied, back pointers resolved,
as ZODB's fspack does; after it every transaction is, with its pointers adjusted.
"""

try:
    import cython
except ImportError:  # must stay this form: the compiler knows only `import cython`
    from zmount.filestorage import _cython as cython

from zmount.filestorage.table_hash import MULTIPLIER

if cython.compiled:
    from cython.cimports.libc.string import memcpy

# the words of a cursor
POSITION = 0  # of what comes next in the source: a transaction or a record
PHASE = 1
TRANSACTION = 2  # in the source
STOP = 3  # the end of its records in the source
NEW_TRANSACTION = 4  # in the output
NEW_LENGTH = 5  # of the transaction in the output, measured first
DATA = 6  # what is still to be copied of a record's pickles
DATA_LEFT = 7
WRITTEN = 8  # the length of the output so far
KEPT = 9  # records
DROPPED = 10  # records
CANDIDATES = 11  # words used in `blobs`
LOST = 12  # position of a record whose back pointer leads to no record that is kept; 0: none
CURSOR_FIELDS = 13

BETWEEN = 0  # the phases
MEASURING = 1
WRITING = 2
COPYING = 3
ENDING = 4

REACHED = 2  # as in _mark
AFTER = 4
MOVED = 8
SHIFT = 4
NOWHERE = 1  # no position of a record
DATA_HEADER = 42
LONGEST_PIECE = 23 + 3 * 65535  # a transaction's header; a buffer must hold it

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
@cython.returns(cython.void)
@cython.locals(out="unsigned char[::1]", pos=cython.ulonglong, number=cython.ulonglong)
def _put(out, pos, number):
    if not cython.compiled:
        out[pos : pos + 8] = number.to_bytes(8, "big")
        return
    out[pos] = (number >> 56) & 255
    out[pos + 1] = (number >> 48) & 255
    out[pos + 2] = (number >> 40) & 255
    out[pos + 3] = (number >> 32) & 255
    out[pos + 4] = (number >> 24) & 255
    out[pos + 5] = (number >> 16) & 255
    out[pos + 6] = (number >> 8) & 255
    out[pos + 7] = number & 255


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.void)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong, size=cython.ulonglong)
@cython.locals(out="unsigned char[::1]", at=cython.ulonglong)
def _bytes(source, pos, size, out, at):
    if not cython.compiled:
        out[at : at + size] = source[pos : pos + size]
        return
    memcpy(cython.address(out[at]), cython.address(source[pos]), size)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(table="unsigned long long[::1]", mask=cython.ulonglong, oid=cython.ulonglong)
@cython.locals(at=cython.ulonglong)
def _slot(table, mask, oid):
    """As _mark._slot, for the word itself."""
    at = (oid >> 3) * _multiplier
    if not cython.compiled:
        at %= 2**64
    # the product's highest 32 bits, scaled to the number of eights of slots
    at = (((((at >> 32) * ((mask >> 3) + 1)) >> 32) << 3) | (oid & 7)) & mask
    while table[2 * at + 1] and table[2 * at] != oid:
        at = (at + 1) & mask
    return 2 * at + 1


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong, back=cython.ulonglong)
@cython.locals(oid=cython.ulonglong)
def _holder(source, pos):
    """Return the position of the record that holds the data of the one at ``pos``.

    0: it says that there is no object; NOWHERE: a back pointer leads to no
    earlier record of the object, which a scan does not see.
    """
    oid = _u64(source, pos)
    while _u64(source, pos + 34) == 0:
        back = _u64(source, pos + DATA_HEADER)
        if back == 0:
            return 0
        if back > pos - DATA_HEADER - 8 or pos < DATA_HEADER + 8:
            return NOWHERE
        if _u64(source, back) != oid or _u64(source, back + 34) > pos - back - DATA_HEADER:
            return NOWHERE
        pos = back
    return pos


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.bint)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong)
@cython.locals(table="unsigned long long[::1]", targets="unsigned long long[::1]")
@cython.locals(word=cython.ulonglong)
def _is_kept(source, pos, table, targets):
    word = table[_slot(table, len(table) // 2 - 1, _u64(source, pos))]
    if word & REACHED and not word & MOVED and word >> SHIFT == pos:
        return True
    return len(targets) > 2 and targets[_slot(targets, len(targets) // 2 - 1, pos)] != 0


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.bint)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong, size=cython.ulonglong)
@cython.locals(i=cython.ulonglong)
def _may_be_blob(source, pos):
    """Whether the record's first bytes name ZODB.blob, or are compressed or encrypted."""
    pos = _holder(source, pos)
    if pos <= NOWHERE:
        return False
    size = _u64(source, pos + 34)
    pos += DATA_HEADER
    if size and source[pos] == 46:  # ".": no pickle begins so
        return True
    for i in range(pos, pos + (size if size < 128 else 128)):
        if (
            source[i] == 66  # "B" of "Blob", where the name is not one of another module's
            and i + 4 <= pos + size
            and source[i + 1] == 108
            and source[i + 2] == 111
            and source[i + 3] == 98
        ):
            return True
    return False


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.void)
@cython.locals(source="const unsigned char[::1]", cursor="unsigned long long[::1]")
@cython.locals(table="unsigned long long[::1]", targets="unsigned long long[::1]")
@cython.locals(blobs="unsigned long long[::1]", pos=cython.ulonglong, length=cython.ulonglong)
@cython.locals(holder=cython.ulonglong, stop=cython.ulonglong, wants_blobs=cython.bint)
@cython.locals(word=cython.ulonglong)
def _measure(source, cursor, table, targets, blobs, wants_blobs):
    """Add up what the transaction keeps; collect the dropped records that may be blobs.

    A blob stored through ZEO has two records in its transaction; if the second
    one is kept, the first one is not of a blob that goes.
    """
    pos = cursor[POSITION]
    stop = cursor[STOP]
    while pos < stop:
        length = _u64(source, pos + 34)
        if _is_kept(source, pos, table, targets):
            cursor[KEPT] += 1
            if length == 0:
                holder = _holder(source, pos)
                if holder == NOWHERE:
                    cursor[LOST] = pos
                    break
                if holder:
                    cursor[NEW_LENGTH] += DATA_HEADER + _u64(source, holder + 34)
                else:
                    cursor[NEW_LENGTH] += DATA_HEADER + 8
            else:
                cursor[NEW_LENGTH] += DATA_HEADER + length
        else:
            if wants_blobs and _may_be_blob(source, pos):
                word = table[_slot(table, len(table) // 2 - 1, _u64(source, pos))]
                if not (word & REACHED and not word & MOVED and pos < word >> SHIFT < stop):
                    if cursor[CANDIDATES] >= cython.cast(cython.ulonglong, len(blobs)):
                        break
                    blobs[cursor[CANDIDATES]] = pos
                    cursor[CANDIDATES] += 1
            cursor[DROPPED] += 1
        pos += DATA_HEADER + (length if length else 8)
    cursor[POSITION] = pos


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong)
def _header_length(source, pos):
    return (
        23
        + (source[pos + 17] << 8)
        + source[pos + 18]
        + (source[pos + 19] << 8)
        + source[pos + 20]
        + (source[pos + 21] << 8)
        + source[pos + 22]
    )


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(source="const unsigned char[::1]", cursor="unsigned long long[::1]")
@cython.locals(table="unsigned long long[::1]", targets="unsigned long long[::1]")
@cython.locals(out="unsigned char[::1]", filled=cython.ulonglong, is_after=cython.bint)
@cython.locals(pos=cython.ulonglong, length=cython.ulonglong, new=cython.ulonglong)
@cython.locals(at=cython.ulonglong, back=cython.ulonglong, word=cython.ulonglong)
@cython.locals(previous=cython.ulonglong, holder=cython.ulonglong)
def _write_record(source, cursor, table, targets, out, filled, is_after):
    """Write the header of the record at the cursor; return how many bytes of ``out`` are filled."""
    pos = cursor[POSITION]
    length = _u64(source, pos + 34)
    new = cursor[WRITTEN] + filled
    at = _slot(table, len(table) // 2 - 1, _u64(source, pos))
    word = table[at]
    back = 0
    previous = 0
    holder = pos
    if is_after:
        previous = (word >> SHIFT) if word & MOVED else 0
        if length == 0:
            back = _u64(source, pos + DATA_HEADER)
            if back:
                at = _slot(targets, len(targets) // 2 - 1, back)
                back = (targets[at] >> SHIFT) if targets[at] & MOVED else 0
                if back == 0:
                    cursor[LOST] = pos
                at = _slot(table, len(table) // 2 - 1, _u64(source, pos))
    else:
        if length == 0:
            holder = _holder(source, pos)
            length = _u64(source, holder + 34) if holder else 0
        if not word & REACHED or (word >> SHIFT == pos and not word & MOVED):
            # the position is the last word on an object that is kept for an undo only
            table[at] = (new << SHIFT) | MOVED | (word & 6)
    if len(targets) > 2:
        at = _slot(targets, len(targets) // 2 - 1, pos)
        if targets[at]:
            targets[at] = (new << SHIFT) | MOVED
    _bytes(source, pos, 16, out, filled)
    _put(out, filled + 16, previous)
    _put(out, filled + 24, cursor[NEW_TRANSACTION])
    out[filled + 32] = 0
    out[filled + 33] = 0
    _put(out, filled + 34, length)
    filled += DATA_HEADER
    if length == 0:
        _put(out, filled, back)
        filled += 8
    cursor[DATA] = holder + DATA_HEADER
    cursor[DATA_LEFT] = length
    length = _u64(source, pos + 34)
    cursor[POSITION] = pos + DATA_HEADER + (length if length else 8)
    return filled


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.void)
@cython.locals(source="const unsigned char[::1]", cursor="unsigned long long[::1]")
@cython.locals(table="unsigned long long[::1]", pos=cython.ulonglong, new=cython.ulonglong)
@cython.locals(at=cython.ulonglong, length=cython.ulonglong)
def _settle(source, cursor, table):
    """Note where the records of a transaction after the pack time went.

    Only now: a second record of an object in one transaction has the same
    previous record as the first (ZEO stores blobs so).
    """
    pos = cursor[TRANSACTION] + _header_length(source, cursor[TRANSACTION])
    while pos < cursor[STOP]:
        new = cursor[NEW_TRANSACTION] + pos - cursor[TRANSACTION]
        at = _slot(table, len(table) // 2 - 1, _u64(source, pos))
        table[at] = (new << SHIFT) | MOVED | (table[at] & 6)
        length = _u64(source, pos + 34)
        pos += DATA_HEADER + (length if length else 8)
        cursor[KEPT] += 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(source="const unsigned char[::1]", cursor="unsigned long long[::1]")
@cython.locals(out="unsigned char[::1]", filled=cython.ulonglong, is_after=cython.bint)
@cython.locals(pos=cython.ulonglong, length=cython.ulonglong)
def _write_transaction(source, cursor, out, filled, is_after):
    """Write the transaction's header and put the cursor at its first record."""
    pos = cursor[TRANSACTION]
    length = _header_length(source, pos)
    cursor[NEW_TRANSACTION] = cursor[WRITTEN] + filled
    _bytes(source, pos, length, out, filled)
    if not is_after:
        _put(out, filled + 8, cursor[NEW_LENGTH])
        out[filled + 16] = 112  # "p"
    cursor[POSITION] = pos + length
    cursor[PHASE] = WRITING
    return filled + length


@cython.locals(source="const unsigned char[::1]", cursor="unsigned long long[::1]")
@cython.locals(end=cython.ulonglong, pack_position=cython.ulonglong)
@cython.locals(table="unsigned long long[::1]", targets="unsigned long long[::1]")
@cython.locals(out="unsigned char[::1]", blobs="unsigned long long[::1]")
@cython.locals(filled=cython.ulonglong, room=cython.ulonglong, is_after=cython.bint)
@cython.locals(pos=cython.ulonglong, size=cython.ulonglong, wants_blobs=cython.bint)
def copy(source, cursor, end, pack_position, table, targets, out, blobs):
    """Fill ``out`` with the output that follows; return how many bytes.

    Call again after writing them, until the cursor stands at ``end`` with the
    phase BETWEEN; the output's first 4 bytes are the caller's, WRITTEN counts
    them. The positions in ``blobs`` are dropped records that may be blobs; the
    caller empties it (CANDIDATES = 0) on each return.

    :param pack_position: of the first transaction after the pack time
    :param out: at least LONGEST_PIECE bytes
    :param blobs: of length 0 if nobody wants to know
    """
    if end > cython.cast(cython.ulonglong, len(source)):
        raise ValueError(f"end {end} lies beyond the {len(source)} bytes given")
    room = len(out)
    if room < LONGEST_PIECE:
        raise ValueError(f"the buffer needs {LONGEST_PIECE} bytes at least")
    filled = 0
    wants_blobs = len(blobs) > 0
    with cython.nogil:
        while cursor[LOST] == 0:
            is_after = cursor[TRANSACTION] >= pack_position
            if cursor[PHASE] == BETWEEN:
                pos = cursor[POSITION]
                if pos >= end:
                    break
                cursor[TRANSACTION] = pos
                cursor[STOP] = pos + _u64(source, pos + 8)
                cursor[NEW_LENGTH] = _header_length(source, pos)
                cursor[POSITION] = pos + cursor[NEW_LENGTH]
                cursor[PHASE] = MEASURING
            elif cursor[PHASE] == MEASURING:
                if not is_after:
                    _measure(source, cursor, table, targets, blobs, wants_blobs)
                    if cursor[POSITION] < cursor[STOP]:
                        break
                    if cursor[NEW_LENGTH] == _header_length(source, cursor[TRANSACTION]):
                        cursor[POSITION] = cursor[STOP] + 8
                        cursor[PHASE] = BETWEEN
                        continue
                if room - filled < _header_length(source, cursor[TRANSACTION]):
                    break
                filled = _write_transaction(source, cursor, out, filled, is_after)
            elif cursor[PHASE] == WRITING:
                pos = cursor[POSITION]
                if pos >= cursor[STOP]:
                    cursor[PHASE] = ENDING
                elif room - filled < DATA_HEADER + 8:
                    break
                elif is_after or _is_kept(source, pos, table, targets):
                    filled = _write_record(source, cursor, table, targets, out, filled, is_after)
                    cursor[PHASE] = COPYING
                else:
                    size = _u64(source, pos + 34)
                    cursor[POSITION] = pos + DATA_HEADER + (size if size else 8)
            elif cursor[PHASE] == COPYING:
                size = cursor[DATA_LEFT]
                if size > room - filled:
                    size = room - filled
                if size:
                    _bytes(source, cursor[DATA], size, out, filled)
                    filled += size
                    cursor[DATA] += size
                    cursor[DATA_LEFT] -= size
                if cursor[DATA_LEFT]:
                    break
                cursor[PHASE] = WRITING
            else:
                if room - filled < 8:
                    break
                _put(out, filled, cursor[WRITTEN] + filled - cursor[NEW_TRANSACTION])
                filled += 8
                if is_after:
                    _settle(source, cursor, table)
                cursor[POSITION] = cursor[STOP] + 8
                cursor[PHASE] = BETWEEN
    cursor[WRITTEN] += filled
    return filled
