"""Zope instances and the processes that they run as."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Literal

from zmount.topology.addresses import Address
from zmount.topology.hosts import Host
from zmount.topology.logs import Log
from zmount.topology.mounts import Mount
from zmount.topology.options import Options
from zmount.topology.places import NOWHERE, Place
from zmount.topology.sections import RawSection
from zmount.topology.zeo import Tls

ZOPE_KEYS = frozenset(
    "clienthome debug-mode debug-exceptions locale datetime-format python-check-interval "
    "http-realm automatically-quote-dtml-request-data zmi-bookmarkable-urls pid-filename "
    "trusted-proxy max-conflict-retries security-policy-implementation "
    "skip-authentication-checking skip-ownership-checking verbose-security "
    "default-zpublisher-encoding webdav-source-port enable-ms-public-header "
    "enable-xmlrpc".split()
)

Kind = Literal["development", "public", "admin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Zcml:
    """What an instance's site.zcml loads besides Zope and its products.

    ``packages`` are ``package`` or ``package:file.zcml``, in their order;
    ``resources`` and ``locales`` directories; ``additional`` a file whose text
    goes in before the end; ``site`` a whole site.zcml of the administrator's.
    """

    packages: tuple[str, ...] = ()
    resources: str = ""
    locales: str = ""
    additional: str = ""
    site: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wsgi:
    """How an instance speaks HTTP: waitress, the WSGI pipeline, the ini file.

    ``waitress`` are keys of waitress' own; ``filters`` go before Zope in the
    pipeline; ``pipeline`` replaces the whole of it. ``sections`` are added to
    zope.ini, or override the keys of a generated section of the same name.
    """

    threads: int = 4
    waitress: Options = Options()
    filters: tuple[str, ...] = ()
    pipeline: tuple[str, ...] = ()
    sections: tuple[tuple[str, Options], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A Zope, as one process or as several replicas.

    ``hosts`` are the machines it runs on, each with ``replicas_per_host``
    processes. ``directory`` and ``http_address`` are the first replica's.
    ``mounts`` begins with the root. ``zope`` are keys of :data:`ZOPE_KEYS`.
    ``sections`` go into zope.conf as they stand, ``imports`` are the packages they
    may need by ``%import``. ``sandboxes`` is the path of the folder for the
    developers' sandboxes, None where there is none. ``products`` must be
    importable in ``venv``.
    """

    name: str
    kind: Kind
    hosts: tuple[Host, ...]
    directory: PurePosixPath
    venv: PurePosixPath
    http_address: Address
    replicas_per_host: int
    mounts: tuple[Mount, ...]
    log: Log
    access_log: Log
    wsgi: Wsgi = Wsgi()
    zcml: Zcml = Zcml()
    zope: Options = Options()
    environment: Options = Options()
    dos_protection: Options = Options()
    product_config: tuple[tuple[str, Options], ...] = ()
    sections: tuple[RawSection, ...] = ()
    imports: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    sandboxes: str | None = None
    runner: Options = Options()
    user: str = ""
    autostart: bool = True
    place: Place = field(default=NOWHERE, compare=False, repr=False)

    @property
    def root(self) -> Mount:
        """What the instance shows at ``/``."""
        return self.mounts[0]

    @property
    def is_replicated(self) -> bool:
        """True if more than one process runs it."""
        return len(self.hosts) * self.replicas_per_host > 1

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """The instance's processes; its own name where there is only one."""
        if not self.is_replicated:
            return (
                Replica(
                    instance=self,
                    name=self.name,
                    host=self.hosts[0],
                    directory=self.directory,
                    http_address=self.http_address,
                ),
            )
        return tuple(
            Replica(
                instance=self,
                name=f"{self.name}-{at * self.replicas_per_host + number + 1}",
                host=host,
                directory=_on(host, self.hosts[0], self.directory, number),
                http_address=_bound_to(host, self.hosts[0], self.http_address).plus(number),
            )
            for at, host in enumerate(self.hosts)
            for number in range(self.replicas_per_host)
        )

    def zope_conf(self) -> str:
        """Return the text of the zope.conf of the instance's first replica."""
        # the one upward import: the public API promises this method
        from zmount.render.zope_conf import zope_conf

        return zope_conf(self.replicas[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One Zope process of an instance."""

    instance: Instance
    name: str
    host: Host
    directory: PurePosixPath
    http_address: Address

    @property
    def zope_conf(self) -> PurePosixPath:
        """The generated zope.conf."""
        return self.directory / "etc" / "zope.conf"

    @property
    def zope_ini(self) -> PurePosixPath:
        """The generated zope.ini."""
        return self.directory / "etc" / "zope.ini"

    @property
    def site_zcml(self) -> PurePosixPath:
        """The generated site.zcml."""
        return self.directory / "etc" / "site.zcml"

    @property
    def var(self) -> PurePosixPath:
        """Zope's clienthome."""
        return self.local(self.instance.zope.text("clienthome", "var"))

    @property
    def pid_filename(self) -> PurePosixPath:
        """The file of its process id."""
        said = self.instance.zope.text("pid-filename")
        return self.local(said) if said else self.var / "Z4.pid"

    @property
    def venv(self) -> PurePosixPath:
        """The virtual environment that it runs in: its own host's, unless another was said."""
        if self.instance.venv == self.instance.hosts[0].venv:
            return self.host.venv
        return self.local(self.instance.venv)

    @property
    def log(self) -> Log:
        """Its event log."""
        return self._own(self.instance.log)

    @property
    def access_log(self) -> Log:
        """Its log of HTTP requests."""
        return self._own(self.instance.access_log)

    def local(self, path: str | PurePosixPath) -> PurePosixPath:
        """Return PATH, said for the first replica, as it is for this one.

        A relative path is in the instance's directory.
        """
        instance = self.instance
        path = instance.directory / path
        first = instance.hosts[0]
        if self.directory == instance.directory and self.host == first:
            return path
        for there, here in (
            (instance.directory, self.directory),
            (first.directory, self.host.directory),
        ):
            try:
                return here / path.relative_to(there)
            except ValueError:
                continue
        return path

    def local_tls(self, tls: Tls) -> Tls:
        """Return TLS with the paths of this process' host."""
        return replace(
            tls,
            certificate=self.local(tls.certificate),
            key=self.local(tls.key) if tls.key is not None else None,
            authenticate=str(self.local(tls.authenticate)) if tls.authenticate else "",
        )

    def _own(self, log: Log) -> Log:
        return log if log.path is None else replace(log, path=self.local(log.path))


def _on(host: Host, first: Host, directory: PurePosixPath, number: int) -> PurePosixPath:
    try:
        directory = host.directory / directory.relative_to(first.directory)
    except ValueError:
        pass  # outside the deployment's directory: the same path on every host
    return directory.with_name(f"{directory.name}-{number + 1}") if number else directory


def _bound_to(host: Host, first: Host, address: Address) -> Address:
    """Return ADDRESS, given on FIRST's network address, on that of HOST."""
    if address.socket is None and address.host == first.address:
        return Address(host=host.address, port=address.port)
    return address
