# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Compiled core: finds and checks the records of a FileStorage, forwards or backwards.

Nothing read from the file is trusted: each length is checked against what is
left before it moves the cursor. Positions are file offsets. The format is that
of ZODB/FileStorage/format.py ("FS30").
"""

try:
    import cython
except ImportError:  # must stay this form: the compiler knows only `import cython`
    from zmount.filestorage import _cython as cython

# the words of a cursor
POSITION = 0  # what comes next: a transaction or, inside one, a record
TRANSACTION = 1  # where the transaction being read starts; 0: between two
STOP = 2  # the end of its records
LAST_TID = 3
TRANSACTIONS = 4  # so many seen
RECORDS = 5  # so many seen
ERROR = 6  # a code of zmount.filestorage.format.REASONS; 0: none
ERROR_AT = 7
IS_UNPACKED = 8  # 1: a transaction that no pack has written was seen
CURSOR_FIELDS = 9

# the words of a record found
OID = 0
PLACE = 1  # its position
LENGTH = 2  # of its pickles; 0: a back pointer follows the header
BACK = 3  # that back pointer
PREVIOUS = 4  # the object's previous record
OWNER = 5  # its transaction's position
RECORD_FIELDS = 6

TRANSACTION_HEADER = 23  # tid, length - 8, status, three 2-byte lengths
DATA_HEADER = 42  # oid, tid, previous, transaction, 2 zero bytes, pickle length
FIRST = 4  # the first transaction follows "FS30"


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
@cython.returns(cython.ulonglong)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong)
def _header_length(source, pos):
    """The transaction's header with user, description and extension."""
    return (
        TRANSACTION_HEADER
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
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong)
@cython.locals(end=cython.ulonglong, length=cython.ulonglong)
def _transaction_error(source, pos, end):
    """Check the transaction's header at ``pos`` and both its lengths."""
    if end - pos < TRANSACTION_HEADER + 8:
        return 1
    length = _u64(source, pos + 8)
    if length > end - pos - 8:
        return 2
    if length < _header_length(source, pos):
        return 3
    if source[pos + 16] not in (32, 112, 117):  # " ", "p", "u"
        return 4
    if _u64(source, pos + length) != length:
        return 5
    return 0


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(source="const unsigned char[::1]", cursor="unsigned long long[::1]")
@cython.locals(pos=cython.ulonglong)
def _enter(source, cursor, pos):
    """Let the cursor be in the transaction at ``pos``; return its first record's position.

    One that was undone ("u", by a ZODB of before 2004) has none: FileStorage
    does not see its records either.
    """
    if source[pos + 16] != 112:
        cursor[IS_UNPACKED] = 1
    cursor[TRANSACTION] = pos
    cursor[STOP] = pos + _u64(source, pos + 8)
    cursor[LAST_TID] = _u64(source, pos)
    cursor[TRANSACTIONS] += 1
    if source[pos + 16] == 117:
        return cursor[STOP]
    return pos + _header_length(source, pos)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(source="const unsigned char[::1]", cursor="unsigned long long[::1]")
@cython.locals(records="unsigned long long[::1]", found=cython.ulonglong, room=cython.ulonglong)
@cython.locals(pos=cython.ulonglong, stop=cython.ulonglong, transaction=cython.ulonglong)
@cython.locals(
    length=cython.ulonglong, back=cython.ulonglong, at=cython.ulonglong, error=cython.int
)
def _take_records(source, cursor, pos, records, found, room):
    """Take the records from ``pos`` to the transaction's end; return how many there are now."""
    stop = cursor[STOP]
    transaction = cursor[TRANSACTION]
    error = 0
    while pos < stop and found < room:
        if stop - pos < DATA_HEADER:
            error = 6
            break
        length = _u64(source, pos + 34)
        back = 0
        if length == 0 and stop - pos >= DATA_HEADER + 8:
            back = _u64(source, pos + DATA_HEADER)
        elif length == 0 or length > stop - pos - DATA_HEADER:
            error = 7
            break
        if _u64(source, pos + 24) != transaction:
            error = 8
            break
        if source[pos + 32] or source[pos + 33]:
            error = 9
            break
        if _u64(source, pos + 16) >= pos:
            error = 10
            break
        if back >= pos:
            error = 11
            break
        at = found * RECORD_FIELDS
        records[at] = _u64(source, pos)
        records[at + PLACE] = pos
        records[at + LENGTH] = length
        records[at + BACK] = back
        records[at + PREVIOUS] = _u64(source, pos + 16)
        records[at + OWNER] = transaction
        found += 1
        pos += DATA_HEADER + (length if length else 8)
    cursor[POSITION] = pos
    if error:
        cursor[ERROR] = error
        cursor[ERROR_AT] = pos
    return found


@cython.locals(source="const unsigned char[::1]", cursor="unsigned long long[::1]")
@cython.locals(end=cython.ulonglong, until=cython.ulonglong, records="unsigned long long[::1]")
@cython.locals(limit=cython.ulonglong)
@cython.locals(found=cython.ulonglong, room=cython.ulonglong, pos=cython.ulonglong)
@cython.locals(error=cython.int)
def scan(source, cursor, end, until, records, limit=0):
    """Fill ``records`` with the records from the cursor on; return how many.

    Stops when ``records`` is full, at ``end``, before a transaction later than
    the tid ``until`` or one that begins at ``limit`` or after it (0: no limit),
    or at an error, which the cursor then holds.

    :param source: the file's bytes, at least ``end`` of them
    :param cursor: CURSOR_FIELDS words, moved
    :param records: RECORD_FIELDS words for each record
    """
    if end > cython.cast(cython.ulonglong, len(source)):
        raise ValueError(f"end {end} lies beyond the {len(source)} bytes given")
    room = len(records) // RECORD_FIELDS
    found = 0
    with cython.nogil:
        while not cursor[ERROR] and found < room:
            if not cursor[TRANSACTION]:
                pos = cursor[POSITION]
                if pos >= end or (limit and pos >= limit):
                    break
                error = _transaction_error(source, pos, end)
                if not error and _u64(source, pos) <= cursor[LAST_TID]:
                    error = 12
                if error:
                    cursor[ERROR] = error
                    cursor[ERROR_AT] = pos
                    break
                if _u64(source, pos) > until:
                    break
                pos = _enter(source, cursor, pos)
            else:
                pos = cursor[POSITION]
            found = _take_records(source, cursor, pos, records, found, room)
            if cursor[POSITION] == cursor[STOP] and not cursor[ERROR]:
                cursor[POSITION] += 8
                cursor[TRANSACTION] = 0
    cursor[RECORDS] += found
    return found


@cython.locals(source="const unsigned char[::1]", cursor="unsigned long long[::1]")
@cython.locals(start=cython.ulonglong, after=cython.ulonglong, records="unsigned long long[::1]")
@cython.locals(limit=cython.ulonglong)
@cython.locals(found=cython.ulonglong, room=cython.ulonglong, pos=cython.ulonglong)
@cython.locals(length=cython.ulonglong, top=cython.ulonglong, error=cython.int)
def scan_back(source, cursor, start, after, records, limit=0):
    """Fill ``records`` with the transactions before the cursor, the last one first.

    The same as ``scan``, by the lengths at the transactions' ends, down to
    ``start``, to a transaction of the tid ``after`` or before it, or to one
    that begins before ``limit``. Between two calls the cursor stands at a
    transaction's start, or inside one. A new cursor has LAST_TID 0, which here
    is the tid of the transaction above.
    """
    room = len(records) // RECORD_FIELDS
    found = 0
    if cursor[POSITION] > cython.cast(cython.ulonglong, len(source)):
        raise ValueError(f"position {cursor[POSITION]} lies beyond the {len(source)} bytes given")
    with cython.nogil:
        while not cursor[ERROR] and found < room:
            if not cursor[TRANSACTION]:
                top = cursor[POSITION]
                if top <= start:
                    break
                error = 0
                pos = top
                if top - start < TRANSACTION_HEADER + 8:
                    error = 1
                else:
                    length = _u64(source, top - 8)
                    if length > top - start - 8:
                        error = 2
                    else:
                        pos = top - 8 - length
                        error = _transaction_error(source, pos, top)
                if not error and cursor[LAST_TID] and _u64(source, pos) >= cursor[LAST_TID]:
                    error = 12
                if error:
                    cursor[ERROR] = error
                    cursor[ERROR_AT] = pos
                    break
                if _u64(source, pos) <= after or pos < limit:
                    break
                pos = _enter(source, cursor, pos)
            else:
                pos = cursor[POSITION]
            found = _take_records(source, cursor, pos, records, found, room)
            if cursor[POSITION] == cursor[STOP] and not cursor[ERROR]:
                cursor[POSITION] = cursor[TRANSACTION]
                cursor[TRANSACTION] = 0
    cursor[RECORDS] += found
    return found
