"""A topology as plain values, for JSON and for listings.

The keys are stable: ``docs/reference/json.md`` lists them. Paths, addresses and
sizes are texts as they stand in the generated files; a secret is dots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from zmount.render.schedule_facts import schedules_facts
from zmount.topology.health import UNITS, HealthLimits
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance, Replica, Wsgi, Zcml
from zmount.topology.logs import Log
from zmount.topology.mounts import Mount
from zmount.topology.options import CREDENTIALS, Options, Secret, Value
from zmount.topology.places import Place
from zmount.topology.sections import RawSection
from zmount.topology.sessions import SessionData
from zmount.topology.sites import Site
from zmount.topology.storages import Stage, Storage
from zmount.topology.topology import Topology
from zmount.topology.zeo import Tls, ZeoServer

Facts = dict[str, Any]
MULTIKEYS = ("server", "trusted-proxy")  # may have several values: always a list


def topology_facts(topology: Topology) -> Facts:
    """Return all of TOPOLOGY, implied nouns included."""
    administrator = topology.administrator
    return {
        "file": topology.file,
        "manager": topology.manager,
        "unit_directory": _path(topology.unit_directory),
        "unit_prefix": topology.unit_prefix,
        "administrator": None
        if administrator is None
        else {"name": administrator.name, "password": _secret(administrator.password)},
        "hosts": [host_facts(host, topology) for host in topology.hosts],
        "zeo_servers": [server_facts(server, topology) for server in topology.zeo_servers],
        "storages": storages_facts(topology.storages, topology),
        "sites": [site_facts(site) for site in topology.sites],
        "instances": [instance_facts(instance) for instance in topology.instances],
        "session": None if topology.session is None else session_facts(topology.session),
        "health": health_facts(topology.health),
        **schedules_facts(topology),
    }


def health_facts(health: HealthLimits) -> Facts:
    """Return from where on ``zmount health`` warns: in seconds, bytes, percent, or so many."""
    limits = {key: health.of(key) for key in UNITS}
    return {
        "timeout_s": health.timeout_s,
        "limits": {
            key: {"warning": each.warning, "critical": each.critical}
            for key, each in limits.items()
        },
    }


def host_facts(host: Host, topology: Topology) -> Facts:
    """Return what is known of HOST, and the names of what is on it."""
    return {
        "name": host.name,
        "address": host.address,
        "directory": str(host.directory),
        "venv": str(host.venv),
        "zeo_servers": [s.name for s in topology.zeo_servers if s.host.name == host.name],
        "replicas": [r.name for r in topology.replicas if r.host.name == host.name],
        "storages": [s.name for s in topology.storages if s.host.name == host.name],
        "place": _place(host.place),
    }


def server_facts(server: ZeoServer, topology: Topology) -> Facts:
    """Return what is known of SERVER, and the names of what it serves."""
    return {
        "name": server.name,
        "host": server.host.name,
        "address": str(server.address),
        "directory": str(server.directory),
        "conf": str(server.conf),
        "venv": str(server.venv),
        "user": server.user,
        "autostart": server.autostart,
        "storages": [storage.name for storage in topology.storages_of(server)],
        "tls": _tls(server.tls),
        "options": _options(server.options),
        "runner": _options(server.runner),
        "environment": _options(server.environment),
        "log": _log(server.log),
        "eventlog": _section(server.eventlog),
        "imports": list(server.imports),
        "place": _place(server.place),
    }


def storages_facts(storages: Iterable[Storage], topology: Topology) -> list[Facts]:
    """Return what is known of STORAGES, and which instances of TOPOLOGY mount each."""
    mounted_by: dict[str, list[Facts]] = {}
    for instance in topology.instances:
        for mount in instance.mounts:
            points = [str(point) for point in mount.points]
            mounted_by.setdefault(mount.storage.name, []).append(
                {"instance": instance.name, "points": points}
            )
    return [_storage_facts(storage, mounted_by.get(storage.name, [])) for storage in storages]


def _storage_facts(storage: Storage, mounted_by: list[Facts]) -> Facts:
    return {
        "name": storage.name,
        "role": storage.role,
        "site": storage.site or None,
        "server": storage.server.name if storage.server is not None else None,
        "zeo_name": storage.zeo_name,
        "host": storage.host.name,
        "data_fs": _path(storage.data_fs),
        "blob_dir": _path(storage.blob_dir),
        "mounted_by": mounted_by,
        "options": _options(storage.options),
        "pack": {
            "days": storage.pack.days,
            "gc": storage.pack.gc,
            "keep_old": storage.pack.keep_old,
        },
        "stage": _stage(storage.stage),
        "may_refer": storage.may_refer,
        "backend": _section(storage.backend),
        "imports": list(storage.imports),
        "is_implied": storage.is_implied,
        "place": _place(storage.place),
    }


def _stage(stage: Stage | None) -> Facts | None:
    if stage is None:
        return None
    return {
        "production": stage.production.name,
        "generations": str(stage.generations),
        "mode": stage.mode,
        "keep": stage.keep,
    }


def site_facts(site: Site) -> Facts:
    """Return what is known of SITE."""
    return {
        "name": site.name,
        "production": site.production.name,
        "staging": None if site.staging is None else site.staging.name,
        "container": str(site.container),
        "container_class": site.container_class or None,
        "is_swapped": site.is_swapped,
        "real_path": str(site.real_path),
        "place": _place(site.place),
    }


def instance_facts(instance: Instance) -> Facts:
    """Return what is known of INSTANCE, its mounts and its processes."""
    return {
        "name": instance.name,
        "kind": instance.kind,
        "hosts": [host.name for host in instance.hosts],
        "http_address": str(instance.http_address),
        "directory": str(instance.directory),
        "venv": str(instance.venv),
        "user": instance.user,
        "autostart": instance.autostart,
        "sandboxes": instance.sandboxes,
        "products": list(instance.products),
        "replicas": [_replica(replica) for replica in instance.replicas],
        "mounts": [mount_facts(mount) for mount in instance.mounts],
        "zope": _options(instance.zope),
        "environment": _options(instance.environment),
        "dos_protection": _options(instance.dos_protection),
        "product_config": {name: _options(keys) for name, keys in instance.product_config},
        "wsgi": _wsgi(instance.wsgi),
        "zcml": _zcml(instance.zcml),
        "sections": [_section(section) for section in instance.sections],
        "imports": list(instance.imports),
        "runner": _options(instance.runner),
        "log": _log(instance.log),
        "access_log": _log(instance.access_log),
        "place": _place(instance.place),
    }


def _replica(replica: Replica) -> Facts:
    return {
        "name": replica.name,
        "host": replica.host.name,
        "http_address": str(replica.http_address),
        "directory": str(replica.directory),
    }


def _wsgi(wsgi: Wsgi) -> Facts:
    return {
        "threads": wsgi.threads,
        "waitress": _options(wsgi.waitress),
        "filters": list(wsgi.filters),
        "pipeline": list(wsgi.pipeline),
        "sections": {name: _options(keys) for name, keys in wsgi.sections},
    }


def _zcml(zcml: Zcml) -> Facts:
    return {
        "packages": list(zcml.packages),
        "resources": zcml.resources or None,
        "locales": zcml.locales or None,
        "additional": zcml.additional or None,
        "site": zcml.site or None,
    }


def mount_facts(mount: Mount) -> Facts:
    """Return what is known of MOUNT."""
    return {
        "name": mount.name,
        "storage": mount.storage.name,
        "points": [
            {"virtual": point.virtual, "real": point.real, "root": point.root}
            for point in mount.points
        ],
        "container_class": mount.container_class or None,
        "database": _options(mount.database),
        "client": _options(mount.client),
        "tls": _tls(mount.tls),
        "is_implied": mount.is_implied,
        "place": _place(mount.place),
    }


def session_facts(session: SessionData) -> Facts:
    """Return where sessions are kept, and for how long."""
    return {
        "storage": session.storage.name,
        "path": session.path,
        "container": session.container,
        "timeout_minutes": session.timeout_minutes,
        "max_objects": session.max_objects,
        "place": _place(session.place),
    }


def shown(value: Value) -> str:
    """Return VALUE as it may be shown: no secret, no user and password in a URL."""
    return str(value) if isinstance(value, Secret) else CREDENTIALS.sub(str(Secret("")), value)


def _options(options: Options) -> Mapping[str, str | list[str]]:
    return {
        key: [shown(value) for value in values] if key in MULTIKEYS else shown(values[-1])
        for key, values in options.items_
    }


def _section(section: RawSection | None) -> Facts | None:
    if section is None:
        return None
    return {
        "type": section.type,
        "name": section.name,
        "keys": [[key, shown(value)] for key, value in section.keys],
        "sections": [_section(inner) for inner in section.sections],
    }


def _tls(tls: Tls | None) -> Facts | None:
    if tls is None:
        return None
    return {
        "certificate": str(tls.certificate),
        "key": _path(tls.key),
        "passphrase": _secret(tls.passphrase),
        "password_function": tls.password_function or None,
        "authenticate": tls.authenticate or None,
        "check_hostname": tls.check_hostname or None,
        "server_hostname": tls.server_hostname or None,
    }


def _log(log: Log) -> Facts:
    return {"path": _path(log.path), "options": _options(log.options)}


def _secret(secret: Secret | None) -> str | None:
    return None if secret is None else str(secret)


def _path(path: PurePosixPath | None) -> str | None:
    return None if path is None else str(path)


def _place(place: Place) -> str:
    return str(place)
