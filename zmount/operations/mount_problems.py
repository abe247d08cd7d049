"""What is wrong with mounts, judged by what was read: facts in, problems out.

Each problem says in one line what to do. ``is_repairable`` is what ``zmount remount``
puts right without asking anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ZODB.utils import u64

from zmount.effects.raw_found import FoundReference
from zmount.effects.raw_reach import Lying
from zmount.effects.raw_records import Reference
from zmount.effects.raw_roots import Content, MountState
from zmount.filestorage.format import oid_text
from zmount.plan.offline import Offline
from zmount.topology.instances import Instance
from zmount.topology.mounts import Mount, MountPoint

Trouble = Literal[
    "missing",
    "parent missing",
    "shadowed",
    "wrong path",
    "remembered, not listed",
    "listed, not remembered",
    "not configured",
    "cross-database reference",
    "no connection",
    "empty storage",
    "real path missing",
    "other id",
    "not off-line",
    "unreadable",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossReference:
    """A reference into another database: which, to which object of which class.

    ``mounted_at`` is the mount point that shows the same object, "" if none does: with
    one, nothing is lost when the reference goes.
    """

    database: str
    oid: int
    class_name: str
    mounted_at: str = ""

    @property
    def is_harmless(self) -> bool:
        """True if the object is where its mount point looks for it: nothing needs this."""
        return bool(self.mounted_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is wrong at a path of an instance, and what to do about it.

    ``holder`` is the storage that it lies in, "" for what concerns the mounted storage.
    ``lying`` is how much stands there in a mount's place, with all below it; None where
    nothing does.
    """

    state: Trouble
    detail: str
    advice: str
    is_repairable: bool
    lying: Lying | None = None
    holder: str = ""
    reference: CrossReference | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as ``zmount mounts --json`` shows it."""
        facts: dict[str, Any] = {
            "state": self.state,
            "detail": self.detail,
            "advice": self.advice,
            "is_repairable": self.is_repairable,
        }
        if self.lying is not None:
            facts["lying"] = {
                "storage": self.holder,
                "objects": self.lying.objects,
                "record_bytes": self.lying.record_bytes,
                "blob_bytes": self.lying.blob_bytes,
            }
        if self.reference is not None:
            facts["reference"] = {
                "database": self.reference.database,
                "oid": oid_text(self.reference.oid),
                "class": self.reference.class_name,
                "is_harmless": self.reference.is_harmless,
                "mounted_at": self.reference.mounted_at or None,
            }
        return facts


def root_problems(instance: Instance, content: Content, why_not: str) -> Iterator[Problem]:
    """Yield what is wrong with the root itself."""
    if why_not:
        yield _no_connection(instance.root, why_not)
    if content.state == "damaged":
        yield _unreadable(content)
    elif content.state in ("empty", "missing"):
        yield Problem(
            state="empty storage",
            detail=f"{instance.root.storage.name} holds no Application",
            advice=f"a new root: zmount start {instance.name} makes it; else restore a backup",
            is_repairable=False,
        )


def mount_problems(
    instance: Instance,
    seen: MountState,
    *,
    why_not: str,
    lying: Lying | None,
    cross: CrossReference | None,
) -> Iterator[Problem]:
    """Yield what is wrong with a mount, what stands in its place first.

    WHY_NOT says why there is no connection, "" if there is one.
    """
    place = _in_its_place(instance, seen, lying, cross)
    if place is not None:
        yield place
    if why_not:
        yield _no_connection(seen.mount, why_not)
    yield from _content_problems(seen)


def found_problem(
    instance: Instance, found: FoundReference, holder: str, cross: CrossReference | None
) -> Problem:
    """Return what to say of a mount point, or a reference, that no mount accounts for."""
    if cross is not None:
        return _cross_reference(instance, found.path, holder, cross)
    made_for = "" if found.mounted_path == found.path else f", made for {found.mounted_path}"
    return Problem(
        state="not configured",
        detail=f"a mount point that no mount-point of {instance.name} names{made_for}",
        advice=f"say {found.path} in a <mount> of zmount.conf, or delete it in Zope: "
        "no data is behind it",
        is_repairable=False,
        holder=holder,
    )


def lost_stand_in(
    instance: Instance, seen: MountState, remembered: Offline, problems: Iterable[Problem]
) -> Iterator[Problem]:
    """Yield PROBLEMS of a mount that was taken off-line, and that it is not, if it is not.

    Then somebody has deleted or replaced in Zope what stood in for it.
    """
    if seen.state in ("off-line", "unknown"):
        yield from problems
        return
    others = list(problems)
    place = others.pop(0) if seen.state != "ok" else None  # it is told first
    what = "it is shown" if place is None else f"{place.state}, {place.detail}"
    online = f"zmount online {remembered.site}"
    if seen.state in ("ok", "missing", "parent missing"):
        advice = f"zmount offline {remembered.site}, or {online} if visitors shall see it"
    else:
        advice = f"{online}, then zmount remount {instance.name} {seen.point.virtual}"
    yield Problem(
        state="not off-line",
        detail=f"it was taken {remembered.told}, but now: {what}",
        advice=advice,
        is_repairable=False,
        lying=None if place is None else place.lying,
        holder="" if place is None else place.holder,
        reference=None if place is None else place.reference,
    )
    yield from others


def cross_reference(
    instance: Instance, reference: Reference, contents: Mapping[str, Content]
) -> CrossReference:
    """Return what REFERENCE leads to, and whether a mount point shows that, too."""
    mounted_at = ""
    for mount in instance.mounts:
        if mount.name != reference.database:
            continue
        for point in mount.points:
            content = contents.get(point.virtual)
            if content is not None and content.state == "ok" and content.oid == reference.oid:
                mounted_at = point.virtual
    return CrossReference(
        database=reference.database,
        oid=u64(reference.oid),
        class_name=reference.class_name,
        mounted_at=mounted_at,
    )


def _in_its_place(
    instance: Instance, seen: MountState, lying: Lying | None, cross: CrossReference | None
) -> Problem | None:
    path, remount = seen.point.virtual, f"zmount remount {instance.name} {seen.point.virtual}"
    if seen.state in ("ok", "off-line"):
        return None
    if seen.state == "cross-database reference":
        assert cross is not None
        return _cross_reference(instance, path, _storage_of(instance, seen.holder), cross)
    if seen.state == "unknown":
        above = seen.detail or "the root"
        return Problem(
            state="unreadable",
            detail=f"what is there is not known: {above} cannot be read from here",
            advice="see what is wrong there first",
            is_repairable=False,
        )
    state, detail = _TROUBLES[seen.state]
    return Problem(
        state=state,
        detail=detail.format(seen.detail),
        advice=remount,
        is_repairable=True,
        lying=lying,
        holder=_storage_of(instance, seen.holder),
    )


def _storage_of(instance: Instance, name: str) -> str:
    return next(mount.storage.name for mount in instance.mounts if mount.name == name)


_TROUBLES: dict[str, tuple[Trouble, str]] = {
    "missing": ("missing", "there is nothing at its path"),
    "parent missing": ("parent missing", "{} is not there, where it should lie"),
    "shadowed": ("shadowed", "by an object of {}"),
    "wrong path": ("wrong path", "the mount point there was made for {}"),
    "unlisted": ("remembered, not listed", "its folder does not show it"),
    "forgotten": ("listed, not remembered", "its folder does not know it for a mount point"),
}


def _cross_reference(instance: Instance, path: str, holder: str, cross: CrossReference) -> Problem:
    what = f"to {cross.class_name or 'an object'} {oid_text(cross.oid)} in {cross.database}"
    if cross.is_harmless:
        advice = f"zmount remount {instance.name} {path}: {cross.mounted_at} shows the same object"
    else:
        advice = (
            f"in Zope, copy {path} (not cut) and paste it where it belongs, then delete it: "
            "a copy is a whole one"
        )
    return Problem(
        state="cross-database reference",
        detail=what,
        advice=advice,
        is_repairable=cross.is_harmless,
        holder=holder,
        reference=cross,
    )


def _no_connection(mount: Mount, why_not: str) -> Problem:
    server = mount.storage.server
    assert server is not None  # nothing else can be away
    verb = "restart" if "does not serve" in why_not else "start"
    where = f" on host {server.host.name}"
    return Problem(
        state="no connection",
        detail=why_not,
        advice=f"zmount {verb} {server.name}{where}",
        is_repairable=False,
    )


def _content_problems(seen: MountState) -> Iterator[Problem]:
    content, point, storage = seen.content, seen.point, seen.mount.storage.name
    if content.state == "damaged":
        yield _unreadable(content)
    elif content.state == "empty":
        yield Problem(
            state="empty storage",
            detail=f"{storage} holds nothing",
            advice="a new one: zmount apply makes its content; else restore it from a backup",
            is_repairable=False,
        )
    elif content.state == "missing":
        held = ", ".join(content.holds) or "nothing"
        yield Problem(
            state="real path missing",
            detail=f"{storage} has no {point.real}: no {content.missing_at!r}, it holds {held}",
            advice=f"correct the real path of {point.virtual} in zmount.conf, or restore "
            f"{storage} from a backup",
            is_repairable=False,
        )
    elif content.state == "ok" and _is_other_id(point, content.own_id):
        name = point.real.rpartition("/")[2]
        yield Problem(
            state="other id",
            detail=f"the object says that its id is {content.own_id}: it was renamed across "
            f"databases, its URLs are wrong",
            advice=f"zmount start ADMIN --root {storage} (ADMIN: an instance of kind admin), "
            f"rename {point.real} there to another id and back to {name}",
            is_repairable=False,
        )


def _is_other_id(point: MountPoint, own_id: str) -> bool:
    name = point.real.rpartition("/")[2]
    return bool(name and own_id) and name != own_id


def _unreadable(content: Content) -> Problem:
    return Problem(
        state="unreadable",
        detail=content.detail,
        advice=content.hint or "zmount verify says whether it is damaged",
        is_repairable=False,
    )
