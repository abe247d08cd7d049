"""What all checks of a look share: what is looked at, by which limits, in which words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from zmount.operations.health_readings import Number, Reading, State, judged
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.process_names import noun_name
from zmount.topology.health import BELOW, HealthLimits, Limits, Unit
from zmount.topology.instances import Instance
from zmount.topology.processes import Process
from zmount.topology.storages import Storage


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A look at what the LOCAL host runs and reaches.

    ``checks`` are the names of those to make. ``names`` are what is looked at: of
    processes, instances, storages and sites; none for all.
    """

    local: LocalProcesses
    checks: frozenset[str]
    names: frozenset[str] = frozenset()

    @property
    def limits(self) -> HealthLimits:
        """The limits that the topology says."""
        return self.local.topology.health

    @property
    def timeout_s(self) -> float:
        """How long a server may be silent."""
        return self.limits.timeout_s

    @cached_property
    def processes(self) -> tuple[Process, ...]:
        """The processes to look at, of all hosts."""
        return tuple(each for each in self.local.everywhere.values() if self._is_meant(each))

    @cached_property
    def storages(self) -> tuple[Storage, ...]:
        """The storages to look at, of all hosts."""
        return tuple(self._storages())

    @cached_property
    def instances(self) -> tuple[Instance, ...]:
        """The instances that this host runs, and that are to be looked at."""
        return tuple(
            each
            for each in self.local.topology.instances
            if self.local.host in each.hosts
            and (not self.names or each.name in self.names or self._has_replica(each))
        )

    def asks(self, *checks: str) -> bool:
        """True if one of CHECKS is to be made."""
        return not self.checks.isdisjoint(checks)

    def is_here(self, storage: Storage) -> bool:
        """True if the files of STORAGE are on this host."""
        return storage.host.name == self.local.host.name

    def _is_meant(self, process: Process) -> bool:
        return not self.names or not self.names.isdisjoint((process.name, noun_name(process)))

    def _has_replica(self, instance: Instance) -> bool:
        return any(each.name in self.names for each in instance.replicas)

    def _storages(self) -> Iterator[Storage]:
        for each in self.local.topology.storages:
            server = each.server.name if each.server is not None else ""
            if not self.names or not self.names.isdisjoint((each.name, server, each.site)):
                yield each


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A thing of some kind, about which readings are made."""

    scene: Scene
    kind: str
    name: str

    def says(
        self,
        check: str,
        state: State,
        sentence: str,
        *numbers: Number,
        hint: str = "",
    ) -> Iterator[Reading]:
        """Yield the reading that CHECK gives, if it is to be made."""
        if check in self.scene.checks:
            yield Reading(
                check=check,
                kind=self.kind,
                subject=self.name,
                state=state,
                sentence=sentence,
                hint=hint,
                numbers=numbers,
            )

    def measured(
        self, check: str, number: Number, sentence: str, *more: Number, key: str = ""
    ) -> Iterator[Reading]:
        """Yield the reading of CHECK, judged by NUMBER's limits."""
        state = judged(number.value, number.limits, key=key)
        yield from self.says(check, state, sentence, number, *more)

    def limits(self, key: str) -> Limits:
        """Return the limits of KEY."""
        return self.scene.limits.of(key)

    def number(self, name: str, value: float, unit: Unit, key: str = "") -> Number:
        """Return a number with the limits of KEY."""
        limits = self.limits(key) if key else Limits()
        return Number(name=name, value=value, unit=unit, limits=limits, is_wrong_below=key in BELOW)
