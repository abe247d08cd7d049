"""Sandboxes: give a developer one, take one away.

1. observe: read the root from its records.
2. plan:    refuse names that are none, and what belongs to somebody else.
3. apply:   one step, by the agent of the running instance or by its own Zope. A sandbox
   that is taken away goes to the attic, never away.
4. verify:  read the root again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from zmount.effects.password_file import forget_password, kept_password, made_password
from zmount.effects.raw_sandboxes import FolderOfSandboxes
from zmount.effects.raw_storages import is_read_only
from zmount.errors import SandboxRefused
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.prepare_plan import SANDBOX_PERMISSIONS
from zmount.operations.recorded import recorded
from zmount.operations.root_changes import change_root
from zmount.operations.sandbox_look import instance_with_sandboxes, seen_sandboxes
from zmount.plan.remount_steps import MoveToAttic
from zmount.plan.root_steps import RootStep
from zmount.plan.sandbox_steps import AddSandbox, EndSandboxes, RemoveSandboxUser
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance
from zmount.topology.topology import Topology

Progress = Callable[[str], None]

ROLE: Final = "Developer"
# What every developer may do in the others' sandboxes: look, and copy from there.
ROLE_PERMISSIONS: Final = (
    "Access contents information",
    "Copy or Move",
    "View",
    "View management screens",
)
# As user names and ids in Zope, and as text in HTTP's basic authentication.
_USER: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxChange:
    """What is to be done about the sandbox of ``user``, or was.

    ``makes`` are the paths of folders that are missing; ``password_file`` is where a new
    user's password is; ``roles`` are those of a user who is there already. ``slots`` are the
    names in the attic of what was taken away.
    """

    instance: str
    user: str
    steps: tuple[RootStep, ...]
    makes: tuple[str, ...] = ()
    is_new_user: bool = False
    roles: tuple[str, ...] = ()
    password_file: str = ""
    slots: tuple[str, ...] = ()
    is_done: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return plain values; no password is among them."""
        return {
            "instance": self.instance,
            "user": self.user,
            "done": self.is_done,
            "steps": [str(step) for step in self.steps],
            "makes": list(self.makes),
            "is_new_user": self.is_new_user,
            "roles_in_root": list(self.roles),
            "password_file": self.password_file or None,
            "attic": list(self.slots),
        }


def plan_add(
    topology: Topology, host: Host, user: str, sites: tuple[str, ...], instance: str = ""
) -> SandboxChange:
    """Return what gives USER a sandbox for each of SITES.

    :raises SandboxRefused: USER is no name, or somebody else has what is there
    :raises UnknownName: there is no such site, or no such instance
    """
    _must_be_name(user)
    for site in sites:
        topology.site(site)
    local = LocalProcesses(topology=topology, host=host)
    where = _writable(instance_with_sandboxes(local, instance))
    folder, users = seen_sandboxes(local, where)
    path = str(where.sandboxes)
    step = AddSandbox(
        path=path,
        user=user,
        sites=tuple(dict.fromkeys(sites)),
        role=ROLE,
        owner_may=SANDBOX_PERMISSIONS,
        role_may=ROLE_PERMISSIONS,
    )
    makes = _missing(path, folder, user, step.sites)
    is_new = not users.are_unknown_or_have(user)
    is_right = folder is not None and ROLE in folder.roles
    may_look = folder is not None and ROLE in folder.local_roles.get(user, ())
    return SandboxChange(
        instance=where.name,
        user=user,
        steps=() if is_right and may_look and not makes and not is_new else (step,),
        makes=makes,
        is_new_user=is_new,
        roles=(users.roles or {}).get(user, ()),
    )


def plan_remove(
    topology: Topology,
    host: Host,
    user: str,
    sites: tuple[str, ...],
    *,
    with_user: bool = False,
    instance: str = "",
) -> SandboxChange:
    """Return what moves the sandboxes of USER for SITES to the attic; without sites, all.

    WITH_USER: the user is removed, too, unless he has roles in the root.

    :raises SandboxRefused: there is no such sandbox, or the user has roles
    """
    _must_be_name(user)
    local = LocalProcesses(topology=topology, host=host)
    where = _writable(instance_with_sandboxes(local, instance))
    folder, users = seen_sandboxes(local, where)
    there = folder.users.get(user) if folder is not None else None
    lost = [site for site in sites if there is None or site not in there.below]
    is_user = with_user and user in (users.roles or {})
    if lost or (there is None and not is_user):
        raise SandboxRefused(
            f"{where.name}: there is no {'/'.join([str(where.sandboxes), user, *lost[:1]])}",
            hint="zmount sandbox list names those that are there",
        )
    roles = (users.roles or {}).get(user, ())
    if is_user and roles:
        raise SandboxRefused(
            f"{where.name}: {user} has roles in the root: {', '.join(roles)}",
            hint="without --user the sandbox alone goes to the attic",
        )
    return SandboxChange(
        instance=where.name,
        user=user,
        steps=tuple(_removing(where, folder, user, sites, is_user=is_user)),
        roles=roles,
    )


def change_sandbox(
    topology: Topology, host: Host, change: SandboxChange, say: Progress = lambda line: None
) -> SandboxChange:
    """Do CHANGE; return it done.

    :raises SandboxRefused: it cannot be done
    :raises ZMountError: as :func:`change_root`
    """
    if not change.steps:
        return replace(change, is_done=True)
    subjects = [change.instance, change.user]
    with recorded(topology.file, host.name, "sandbox", subjects=subjects) as record:
        record.plan(change.steps)
        done = _changed(topology, host, change, say)
        record.plan(f"in the attic: {slot}" for slot in done.slots)
    return done


def _changed(topology: Topology, host: Host, change: SandboxChange, say: Progress) -> SandboxChange:
    local = LocalProcesses(topology=topology, host=host)
    instance = topology.instance(change.instance)
    file = Path(host.etc / "sandbox-users")
    came = change_root(
        local,
        instance,
        change.steps,
        note=f"zmount: {'; '.join(map(str, change.steps))}",
        say=say,
        spelled=lambda step: _spelled(step, change, file),
    )
    for step, why in came.refused.items():
        raise SandboxRefused(
            f"{instance.name}: cannot {step}: {why}", hint="zmount sandbox list shows what is there"
        )
    slots = [str(came.answers[s]) for s in came.done if isinstance(s, MoveToAttic)]
    made = [came.answers[s] for s in came.done if isinstance(s, AddSandbox)]
    done = replace(change, is_done=True, slots=tuple(slots))
    for answer in made:
        done = replace(
            done,
            makes=tuple(answer["paths"]),
            is_new_user=answer["is_new_user"],
            password_file=str(file) if answer["is_new_user"] else "",
        )
    _must_be_done(local, done)
    if any(isinstance(step, RemoveSandboxUser) for step in came.done):
        forget_password(file, change.user)
    return done


def _spelled(step: RootStep, change: SandboxChange, file: Path) -> dict[str, Any]:
    """Return STEP for the agent, with the password of a new user, which is kept in FILE."""
    if not isinstance(step, AddSandbox):
        return step.as_json()
    password = ""
    if change.is_new_user:
        password = (kept_password(file, step.user) or made_password(file, step.user)).reveal()
    return {**step.as_json(), "password": password}


def _writable(instance: Instance) -> Instance:
    """Return INSTANCE, whose root can be written to."""
    if is_read_only(instance.root):
        raise SandboxRefused(
            f"the root of {instance.name} is read-only",
            hint="--instance names another development instance",
        )
    return instance


def _must_be_name(user: str) -> None:
    if not _USER.fullmatch(user) or user.startswith("aq_") or user in ("acl_users", "REQUEST"):
        raise SandboxRefused(
            f"{user!r} is no name of a user",
            hint="letters, digits and . _ @ - between them, as in medur",
        )


def _missing(
    path: str, folder: FolderOfSandboxes | None, user: str, sites: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the paths of the folders of USER for SITES that are not there.

    :raises SandboxRefused: one is there, and is somebody else's
    """
    mine = folder.users.get(user) if folder is not None else None
    below = {site: mine.below.get(site) if mine is not None else None for site in sites}
    found = {f"{path}/{user}": mine} | {f"{path}/{user}/{s}": each for s, each in below.items()}
    for where, each in found.items():
        if each is not None and each.owner != user:
            raise SandboxRefused(
                f"{where} belongs to {each.owner or 'nobody'}, not to {user}",
                hint="its tab Ownership in Zope says whose it is; another name will do as well",
            )
    return tuple(where for where, each in found.items() if each is None)


def _removing(
    instance: Instance,
    folder: FolderOfSandboxes | None,
    user: str,
    sites: tuple[str, ...],
    *,
    is_user: bool,
) -> Iterator[RootStep]:
    mine, path = f"{instance.sandboxes}/{user}", str(instance.sandboxes)
    if folder is not None and user in folder.users:
        for where in [f"{mine}/{site}" for site in sites] or [mine]:
            yield MoveToAttic(path=where, reason=f"zmount sandbox remove {user}")
    if not sites and folder is not None and user in folder.local_roles:
        yield EndSandboxes(path=path, user=user)
    if is_user:
        yield RemoveSandboxUser(user=user)


def _must_be_done(local: LocalProcesses, change: SandboxChange) -> None:
    """Read the root again: what was made is there, what was taken away is not."""
    instance = local.topology.instance(change.instance)
    folder, users = seen_sandboxes(local, instance)
    mine = folder.users.get(change.user) if folder is not None else None
    for step in change.steps:
        if isinstance(step, AddSandbox):
            is_right = users.are_unknown_or_have(change.user) and not _missing(
                step.path, folder, change.user, step.sites
            )
        elif isinstance(step, MoveToAttic):
            name = step.path.rpartition("/")[2]
            is_right = mine is None or (name != change.user and name not in mine.below)
        else:
            continue
        if not is_right:
            raise SandboxRefused(
                f"{instance.name}: Zope said that it did {step}, and the root does not show it",
                hint="somebody may work there right now; try again",
            )
