"""The checks of processes of this host, and of instances everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from zmount.agent.draining import DRAINS
from zmount.agent.requests import FILE_NAME
from zmount.effects.answers import FORBIDDEN
from zmount.effects.client_caches import is_cache
from zmount.effects.clock import now
from zmount.effects.files_seen import see_file, why_unreadable
from zmount.effects.queue_depth import queue_depth
from zmount.effects.zope_requests import work_of
from zmount.operations.health_readings import Reading, State, judged, worst
from zmount.operations.health_scene import Scene, Subject
from zmount.operations.health_seen import Seen, what_to_do
from zmount.operations.health_words import silence, size_words, time_words
from zmount.operations.spinning import printable
from zmount.operations.status import ProcessStatus
from zmount.sizes import counted
from zmount.topology.checks.claims import cache_file
from zmount.topology.health import parse_number
from zmount.topology.instances import Replica
from zmount.topology.mounts import Mount

CACHE_BYTES = 20 * 1024 * 1024  # ClientStorage's default of cache-size
CACHE_MARGIN = 1.1  # of its size: what ZEO's cache file has around the records

_STATES: dict[str, State] = {
    "running": "ok",
    "starting": "warning",
    "restarting": "critical",
    "not answering": "critical",
    "unmanaged": "warning",
    "foreign": "critical",
    "stopped": "critical",
    "unknown": "unknown",
}
_DO: dict[str, str] = {  # where that is not `zmount status`
    "stopped": "zmount start {}",
    "restarting": "zmount logs {} --errors",
    "unmanaged": "zmount restart {}, at a quiet time: then it is kept alive again",
}


def process_readings(scene: Scene, seen: Seen) -> Iterator[Reading]:
    """Yield whether the process that was SEEN is kept alive, and what memory it takes."""
    kind = "server" if seen.process.is_zeo else "instance"
    subject = Subject(scene=scene, kind=kind, name=seen.process.name)
    if seen.untold:
        hint = f"zmount status {subject.name}, as root"
        yield from subject.says("process", "unknown", seen.untold, hint=hint)
    if seen.status is None:
        return
    if seen.is_hidden:
        said = "a process of another user is at its address; whether it is ours may not be seen"
        yield from subject.says("process", "unknown", said, hint="as root")
        return
    yield from _kept(subject, seen.status)
    if seen.status.memory_bytes is not None:
        number = subject.number("memory_bytes", seen.status.memory_bytes, "bytes", "memory")
        said = f"it holds {size_words(seen.status.memory_bytes)} of memory"
        yield from subject.measured("memory", number, said)


def replica_readings(scene: Scene, seen: Seen) -> Iterator[Reading]:
    """Yield how the instance that was SEEN answers, and what its threads do."""
    subject = Subject(scene=scene, kind="instance", name=seen.process.name)
    replica = seen.process.noun
    assert isinstance(replica, Replica)
    if seen.is_idle:
        said = "it does not run; it is started on demand"
        yield from subject.says("http", "ok", said)
        return
    yield from _http(scene, subject, seen)
    if seen.pid is None:
        return
    yield from _threads(subject, replica, seen.pid)
    yield from _queue(subject, replica, seen)
    yield from _caches(subject, replica)


def _kept(subject: Subject, status: ProcessStatus) -> Iterator[Reading]:
    state, said = _STATES[status.state], _sentence(status)
    if status.state == "stopped" and not status.process.autostart:
        state, said = "ok", "does not run; it is started on demand"
    if status.restarts and state == "ok":
        state = "warning"
    restarts = subject.number("restarts", status.restarts or 0, "count")
    if status.restarts:
        said += f"; its manager started it again {counted(status.restarts, 'time')}"
    up = subject.number("up", 1 if status.is_up else 0, "count")
    do = _DO.get(status.state, "zmount status {}")
    hint = "" if state == "ok" else do.format(status.process.name)
    yield from subject.says("process", state, said, up, restarts, hint=hint)


def _sentence(status: ProcessStatus) -> str:
    runs = f"runs, pid {status.pid}"
    if status.uptime_s is not None:
        runs = f"runs for {time_words(status.uptime_s)}, pid {status.pid}"
    if status.state == "running":
        return runs
    said = {
        "starting": f"{runs}, but does not answer yet",
        "not answering": f"{runs}, but does not answer",
        "restarting": f"{runs}, but does not answer" if status.is_up else "died, and is restarted",
        "unmanaged": runs,
        "stopped": "does not run",
        "foreign": "does not run",
    }.get(status.state, "is unknown")
    if not status.detail:
        return said
    return f"{said}; {status.detail}" if status.state == "unmanaged" else f"{said}: {status.detail}"


def _http(scene: Scene, subject: Subject, seen: Seen) -> Iterator[Reading]:
    where = f"at {scene.local.address_of(seen.process)}"
    if not seen.answer.is_answering:
        said = f"does not answer {where}: {silence(seen.answer.detail, scene.timeout_s)}"
        if seen.answer.detail == FORBIDDEN:
            yield from subject.says("http", "unknown", said, hint="as root")
            return
        hint = f"zmount spin {subject.name}" if seen.pid else what_to_do(scene, seen)
        yield from subject.says("http", "critical", said, hint=hint)
        return
    number = subject.number("answer_seconds", seen.seconds, "seconds", "answer-time")
    said = f"answers {where} in {time_words(seen.seconds)}"
    if seen.answer.text.startswith(DRAINS):
        said += "; it takes no visitors, for it is about to be restarted"
        yield from subject.says("http", "ok", said, number)
        return
    if seen.answer.status >= 500:
        said += f", but with {seen.answer.detail}"
        yield from subject.says("http", "critical", said, number, hint="its event log says why")
        return
    if seen.answer.status == 404:
        said += "; it has no zmount agent"
    yield from subject.measured("http", number, said)


def _threads(subject: Subject, replica: Replica, pid: int) -> Iterator[Reading]:
    busy = work_of(replica, pid)
    why_not = why_unreadable(Path(replica.var / FILE_NAME)) if busy is None else ""
    if why_not:
        said = f"what its threads work on may not be seen: {why_not}"
        yield from subject.says("threads", "unknown", said, hint="as root")
        return
    if busy is None:
        said = "what its threads work on is not known: it runs without zmount's agent"
        yield from subject.says("threads", "ok", said)
        return
    threads = replica.instance.wsgi.threads
    longest = max((now() - each.started for each in busy), default=0.0)
    number = subject.number("longest_request_seconds", longest, "seconds", "request-time")
    more = (
        subject.number("threads_busy", len(busy), "count"),
        subject.number("threads", threads, "count"),
    )
    said = f"{len(busy)} of {counted(threads, 'thread')} busy"
    if busy:
        oldest = min(busy, key=lambda each: each.started)
        said += f"; the longest request lasts {time_words(longest)}: {printable(oldest.path)}"
    state = judged(longest, number.limits)
    if len(busy) >= threads:
        state = worst((state, "warning"))
    hint = "" if state == "ok" else f"zmount spin {subject.name}"
    yield from subject.says("threads", state, said, number, *more, hint=hint)


def _queue(subject: Subject, replica: Replica, seen: Seen) -> Iterator[Reading]:
    why_not = why_unreadable(Path(replica.log.path)) if replica.log.path is not None else ""
    if why_not:
        said = f"{replica.log.path}: {why_not}"
        yield from subject.says("queue", "unknown", said, hint="as root")
        return
    since = seen.status.started_at if seen.status is not None else None
    depth = queue_depth(replica.log.path, now(), since=since or 0.0) or 0
    number = subject.number("queue_depth", depth, "count", "queue")
    verb = "waited" if depth else "had to wait"
    said = f"{counted(depth, 'request') if depth else 'no request'} {verb} in the last minute"
    yield from subject.measured("queue", number, said)


def _caches(subject: Subject, replica: Replica) -> Iterator[Reading]:
    """Yield one reading for all persistent caches of REPLICA."""
    if "client-cache" not in subject.scene.checks:
        return
    total, count, trouble = 0, 0, ""
    for mount in replica.instance.mounts:
        path, _ = cache_file(replica, mount)
        file = see_file(Path(path)) if path is not None else None
        if file is None or not (file.size_bytes or file.why_not):
            continue
        if file.why_not:
            said = f"{file.path}: {file.why_not}"
            yield from subject.says("client-cache", "unknown", said, hint="as root")
            return
        size = file.size_bytes
        total, count = total + size, count + 1
        trouble = trouble or _cache_trouble(file.path, size, mount)
    if not count:
        return
    number = subject.number("client_cache_bytes", total, "bytes")
    said = f"{counted(count, 'persistent cache')}, {size_words(total)}"
    if trouble:
        hint = f"zmount stop {subject.name}, remove that file, zmount start {subject.name}"
        yield from subject.says("client-cache", "warning", f"{said}; {trouble}", number, hint=hint)
    else:
        yield from subject.says("client-cache", "ok", said, number)


def _cache_trouble(path: Path, size: int, mount: Mount) -> str:
    try:
        if not is_cache(path):
            return f"{path} is no cache of a ZEO client"
    except OSError as why:
        return f"{path} cannot be read: {why.strerror}"
    said = mount.client.text("cache-size")
    wanted = parse_number(said, "bytes") if said else CACHE_BYTES
    if size > wanted * CACHE_MARGIN + CACHE_BYTES / 20:
        return f"{path} has {size_words(size)}, its cache-size is {size_words(wanted)}"
    return ""
