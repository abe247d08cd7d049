"""zmount's own list of the files that it generated on a host.

The signature in a file says that zmount wrote it; this list says where such
files are, so that those that nothing needs any more can be found, and it vouches
for files in which no signature can stand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

STATE = PurePosixPath("var/zmount")
MANIFEST = STATE / "generated.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A generated file: the checksum of its text, and who reads it at its start."""

    path: PurePosixPath
    checksum: str
    processes: tuple[str, ...] = ()


def manifest_text(entries: Iterable[Entry]) -> str:
    """Return the list's text, the same for the same ENTRIES."""
    files = {
        str(entry.path): {"sha256": entry.checksum, "processes": list(entry.processes)}
        for entry in sorted(entries, key=lambda entry: entry.path)
    }
    return json.dumps({"version": 1, "files": files}, indent=1) + "\n"


def parse_manifest(text: str) -> dict[PurePosixPath, Entry]:
    """Return the entries that TEXT lists, by path.

    :raises ValueError: it is no such list
    """
    try:
        files = json.loads(text)["files"]
        return {
            PurePosixPath(path): Entry(
                path=PurePosixPath(path),
                checksum=said["sha256"],
                processes=tuple(said["processes"]),
            )
            for path, said in files.items()
        }
    except (KeyError, TypeError, AttributeError) as why:
        raise ValueError(f"no list of generated files: {why}") from None
