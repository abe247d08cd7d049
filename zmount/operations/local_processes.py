"""The processes of one host, for the commands that run on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from zmount.effects.answers import Answer, ask_http, ask_zeo
from zmount.effects.process_manager import ProcessManager
from zmount.effects.process_managers import manager_of
from zmount.render.files import generated_files
from zmount.render.generated import GeneratedFile
from zmount.topology.addresses import EVERYWHERE, Address
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance
from zmount.topology.processes import Process, processes
from zmount.topology.topology import Topology
from zmount.topology.zeo import Tls, ZeoServer


@dataclass(frozen=True, kw_only=True)
class LocalProcesses:
    """What HOST runs of TOPOLOGY, and how it reaches the rest."""

    topology: Topology
    host: Host

    @cached_property
    def all(self) -> tuple[Process, ...]:
        """The processes of the host, in the order of starting."""
        return processes(self.topology, self.host)

    @cached_property
    def everywhere(self) -> dict[str, Process]:
        """The processes of all hosts by name."""
        return {process.name: process for process in processes(self.topology)}

    @cached_property
    def manager(self) -> ProcessManager:
        """Who keeps the host's processes alive."""
        return manager_of(self.topology, self.host)

    @cached_property
    def files(self) -> tuple[GeneratedFile, ...]:
        """What zmount generates for the host now."""
        return generated_files(self.topology, self.host)

    @cached_property
    def openers(self) -> Mapping[str, Process]:
        """By storage, the process of the host that opens its file."""
        here = {process.name: process for process in self.all}
        found: dict[str, Process] = {}
        for storage in self.topology.storages:
            if storage.server is not None and storage.server.name in here:
                found[storage.name] = here[storage.server.name]
        for replica in self.topology.replicas:
            for mount in replica.instance.mounts:
                if mount.storage.server is None and replica.name in here:
                    found.setdefault(mount.storage.name, here[replica.name])
        return found

    def is_here(self, process: Process) -> bool:
        """True if PROCESS runs on this host."""
        return process.host.name == self.host.name

    def ask(self, process: Process, *, timeout_s: float = 2.0) -> Answer:
        """Ask PROCESS, of any host, whether it answers."""
        address = self.address_of(process)
        if isinstance(process.noun, ZeoServer):
            return ask_zeo(address, self.client_tls(process.noun), timeout_s=timeout_s)
        return ask_http(address, timeout_s=timeout_s)

    def address_of(self, process: Process) -> Address:
        """Return where a client on this host finds PROCESS."""
        address = process.address
        if address.socket is not None or address.host not in EVERYWHERE:
            return address
        if isinstance(process.noun, ZeoServer):
            return process.noun.address_from(self.host)
        if not self.is_here(process):
            return replace(address, host=process.host.address)
        return replace(address, host="::1" if address.host == "::" else "127.0.0.1")

    def client_tls(self, server: ZeoServer) -> Tls | None:
        """Return how a client here speaks TLS with SERVER; None if it speaks none.

        As an instance on this host does, or as one elsewhere; without any, with
        the server's own certificate.
        """
        if server.tls is None:
            return None
        for instance in sorted(self.topology.instances, key=self._is_elsewhere):
            for mount in instance.mounts:
                if mount.tls is not None and mount.storage.server == server:
                    here = (each for each in instance.replicas if each.host.name == self.host.name)
                    return next(here, instance.replicas[0]).local_tls(mount.tls)
        return server.tls

    def _is_elsewhere(self, instance: Instance) -> bool:
        return self.host not in instance.hosts
