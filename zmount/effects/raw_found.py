"""Mount points and references to other databases in the folders on the way to mounts.

Most lie there, and looking there takes no time; ``raw_search`` looks everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from zmount.effects.raw_folders import entry, references_by_name
from zmount.effects.raw_records import RawDatabase, Record, Reference
from zmount.effects.raw_roots import MOUNTED_OBJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundReference:
    """A reference at PATH that leads out of the root's storage, or to a mount point.

    ``holder`` is the oid of the object that has the reference. ``mounted_path`` is the
    path that a mount point was made for; None for a reference to another database.
    """

    path: str
    holder: bytes
    reference: Reference
    mounted_path: str | None = None


def found_near(database: RawDatabase, paths: Iterable[str]) -> tuple[FoundReference, ...]:
    """Return what is in the root object of DATABASE and in the folders on the way to PATHS.

    The last element of a path counts as a folder if it lies in DATABASE.

    :raises StorageUnreadable: a record is damaged
    """
    found: list[FoundReference] = []
    for path, folder in _folders(database, paths).items():
        for name, reference in references_by_name(database, folder):
            found += judged(database, folder, f"{path}/{name}", reference)
    return tuple(found)


def judged(
    database: RawDatabase, holder: Record, path: str, reference: Reference
) -> Iterator[FoundReference]:
    """Yield what REFERENCE at PATH, which HOLDER has, is worth to be told as; often nothing."""
    if reference.is_weak:
        return
    if reference.database:
        yield FoundReference(path=path, holder=holder.oid, reference=reference)
        return
    class_name = reference.class_name
    if class_name not in ("", MOUNTED_OBJECT):
        return
    record = database.referred(reference)
    if record is not None and record.class_name == MOUNTED_OBJECT:
        yield FoundReference(
            path=path,
            holder=holder.oid,
            reference=reference,
            mounted_path=str(record.attributes.get("_path", "")),
        )


def _folders(database: RawDatabase, paths: Iterable[str]) -> dict[str, Record]:
    """Return the folders of DATABASE on the way to PATHS, by their own paths; the root's is ""."""
    top = database.referred(database.root().get("Application"))
    folders: dict[str, Record] = {} if top is None else {"": top}
    for path in paths:
        walked, folder = "", top
        for name in path.strip("/").split("/"):
            if folder is None:
                break
            walked += f"/{name}"
            if walked not in folders:
                below = database.referred(entry(database, folder, name))
                if below is None or below.class_name == MOUNTED_OBJECT:
                    break
                folders[walked] = below
            folder = folders[walked]
    return folders
