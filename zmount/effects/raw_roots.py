"""What an instance's root and its mounted storages hold, read from records.

Zope's own status page traverses with acquisition, so that ``/dev/home/x`` may
be found in ``/home``, and a wrong real path is made on the spot and called Ok.
Records say what is really there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from zmount.effects.raw_folders import entry, ids, listed_ids
from zmount.effects.raw_offline import StandIn, stand_in
from zmount.effects.raw_records import RawDatabase, Record, Reference, mapping_state
from zmount.topology.mounts import Mount, MountPoint

MOUNTED_OBJECT = "Products.ZODBMountPoint.MountedObject.MountedObject"
USER_FOLDERS = ("OFS.userfolder.UserFolder", "AccessControl.userfolder.UserFolder")

State = Literal[
    "ok",
    "missing",
    "parent missing",
    "shadowed",
    "wrong path",
    "unlisted",
    "forgotten",
    "cross-database reference",
    "off-line",
    "unknown",
]
ContentState = Literal["ok", "empty", "missing", "unknown", "damaged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a storage holds where a mount point expects its object.

    ``empty`` is a storage without the object that the real path begins at,
    ``missing`` one that has it and lacks ``missing_at``, the first element of
    the real path that is not there; ``holds`` are ids in its stead.
    ``unknown`` is a storage that cannot be read from here, ``damaged`` one that could
    not be read for the reason that ``detail`` tells; ``hint`` says what to do.
    ``own_id`` is what the object says that its id is, "" where it does not tell.
    """

    state: ContentState
    class_name: str = ""
    missing_at: str = ""
    holds: tuple[str, ...] = ()
    own_id: str = ""
    oid: bytes = b""
    detail: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MountState:
    """One mount point of an instance, as it is.

    ``holder`` is the mount whose storage the mount point lies in: the root,
    or another one for a mount below a mount. ``detail`` names what is found
    instead: a class, a path, a database or the element that is missing.
    ``unlisted`` is a mount point that its folder does not show, ``forgotten``
    one that is not in its folder's ``_mount_points``. Of one that is ``off-line``, ``detail``
    says since when, by whom and why, and so does ``offline``. ``makes_missing`` is True
    as long as the mount point would make an empty object of a wrong real path.
    ``found`` is the reference to what is there, None for nothing; ``way`` are the oids
    of the folders above it in the same storage.
    """

    mount: Mount
    point: MountPoint
    state: State
    holder: str
    detail: str = ""
    makes_missing: bool = False
    content: Content = Content(state="unknown")
    found: Reference | None = None
    way: tuple[bytes, ...] = ()
    offline: StandIn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where a path leads, without acquisition; mounts on the way are followed.

    ``parent`` is None where the way ends before the last element, at the path
    ``ends_at``. ``value`` is what the parent has there, None for nothing.
    ``holder`` is the mount whose storage the parent lies in; ``is_known`` is
    False where a storage on the way cannot be read. ``way`` are the folders down to
    the parent, those in the holder only.
    """

    holder: str
    database: RawDatabase | None = None
    parent: Record | None = None
    value: object | None = None
    ends_at: str = ""
    is_known: bool = True
    way: tuple[Record, ...] = ()

    @property
    def record(self) -> Record | None:
        """The persistent object there, a mount point itself included."""
        return None if self.database is None else self.database.referred(self.value)


class Databases(Protocol):
    """Databases by the name of the mount, opened when they are asked for."""

    def get(self, name: str) -> RawDatabase | None:
        """Return the database of the mount NAME, or None if it cannot be read."""


class RawRoot:
    """An instance's paths, over the databases of its mounts."""

    def __init__(self, mounts: tuple[Mount, ...], databases: Databases) -> None:
        self._root = next(mount for mount in mounts if mount.is_root)
        self._databases = databases
        self._points = {
            point.virtual: (mount, point)
            for mount in mounts
            for point in mount.points
            if not point.is_root
        }
        self._listed: dict[tuple[str, bytes], frozenset[str] | None] = {}

    @property
    def is_known(self) -> bool:
        """True if the root's own storage can be read."""
        return self._databases.get(self._root.name) is not None

    def mount_states(self, contents: Mapping[str, Content] | None = None) -> tuple[MountState, ...]:
        """Return the state of every mount point but the root's.

        CONTENTS, if given, is what the storages hold, by mount point; those without
        are not looked at.

        :raises StorageUnreadable: a record is damaged
        """
        return tuple(
            self._mount_state(mount, point, contents) for mount, point in self._points.values()
        )

    def state(self, virtual: str) -> tuple[State, str]:
        """Return the state of the mount point VIRTUAL and its detail; its storage is not read.

        :raises StorageUnreadable: a record is damaged
        """
        return _state(self.spot(virtual), self._points[virtual][1])

    def spot(self, path: str) -> Spot:
        """Return where PATH leads.

        :raises StorageUnreadable: a record is damaged
        """
        holder = self._root.name
        database = self._databases.get(holder)
        if database is None:
            return Spot(holder=holder, is_known=False)
        folder = database.referred(database.root().get("Application"))
        names = path.strip("/").split("/")
        walked = ""
        way: list[Record] = []
        for name in names[:-1]:
            if folder is None:
                break
            way.append(folder)
            walked += "/" + name
            folder = database.referred(entry(database, folder, name))
            if folder is not None and folder.class_name == MOUNTED_OBJECT:
                mount, point = self._points.get(walked, (None, None))
                if mount is None or point is None:
                    return Spot(holder=holder, ends_at=walked)
                holder = mount.name
                way.clear()
                database = self._databases.get(holder)
                if database is None:
                    return Spot(holder=holder, ends_at=walked, is_known=False)
                folder = object_at(database, point)
        if folder is None:
            return Spot(holder=holder, ends_at=walked or "/")
        value = entry(database, folder, names[-1])
        return Spot(
            holder=holder, database=database, parent=folder, value=value, way=(*way, folder)
        )

    def exists(self, path: str) -> bool | None:
        """True if the instance shows an object at PATH; None if that cannot be read.

        :raises StorageUnreadable: a record is damaged
        """
        spot = self.spot(path)
        record = spot.record
        if record is None:
            return False if spot.is_known else None
        if record.class_name != MOUNTED_OBJECT:
            return True
        mount, point = self._points.get(path, (None, None))
        if mount is None or point is None:
            return False
        database = self._databases.get(mount.name)
        return None if database is None else object_at(database, point) is not None

    def has_users(self) -> bool | None:
        """True unless the root's user folder is one of Zope's own and is empty.

        None if the root cannot be read.
        """
        spot = self.spot("/acl_users")
        folder = spot.record
        if folder is None or spot.database is None:
            return False if spot.is_known else None
        if folder.class_name not in USER_FOLDERS:
            return True
        users = spot.database.referred(folder.attributes.get("data"))
        return users is not None and bool(mapping_state(users))

    def session_path(self) -> str | None:
        """Return the container that the root's session data manager uses.

        "" if it uses none; None if there is no such manager, as before the
        first start.
        """
        manager = self.spot("/session_data_manager").record
        if manager is None:
            return None
        path = manager.attributes.get("obpath")
        return "/".join(str(each) for each in path) if isinstance(path, list | tuple) else ""

    def _mount_state(
        self, mount: Mount, point: MountPoint, contents: Mapping[str, Content] | None
    ) -> MountState:
        spot = self.spot(point.virtual)
        state, detail = self._state(spot, point)
        record = spot.record
        makes = record is not None and bool(record.attributes.get("_create_mount_points", True))
        if contents is not None:
            content = contents.get(point.virtual, Content(state="unknown"))
        elif state == "off-line":  # perhaps because its storage cannot be read
            content = Content(state="unknown")
        else:
            content = self._content(mount, point)
        return MountState(
            mount=mount,
            point=point,
            state=state,
            detail=detail,
            holder=spot.holder,
            makes_missing=makes and state in ("ok", "unlisted", "forgotten"),
            content=content,
            found=spot.value if isinstance(spot.value, Reference) else None,
            way=tuple(each.oid for each in spot.way),
            offline=stand_in(record) if state == "off-line" else None,
        )

    def _content(self, mount: Mount, point: MountPoint) -> Content:
        database = self._databases.get(mount.name)
        return Content(state="unknown") if database is None else content_at(database, point)

    def _state(self, spot: Spot, point: MountPoint) -> tuple[State, str]:
        """Return what is at a mount point, and the detail that tells it."""
        state, detail = _state(spot, point)
        if state != "ok" or spot.parent is None or spot.record is None:
            return state, detail
        key = spot.holder, spot.parent.oid
        if key not in self._listed:
            self._listed[key] = listed_ids(spot.parent)
        listed, name = self._listed[key], point.virtual.rpartition("/")[2]
        return _known_to(spot.parent, name, spot.record, listed), detail


def content_at(database: RawDatabase, point: MountPoint) -> Content:
    """Return what DATABASE holds where POINT expects its object.

    :raises StorageUnreadable: a record is damaged
    """
    root = database.root()
    folder = database.referred(root.get(point.root))
    if folder is None:
        others = tuple(str(name) for name in root if name != point.root)
        if others:
            return Content(state="missing", missing_at=point.root, holds=others)
        return Content(state="empty")
    for name in _names(point.real):
        below = database.referred(entry(database, folder, name))
        if below is None:
            return Content(state="missing", missing_at=name, holds=ids(database, folder))
        folder = below
    own_id = folder.attributes.get("id", folder.attributes.get("__name__", ""))
    return Content(
        state="ok",
        class_name=folder.class_name,
        own_id=own_id if isinstance(own_id, str) else "",
        oid=folder.oid,
    )


def object_at(database: RawDatabase, point: MountPoint) -> Record | None:
    """Return the object that POINT shows of DATABASE; None: there is none.

    :raises StorageUnreadable: a record is damaged
    """
    record = database.referred(database.root().get(point.root))
    for name in _names(point.real):
        if record is None:
            return None
        record = database.referred(entry(database, record, name))
    return record


def _names(path: str) -> tuple[str, ...]:
    return tuple(name for name in path.split("/") if name)


def _state(spot: Spot, point: MountPoint) -> tuple[State, str]:
    """Return what is at a mount point, and the detail that tells it."""
    if not spot.is_known:
        return "unknown", spot.ends_at
    if spot.parent is None:
        return "parent missing", spot.ends_at
    if spot.value is None:
        return "missing", ""
    if isinstance(spot.value, Reference) and spot.value.database:
        return "cross-database reference", spot.value.database
    record = spot.record
    if record is None:
        return "shadowed", "a damaged object"
    if (offline := stand_in(record)) is not None:
        return "off-line", str(offline)
    if record.class_name != MOUNTED_OBJECT:
        return "shadowed", record.class_name
    path = record.attributes.get("_path")
    if path != point.virtual:
        return "wrong path", str(path)
    return "ok", ""


def _known_to(
    folder: Record, name: str, mount_point: Record, listed: frozenset[str] | None
) -> State:
    if listed is not None and name not in listed:
        return "unlisted"
    remembered = folder.attributes.get("_mount_points")
    found = remembered.get(name) if isinstance(remembered, dict) else None
    if not isinstance(found, Reference) or found.oid != mount_point.oid:
        return "forgotten"
    return "ok"
