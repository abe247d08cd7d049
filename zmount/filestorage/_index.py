# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Compiled core: what an index is made of, sorted and as FileStorage saves it.

Pairs are two words, an oid and a position. Places are a word for each oid from
0 on: the position, or 0. A bucket is what fsBucket.toString makes of the
objects whose oids have the same first 6 bytes (ZODB/fsIndex.py).
"""

try:
    import cython
except ImportError:  # must stay this form: the compiler knows only `import cython`
    from zmount.filestorage import _cython as cython

SHIFT = 4  # as in _mark
RECORD_FIELDS = 6  # as in _records


@cython.locals(pairs="unsigned long long[::1]", scratch="unsigned long long[::1]")
@cython.locals(counts="unsigned long long[::1]", digit=cython.int, i=cython.ulonglong)
@cython.locals(count=cython.ulonglong, total=cython.ulonglong, byte=cython.ulonglong)
@cython.locals(number=cython.ulonglong)
def sort_pass(pairs, scratch, counts, digit):
    """Write ``pairs`` to ``scratch`` ordered by one byte of the oid; return 0 if nothing moves.

    Passes over the bytes 0 (the lowest) to 7 sort the pairs.

    :param counts: 256 words
    """
    count = len(pairs) // 2
    for i in range(256):
        counts[i] = 0
    with cython.nogil:
        for i in range(count):
            counts[(pairs[2 * i] >> (8 * digit)) & 255] += 1
    if count == 0 or counts[(pairs[0] >> (8 * digit)) & 255] == count:
        return 0
    total = 0
    for i in range(256):
        number = counts[i]
        counts[i] = total
        total += number
    with cython.nogil:
        for i in range(count):
            byte = (pairs[2 * i] >> (8 * digit)) & 255
            scratch[2 * counts[byte]] = pairs[2 * i]
            scratch[2 * counts[byte] + 1] = pairs[2 * i + 1]
            counts[byte] += 1
    return 1


@cython.locals(pairs="unsigned long long[::1]", first=cython.ulonglong, count=cython.ulonglong)
@cython.locals(last=cython.ulonglong, prefix=cython.ulonglong)
def same_prefix(pairs, first):
    """Return the end of the run of pairs from ``first`` that one bucket of fsIndex holds."""
    count = len(pairs) // 2
    prefix = pairs[2 * first] >> 16
    last = first
    while last < count and pairs[2 * last] >> 16 == prefix:
        last += 1
    return last


@cython.locals(pairs="unsigned long long[::1]", first=cython.ulonglong, last=cython.ulonglong)
@cython.locals(out="unsigned char[::1]", i=cython.ulonglong, at=cython.ulonglong)
@cython.locals(values=cython.ulonglong, byte=cython.int)
def bucket(pairs, first, last, out):
    """Write the pairs as fsBucket.toString does: all 2-byte keys, then all 6-byte positions."""
    if len(out) < 8 * (last - first):
        raise ValueError("the bucket needs 8 bytes a pair")
    values = 2 * (last - first)
    with cython.nogil:
        for i in range(first, last):
            at = 2 * (i - first)
            out[at] = (pairs[2 * i] >> 8) & 255
            out[at + 1] = pairs[2 * i] & 255
            at = values + 6 * (i - first)
            for byte in range(6):
                out[at + byte] = (pairs[2 * i + 1] >> (40 - 8 * byte)) & 255


@cython.locals(content="const unsigned char[::1]", since=cython.ulonglong, i=cython.ulonglong)
@cython.locals(count=cython.ulonglong, at=cython.ulonglong, position=cython.ulonglong)
@cython.locals(key=cython.int, before=cython.int, byte=cython.int, is_sorted=cython.bint)
@cython.locals(highest=cython.ulonglong, later=cython.ulonglong)
def bucket_facts(content, since):
    """Judge what fsBucket.toString wrote.

    :return: whether the keys ascend, the highest position, and how many positions
        are ``since`` or higher
    """
    count = len(content) // 8
    is_sorted = True
    before = -1
    highest = 0
    later = 0
    with cython.nogil:
        for i in range(count):
            key = (content[2 * i] << 8) | content[2 * i + 1]
            if key <= before:
                is_sorted = False
            before = key
            at = 2 * count + 6 * i
            position = 0
            for byte in range(6):
                position = (position << 8) | content[at + byte]
            if position > highest:
                highest = position
            if position >= since:
                later += 1
    return bool(is_sorted), highest, later


@cython.locals(places="unsigned long long[::1]", records="unsigned long long[::1]")
@cython.locals(count=cython.ulonglong, size=cython.ulonglong, i=cython.ulonglong)
@cython.locals(number=cython.ulonglong, left=cython.ulonglong, oid=cython.ulonglong)
@cython.locals(new=cython.ulonglong, field=cython.ulonglong)
def note_places(places, records, count):
    """Let ``places[oid]`` be the position of the object's last record.

    Records of oids that ``places`` has no word for are moved to the front.

    :return: how many objects are new, and how many records are left
    """
    size = len(places)
    new = 0
    left = 0
    with cython.nogil:
        for number in range(count):
            i = number * RECORD_FIELDS
            oid = records[i]
            if oid < size:
                if places[oid] == 0:
                    new += 1
                if places[oid] < records[i + 1]:
                    places[oid] = records[i + 1]
            else:
                for field in range(RECORD_FIELDS):
                    records[left * RECORD_FIELDS + field] = records[i + field]
                left += 1
    return new, left


@cython.locals(table="unsigned long long[::1]", places="unsigned long long[::1]")
@cython.locals(i=cython.ulonglong, size=cython.ulonglong, position=cython.ulonglong)
@cython.locals(known=cython.ulonglong)
def move_to_places(table, places):
    """Take what ``table`` knows of the oids that ``places`` has words for; the later wins."""
    size = len(table) // 2
    known = len(places)
    with cython.nogil:
        for i in range(size):
            position = table[2 * i + 1] >> SHIFT
            if table[2 * i] < known and places[table[2 * i]] < position:
                places[table[2 * i]] = position


@cython.locals(old="unsigned long long[::1]", new="unsigned long long[::1]")
@cython.locals(i=cython.ulonglong, size=cython.ulonglong, added=cython.ulonglong)
def merge_places(old, new):
    """Take ``old`` into ``new``, which is as long or longer; the later position wins."""
    size = len(old)
    if size > cython.cast(cython.ulonglong, len(new)):
        raise ValueError("there are fewer places than to be taken in")
    added = 0
    with cython.nogil:
        for i in range(size):
            if old[i] and new[i] == 0:
                added += 1
            if new[i] < old[i]:
                new[i] = old[i]
    return added


@cython.locals(places="unsigned long long[::1]", first=cython.ulonglong, i=cython.ulonglong)
@cython.locals(out="unsigned char[::1]", count=cython.ulonglong, at=cython.ulonglong)
@cython.locals(byte=cython.int, last=cython.ulonglong)
def bucket_of_places(places, first, out):
    """Write the objects from ``first`` on, 65536 at most, as fsBucket.toString does.

    :return: how many objects these are; ``out`` needs 8 bytes for each
    """
    last = min(first + 65536, len(places))
    count = 0
    for i in range(first, last):
        count += places[i] != 0
    if cython.cast(cython.ulonglong, len(out)) < 8 * count:
        raise ValueError("the bucket needs 8 bytes an object")
    at = 0
    with cython.nogil:
        for i in range(first, last):
            if places[i]:
                out[2 * at] = (i >> 8) & 255
                out[2 * at + 1] = i & 255
                for byte in range(6):
                    out[2 * count + 6 * at + byte] = (places[i] >> (40 - 8 * byte)) & 255
                at += 1
    return count
