"""The operating system's processes that a topology amounts to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from zmount.topology.addresses import Address
from zmount.topology.hosts import Host
from zmount.topology.instances import Replica
from zmount.topology.logs import Log
from zmount.topology.options import Options
from zmount.topology.topology import Topology
from zmount.topology.zeo import Tls, ZeoServer

PASSPHRASE_FILE = "ZMOUNT_TLS_PASSPHRASE_FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A server process that a process manager keeps alive.

    ``program`` is its command line. ``after`` are the names of processes, on
    any host, that must answer before it can start. ``noun`` is what it is in
    the topology: a :class:`ZeoServer`, or the :class:`Replica` of an instance.
    ``unit_prefix`` is what systemd's name of it begins with.
    """

    name: str
    host: Host
    noun: ZeoServer | Replica
    program: tuple[str, ...]
    directory: PurePosixPath
    address: Address
    after: tuple[str, ...]
    environment: Options
    runner: Options
    user: str
    log: Log
    autostart: bool
    unit_prefix: str = "zmount"

    @property
    def is_zeo(self) -> bool:
        """True for a ZEO server, False for a Zope."""
        return isinstance(self.noun, ZeoServer)

    @property
    def venv(self) -> PurePosixPath:
        """The virtual environment of its program."""
        return self.noun.venv

    @property
    def stop_signal(self) -> str:
        """The signal that ends it cleanly: runwsgi dies dirty of a SIGTERM."""
        return "TERM" if self.is_zeo else "INT"

    @property
    def zdaemon_conf(self) -> PurePosixPath:
        """zdaemon's configuration."""
        return self.directory / "etc" / "zdaemon.conf"

    @property
    def zdaemon_socket(self) -> PurePosixPath:
        """Where zdaemon's manager process listens; a short path, on purpose."""
        return self.directory / self.runner.text("socket-name", "var/zdsock")

    @property
    def zdaemon_log(self) -> PurePosixPath:
        """What zdaemon's manager process notes: starts, deaths, restarts."""
        return self.directory / "log" / "zdaemon.log"

    @property
    def transcript(self) -> PurePosixPath:
        """What the process printed, as the process manager caught it."""
        return self.directory / self.runner.text("transcript", "log/transcript.log")


def processes(topology: Topology, host: Host | None = None) -> tuple[Process, ...]:
    """Return the processes on HOST, or on all hosts, in the order of starting."""
    prefix = topology.unit_prefix
    servers = tuple(_zeo_process(server, prefix) for server in topology.zeo_servers)
    zopes = tuple(_zope_process(replica, prefix) for replica in topology.replicas)
    return tuple(
        process for process in servers + zopes if host is None or process.host.name == host.name
    )


def _zeo_process(server: ZeoServer, unit_prefix: str) -> Process:
    return Process(
        name=server.name,
        host=server.host,
        noun=server,
        program=(str(server.venv / "bin" / "runzeo"), "-C", str(server.conf)),
        directory=server.directory,
        address=server.address,
        after=(),
        environment=_with_passphrase(server.environment, server.tls, server.directory),
        runner=server.runner,
        user=server.user,
        log=server.log,
        autostart=server.autostart,
        unit_prefix=unit_prefix,
    )


def _zope_process(replica: Replica, unit_prefix: str) -> Process:
    instance = replica.instance
    servers = dict.fromkeys(
        mount.storage.server.name for mount in instance.mounts if mount.storage.server is not None
    )
    tls = next(
        (
            mount.tls
            for mount in instance.mounts
            if mount.tls is not None and mount.tls.passphrase is not None
        ),
        None,
    )
    return Process(
        name=replica.name,
        host=replica.host,
        noun=replica,
        program=(str(replica.venv / "bin" / "runwsgi"), str(replica.zope_ini)),
        directory=replica.directory,
        address=replica.http_address,
        after=tuple(servers),
        # also in zope.conf, which is too late for PYTHONPATH or MALLOC_ARENA_MAX
        environment=_with_passphrase(instance.environment, tls, replica.directory),
        runner=instance.runner,
        user=instance.user,
        log=replica.log,
        autostart=instance.autostart,
        unit_prefix=unit_prefix,
    )


def _with_passphrase(environment: Options, tls: Tls | None, directory: PurePosixPath) -> Options:
    """Add where the key's passphrase is, so that it stands in no configuration."""
    if tls is None or tls.passphrase is None:
        return environment
    path = str(passphrase_file(directory))
    return environment.over(Options(((PASSPHRASE_FILE, (path,)),)))


def passphrase_file(directory: PurePosixPath) -> PurePosixPath:
    """Return where the process in DIRECTORY reads its TLS key's passphrase."""
    return directory / "etc" / "tls-passphrase"
