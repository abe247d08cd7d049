"""How the sessions of a deployment, and a proof of them, look to an administrator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.filesize import decimal

from zmount.effects.raw_sessions import SessionContainer
from zmount.operations.sessions import SessionStatus
from zmount.operations.sessions_plan import Proof, ProofPlan, Reading, Tried
from zmount.sizes import counted
from zmount.topology.hosts import Host


def status_text(status: SessionStatus) -> str:
    """Return where sessions are kept, how many there are, and who uses them."""
    return "\n".join(_status(status))


def _status(status: SessionStatus) -> Iterator[str]:
    size = status.use.size_bytes
    facts = ["" if size is None else decimal(size)]
    facts.append("" if status.objects is None else counted(status.objects, "object"))
    facts.append(_packed(status))
    yield f"{status.session.storage.name}: " + ", ".join(each for each in facts if each)
    if status.container is not None:
        yield f"{status.path}: {_container(status.container)}"
    for user in status.users:
        yield f"  {user.instance.name}: {user.problem or f'keeps sessions in {user.keeps_in}'}"
    yield from (f"note: {each}" for each in status.notes)


def _packed(status: SessionStatus) -> str:
    if status.last_pack is None:
        return "never packed by zmount"
    return f"packed {datetime.fromtimestamp(status.last_pack.began):%Y-%m-%d %H:%M:%S}"


def _container(container: SessionContainer) -> str:
    minutes = container.timeout_s / 60
    after = "1 minute" if minutes == 1 else f"{minutes:g} minutes"
    ends = f"end after {after}" if minutes else "never end"
    limit = f"{container.limit:,}" if container.limit else "none"
    expired = f" and {container.expired:,} expired" if container.expired else ""
    sessions = "one session" if container.live == 1 else f"{container.live:,} sessions"
    return f"{sessions}{expired}; they {ends}; limit: {limit}"


def plan_text(plan: ProofPlan) -> str:
    """Return what is going to be done, and what is left out."""
    lines = [f"{number}. {trial}" for number, trial in enumerate(plan.trials, 1)]
    names = ", ".join(process.name for process in plan.readers)
    lines.append(f"before and after each, {names} must show the value in the session")
    lines += [f"left out: {each}" for each in plan.left_out]
    return "\n".join(lines)


def tried_text(tried: Tried) -> str:
    """Return the evidence of one trial."""
    return "\n".join(_tried(tried))


def _tried(tried: Tried) -> Iterator[str]:
    yield f"{tried.trial}: {'kept' if tried.is_kept else 'LOST'}"
    yield f"  {tried.value} put in at {tried.setter.name}"
    here = tried.trial.processes[0].host
    yield from _readings("before", tried.before, here)
    for hit in tried.hits:
        yield f"  {hit.process.name}: pid {hit.before}, then pid {hit.after} in {hit.seconds:.1f} s"
    yield from _readings("after", tried.after, here)


def _readings(when: str, readings: tuple[Reading, ...], here: Host) -> Iterator[str]:
    for each in readings:
        found = "nothing" if each.found is None else each.found
        host = each.process.host
        where = "" if host == here else f" on host {host.name}"
        yield f"  {when}: {each.process.name}, pid {each.pid}{where}, shows {found}"


def proved_text(proof: Proof) -> str:
    """Return what the whole comes to."""
    if proof.is_dry_run:
        return "nothing was restarted"
    names = ", ".join(process.name for process in proof.plan.readers)
    trials = counted(len(proof.tried), "trial")
    lines = [f"the session outlived {proof.kept} of {trials}, seen at {names}"]
    lines += [f"not proved: {each}" for each in proof.plan.left_out]
    return "\n".join(lines)
