"""Where an object hangs in a storage that is in two data files.

A position in the later file is told from one in the earlier by being beyond its end.
"""

from __future__ import annotations

from array import array

from zmount.filestorage.cores import chosen
from zmount.filestorage.holders import Holders
from zmount.filestorage.objects import Table
from zmount.filestorage.references import References
from zmount.filestorage.source import Source


def put_over(table: Table, changes: Table, end: int) -> None:
    """Let TABLE be that of two files: of CHANGES it takes all, with positions END higher.

    :param end: where the file of TABLE ends
    """
    over, shift = Table(), chosen().mark.SHIFT
    slots = changes.slots
    for at in range(0, len(slots), 2):
        if word := slots[at + 1]:
            over.set(slots[at], word + (end << shift))
    table.take(over)  # the higher position wins


class LayeredHolders(Holders):
    """Holders over BASE up to its end, and CHANGES; TABLE is what :func:`put_over` made."""

    def __init__(self, base: Source, changes: Source, table: Table) -> None:
        self._end = base.end
        self._changes = changes
        self._later = References(changes, report=lambda why: None)
        super().__init__(base, table)

    def _adopt(self, positions: array[int], found: array[int]) -> None:
        earlier = array("Q", (each for each in positions if each < self._end))
        later = array("Q", (each for each in positions if each >= self._end))
        if earlier:
            self._adopt_by(self._references, earlier, earlier, found)
        if later:
            places = array("Q", (each - self._end for each in later))
            self._adopt_by(self._later, places, later, found)

    def _oid_at(self, position: int) -> int:
        if position < self._end:
            return super()._oid_at(position)
        at = position - self._end
        return int.from_bytes(self._changes.buffer[at : at + 8], "big")

    def _data(self, position: int) -> bytes:
        if position < self._end:
            return super()._data(position)
        return self._later.data(position - self._end)
