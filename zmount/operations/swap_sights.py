"""How the instances that mount a staging storage see it after a swap; none is restarted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zmount.effects.administrator_file import known_password
from zmount.effects.answers import Answer, ask_http
from zmount.effects.clock import ticks
from zmount.effects.raw_mounts import mounted_oids
from zmount.effects.zope_http import ZopeClient
from zmount.effects.zope_requests import ALIVE
from zmount.errors import SwapFailed, ZMountError
from zmount.operations.local_processes import LocalProcesses
from zmount.topology.instances import Instance, Replica
from zmount.topology.mounts import MountPoint
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology

ANSWER_S = 40.0  # an instance whose connection ended waits up to 30 s for a new one
SEEN_WITHIN_S = 10.0
# An anonymous visitor is refused this of any Zope object, but only after it was loaded: nothing
# of the site's own code runs, and nothing is committed. A page may write when it is looked at.
REFUSED = "manage_main"
FOUND = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """How the process ``name`` of an instance sees staging at ``path``.

    ``said`` is that in words; ``is_right`` is False where it is not what staging
    holds; None: it does not run, or runs on another host.
    """

    name: str
    path: str
    said: str
    is_right: bool | None

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "name": self.name,
            "path": self.path,
            "said": self.said,
            "is_right": self.is_right,
        }


def points_of(storage: Storage, topology: Topology) -> tuple[MountPoint, ...]:
    """Return where instances show STORAGE."""
    return tuple(point for instance in topology.instances for point in _points(instance, storage))


def _points(instance: Instance, storage: Storage) -> tuple[MountPoint, ...]:
    mounts = (mount for mount in instance.mounts if mount.storage.name == storage.name)
    return tuple(point for mount in mounts for point in mount.points)


@dataclass(frozen=True, slots=True, kw_only=True)
class Onlookers:
    """The instances that show ``staging``, right after a swap.

    ``before`` and ``after`` are the objects that its mount points showed and show.
    """

    staging: Storage
    local: LocalProcesses
    before: Mapping[str, bytes | None]
    after: Mapping[str, bytes | None]

    def let_forget(self) -> Mapping[str, str]:
        """Let those whose objects are others now look for them again.

        Returns by process why that was not to be had, "" where it was. A request
        that began before the swap may hold what it showed: it is asked for once more
        when some time has gone by.

        Products.ZODBMountPoint finds a mount point's object once for each thread, and
        holds it as long as the mount point itself is in memory, whatever is in the
        database by then. An object that only has another state now, a new title
        say, is read anew like any other. But a site that was made anew, or whose
        staging was its own file, has another oid. Where zmount's agent is in the
        instance, mount points look again by themselves.
        """
        return {
            each.name: _let_forget(each, self.local)
            for each, points in self._replicas()
            if any(self._is_another(point) for point in points)
            and self._is_here(each)
            and self._asked(each).is_answering
        }

    def sights(self, why_not: Mapping[str, str]) -> Iterator[Sight]:
        """Yield how each sees it; WHY_NOT is what :meth:`let_forget` said."""
        for replica, points in self._replicas():
            answer = self._asked(replica) if self._is_here(replica) else None
            for point in points:
                if answer is None or not answer.is_answering:
                    yield self._unseen(replica, point, answer)
                else:
                    yield self._sight(replica, point, why_not.get(replica.name, ""))

    def _replicas(self) -> Iterator[tuple[Replica, tuple[MountPoint, ...]]]:
        for replica in self.local.topology.replicas:
            points = _points(replica.instance, self.staging)
            if points:
                yield replica, points

    def _is_here(self, replica: Replica) -> bool:
        return replica.host.name == self.local.host.name

    def _asked(self, replica: Replica) -> Answer:
        return self.local.ask(self.local.everywhere[replica.name])

    def _is_another(self, point: MountPoint) -> bool:
        return self.before.get(str(point)) != self.after.get(str(point))

    def _unseen(self, replica: Replica, point: MountPoint, answer: Answer | None) -> Sight:
        if answer is not None:
            said = f"no answer ({answer.detail}), so nobody looked; when it starts, it shows this"
        else:
            said = f"on host {replica.host.name}, not asked from here"
            if self._is_another(point):
                said += f"; there: zmount restart {replica.name}, or it may show another object"
        return Sight(name=replica.name, path=point.virtual, said=said, is_right=None)

    def _sight(self, replica: Replica, point: MountPoint, why_not: str) -> Sight:
        if why_not:
            said = f"it may still show another object: {why_not}"
            return Sight(name=replica.name, path=point.virtual, said=said, is_right=False)
        is_there = self.after.get(str(point)) is not None
        address = self.local.address_of(self.local.everywhere[replica.name])
        for _ in ticks(SEEN_WITHIN_S):
            answer = ask_http(address, f"{point.virtual}/{REFUSED}", timeout_s=ANSWER_S)
            is_right = is_right_answer(answer, is_there=is_there)
            if is_right:
                break
            if self._is_another(point):  # it had not heard of the swap when it was told
                _let_forget(replica, self.local)
        said = in_words(answer, is_there=is_there)
        return Sight(name=replica.name, path=point.virtual, said=said, is_right=is_right)


def onlookers(
    staging: Storage, before: Mapping[str, bytes | None], local: LocalProcesses
) -> Onlookers:
    """Return who shows STAGING, which was swapped; its mount points showed BEFORE.

    :raises StorageUnreadable: its files cannot be read
    """
    after = mounted_oids(staging, points_of(staging, local.topology))
    return Onlookers(staging=staging, local=local, before=before, after=after)


def is_right_answer(answer: Answer, *, is_there: bool) -> bool:
    """True if ANSWER to who asks for a page of an object that IS_THERE shows no mistake.

    Where there is none, Zope answers for the folder above it.
    """
    return 0 < answer.status < 500 and not (is_there and answer.status == 404)


def in_words(answer: Answer, *, is_there: bool) -> str:
    """Return what ANSWER means, in words."""
    if not answer.status:
        return f"it does not answer: {answer.detail}"
    if answer.status >= 500:
        return f"it fails: {answer.detail}; its event.log says why"
    if not is_there:
        return "not restarted; staging holds no object for this place now"
    if answer.status == 404:
        return f"it does not find the site: {answer.detail}"
    if answer.status in (401, 403):
        return "not restarted, has the site; its page wants a login, so what is on it was not read"
    return "not restarted, has the site"


def _let_forget(replica: Replica, local: LocalProcesses) -> str:
    """Let all threads of REPLICA forget the objects of its root; return why they do not."""
    administrator = local.topology.administrator
    address = local.address_of(local.everywhere[replica.name])
    if ask_http(address, ALIVE, timeout_s=ANSWER_S).status == FOUND:
        return ""
    try:
        password = known_password(administrator, local.host) if administrator else None
        if administrator is None or password is None:
            return "zmount knows no administrator who could let it look again"
        zope = ZopeClient(address, user=administrator.name, password=password.reveal())
        zope.minimize(replica.instance.root.name)
    except ZMountError as why:
        return str(why)
    return ""


def refuse_blindness(sights: tuple[Sight, ...]) -> None:
    """Raise what an instance does not see.

    :raises SwapFailed: staging was replaced, and an instance does not show it
    """
    blind = [each for each in sights if each.is_right is False]
    if blind:
        one = blind[0]
        names = " ".join(dict.fromkeys(each.name for each in blind))
        raise SwapFailed(
            f"staging was replaced, but {one.name} does not show it at {one.path}: {one.said}",
            hint=f"zmount restart {names}",
        )
