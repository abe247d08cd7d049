# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Compiled core: the table of objects, what is reachable, and the sorted index.

The table is open-addressed, two words a slot: the oid, and a word that holds a
position (shifted by 4) and flags; 0 is an empty slot. Eight neighbouring oids
lie in neighbouring slots, as they often come together.
"""

try:
    import cython
except ImportError:  # must stay this form: the compiler knows only `import cython`
    from zmount.filestorage import _cython as cython

from zmount.filestorage.table_hash import MULTIPLIER

GONE = 1  # the object's record at this position undoes its creation
REACHED = 2
AFTER = 4  # has a record after the pack time that was already come across
MOVED = 8  # the position is that in the packed file
FLAGS = 15
SHIFT = 4
RECORD_FIELDS = 6  # as in _records
BACK = 3
OWNER = 5
NONE = 1  # no position of a record

_multiplier = cython.declare(cython.ulonglong, MULTIPLIER)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(table="unsigned long long[::1]", mask=cython.ulonglong, oid=cython.ulonglong)
@cython.locals(at=cython.ulonglong)
def _slot(table, mask, oid):
    """Return where ``oid`` is or belongs; ``mask`` is the number of slots less one."""
    at = (oid >> 3) * _multiplier
    if not cython.compiled:
        at %= 2**64
    # the product's highest 32 bits, scaled to the number of eights of slots
    at = (((((at >> 32) * ((mask >> 3) + 1)) >> 32) << 3) | (oid & 7)) & mask
    while table[2 * at + 1] and table[2 * at] != oid:
        at = (at + 1) & mask
    return 2 * at


@cython.locals(table="unsigned long long[::1]", oid=cython.ulonglong)
def word_of(table, oid):
    """Return the word of ``oid``; 0: the table does not know it."""
    return table[_slot(table, len(table) // 2 - 1, oid) + 1]


@cython.locals(table="unsigned long long[::1]", oid=cython.ulonglong, word=cython.ulonglong)
@cython.locals(at=cython.ulonglong, is_new=cython.bint)
def set_word(table, oid, word):
    """Let ``word`` be that of ``oid``; return 1 if the oid is new."""
    at = _slot(table, len(table) // 2 - 1, oid)
    is_new = table[at + 1] == 0
    table[at] = oid
    table[at + 1] = word
    return is_new


@cython.locals(table="unsigned long long[::1]", records="unsigned long long[::1]")
@cython.locals(count=cython.ulonglong, number=cython.ulonglong, new=cython.ulonglong)
@cython.locals(at=cython.ulonglong, word=cython.ulonglong, i=cython.ulonglong)
@cython.locals(mask=cython.ulonglong)
def note(table, records, count):
    """Let each object's position be that of its last record; return how many are new.

    The order of the records does not matter. The table must have room.
    """
    mask = len(table) // 2 - 1
    new = 0
    with cython.nogil:
        for number in range(count):
            i = number * RECORD_FIELDS
            word = records[i + 1] << SHIFT
            if records[i + 2] == 0 and records[i + 3] == 0:
                word |= GONE
            at = _slot(table, mask, records[i])
            if table[at + 1] == 0:
                table[at] = records[i]
                new += 1
            if table[at + 1] < word:
                table[at + 1] = word
    return new


@cython.locals(table="unsigned long long[::1]", records="unsigned long long[::1]")
@cython.locals(count=cython.ulonglong, number=cython.ulonglong, new=cython.ulonglong)
@cython.locals(at=cython.ulonglong, mask=cython.ulonglong)
def note_after(table, records, count):
    """Flag the objects that have these records after the pack time; return how many are new."""
    mask = len(table) // 2 - 1
    new = 0
    with cython.nogil:
        for number in range(count):
            at = _slot(table, mask, records[number * RECORD_FIELDS])
            if table[at + 1] == 0:
                table[at] = records[number * RECORD_FIELDS]
                new += 1
            table[at + 1] |= AFTER
    return new


@cython.locals(targets="unsigned long long[::1]", records="unsigned long long[::1]")
@cython.locals(count=cython.ulonglong, number=cython.ulonglong, new=cython.ulonglong)
@cython.locals(at=cython.ulonglong, mask=cython.ulonglong, back=cython.ulonglong)
def note_targets(targets, records, count):
    """Take in where the back pointers of these records lead; return how many are new."""
    mask = len(targets) // 2 - 1
    new = 0
    with cython.nogil:
        for number in range(count):
            back = records[number * RECORD_FIELDS + BACK]
            if back:
                at = _slot(targets, mask, back)
                if targets[at + 1] == 0:
                    targets[at] = back
                    targets[at + 1] = REACHED
                    new += 1
    return new


@cython.locals(old="unsigned long long[::1]", new="unsigned long long[::1]")
@cython.locals(first=cython.ulonglong, last=cython.ulonglong, stride=cython.ulonglong)
@cython.locals(i=cython.ulonglong, at=cython.ulonglong, mask=cython.ulonglong)
@cython.locals(added=cython.ulonglong, number=cython.ulonglong, old_mask=cython.ulonglong)
def merge(old, new, first, last, stride=1):
    """Take what the slots ``first`` to ``last`` of ``old`` hold into ``new``.

    The later position wins. ``new`` must have room. Return how many were new.

    :param stride: an odd number, by which 64 slots at a time are spread. For they
        come in the order of their hashes: into a table that is not much larger
        than needed they would all go to the same region, and crowd it
    """
    mask = len(new) // 2 - 1
    old_mask = len(old) // 2 - 1
    if last > old_mask + 1:
        raise ValueError(f"there is no slot {last}")
    added = 0
    with cython.nogil:
        for number in range(first, last):
            i = ((((number >> 6) * stride) << 6) | (number & 63)) & old_mask
            if old[2 * i + 1]:
                at = _slot(new, mask, old[2 * i])
                if new[at + 1] == 0:
                    new[at] = old[2 * i]
                    added += 1
                if new[at + 1] < old[2 * i + 1]:
                    new[at + 1] = old[2 * i + 1]
    return added


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
@cython.returns(cython.ulonglong)
@cython.locals(table="unsigned long long[::1]", mask=cython.ulonglong, oid=cython.ulonglong)
@cython.locals(skip_after=cython.bint, at=cython.ulonglong, word=cython.ulonglong)
def _reach_one(table, mask, oid, skip_after):
    """Flag ``oid`` as reached; return the position to walk, 0: nothing to do, or NONE."""
    at = _slot(table, mask, oid) + 1
    word = table[at]
    if word & REACHED or (skip_after and word & AFTER):
        return 0
    if word >> SHIFT and not word & GONE:
        table[at] = word | REACHED
        return word >> SHIFT
    # what was created after the pack time only is there all the same
    return 0 if word & AFTER else NONE


@cython.locals(table="unsigned long long[::1]", oids="unsigned long long[::1]")
@cython.locals(count=cython.ulonglong, todo="unsigned long long[::1]", depth=cython.ulonglong)
@cython.locals(missing="unsigned long long[::1]", lost=cython.ulonglong, i=cython.ulonglong)
@cython.locals(position=cython.ulonglong, mask=cython.ulonglong)
def reach(table, oids, count, todo, depth, missing):
    """Flag the first ``count`` oids as reached; push their positions on ``todo``.

    The number of an oid without a record, or whose creation was undone, is put
    into ``missing``.

    :param todo: positions of records to walk; ``depth`` of them are there. Both
        it and ``missing`` must have room for ``count`` more words
    :return: the new depth and the number of words in ``missing``
    """
    mask = len(table) // 2 - 1
    lost = 0
    if len(todo) < depth + count or len(missing) < count:
        raise ValueError("todo or missing has not room enough")
    with cython.nogil:
        for i in range(count):
            position = _reach_one(table, mask, oids[i], False)
            if position == NONE:
                missing[lost] = i
                lost += 1
            elif position:
                todo[depth] = position
                depth += 1
    return depth, lost


@cython.locals(table="unsigned long long[::1]", records="unsigned long long[::1]")
@cython.locals(count=cython.ulonglong, oids="unsigned long long[::1]")
@cython.locals(ends="unsigned long long[::1]", todo="unsigned long long[::1]")
@cython.locals(depth=cython.ulonglong, missing="unsigned long long[::1]", lost=cython.ulonglong)
@cython.locals(i=cython.ulonglong, number=cython.ulonglong, ahead=cython.ulonglong)
@cython.locals(position=cython.ulonglong, mask=cython.ulonglong, at=cython.ulonglong)
@cython.locals(owner=cython.ulonglong, new=cython.ulonglong)
def reach_after(table, records, count, oids, ends, todo, depth, missing):
    """Flag what records after the pack time refer to, each in its transaction's snapshot.

    An object that had a record after the pack time by then is left alone: the
    reference means that record, which is kept anyway. ``oids[ends[n-1]:ends[n]]``
    are the references of record n. Room and ``missing`` as in ``reach``; the
    table must have room for ``count`` more objects. A transaction must not go
    on in a batch that is not flagged yet.

    :return: the new depth, the number of words in ``missing``, and of new objects
    """
    mask = len(table) // 2 - 1
    lost = 0
    new = 0
    i = 0
    ahead = 0
    owner = 0
    if count and (len(todo) < depth + ends[count - 1] or len(missing) < ends[count - 1]):
        raise ValueError("todo or missing has not room enough")
    with cython.nogil:
        for number in range(count):
            if records[number * RECORD_FIELDS + OWNER] != owner:
                owner = records[number * RECORD_FIELDS + OWNER]
                ahead = number
                while ahead < count and records[ahead * RECORD_FIELDS + OWNER] == owner:
                    at = _slot(table, mask, records[ahead * RECORD_FIELDS])
                    if table[at + 1] == 0:
                        table[at] = records[ahead * RECORD_FIELDS]
                        new += 1
                    table[at + 1] |= AFTER
                    ahead += 1
            while i < ends[number]:
                position = _reach_one(table, mask, oids[i], True)
                if position == NONE:
                    missing[lost] = i
                    lost += 1
                elif position:
                    todo[depth] = position
                    depth += 1
                i += 1
    return depth, lost, new


@cython.locals(table="unsigned long long[::1]", i=cython.ulonglong, size=cython.ulonglong)
@cython.locals(reached=cython.ulonglong)
def reach_all(table):
    """Flag every object that has a record as reached; return how many."""
    size = len(table) // 2
    reached = 0
    with cython.nogil:
        for i in range(size):
            if table[2 * i + 1] >> SHIFT and not table[2 * i + 1] & GONE:
                table[2 * i + 1] |= REACHED
                reached += 1
    return reached


@cython.locals(table="unsigned long long[::1]", pairs="unsigned long long[::1]")
@cython.locals(flag=cython.ulonglong, i=cython.ulonglong, size=cython.ulonglong)
@cython.locals(count=cython.ulonglong, room=cython.ulonglong)
def pairs_of(table, flag, pairs):
    """Write oid and position of every object whose word has ``flag`` (0: all); return how many.

    Counts without writing where ``pairs`` has no more room.
    """
    size = len(table) // 2
    room = len(pairs) // 2
    count = 0
    with cython.nogil:
        for i in range(size):
            if table[2 * i + 1] >> SHIFT and table[2 * i + 1] & flag == flag:
                if count < room:
                    pairs[2 * count] = table[2 * i]
                    pairs[2 * count + 1] = table[2 * i + 1] >> SHIFT
                count += 1
    return count
