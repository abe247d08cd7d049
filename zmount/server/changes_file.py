"""A FileStorage that may hold nothing but the marks of swaps."""

from __future__ import annotations

from typing import Any

from ZODB.FileStorage import FileStorage


class ChangesFile(FileStorage):  # type: ignore[misc]
    """As FileStorage, which does not open a file of empty transactions that has an index."""

    def _sane(self, index: Any, pos: int) -> bytes | int:
        """Judge an index; FileStorage looks before the file's beginning for a record."""
        try:
            found: bytes | int = super()._sane(index, pos)
        except OSError:
            return 0  # it is read anew, which takes no time: there is nothing in it
        return found
