"""Rules about instances: databases' settings, security, WSGI."""

from __future__ import annotations

from collections.abc import Iterator

from zmount.topology.checks.clients import is_on
from zmount.topology.findings import Finding, error, warning
from zmount.topology.topology import Topology

DEFAULT_POOL_SIZE = 7  # ZODB's
_OWN_NAMES = ("egg:", "config:", "call:")  # of paste.deploy: they need no section


def pools_smaller_than_threads(topology: Topology) -> Iterator[Finding]:
    """Yield databases with fewer connections than threads want at once."""
    for instance in topology.instances:
        threads = instance.wsgi.threads
        for mount in instance.mounts:
            size = int(mount.database.text("pool-size") or DEFAULT_POOL_SIZE)
            if size < threads:
                said = "pool-size" in mount.place.keys
                yield warning(
                    "pool-smaller-than-threads",
                    mount.place.of("pool-size") if said else instance.place.of("threads"),
                    f"instance {instance.name}: {threads} threads and pool-size {size}",
                    why="the connections above it are thrown away after each request, with their "
                    "caches, and the log fills with warnings",
                    hint=f"pool-size {threads}",
                )


def implicit_cross_references(topology: Topology) -> Iterator[Finding]:
    """Yield databases whose objects may refer to objects of other databases."""
    for instance in topology.instances:
        for mount in instance.mounts:
            said = mount.database.text("allow-implicit-cross-references").lower()
            if said in ("false", "off", "no", "0"):
                continue
            yield warning(
                "cross-references-allowed",
                mount.place.of("allow-implicit-cross-references"),
                f"instance {instance.name}: objects may refer to other databases",
                why="a site that is cut and pasted, or renamed, leaves such a reference, and the "
                "next pack of its storage removes what it refers to",
                hint="allow-implicit-cross-references false, or leave it out",
            )


def security(topology: Topology) -> Iterator[Finding]:
    """Yield settings that weaken or disguise Zope's security."""
    for instance in topology.instances:
        zope = instance.zope
        if is_on(zope, "verbose-security") and (
            zope.text("security-policy-implementation").lower() != "python"
        ):
            yield warning(
                "verbose-security-ignored",
                instance.place.of("verbose-security"),
                f"instance {instance.name}: verbose-security explains nothing",
                why="the security policy written in C cannot",
                hint="security-policy-implementation python",
            )
        for key in ("skip-authentication-checking", "skip-ownership-checking"):
            if is_on(zope, key):
                yield warning(
                    "security-skipped",
                    instance.place.of(key),
                    f"instance {instance.name}: {key}",
                    why="everyone who reaches it may do what only few should",
                    hint="leave it out",
                )
        if instance.kind == "public" and is_on(zope, "debug-mode"):
            yield warning(
                "debug-mode-public",
                instance.place.of("debug-mode"),
                f"instance {instance.name}, which the public sees, is in debug mode",
                why="templates are read again at every request, and errors show their insides",
                hint="leave it out",
            )


def instances_started_before_their_server(topology: Topology) -> Iterator[Finding]:
    """Yield instances that start at boot although their ZEO server does not."""
    for instance in topology.instances:
        servers = {
            mount.storage.server.name: mount.storage.server
            for mount in instance.mounts
            if mount.storage.server is not None
        }
        for server in servers.values():
            if instance.autostart and not server.autostart:
                yield warning(
                    "autostart-without-server",
                    server.place.of("autostart"),
                    f"instance {instance.name} starts at boot, and zeo {server.name} does not",
                    why="the instance waits 30 s for it, and does not start",
                    hint="autostart off in the instance, or not in the server",
                )


def wsgi_filters(topology: Topology) -> Iterator[Finding]:
    """Yield filters that no section of zope.ini describes."""
    for instance in topology.instances:
        described = {name.partition(":")[2] for name, _ in instance.wsgi.sections}
        for name in instance.wsgi.filters:
            if not name.startswith(_OWN_NAMES) and name not in described:
                yield error(
                    "filter-unknown",
                    instance.place.of("filter"),
                    f"instance {instance.name}: nothing describes the filter {name}",
                    why="Zope does not start",
                    hint=f"<ini filter:{name}>, or egg:PACKAGE#{name}",
                )


RULES = (
    pools_smaller_than_threads,
    implicit_cross_references,
    security,
    instances_started_before_their_server,
    wsgi_filters,
)
