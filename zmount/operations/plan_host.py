"""The plan for a host, from what lies on this machine now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from zmount.effects.journal import is_unfinished
from zmount.effects.local_host import observe
from zmount.effects.process_table import Owner
from zmount.effects.readers import readers
from zmount.errors import ApplyFailed, ApplyRefused
from zmount.operations.plan_apply import Wanted, known_files, plan_apply, wanted_paths
from zmount.plan.difference import text_difference
from zmount.plan.directories import directories
from zmount.plan.manifest import STATE
from zmount.plan.plan import Conflict, Plan
from zmount.plan.secrets import secrets_of
from zmount.plan.steps import RemoveFile
from zmount.render.files import generated_files
from zmount.topology.hosts import Host
from zmount.topology.topology import Topology


def what_is_wanted(topology: Topology, host: Host) -> Wanted:
    """Return the files and directories that HOST shall have.

    :raises RenderError: a file cannot hold what the topology says
    """
    files = generated_files(topology, host)
    needed = directories(topology, host, (file.path for file in files))
    return Wanted(host=host, files=files, directories=needed)


def plan_host(wanted: Wanted, *, overwrite: bool = False) -> Plan:
    """Look at this machine, and return the plan that makes it as WANTED."""
    paths = tuple(wanted_paths(wanted))
    manifest = observe(files=paths[:1], directories=(), users=())
    former = known_files(wanted.host, manifest.files)
    seen = observe(
        files=dict.fromkeys((*paths, *former)),
        directories=(directory.path for directory in wanted.directories),
        users=wanted.users,
    )
    return keep_running(plan_apply(wanted, seen, overwrite=overwrite))


def keep_running(plan: Plan) -> Plan:
    """Return PLAN, in conflict with every running server whose files it would remove."""
    return replace(plan, conflicts=(*plan.conflicts, *_still_in_use(plan)))


def refuse_conflicts(plan: Plan, topology: Topology) -> Plan:
    """Return PLAN if nothing stands against it.

    :raises ApplyRefused: naming everything that does, with the differences
    """
    if not plan.conflicts:
        return plan
    secrets = secrets_of(topology)
    lines: list[str] = []
    for conflict in plan.conflicts:
        lines.append(str(conflict))
        step = conflict.step
        if step is not None and step.old is not None:
            lines += text_difference(step.path, step.old.text, step.new.text, secrets)
    hints = [conflict.hint for conflict in plan.conflicts if conflict.hint]
    if any(conflict.step is not None for conflict in plan.conflicts):
        hints.append("put it into zmount.conf, or say --overwrite: zmount undo brings it back")
    raise ApplyRefused("\n".join(lines), hint="; ".join(dict.fromkeys(hints)))


def is_interrupted(host: Host) -> bool:
    """True if an apply on HOST died, and waits to be finished or undone.

    :raises ApplyFailed: zmount's own directory cannot be read
    """
    state = Path(host.directory / STATE)
    try:
        return is_unfinished(state)
    except OSError as why:
        raise ApplyFailed(
            f"{state}: {why.strerror}", hint="act as the user who applied before"
        ) from None


def _still_in_use(plan: Plan) -> Iterator[Conflict]:
    """Yield the removals that would leave a running server without its files."""
    removed = {step.path: step for step in plan.steps if isinstance(step, RemoveFile)}
    running: dict[tuple[str, ...], list[tuple[PurePosixPath, Owner]]] = {}
    for path, owner in readers(removed):
        running.setdefault(removed[path].processes, []).append((path, owner))
    for names, found in running.items():
        # the server itself, and not the zdaemon that keeps it alive
        path, owner = min(found, key=lambda item: "zdaemon.zdrun" in item[1].command)
        name = " ".join(names) or "supervisord"
        yield Conflict(
            path=path,
            what="the topology has no use for it any more, but "
            f"{name} still runs with it: pid {owner.pid}",
            hint=_how_to_end(path, name, owner),
        )


def _how_to_end(path: PurePosixPath, name: str, owner: Owner) -> str:
    """Return how to end NAME, which OWNER runs with the file PATH."""
    if "supervisord" in path.name:
        return f"supervisorctl -c {path} shutdown"
    # zdaemon's own stop is a SIGTERM, of which runwsgi dies without saving its index;
    # of a SIGINT both servers end with status 0, and their zdaemon with them
    return f"kill -INT {owner.pid}; or with zmount.conf as it was: zmount stop {name}"
