"""A storage in two data files: one that does not change any more, and one of what came later.

Each has positions of its own. An object is what its last record in the later file says;
without one there, it is what the earlier file says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zmount.errors import CorruptFile
from zmount.filestorage.format import oid_text
from zmount.filestorage.source import Source, read_at, start_before


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Transactions in ``base`` up to byte ``base_end``, all later ones in ``changes``.

    ``base_tid`` is the transaction that ends at ``base_end``. What is in ``base`` after
    that does not count, nor do the files in ``base_blobs`` that no record names which
    counts. Where both directories are None, there are no blobs.
    """

    base: Path
    base_end: int
    base_tid: int
    changes: Path
    base_blobs: Path | None = None
    changes_blobs: Path | None = None


def why_no_base(source: Source, layers: Layers) -> str:
    """Return why SOURCE is not the base of LAYERS; empty: it is."""
    end, tid = layers.base_end, layers.base_tid
    start = start_before(source, end)
    if start is not None and int.from_bytes(read_at(source, start, 8), "big") == tid:
        return ""
    return f"no transaction {oid_text(tid)} ends here: it is another file, or was changed in place"


def must_be_base(source: Source, layers: Layers) -> None:
    """Check that SOURCE is the base of LAYERS.

    :raises CorruptFile: it is not
    """
    if why_not := why_no_base(source, layers):
        raise CorruptFile(source.path, layers.base_end, why_not)
