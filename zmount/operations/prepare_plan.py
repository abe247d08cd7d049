"""Which steps make an instance's root right, judging by what its records say.

What is missing is made. What is in the way is never touched: a person moves
it, or says that it is meant. Above all, nothing is made in a storage that holds
something else than the real path says, for that would be an empty site that
reports "Ok".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from zmount.effects.raw_roots import MountState, RawRoot
from zmount.effects.raw_storages import is_in_memory, is_read_only
from zmount.operations.mount_repairs import (
    Refusal,
    is_there,
    missing_object,
    mount_point_steps,
    read_only_storages,
)
from zmount.plan.offline import Offline
from zmount.plan.offline_steps import TakeOffline
from zmount.plan.root_steps import (
    MakeAdministrator,
    MakeContent,
    MakeSandboxes,
    MakeSessionContainer,
    PointSessions,
    RootStep,
    StopMaking,
)
from zmount.topology.administrator import Administrator
from zmount.topology.instances import Instance
from zmount.topology.sessions import SessionData

DEFAULT_CLASS = "OFS.Folder.Folder"  # what Zope makes where no container-class is said
_NOBODY_TOOK = ("shadowed", "cross-database reference", "unknown")  # something else is there
ZOPE_SESSIONS = "/temp_folder/session_data"  # what a new session data manager uses

# What an owner needs for working in his own sandbox. None of them reaches code
# on the file system, users, roles or other people's permissions. "Undo changes" is none
# of them: it is about the transactions of a whole database, whoever made them.
SANDBOX_PERMISSIONS = (
    "Access contents information",
    "Add Documents, Images, and Files",
    "Add Folders",
    "Add Page Templates",
    "Add Python Scripts",
    "Change DTML Documents",
    "Change DTML Methods",
    "Change Images and Files",
    "Change Page Templates",
    "Change Python Scripts",
    "Copy or Move",
    "Delete objects",
    "Manage properties",
    "Use mailhost services",
    "View History",
    "View management screens",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the records say of an instance's root.

    ``is_known`` is False where the root's storage cannot be read; None stands
    for what cannot be read either. ``session_path`` is the session data
    manager's, None before a first start.
    """

    is_known: bool
    mounts: tuple[MountState, ...]
    has_users: bool | None
    has_sandboxes: bool | None
    has_session_container: bool | None
    session_path: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RootPlan:
    """The steps for one root, and what is left alone."""

    steps: tuple[RootStep, ...] = ()
    refused: tuple[Refusal, ...] = ()


def see(root: RawRoot, instance: Instance, session: SessionData | None) -> Seen:
    """Return what ROOT holds of what INSTANCE needs.

    :raises StorageUnreadable: a record is damaged
    """
    sandboxes = instance.sandboxes
    sessions = None if session is None else f"{session.path}/{session.container}"
    return Seen(
        is_known=root.is_known,
        mounts=root.mount_states(),
        has_users=root.has_users(),
        has_sandboxes=None if sandboxes is None else root.exists(sandboxes),
        has_session_container=None if sessions is None else root.exists(sessions),
        session_path=root.session_path(),
    )


def plan_root(
    instance: Instance,
    seen: Seen,
    session: SessionData | None,
    administrator: Administrator | None,
    offline: Mapping[str, Offline] = MappingProxyType({}),
) -> RootPlan:
    """Return what INSTANCE's root needs, where SEEN is what it is now.

    SESSION is None for an instance that does not mount the session storage. OFFLINE
    are the mount points, by path, that somebody took off-line: they stay so.
    """
    if is_in_memory(instance.root):
        return RootPlan()  # empty again at each start: nothing made now would stay
    read_only = frozenset(mount.name for mount in instance.mounts if is_read_only(mount))
    steps, refused, left_alone = _plan_mounts(seen, read_only, offline)
    if session is not None:
        refused += _session_refusals(session, seen)
        if session.path not in left_alone:
            steps += _session_steps(session, seen)
    if instance.sandboxes is not None and not seen.has_sandboxes:
        steps.append(MakeSandboxes(path=instance.sandboxes, permissions=SANDBOX_PERMISSIONS))
    if administrator is not None and not seen.has_users:
        steps.append(MakeAdministrator(user=administrator.name))
    if steps and instance.root.name in read_only:
        return RootPlan(refused=(*refused, _read_only_root(instance, steps)))
    return RootPlan(steps=tuple(sorted(steps, key=_after_content)), refused=tuple(refused))


def _plan_mounts(
    seen: Seen, read_only: frozenset[str], offline: Mapping[str, Offline]
) -> tuple[list[RootStep], list[Refusal], set[str]]:
    """Return the steps for the mount points that were SEEN, what is refused, and their paths."""
    steps: list[RootStep] = []
    refused: list[Refusal] = []
    left_alone: set[str] = set()
    out: set[str] = set()  # off-line
    for state in sorted(seen.mounts, key=lambda state: state.point.virtual.count("/")):
        virtual = state.point.virtual
        refusal = _refusal(state, read_only)
        if virtual in offline or state.state == "off-line" or _is_below(virtual, out):
            out.add(virtual)
            steps += _offline_steps(state, offline)
            refused += _offline_refusals(state, refusal, offline)
        elif refusal is not None:
            refused.append(refusal)
            left_alone.add(virtual)
            if state.makes_missing and state.holder not in read_only:
                steps.append(StopMaking(virtual=virtual))
        else:
            steps += _mount_steps(state)
    return steps, refused, left_alone | out


def _after_content(step: RootStep) -> bool:
    """Sort content first: no mount point is made before its object is there."""
    return not isinstance(step, MakeContent)


def _mount_steps(state: MountState) -> Iterator[RootStep]:
    """Yield what makes a mount point right that may be made."""
    content = state.content.state
    is_made = content == "empty" or (content == "unknown" and not is_there(state))
    if is_made and not is_in_memory(state.mount):
        yield MakeContent(
            database=state.mount.name,
            root=state.point.root,
            real=state.point.real,
            container_class=state.mount.container_class or DEFAULT_CLASS,
        )
    yield from mount_point_steps(state)


def _offline_steps(state: MountState, offline: Mapping[str, Offline]) -> Iterator[RootStep]:
    """Yield what takes a mount point off-line that a root has lost, or got back otherwise."""
    said = offline.get(state.point.virtual)
    if said is not None and state.state not in (*_NOBODY_TOOK, "off-line"):
        yield TakeOffline(offline=said)


def _offline_refusals(
    state: MountState, refusal: Refusal | None, offline: Mapping[str, Offline]
) -> Iterator[Refusal]:
    virtual = state.point.virtual
    if virtual not in offline and state.state == "off-line":
        yield Refusal(
            what=f"{virtual}: it is off-line {state.detail}, and nothing here remembers that",
            hint="zmount online puts it back, zmount offline remembers it",
        )
    elif virtual in offline and state.state in _NOBODY_TOOK and refusal is not None:
        yield refusal


def _is_below(virtual: str, paths: set[str]) -> bool:
    return any(virtual.startswith(f"{path}/") for path in paths)


def _refusal(state: MountState, read_only: frozenset[str]) -> Refusal | None:
    """Return why a mount point is not made, or None."""
    where, found = f"{state.point.virtual}: ", state.detail
    refusal = missing_object(state)
    if refusal is not None:
        return refusal
    if state.state == "shadowed":
        return Refusal(
            what=f"{where}something is in the way, an object of {found}",
            hint="zmount remount moves it aside; what it holds is in the root's storage",
        )
    if state.state == "wrong path":
        return Refusal(
            what=f"{where}the mount point there was made for {found}",
            hint="zmount remount makes a new one; a mount point that two instances share, in "
            "a mounted storage, must have one path in both",
        )
    if state.state == "cross-database reference":
        return Refusal(
            what=f"{where}a reference into the database {found} is there, of an object that "
            "was renamed or pasted across databases",
            hint="zmount remount replaces it where that loses nothing, and says so where not",
        )
    return read_only_storages(state, read_only)


def _session_steps(session: SessionData, seen: Seen) -> Iterator[RootStep]:
    state = _mount_of(session, seen)
    is_readable = state.content.state != "unknown"
    is_there = seen.has_session_container if is_readable else state.state == "ok"
    if not is_there and not is_in_memory(state.mount):
        yield MakeSessionContainer(
            path=session.path,
            container=session.container,
            timeout_minutes=session.timeout_minutes,
            max_objects=session.max_objects,
        )
    path = f"{session.path}/{session.container}"
    if seen.session_path in (None, "", ZOPE_SESSIONS):
        yield PointSessions(path=path)


def _session_refusals(session: SessionData, seen: Seen) -> Iterator[Refusal]:
    path = f"{session.path}/{session.container}"
    if is_in_memory(_mount_of(session, seen).mount):
        yield Refusal(
            what=f"the session container {path} would be in memory, and gone at the next start",
            hint="give <session> a storage with a file",
        )
    if seen.session_path not in (None, "", ZOPE_SESSIONS, path):
        yield Refusal(
            what=f"sessions are kept in {seen.session_path}, not in {path}",
            hint="say so in <session>, or change the path of session_data_manager in Zope",
        )


def _mount_of(session: SessionData, seen: Seen) -> MountState:
    return next(state for state in seen.mounts if state.point.virtual == session.path)


def _read_only_root(instance: Instance, steps: list[RootStep]) -> Refusal:
    return Refusal(
        what=f"the root of {instance.name} is read-only: cannot " + ", ".join(map(str, steps)),
        hint="prepare it through an instance that may write there",
    )
