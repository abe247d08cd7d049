# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Compiled core: finds the references in data records without unpickling them.

A record holds two pickles, of the class and of the state, with one memo. This
follows their opcodes with a stack that keeps of each value no more than what a
persistent id needs: whether it is an oid, a tuple that begins with one, or a
list of one of the known forms. It answers as ZODB.serialize.referencesf does, or
not at all: what it does not understand exactly makes the record an unknown one,
which the caller must hand to referencesf.

It does understand strings of Python 2 that are not ASCII, which referencesf
refuses. Protocol 0, which ZODB never wrote, and EXT are left to referencesf.
"""

try:
    import cython
except ImportError:  # must stay this form: the compiler knows only `import cython`
    from zmount.filestorage import _cython as cython

DATA_HEADER = 42  # as in _records
LONGEST_CHAIN = 64  # of back pointers; a longer one makes a record unknown

BAD = 0  # what _holder returns instead of a position
NO_DATA = 1

UNKNOWN = -1  # what _record returns instead of a number of oids
FULL = -2

# the lowest four bits of a value's word; above them is a position
NOTHING = 0  # an entry of the memo that was never written
OTHER = 1  # anything that is no persistent id and no list
OID = 2  # a string of eight bytes, at that position
LETTER = 3  # a string of one byte, at that position
TUPLE = 4  # a tuple that begins with an OID
EMPTY_LIST = 5
WEAK = 6  # a list: ["w", ...], or [oid] as it was once written
FOREIGN = 7  # a list: ["m", (database, oid, class)] or ["n", (database, oid)]
ODD_LIST = 8
KIND = 15
SHIFT = 4

IS_FOREIGN = 0  # a word of the memory: whether the record has a FOREIGN reference
STACK = 1  # what follows in the memory: stack, marks and memo, of the same size


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
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong)
def _little_u32(source, pos):
    if not cython.compiled:
        return int.from_bytes(source[pos : pos + 4], "little")
    return (
        cython.cast(cython.ulonglong, source[pos])
        | (cython.cast(cython.ulonglong, source[pos + 1]) << 8)
        | (cython.cast(cython.ulonglong, source[pos + 2]) << 16)
        | (cython.cast(cython.ulonglong, source[pos + 3]) << 24)
    )


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong, end=cython.ulonglong)
def _after_line(source, pos, end):
    """Return where the line at ``pos`` ends, its newline included; 0: it does not, or pos is 0."""
    while 0 < pos < end:
        pos += 1
        if source[pos - 1] == 10:
            return pos
    return 0


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong, size=cython.ulonglong)
@cython.locals(is_text=cython.bint, i=cython.ulonglong)
def _string(source, pos, size, is_text):
    """Return the word of a string; text is an oid only where it is ASCII."""
    if size == 8:
        if is_text:
            for i in range(pos, pos + 8):
                if source[i] > 127:
                    return OTHER
        return pos << SHIFT | OID
    if size == 1:
        return pos << SHIFT | LETTER
    return OTHER


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(source="const unsigned char[::1]", word=cython.ulonglong)
def _list(source, word):
    """Return the word of a list whose first value has the given one."""
    if word & KIND == OID:
        return WEAK
    if word & KIND == LETTER:
        if source[word >> SHIFT] == 119:  # "w"
            return WEAK
        if source[word >> SHIFT] in (109, 110):  # "m", "n"
            return FOREIGN
    return ODD_LIST


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(word=cython.ulonglong)
def _tuple(word):
    """Return the word of a tuple whose first value has the given one."""
    return (word >> SHIFT) << SHIFT | TUPLE if word & KIND == OID else OTHER


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.longlong)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong, end=cython.ulonglong)
@cython.locals(oids="unsigned long long[::1]", found=cython.ulonglong)
@cython.locals(memory="unsigned long long[::1]", room=cython.ulonglong)
@cython.locals(n=cython.ulonglong, marks=cython.ulonglong, mark=cython.ulonglong)
@cython.locals(memo=cython.ulonglong, used=cython.ulonglong)
@cython.locals(op=cython.int, kind=cython.int, left=cython.ulonglong, size=cython.ulonglong)
@cython.locals(word=cython.ulonglong, at=cython.ulonglong, is_second=cython.bint)
def _record(source, pos, end, oids, found, memory):
    """Add the oids in the pickles from ``pos`` to ``end``; return how many there are now.

    The stack grows from STACK to ``n``, the marks from ``marks`` to ``mark``. Of
    the memo the first ``used`` entries are of this record.
    """
    room = (len(memory) - STACK) // 3
    n = STACK
    marks = STACK + room
    mark = marks
    memo = marks + room
    used = 0
    is_second = False
    while pos < end:
        op = source[pos]
        pos += 1
        left = end - pos
        word = OTHER  # what is pushed at the end of the loop
        if op == 88 or op == 66 or op == 84:  # BINUNICODE, BINBYTES, BINSTRING
            if left < 4:
                return UNKNOWN
            size = _little_u32(source, pos)
            if size > left - 4:
                return UNKNOWN
            word = _string(source, pos + 4, size, op == 88)
            pos += 4 + size
        elif op == 67 or op == 85:  # SHORT_BINBYTES, SHORT_BINSTRING
            if left < 1 or source[pos] > left - 1:
                return UNKNOWN
            size = source[pos]
            word = _string(source, pos + 1, size, False)
            pos += 1 + size
        elif op == 113 or op == 114:  # BINPUT, LONG_BINPUT
            size = 1 if op == 113 else 4
            if left < size or n == STACK:
                return UNKNOWN
            at = source[pos] if op == 113 else _little_u32(source, pos)
            # picklers count up, from 0 or 1: no more than one entry is to be cleared
            if at > used + 1 or at >= room:
                return UNKNOWN
            if at > used:
                memory[memo + used] = NOTHING
            if at >= used:
                used = at + 1
            memory[memo + at] = memory[n - 1]
            pos += size
            continue
        elif op == 104 or op == 106:  # BINGET, LONG_BINGET
            size = 1 if op == 104 else 4
            if left < size:
                return UNKNOWN
            at = source[pos] if op == 104 else _little_u32(source, pos)
            if at >= used or memory[memo + at] == NOTHING:
                return UNKNOWN
            word = memory[memo + at]
            pos += size
        elif op == 40:  # MARK
            if mark == memo:
                return UNKNOWN
            memory[mark] = n
            mark += 1
            continue
        elif op == 78 or op == 125 or op == 41 or op == 136 or op == 137:
            # NONE, EMPTY_DICT, EMPTY_TUPLE, NEWTRUE, NEWFALSE
            pass
        elif op == 75 or op == 77 or op == 74 or op == 71:  # BININT1, BININT2, BININT, BINFLOAT
            size = 1 if op == 75 else 2 if op == 77 else 4 if op == 74 else 8
            if left < size:
                return UNKNOWN
            pos += size
        elif op == 138:  # LONG1
            if left < 1 or source[pos] > left - 1:
                return UNKNOWN
            pos += 1 + source[pos]
        elif op == 139:  # LONG4
            if left < 4 or _little_u32(source, pos) > left - 4:
                return UNKNOWN
            pos += 4 + _little_u32(source, pos)
        elif op == 99:  # GLOBAL
            pos = _after_line(source, _after_line(source, pos, end), end)
            if pos == 0:
                return UNKNOWN
        elif op == 81:  # BINPERSID
            if n == STACK:
                return UNKNOWN
            n -= 1
            word = memory[n]
            kind = word & KIND
            if kind in (OID, TUPLE):
                if found == len(oids):
                    return FULL
                oids[found] = _u64(source, word >> SHIFT)
                found += 1
            elif kind == FOREIGN:
                memory[IS_FOREIGN] = 1
            elif kind != WEAK:
                return UNKNOWN
            word = OTHER
        elif op == 134 or op == 133 or op == 135:  # TUPLE2, TUPLE1, TUPLE3
            size = op - 132
            if n < STACK + size:
                return UNKNOWN
            n -= size
            word = _tuple(memory[n])
        elif op == 116 or op == 108 or op == 100 or op == 111 or op == 105 or op == 49:
            # TUPLE, LIST, DICT, OBJ, INST, POP_MARK: of what lies above the mark
            if mark == marks or memory[mark - 1] > n:
                return UNKNOWN
            mark -= 1
            size = n - memory[mark]
            n = memory[mark]
            if op == 49:
                continue
            if op == 116 and size:
                word = _tuple(memory[n])
            elif op == 108:
                word = _list(source, memory[n]) if size else EMPTY_LIST
            elif (op == 100 and size % 2) or (op == 111 and size == 0):
                return UNKNOWN
            elif op == 105:
                pos = _after_line(source, _after_line(source, pos, end), end)
                if pos == 0:
                    return UNKNOWN
        elif op == 93:  # EMPTY_LIST
            word = EMPTY_LIST
        elif op == 129 or op == 82:  # NEWOBJ, REDUCE
            if n < STACK + 2:
                return UNKNOWN
            n -= 2
        elif op == 117 or op == 101 or op == 115 or op == 97:
            # SETITEMS, APPENDS, SETITEM, APPEND
            size = 2 if op == 115 else 1
            if op == 117 or op == 101:
                if mark == marks or memory[mark - 1] > n:
                    return UNKNOWN
                mark -= 1
                size = n - memory[mark]
            if n < STACK + 1 + size:
                return UNKNOWN
            n -= size
            kind = memory[n - 1] & KIND
            if kind == EMPTY_LIST and (op == 101 or op == 97):
                if size:
                    memory[n - 1] = _list(source, memory[n])
            elif kind != OTHER and (kind < EMPTY_LIST or op == 117 or op == 115):
                return UNKNOWN
            if op == 117 and size % 2:
                return UNKNOWN
            continue
        elif op == 98:  # BUILD
            if n < STACK + 2:
                return UNKNOWN
            n -= 1
            continue
        elif op == 46:  # STOP
            if n != STACK + 1 or mark != marks:
                return UNKNOWN
            if is_second:
                return found if left == 0 else UNKNOWN
            is_second = True
            n = STACK
            continue
        elif op == 128:  # PROTO
            if left < 1 or source[pos] > 3:
                return UNKNOWN
            pos += 1
            continue
        elif op == 73 or op == 76 or op == 70 or op == 83 or op == 86:
            # INT, LONG, FLOAT, STRING, UNICODE; as an oid the last two would be unknown
            pos = _after_line(source, pos, end)
            if pos == 0:
                return UNKNOWN
        elif op == 50:  # DUP
            if n == STACK:
                return UNKNOWN
            word = memory[n - 1]
        elif op == 48:  # POP
            if mark > marks and memory[mark - 1] == n:
                mark -= 1
            elif n > STACK:
                n -= 1
            else:
                return UNKNOWN
            continue
        else:
            return UNKNOWN
        if n == marks:
            return UNKNOWN
        memory[n] = word
        n += 1
    return UNKNOWN


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(source="const unsigned char[::1]", pos=cython.ulonglong, back=cython.ulonglong)
@cython.locals(size=cython.ulonglong, _=cython.int)
def _holder(source, pos):
    """Return the position of the record with the data of the one at ``pos``.

    NO_DATA: its creation was undone; BAD: there is no right record there.
    """
    size = len(source)
    for _ in range(LONGEST_CHAIN):
        if pos > size or size - pos < DATA_HEADER + 8:
            return BAD
        if _u64(source, pos + 34):
            return pos if _u64(source, pos + 34) <= size - pos - DATA_HEADER else BAD
        back = _u64(source, pos + DATA_HEADER)
        if back == 0:
            return NO_DATA
        if back >= pos:
            return BAD
        pos = back
    return BAD


@cython.locals(source="const unsigned char[::1]", positions="unsigned long long[::1]")
@cython.locals(first=cython.ulonglong, count=cython.ulonglong)
@cython.locals(oids="unsigned long long[::1]", ends="unsigned long long[::1]")
@cython.locals(unknown="unsigned long long[::1]", foreign="unsigned long long[::1]")
@cython.locals(memory="unsigned long long[::1]")
@cython.locals(n=cython.ulonglong, pos=cython.ulonglong, found=cython.ulonglong)
@cython.locals(unknown_count=cython.ulonglong, foreign_count=cython.ulonglong)
@cython.locals(after=cython.longlong)
def walk(source, positions, first, count, oids, ends, unknown, foreign, memory):
    """Find the references of the data records ``first`` to ``count`` of ``positions``.

    Those of record n become ``oids[ends[n - 1]:ends[n]]``; those of the first
    one begin at 0. Weak ones and those to other databases are left out. Stops
    before a record whose references have no more room.

    :param ends: a word for each position
    :param unknown: takes the numbers of the records that are not understood,
        which have no references here; must have room for all
    :param foreign: likewise of those with references to other databases
    :param memory: the stack and the memo of a record; a larger one is unknown
    :return: the number of the record to go on with, ``count`` when all are done,
        how many are unknown and how many foreign
    """
    if count > len(positions) or count > len(ends) or len(memory) < 4:
        raise ValueError("positions, ends or memory has not room enough")
    if first < count and (count - first > len(unknown) or count - first > len(foreign)):
        raise ValueError("unknown or foreign has not room enough")
    unknown_count = 0
    foreign_count = 0
    found = 0
    n = first
    with cython.nogil:
        while n < count:
            pos = _holder(source, positions[n])
            after = found
            if pos == BAD:
                after = UNKNOWN
            elif pos != NO_DATA:
                memory[IS_FOREIGN] = 0
                pos += DATA_HEADER
                after = _record(source, pos, pos + _u64(source, pos - 8), oids, found, memory)
            if after == FULL:
                break
            if after == UNKNOWN:
                unknown[unknown_count] = n
                unknown_count += 1
            else:
                found = after
                if pos != NO_DATA and memory[IS_FOREIGN]:
                    foreign[foreign_count] = n
                    foreign_count += 1
            ends[n] = found
            n += 1
    return n, unknown_count, foreign_count
