"""Mount points and references to other databases, wherever they lie in a root.

Most lie in the folders on the way to mounts; looking into these takes no time. All of
a root can be searched as well, which takes about a minute for a million objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from zmount.effects.raw_folders import entry, references_by_name
from zmount.effects.raw_records import RawDatabase, Record, Reference
from zmount.effects.raw_roots import MOUNTED_OBJECT

EVERY = 10_000  # objects between two reports of progress

Progress = Callable[[str], None]


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
            found += _judged(database, folder, f"{path}/{name}", reference)
    return tuple(found)


def found_anywhere(database: RawDatabase, say: Progress) -> tuple[FoundReference, ...]:
    """Return all there is in DATABASE, below its Application.

    :raises StorageUnreadable: a record is damaged
    """
    top = database.referred(database.root().get("Application"))
    found: list[FoundReference] = []
    seen: set[bytes] = set() if top is None else {top.oid}
    todo = [] if top is None else [("", top)]
    while todo:
        path, record = todo.pop()
        named = [(f"{path}/{name}", each) for name, each in references_by_name(database, record)]
        read = database.references(record.oid)
        others = [(path or "/", each) for each in read[0] if each.database] if read else []
        for below, reference in (*named, *others):
            found += _judged(database, record, below, reference)
        plain = [(path, each) for each in read[0]] if read else []
        for below, reference in (*named, *plain):
            if reference.database or reference.is_weak or reference.oid in seen:
                continue
            seen.add(reference.oid)
            following = database.record(reference.oid)
            if following is not None and following.class_name != MOUNTED_OBJECT:
                todo.append((below, following))
            if len(seen) % EVERY == 0:
                say(f"{len(seen):,} objects")
    by_reference = {(each.holder, each.reference.oid): each for each in reversed(found)}
    return tuple(reversed(by_reference.values()))


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


def _judged(
    database: RawDatabase, holder: Record, path: str, reference: Reference
) -> Iterator[FoundReference]:
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
