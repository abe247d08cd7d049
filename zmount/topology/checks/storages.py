"""Rules about storages and sites: who serves, opens and mounts them."""

from __future__ import annotations

from collections.abc import Iterator

from zmount.topology.checks.claims import is_read_only
from zmount.topology.findings import Finding, error, warning
from zmount.topology.instances import Instance
from zmount.topology.sites import Site
from zmount.topology.stages import why_no_stage
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology

FILE_KEYS = ("path", "blob-dir", "quota", "packer", "read-only", "create")


def storages_that_two_would_open(topology: Topology) -> Iterator[Finding]:
    """Yield storages without a ZEO server that more than one process would open."""
    openers: dict[str, Instance] = {}
    for instance in topology.instances:
        for mount in instance.mounts:
            storage = mount.storage
            if storage.server is not None or storage.data_fs is None or is_read_only(storage):
                continue
            what = "its root" if mount.is_root else f"the mount {mount.name}"
            if instance.is_replicated:
                count = len(instance.hosts) * instance.replicas_per_host
                yield error(
                    "storage-many-processes",
                    mount.place,
                    f"instance {instance.name}: {count} processes would open {what}, the "
                    f"FileStorage {storage.name}",
                    why="a FileStorage can be opened by one process only",
                    hint="root NAME, of a <storage NAME> that a ZEO server serves"
                    if mount.is_root
                    else "a ZEO server for the storage",
                )
            other = openers.setdefault(storage.name, instance)
            if other is not instance:
                yield error(
                    "storage-opened-twice",
                    mount.place,
                    f"instances {other.name} and {instance.name} would both open the FileStorage "
                    f"{storage.name}",
                    why="only one process can open a FileStorage; the second does not start",
                    hint="<zeo zeo/>, a ZEO server"
                    if not topology.zeo_servers
                    else "server NAME, of a ZEO server, in its <storage>",
                )


def storages_on_other_hosts(topology: Topology) -> Iterator[Finding]:
    """Yield files that an instance would open on another host."""
    for instance in topology.instances:
        for mount in instance.mounts:
            storage = mount.storage
            if is_elsewhere(storage, instance):
                yield error(
                    "storage-elsewhere",
                    mount.place,
                    f"instance {instance.name} on {instance.hosts[0].name} would open the file of "
                    f"{storage.name}, which is on {storage.host.name}",
                    why="the file is not there",
                    hint=f"host {instance.hosts[0].name} in the storage, or a ZEO server",
                )


def is_elsewhere(storage: Storage, instance: Instance) -> bool:
    """True if INSTANCE would open the file of STORAGE, which is on a host that it is not on."""
    if storage.server is not None or storage.data_fs is None:
        return False
    return all(host.name != storage.host.name for host in instance.hosts)


def servers_without_storages(topology: Topology) -> Iterator[Finding]:
    """Yield ZEO servers that would not start, having nothing to serve."""
    for server in topology.zeo_servers:
        if not topology.storages_of(server):
            yield error(
                "server-without-storages",
                server.place,
                f"zeo {server.name} serves no storage",
                why="ZEO does not start without one",
                hint=f"server {server.name} in a <storage> or <site>, or leave the server out",
            )


def storages_nobody_mounts(topology: Topology) -> Iterator[Finding]:
    """Yield storages and sites that no instance shows."""
    if not topology.instances:
        return  # servers only: the clients are described elsewhere
    used = {mount.storage.name for instance in topology.instances for mount in instance.mounts}
    unused_sites = [
        site for site in topology.sites if all(one.name not in used for one in site.storages)
    ]
    for site in unused_sites:
        yield warning(
            "site-unmounted",
            site.place,
            f"site {site.name}: no instance mounts it",
            hint="sites in an <instance>",
        )
    # what was said of a site is not said of its storages again
    used |= {storage.name for site in unused_sites for storage in site.storages}
    yield from _staging_nobody_mounts(topology, used)
    for storage in topology.storages:
        if storage.name not in used and storage.role not in ("staging", "session"):
            yield warning(
                "storage-unmounted",
                storage.place,
                f"storage {storage.name}: no instance mounts it",
                hint=f"<mount {storage.name}> in an <instance>",
            )


def _staging_nobody_mounts(topology: Topology, used: set[str]) -> Iterator[Finding]:
    """Yield staging storages that no instance shows; one finding if it is all of them."""
    sites = [
        site
        for site in topology.sites
        if site.staging is not None and site.staging.name not in used
    ]
    with_staging = [site for site in topology.sites if site.staging is not None]
    if len(sites) > 1 and len(sites) == len(with_staging):
        yield warning(
            "staging-unmounted",
            sites[0].place,
            f"no instance mounts any of the {len(sites)} staging storages",
            hint="an <instance> of kind development, or staging none in each <site>",
        )
        return
    for site in sites:
        yield warning(
            "staging-unmounted",
            site.place.of("staging"),
            f"site {site.name}: no instance mounts its staging storage",
            hint="an <instance> of kind development, or staging none",
        )


def sessions_nobody_has(topology: Topology) -> Iterator[Finding]:
    """Yield a session storage without a public instance."""
    session = topology.session
    if session is None or not topology.instances:
        return
    name = session.storage.name
    if not any(mount.storage.name == name for one in topology.instances for mount in one.mounts):
        yield warning(
            "session-unmounted",
            session.place,
            f"no instance mounts the session storage {name}",
            why="only instances of kind public do so by themselves",
            hint=f"kind public, or <mount {name}> in an <instance>",
        )


def storages_with_two_owners(topology: Topology) -> Iterator[Finding]:
    """Yield storages that two sites, or a site and the sessions, would have."""
    owners: dict[str, Site] = {}
    for site in topology.sites:
        if site.staging is not None and site.staging.name == site.production.name:
            yield error(
                "staging-is-production",
                site.place.of("staging"),
                f"site {site.name}: its staging storage is its production storage",
                why="what is tested there is live",
                hint="staging none, if the site has no staging area",
            )
        for storage in dict.fromkeys(site.storages):
            other = owners.setdefault(storage.name, site)
            if other is not site:
                yield error(
                    "storage-of-two-sites",
                    site.place.of("staging" if storage == site.staging else "production"),
                    f"sites {other.name} and {site.name} would both have the storage "
                    f"{storage.name}",
                    why="staging is refreshed and promoted storage by storage: one site would "
                    "overwrite the other",
                    hint="a storage for each site, or one <site> for the group",
                )
    session = topology.session
    if session is not None and session.storage.name in owners:
        yield error(
            "session-in-site",
            session.place.of("storage"),
            f"the sessions would lie in {session.storage.name}, a storage of site "
            f"{owners[session.storage.name].name}",
            why="sessions write at every request, and would be copied and restored with the site",
            hint="a storage of their own",
        )


def storages_emptied_at_start(topology: Topology) -> Iterator[Finding]:
    """Yield storages that lose everything when their server starts."""
    for storage in topology.storages:
        if storage.options.text("create").lower() in ("on", "yes", "true", "1"):
            say = error if storage.role == "production" else warning
            yield say(
                "storage-emptied",
                storage.place.of("create"),
                f"storage {storage.name}: create true",
                why="FileStorage empties the Data.fs at every start",
                hint="leave create out: a file that is not there is made anyway",
            )


def keys_without_effect(topology: Topology) -> Iterator[Finding]:
    """Yield keys of <storage> that nothing reads."""
    for storage in topology.storages:
        if storage.backend is not None:
            for key in FILE_KEYS:
                if key in storage.place.keys:
                    yield warning(
                        "storage-key-ignored",
                        storage.place.of(key),
                        f"storage {storage.name}: {key} has no effect",
                        why=f"<{storage.backend.type}> inside says what the storage is",
                        hint=f"{key} inside of it",
                    )
        elif storage.server is not None and "host" in storage.place.keys:
            yield warning(
                "storage-key-ignored",
                storage.place.of("host"),
                f"storage {storage.name}: host has no effect",
                why=f"zeo {storage.server.name} serves it, on {storage.server.host.name}",
                hint="leave it out",
            )


def demostorages_behind_zeo(topology: Topology) -> Iterator[Finding]:
    """Yield DemoStorages that could stop a whole ZEO server."""
    for storage in topology.storages:
        if storage.server is None or storage.backend is None:
            continue
        for section in storage.backend.walk():
            if section.type == "demostorage":
                yield warning(
                    "demostorage-behind-zeo",
                    section.place,
                    f"storage {storage.name}: a DemoStorage in zeo {storage.server.name}",
                    why="a pack while somebody commits stops the whole server for ever",
                    hint="a DemoStorage in an instance, without a server",
                )


def staging_that_is_no_stage(topology: Topology) -> Iterator[Finding]:
    """Yield staging storages that ``zmount swap-stage`` can do nothing for."""
    sites: dict[str, list[Site]] = {}
    for site in topology.sites:
        staging = site.staging
        if staging is None or not site.is_swapped or staging.name == site.production.name:
            continue
        if why := why_no_stage(site.production, staging):
            sites.setdefault(why, []).append(site)
    for why, found in sites.items():
        names = found[0].name + (f" and {len(found) - 1} more" if len(found) > 1 else "")
        yield warning(
            "staging-no-stage",
            found[0].place.of("staging"),
            f"site {names}: zmount swap-stage cannot refresh the staging storage: {why}",
            hint="a FileStorage that a ZEO server serves, on production's host; or stage-mode "
            "none, if it is refreshed in another way",
        )


RULES = (
    storages_that_two_would_open,
    storages_on_other_hosts,
    servers_without_storages,
    storages_nobody_mounts,
    sessions_nobody_has,
    storages_with_two_owners,
    staging_that_is_no_stage,
    storages_emptied_at_start,
    keys_without_effect,
    demostorages_behind_zeo,
)
