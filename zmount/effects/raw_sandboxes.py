"""The sandboxes in a root, and the users who may have one, read from records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zmount.effects.raw_folders import entry, is_tree, tree_items
from zmount.effects.raw_reach import Lying, lying_below
from zmount.effects.raw_records import RawDatabase, Record, Reference, Stub, mapping_state
from zmount.effects.raw_roots import USER_FOLDERS, RawRoot


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxFolder:
    """A folder, or another object, where sandboxes are.

    ``owner`` is the name of the user, "" for nobody. ``below`` are the objects in it, by
    name; ``size`` is what it takes with all that is below.
    """

    owner: str
    class_name: str
    size: Lying = Lying()
    below: Mapping[str, SandboxFolder] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RootUsers:
    """The users of a root and their roles.

    None stands for a user folder of another kind, whose users nobody reads here.
    """

    roles: Mapping[str, tuple[str, ...]] | None

    def are_unknown_or_have(self, user: str) -> bool:
        """True unless there is certainly no USER."""
        return self.roles is None or user in self.roles


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderOfSandboxes:
    """The folder of all sandboxes: theirs by user, and who may look at all of them.

    ``local_roles`` are those that users have in it, ``roles`` those that it defines.
    """

    roles: tuple[str, ...]
    local_roles: Mapping[str, tuple[str, ...]]
    users: Mapping[str, SandboxFolder]


def users_of(root: RawRoot) -> RootUsers:
    """Return the users of ROOT, which can be read.

    :raises StorageUnreadable: a record is damaged
    """
    spot = root.spot("/acl_users")
    folder, database = spot.record, spot.database
    if folder is None or database is None or folder.class_name not in USER_FOLDERS:
        return RootUsers(roles=None)
    record = database.referred(folder.attributes.get("data"))
    found = {} if record is None else mapping_state(record)
    return RootUsers(roles={str(name): _roles(database, each) for name, each in found.items()})


def folder_of_sandboxes(
    root: RawRoot, path: str, blob_dir: Path | None = None
) -> FolderOfSandboxes | None:
    """Return what ROOT, which can be read, has at PATH; None if nothing.

    Blobs count if BLOB_DIR is the directory of the root's own storage.

    :raises StorageUnreadable: a record is damaged
    """
    spot = root.spot(path)
    folder, database = spot.record, spot.database
    if folder is None or database is None:
        return None
    local = folder.attributes.get("__ac_local_roles__")
    return FolderOfSandboxes(
        roles=_texts(folder.attributes.get("__ac_roles__")),
        local_roles={
            str(user): _texts(roles)
            for user, roles in (local.items() if isinstance(local, dict) else ())
        },
        users={
            name: _folder(database, record, (folder.oid,), blob_dir, depth=1)
            for name, record in _objects(database, folder)
        },
    )


def sandbox_owners(root: RawRoot, path: str) -> frozenset[str]:
    """Return the users of ROOT, which can be read, who own the folder of their name at PATH.

    Nothing below is looked at.

    :raises StorageUnreadable: a record is damaged
    """
    spot = root.spot(path)
    folder, database = spot.record, spot.database
    if folder is None or database is None:
        return frozenset()
    return frozenset(
        name
        for name, record in _objects(database, folder)
        if _owner(record.attributes.get("_owner")) == name
    )


def _folder(
    database: RawDatabase,
    record: Record,
    above: tuple[bytes, ...],
    blob_dir: Path | None,
    depth: int,
) -> SandboxFolder:
    below = {}
    if depth:
        for name, each in _objects(database, record):
            way = (*above, record.oid)
            below[name] = _folder(database, each, way, blob_dir, depth - 1)
    return SandboxFolder(
        owner=_owner(record.attributes.get("_owner")),
        class_name=record.class_name,
        size=lying_below(database, record.oid, above=above, blob_dir=blob_dir),
        below=below,
    )


def _objects(database: RawDatabase, folder: Record) -> Iterator[tuple[str, Record]]:
    """Yield the objects that FOLDER shows; one whose record is lost is none."""
    listed = folder.attributes.get("_objects", ())
    for each in listed if isinstance(listed, tuple | list) else ():
        name = str(each.get("id")) if isinstance(each, dict) else ""
        record = database.referred(entry(database, folder, name))
        if record is not None:
            yield name, record
    if is_tree(folder):
        for key, value in tree_items(database, folder.attributes["_tree"]):
            record = database.referred(value)
            if record is not None:
                yield str(key), record


def _owner(value: object) -> str:
    """Return the user in an ``_owner``, which is ``(path of the user folder, name)``."""
    return value[1] if isinstance(value, tuple) and len(value) == 2 else ""


def _roles(database: RawDatabase, value: object) -> tuple[str, ...]:
    if isinstance(value, Reference):
        record = database.referred(value)
        state: object = None if record is None else record.attributes
    else:
        state = value.state if isinstance(value, Stub) else None
    return _texts(state.get("roles")) if isinstance(state, Mapping) else ()


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return tuple(value)
    return ()
