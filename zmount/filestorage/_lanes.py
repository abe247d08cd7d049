# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Compiled core: finds records in no order, several transactions at a time.

Where a record ends is known only from its header, so a scan in order waits for
the memory at each. The headers of different transactions do not depend on each
other: read in turn, they come at the same time. Cursor, records and checks are
those of _records.
"""

try:
    import cython
except ImportError:  # must stay this form: the compiler knows only `import cython`
    from zmount.filestorage import _cython as cython

# the words of a cursor and of a record, as in _records
POSITION = 0
TRANSACTION = 1
STOP = 2
LAST_TID = 3
TRANSACTIONS = 4
RECORDS = 5
ERROR = 6
ERROR_AT = 7
IS_UNPACKED = 8
RECORD_FIELDS = 6

LANES = 8  # transactions at a time
LANE_FIELDS = 3  # the next record's position (0: none), the end of the records, the transaction
TRANSACTION_HEADER = 23
DATA_HEADER = 42


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong)
@cython.locals(at="const unsigned char *")
def _u64(source, pos):
    if not cython.compiled:
        return int.from_bytes(source[pos : pos + 8], "big")
    at = cython.address(source[pos])  # through a pointer this is one load and one swap
    return (
        (cython.cast(cython.ulonglong, at[0]) << 56)
        | (cython.cast(cython.ulonglong, at[1]) << 48)
        | (cython.cast(cython.ulonglong, at[2]) << 40)
        | (cython.cast(cython.ulonglong, at[3]) << 32)
        | (cython.cast(cython.ulonglong, at[4]) << 24)
        | (cython.cast(cython.ulonglong, at[5]) << 16)
        | (cython.cast(cython.ulonglong, at[6]) << 8)
        | cython.cast(cython.ulonglong, at[7])
    )


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.int)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong, end=cython.ulonglong)
@cython.locals(length=cython.ulonglong, header=cython.ulonglong)
def _transaction_error(source, pos, end):
    """Check the transaction's header at ``pos`` and both its lengths."""
    if end - pos < TRANSACTION_HEADER + 8:
        return 1
    length = _u64(source, pos + 8)
    if length > end - pos - 8:
        return 2
    header = TRANSACTION_HEADER + (source[pos + 17] << 8) + source[pos + 18]
    header += (source[pos + 19] << 8) + source[pos + 20]
    header += (source[pos + 21] << 8) + source[pos + 22]
    if length < header:
        return 3
    if source[pos + 16] not in (32, 112, 117):  # " ", "p", "u"
        return 4
    if _u64(source, pos + length) != length:
        return 5
    return 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.bint)
@cython.locals(source="const unsigned char[::1]", cursor="unsigned long long[::1]")
@cython.locals(bound=cython.ulonglong, tid=cython.ulonglong, limit=cython.ulonglong)
@cython.locals(backwards=cython.bint, pos=cython.ulonglong, top=cython.ulonglong)
@cython.locals(length=cython.ulonglong, found=cython.ulonglong, error=cython.int)
def _find(source, cursor, bound, tid, limit, backwards):
    """Find the next transaction, and check it; return whether there is one.

    Its position and the end of its records are in the cursor then.
    """
    pos = cursor[POSITION]
    top = bound
    error = 0
    if not backwards:
        if pos >= bound or (limit and pos >= limit):
            return False
        error = _transaction_error(source, pos, bound)
        found = 0 if error else _u64(source, pos)
        if not error and found <= cursor[LAST_TID]:
            error = 12
        if not error and found > tid:
            return False
    else:
        top = pos
        if top <= bound:
            return False
        if top - bound < TRANSACTION_HEADER + 8:
            error = 1
        else:
            length = _u64(source, top - 8)
            if length > top - bound - 8:
                error = 2
            else:
                pos = top - 8 - length
                error = _transaction_error(source, pos, top)
        found = 0 if error else _u64(source, pos)
        if not error and cursor[LAST_TID] and found >= cursor[LAST_TID]:
            error = 12
        if not error and (found <= tid or pos < limit):
            return False
    if error:
        cursor[ERROR] = error
        cursor[ERROR_AT] = pos
        return False
    if source[pos + 16] != 112:
        cursor[IS_UNPACKED] = 1
    cursor[TRANSACTION] = pos
    cursor[STOP] = pos + _u64(source, pos + 8)
    cursor[LAST_TID] = found
    cursor[TRANSACTIONS] += 1
    cursor[POSITION] = pos if backwards else cursor[STOP] + 8
    return True


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong, stop=cython.ulonglong)
def _first_record(source, pos, stop):
    """Return the position of the transaction's first record; its end if it was undone."""
    if source[pos + 16] == 117:
        return stop
    return (
        pos
        + TRANSACTION_HEADER
        + (source[pos + 17] << 8)
        + source[pos + 18]
        + (source[pos + 19] << 8)
        + source[pos + 20]
        + (source[pos + 21] << 8)
        + source[pos + 22]
    )


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.int)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong, stop=cython.ulonglong)
@cython.locals(transaction=cython.ulonglong, records="unsigned long long[::1]")
@cython.locals(at=cython.ulonglong, length=cython.ulonglong, back=cython.ulonglong)
def _take(source, pos, stop, transaction, records, at):
    """Check the record at ``pos`` and write it to ``records``; return an error's code."""
    if stop - pos < DATA_HEADER:
        return 6
    length = _u64(source, pos + 34)
    back = 0
    if length == 0 and stop - pos >= DATA_HEADER + 8:
        back = _u64(source, pos + DATA_HEADER)
    elif length == 0 or length > stop - pos - DATA_HEADER:
        return 7
    if _u64(source, pos + 24) != transaction:
        return 8
    if source[pos + 32] or source[pos + 33]:
        return 9
    if _u64(source, pos + 16) >= pos:
        return 10
    if back >= pos:
        return 11
    records[at] = _u64(source, pos)
    records[at + 1] = pos
    records[at + 2] = length
    records[at + 3] = back
    records[at + 4] = _u64(source, pos + 16)
    records[at + 5] = transaction
    return 0


@cython.locals(source="const unsigned char[::1]", cursor="unsigned long long[::1]")
@cython.locals(bound=cython.ulonglong, tid=cython.ulonglong, limit=cython.ulonglong)
@cython.locals(records="unsigned long long[::1]", lanes="unsigned long long[::1]")
@cython.locals(backwards=cython.bint, more=cython.bint, found=cython.ulonglong)
@cython.locals(room=cython.ulonglong, active=cython.int, lane=cython.int, error=cython.int)
@cython.locals(pos=cython.ulonglong, at=cython.ulonglong)
def scan(source, cursor, bound, tid, records, lanes, limit=0, backwards=False):
    """Fill ``records`` with those that come next, in no order; return how many.

    Forwards up to ``bound``, to a transaction later than ``tid`` or one that
    begins at ``limit`` or after it; backwards down to ``bound``, to one of
    ``tid`` or before it, or one that begins before ``limit``. 0 is returned
    when all are done; until then the cursor is ahead of the records.

    :param lanes: LANES * LANE_FIELDS words, 0 in the beginning
    """
    room = len(records) // RECORD_FIELDS
    if not backwards and bound > cython.cast(cython.ulonglong, len(source)):
        raise ValueError(f"end {bound} lies beyond the {len(source)} bytes given")
    if cursor[POSITION] > cython.cast(cython.ulonglong, len(source)):
        raise ValueError(f"position {cursor[POSITION]} lies beyond the {len(source)} bytes given")
    if len(lanes) < LANES * LANE_FIELDS or room < LANES:
        raise ValueError("lanes or records are too few")
    found = 0
    with cython.nogil:
        more = True
        active = 0
        for lane in range(LANES):
            if lanes[lane * LANE_FIELDS]:
                active += 1
        while not cursor[ERROR] and found + LANES <= room:
            lane = 0
            while more and active < LANES and lane < LANES:
                if lanes[lane * LANE_FIELDS]:
                    lane += 1
                    continue
                more = _find(source, cursor, bound, tid, limit, backwards)
                if not more:
                    break
                pos = _first_record(source, cursor[TRANSACTION], cursor[STOP])
                if pos < cursor[STOP]:
                    lanes[lane * LANE_FIELDS] = pos
                    lanes[lane * LANE_FIELDS + 1] = cursor[STOP]
                    lanes[lane * LANE_FIELDS + 2] = cursor[TRANSACTION]
                    active += 1
            if active == 0:
                break
            for lane in range(LANES):
                at = lane * LANE_FIELDS
                pos = lanes[at]
                if pos == 0:
                    continue
                error = _take(
                    source, pos, lanes[at + 1], lanes[at + 2], records, found * RECORD_FIELDS
                )
                if error:
                    cursor[ERROR] = error
                    cursor[ERROR_AT] = pos
                    break
                pos += DATA_HEADER
                pos += (
                    8
                    if records[found * RECORD_FIELDS + 2] == 0
                    else (records[found * RECORD_FIELDS + 2])
                )
                found += 1
                if pos == lanes[at + 1]:
                    pos = 0
                    active -= 1
                lanes[at] = pos
        cursor[TRANSACTION] = 0
    cursor[RECORDS] += found
    return found
