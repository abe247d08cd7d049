"""Say where visitors' sessions are kept, how many there are, and which instances use them.

1. observe: the records of the session storage, and of the root of each instance.
2. judge:   every public instance must keep its sessions in that storage; its container
   must be there and have room.

All is read from records, while the storage is used. Neither a browser's id nor a value
of a session is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from zmount.effects.disk_use import DiskUse, disk_use
from zmount.effects.history import Entry
from zmount.effects.raw_folders import entry
from zmount.effects.raw_roots import RawRoot, object_at
from zmount.effects.raw_sessions import (
    CONTAINER,
    SessionContainer,
    session_container,
)
from zmount.effects.raw_storages import RawDatabases
from zmount.errors import SessionsLost, StorageUnreadable
from zmount.operations.recorded import last_ended
from zmount.operations.replica_near import replica_near
from zmount.sizes import counted
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance
from zmount.topology.mounts import Mount, MountPoint
from zmount.topology.sessions import SessionData
from zmount.topology.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUser:
    """An instance, and where it keeps sessions.

    ``keeps_in`` is the path that its session data manager says, "" none, None where the
    root has no such manager or cannot be read. ``problem`` is why its sessions are not in
    the session storage, "" where they are. ``is_known`` is False where its root cannot be
    read from here.
    """

    instance: Instance
    keeps_in: str | None
    problem: str
    is_known: bool = True

    @property
    def must_use_it(self) -> bool:
        """True for an instance that loses sessions unless they are in the storage."""
        return self.is_known and self.instance.kind == "public"

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        return {
            "instance": self.instance.name,
            "kind": self.instance.kind,
            "keeps_sessions_in": self.keeps_in,
            "uses_it": not self.problem,
            "problem": self.problem or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatus:
    """The session storage, its container, and who uses it.

    ``objects`` is None where the storage cannot be read, ``container`` also where there
    is none; ``no_container`` says why. ``last_pack`` is the history's entry.
    """

    session: SessionData
    use: DiskUse
    objects: int | None
    container: SessionContainer | None
    no_container: str
    users: tuple[SessionUser, ...]
    last_pack: Entry | None

    @property
    def path(self) -> str:
        """Where the container is in each instance that uses it."""
        return f"{self.session.path}/{self.session.container}"

    @property
    def problems(self) -> tuple[str, ...]:
        """Why sessions are, or may be, lost."""
        return tuple(_problems(self))

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not as zmount.conf says, and loses no session."""
        return tuple(_notes(self))

    def refuse_problems(self) -> None:
        """Raise the problems, if there are any.

        :raises SessionsLost: with all of them
        """
        if self.problems:
            raise SessionsLost("; ".join(self.problems), hint=self._hint)

    @property
    def _hint(self) -> str:
        server = self.session.storage.server
        if self.objects is None and server is not None:
            return f"zmount status; zmount start {server.name} on host {server.host.name}"
        return (
            "zmount apply, or zmount restart of what runs, makes mounts and container; "
            "zmount mounts shows their state"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        container, pack = self.container, self.session.storage.pack
        return {
            "storage": self.session.storage.name,
            "size_bytes": self.use.size_bytes,
            "objects": self.objects,
            "pack_days": pack.days,
            "last_pack": None if self.last_pack is None else self.last_pack.began,
            "container": self.path,
            "sessions": None if container is None else container.live,
            "expired": None if container is None else container.expired,
            "timeout_minutes": None if container is None else container.timeout_s / 60,
            "limit": None if container is None else container.limit,
            "instances": [user.as_json() for user in self.users],
            "problems": list(self.problems),
            "notes": list(self.notes),
        }


def sessions(topology: Topology, host: Host) -> SessionStatus:
    """Return how the sessions of TOPOLOGY are, as they are seen from HOST.

    :raises SessionsLost: the topology has no session storage
    :raises StorageUnreadable: a record is damaged
    """
    session = topology.session
    if session is None:
        raise SessionsLost(
            f"{topology.file} has no <session>: sessions are in memory, and gone at each restart",
            hint="write <session/> into it, then zmount apply and zmount restart",
        )
    storage = session.storage
    is_here = storage.host.name == host.name
    objects, container, why = _container(topology, host, session)
    return SessionStatus(
        session=session,
        use=disk_use(storage.data_fs if is_here else None, None),
        objects=objects,
        container=container,
        no_container=why,
        users=tuple(_user(host, each, session) for each in _concerned(topology, session)),
        last_pack=last_ended(topology.file, "pack", storage.name) if is_here else None,
    )


def session_mount(instance: Instance, session: SessionData) -> tuple[Mount, MountPoint] | None:
    """Return how INSTANCE mounts the session storage; None: it does not."""
    found = (
        (mount, point)
        for mount in instance.mounts
        for point in mount.points
        if mount.storage.name == session.storage.name and point.virtual == session.path
    )
    return next(found, None)


def _concerned(topology: Topology, session: SessionData) -> Iterator[Instance]:
    """Yield the instances that should use the sessions, or do."""
    for instance in topology.instances:
        if instance.kind == "public" or session_mount(instance, session) is not None:
            yield instance


def _container(
    topology: Topology, host: Host, session: SessionData
) -> tuple[int | None, SessionContainer | None, str]:
    """Return how many objects there are, the container, and why there is none."""
    for instance in topology.instances:
        mounted = session_mount(instance, session)
        if mounted is None:
            continue
        mount, point = mounted
        with RawDatabases(replica_near(host, instance)) as databases:
            database = databases.get(mount.name)
            if database is None:
                return None, None, f"the storage {mount.storage.name} cannot be read from here"
            folder = object_at(database, point)
            value = None if folder is None else entry(database, folder, session.container)
            record = database.referred(value)
            objects = database.object_count()
            if record is None:
                return objects, None, f"{mount.storage.name} has no {session.container}"
            if record.class_name != CONTAINER:
                return objects, None, f"{session.container} is a {record.class_name}"
            return objects, session_container(database, record), ""
    return None, None, "no instance mounts the session storage"


def _user(host: Host, instance: Instance, session: SessionData) -> SessionUser:
    with RawDatabases(replica_near(host, instance)) as databases:
        root = RawRoot(instance.mounts, databases)
        if not root.is_known:
            problem = f"its root cannot be read from host {host.name}"
            return SessionUser(instance=instance, keeps_in=None, problem=problem, is_known=False)
        keeps_in = root.session_path()
        return SessionUser(
            instance=instance,
            keeps_in=keeps_in,
            problem=_user_problem(root, instance, session, keeps_in),
        )


def _user_problem(
    root: RawRoot, instance: Instance, session: SessionData, keeps_in: str | None
) -> str:
    path = f"{session.path}/{session.container}"
    if session_mount(instance, session) is None:
        return f"it does not mount {session.storage.name} at {session.path}"
    try:
        states = {each.point.virtual: each for each in root.mount_states()}
    except StorageUnreadable as error:
        return str(error)
    state = states[session.path]
    if state.state not in ("ok", "forgotten", "unlisted"):
        return f"its mount point {session.path} is {state.state}"
    if keeps_in is None:
        return "its root has no session_data_manager: it was never started"
    if keeps_in != path:
        return f"it keeps sessions in {keeps_in or 'nothing'}, not in {path}"
    return ""


def _problems(status: SessionStatus) -> Iterator[str]:
    if status.no_container:
        yield status.no_container
    for user in status.users:
        if user.problem and user.must_use_it:
            yield f"{user.instance.name}: {user.problem}"
    if not any(user.instance.kind == "public" for user in status.users):
        yield "there is no public instance"
    container = status.container
    if container is not None and container.is_full:
        yield f"{status.path} is full: its limit is {container.limit} sessions"


def _notes(status: SessionStatus) -> Iterator[str]:
    container, session = status.container, status.session
    if container is not None and container.timeout_s != 60 * session.timeout_minutes:
        yield (
            f"sessions end after {container.timeout_s / 60:g} min, zmount.conf says "
            f"{session.timeout_minutes} min"
        )
    if container is not None and container.limit != session.max_objects:
        limit = counted(container.limit, "session")
        yield f"the limit is {limit}, zmount.conf says {session.max_objects}"
    if session.storage.pack.days > 0:
        yield f"a pack keeps {session.storage.pack.days:g} days of what sessions held"
    for user in status.users:
        if user.problem and not user.must_use_it:
            yield f"{user.instance.name}: {user.problem}"
