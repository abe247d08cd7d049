"""Does an instance find the ZEO servers and the storages that it needs?

Zope itself would wait 30 s for each that is missing, and then not start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from zmount.effects.answers import Answer
from zmount.effects.local_files import text_of
from zmount.errors import ProcessFailed
from zmount.operations.changes import Change
from zmount.operations.local_processes import LocalProcesses
from zmount.topology.instances import Replica
from zmount.topology.processes import Process


def must_have_its_servers(
    local: LocalProcesses, process: Process, before: Sequence[Change]
) -> None:
    """Refuse to start PROCESS where a ZEO server is missing, or serves not all it needs.

    BEFORE is what was started just now, or failed to.

    :raises ProcessFailed: naming the server, and what is wrong with it
    """
    failed = {change.process.name for change in before if change.error is not None}
    for name in process.after:
        if name in failed:
            raise ProcessFailed(f"{process.name} was not started: it needs {name}")
        needed = local.everywhere[name]
        where = "" if local.is_here(needed) else f" on host {needed.host.name}"
        answer = local.ask(needed)
        if not answer.is_answering:
            raise ProcessFailed(
                f"{process.name} was not started: it needs the ZEO server {name}{where}, which "
                f"does not answer at {local.address_of(needed)}: {answer.detail}",
                hint=f"zmount start {name}{where}",
            )
        missing = tuple(_not_served(process.noun, name, answer))
        if missing:
            raise ProcessFailed(
                f"{process.name} was not started: its zope.conf mounts {', '.join(missing)}, "
                f"which the running ZEO server {name}{where} does not serve: it has not read "
                "its zeo.conf since",
                hint=f"zmount restart {name}{where}",
            )


def _not_served(noun: object, server: str, answer: Answer) -> Iterator[str]:
    """Yield the storages of SERVER that a Zope's file names and SERVER does not serve.

    The file, and not the topology, decides: what is not applied yet is not needed yet.
    """
    if not isinstance(noun, Replica) or answer.clients is None:
        return
    lines = {line.strip() for line in (text_of(noun.zope_conf) or "").splitlines()}
    for mount in noun.instance.mounts:
        storage = mount.storage
        if storage.server is None or storage.server.name != server:
            continue
        if storage.zeo_name not in answer.clients and f"storage {storage.zeo_name}" in lines:
            yield storage.name
