"""Schedules, from their sections; their names are those of nouns that are built already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ZConfig.datatypes import stock_datatypes

from zmount.topology.build_servers import host_named
from zmount.topology.cron import Cron, NeverComes, parse_cron
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance
from zmount.topology.places import Place
from zmount.topology.said import Said
from zmount.topology.schedules import Job, Named, Schedule
from zmount.topology.sites import Site
from zmount.topology.storages import Storage
from zmount.topology.windows import Window, parse_window
from zmount.topology.zeo import ZeoServer

_DAILY = parse_cron("@daily")  # where what is said makes no sense
_KINDS: Mapping[Job, tuple[str, ...]] = {
    "pack": ("storage",),
    "verify": ("storage",),
    "health": ("ZEO server", "instance", "storage", "site"),
    "restart": ("instance",),
    "rotate-logs": ("ZEO server", "instance"),
    "swap-stage": ("site",),
    "start": ("ZEO server", "instance"),
    "command": (),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Nouns:
    """What a schedule can be about."""

    servers: Iterable[ZeoServer]
    storages: Iterable[Storage]
    sites: Iterable[Site]
    instances: Iterable[Instance]

    def for_job(self, job: Job) -> dict[str, Named]:
        """Return by name what JOB can be about; names of two kinds mean both."""
        found: dict[str, Named] = {}
        for kind, noun, hosts in self._all():
            if kind in _KINDS[job]:
                known = found[noun].hosts if noun in found else ()
                names = tuple(dict.fromkeys([*known, *(host.name for host in hosts)]))
                found[noun] = Named(name=noun, hosts=names)
        return found

    def _all(self) -> Iterator[tuple[str, str, tuple[Host, ...]]]:
        for server in self.servers:
            yield "ZEO server", server.name, (server.host,)
        for instance in self.instances:
            yield "instance", instance.name, instance.hosts
        for storage in self.storages:
            yield "storage", storage.name, (storage.host,)
        for site in self.sites:
            shown = site.staging if site.staging is not None else site.production
            yield "site", site.name, (shown.host,)


def build_schedules(said: Said, nouns: Nouns) -> tuple[Schedule, ...]:
    """Return the schedules whose job there is, in the order of the file."""
    built = [(section, _schedule(said, section, nouns)) for section in said.top.schedules]
    return tuple(schedule for section, schedule in built if section.job.lower() == schedule.job)


def _schedule(said: Said, section: Any, nouns: Nouns) -> Schedule:
    job = _job(said, section)
    known = nouns.for_job(job)
    of = _of(said, section, job, known)
    return Schedule(
        name=section.getSectionName(),
        job=job,
        at=_at(said, section),
        hosts=_hosts(said, section, job, of or tuple(known.values())),
        of=of,
        jitter_s=_seconds(section.jitter),
        windows=tuple(_windows(said, section)),
        wait_s=section.if_running or 0,
        timeout_s=_seconds(section.timeout),
        options=section.options or (),
        command=section.command or "",
        user=section.user or (said.top.user if job == "command" else None) or "",
        on_failure=section.on_failure or "",
        mail=section.mail or (),
        place=section.place,
    )


def _job(said: Said, section: Any) -> Job:
    for job in _KINDS:
        if section.job.lower() == job:
            return job
    if "job" in section.place.keys:  # else it is missing, and that was noted
        said.wrong(
            "unknown-job",
            section.place.of("job"),
            f"schedule {section.getSectionName()}: there is no job {section.job}",
            hint=said.nearest(section.job, _KINDS) or ", ".join(_KINDS),
        )
    return "command"


def _of(said: Said, section: Any, job: Job, known: Mapping[str, Named]) -> tuple[Named, ...]:
    names: tuple[str, ...] = section.of or ("all",)
    if names == ("all",):
        return ()
    for name in names:
        if name not in known and _KINDS[job]:
            said.wrong(
                "unknown-name",
                section.place.of("of"),
                f"there is no {' or '.join(_KINDS[job])} {name!r}, which job {job} is about",
                hint=said.nearest(name, known) or "all, or one of those of zmount show",
            )
    return tuple(known[name] for name in dict.fromkeys(names) if name in known)


def _hosts(said: Said, section: Any, job: Job, about: tuple[Named, ...]) -> tuple[Host, ...]:
    if section.host:
        place: Place = section.place.of("host")
        return tuple(dict.fromkeys(host_named(said, name, place) for name in section.host))
    if not about:
        return (next(iter(said.hosts.values())),)
    names = {host for named in about for host in named.hosts}
    return tuple(host for host in said.hosts.values() if host.name in names)


def _at(said: Said, section: Any) -> Cron:
    name, place = section.getSectionName(), section.place.of("at")
    text: str = section.at or ""
    try:
        return parse_cron(text)
    except NeverComes as why:
        said.wrong("never-runs", place, f"schedule {name}: at {text}", why=str(why))
    except ValueError as why:
        if "at" in section.place.keys:  # else it is missing, and that was noted
            said.wrong(
                "cron-syntax", place, f"schedule {name}: at {text}", why=str(why), hint="15 3 * * *"
            )
    return _DAILY


def _windows(said: Said, section: Any) -> Iterator[Window]:
    for text in section.windows:
        try:
            yield parse_window(text)
        except ValueError as why:
            what = f"schedule {section.getSectionName()}: window {text}"
            said.wrong("window-syntax", section.place.of("window"), what, why=str(why))


def _seconds(text: str | None) -> int:
    return int(stock_datatypes["time-interval"](text)) if text else 0
