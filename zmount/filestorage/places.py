"""Where the last record of each object is, by its oid, for an index made from nothing.

ZODB counts oids up from 0. So a word for each oid up to the highest takes less
memory than a hash table, and the index can be written from it as it stands. Only
what a database has far beyond that goes to a table.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator

from zmount.filestorage.cores import chosen
from zmount.filestorage.format import words
from zmount.filestorage.index import Bucket, buckets_of, sorted_pairs
from zmount.filestorage.objects import Table

BUCKET = 1 << 16  # oids
FREE = 1 << 21  # oids for which there are words without asking whether they are used
SPARSE = 8  # words for each object known, at most


class Places:
    """Takes in records as a :class:`~zmount.filestorage.objects.Table` does."""

    def __init__(self) -> None:
        self.core = chosen().index
        self.words = words(BUCKET)
        self.known = 0  # objects that have a position in a word
        self.others = Table()

    def __contains__(self, oid: int) -> bool:
        if oid < len(self.words) and self.words[oid]:
            return True
        return bool(self.others.word(oid))

    def note(self, records: array[int], count: int) -> None:
        """Take in the first COUNT of these records, and move some of them."""
        new, left = self.core.note_places(self.words, records, count)
        self.known += new
        if left and self._grow(records, left):
            new, left = self.core.note_places(self.words, records, left)
            self.known += new
        if left:
            self.others.note(records, left)

    def _grow(self, records: array[int], count: int) -> bool:
        """Make words for more oids, if they are not too far off; return whether there are more."""
        limit = max(FREE, SPARSE * self.known)
        fields = chosen().records.RECORD_FIELDS
        near = [oid for oid in records[: fields * count : fields] if oid < limit]
        if not near:
            return False
        self._extend(1 << max(near).bit_length())
        return True

    def _extend(self, size: int) -> None:
        more = words(BUCKET)
        while len(self.words) < size:
            self.words.extend(more)

    def take(self, other: Places) -> None:
        """Take in what OTHER knows, which is of no use afterwards."""
        if len(other.words) > len(self.words):
            self.words, other.words = other.words, self.words
            self.known, other.known = other.known, self.known
        self.known += self.core.merge_places(other.words, self.words)
        self.others.take(other.others)

    def buckets(self) -> Iterator[Bucket]:
        """Yield what fsIndex keeps for each 6 bytes of an oid."""
        # some were noted in the table before their oids had words
        self.core.move_to_places(self.others.slots, self.words)
        room = bytearray(8 * BUCKET)
        for first in range(0, len(self.words), BUCKET):
            count = self.core.bucket_of_places(self.words, first, room)
            if count:
                yield first.to_bytes(8, "big")[:6], bytes(memoryview(room)[: 8 * count])
        yield from buckets_of(self._far())

    def _far(self) -> array[int]:
        """Return oid and position of those that have no word."""
        pairs = sorted_pairs(self.others)
        first = bisect_left(pairs[::2], len(self.words))
        return pairs[2 * first :]
