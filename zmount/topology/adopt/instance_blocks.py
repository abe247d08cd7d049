"""Instances and their mounts as sections of zmount.conf."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from zmount.topology.adopt.clients import Mounted
from zmount.topology.adopt.conf_files import keys_of
from zmount.topology.adopt.found import Deployment, Zope
from zmount.topology.adopt.hoisting import Said, hoist
from zmount.topology.adopt.naming import within
from zmount.topology.adopt.server_blocks import log_block, process_keys, runner_block, ssl_block
from zmount.topology.adopt.sites import KindFound, SiteFound, sites_line
from zmount.topology.adopt.writing import Keys, block, block_if_any, one
from zmount.topology.mounts import parse_mount_point
from zmount.topology.options import Options, Value
from zmount.topology.sections import RawSection

_CROSS_REFERENCES = "allow-implicit-cross-references"
_FOLDER = "OFS.Folder.Folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFound:
    """An instance, its kind, and its mounts' settings in the places to say them in.

    ``database`` and ``client`` hold for all its mounts, ``ssl`` too; the
    tuples, one element per mount, hold what remains to be said there.
    ``says_ssl`` is False where the file's top says ``ssl`` for all instances.
    """

    zope: Zope
    mounts: tuple[Mounted, ...]
    kind: KindFound
    database: dict[str, tuple[Value, ...]]
    databases: tuple[Said, ...]
    client: dict[str, tuple[Value, ...]]
    clients: tuple[Said, ...]
    ssl: RawSection | None
    says_ssl: bool = True

    @property
    def has_clients(self) -> bool:
        """True if it connects to ZEO at all."""
        return any(mount.served is not None for mount in self.mounts)


def instance(zope: Zope, mounts: tuple[Mounted, ...], kind: KindFound) -> InstanceFound:
    """Return ZOPE with its mounts' common settings said once."""
    database, databases = hoist(
        [_database(mount) for mount in mounts], [{_CROSS_REFERENCES: ("false",)}] * len(mounts)
    )
    served = [mount for mount in mounts if mount.served is not None]
    client, rest = hoist([mount.client for mount in served], [mount.implied for mount in served])
    left = iter(rest)
    return InstanceFound(
        zope=zope,
        mounts=mounts,
        kind=kind,
        database=database,
        databases=tuple(databases),
        client=client,
        clients=tuple(next(left) if mount.served is not None else {} for mount in mounts),
        ssl=_common_ssl(served),
    )


def instance_block(
    found: InstanceFound, deployment: Deployment, sites: tuple[SiteFound, ...]
) -> RawSection:
    """Return the ``<instance>`` section of FOUND."""
    zope, http, home = found.zope, found.zope.http, found.zope.directory
    return block(
        "instance",
        zope.name,
        keys=Options((*_keys(found, deployment, sites), *zope.keys.items_)),
        sections=(
            block_if_any("database", options(found.database)),
            block_if_any(
                "client",
                options(found.client),
                ssl_block(found.ssl if found.says_ssl else None),
            ),
            *_mounts(found),
            block_if_any("environment", zope.environment),
            block_if_any("dos-protection", zope.dos_protection),
            *zope.product_config,
            block_if_any("waitress", http.waitress),
            *http.ini,
            log_block("log", http.log, home, "event.log"),
            log_block("access-log", http.access_log, home, "access.log"),
            runner_block(zope.running, home, http.log.path or "log/event.log"),
            block_if_any("zope-conf", Options(), *zope.unknown),
        ),
    )


def options(said: Said) -> Options:
    """Return SAID as options."""
    return Options(tuple(said.items()))


def _keys(found: InstanceFound, deployment: Deployment, sites: tuple[SiteFound, ...]) -> Keys:
    zope, http = found.zope, found.zope.http
    keys: Keys = ()
    if found.kind.kind != "public":
        keys += one("kind", found.kind.kind)
    home = within(zope.directory, deployment.directory)
    if home != f"{zope.name}_client":
        keys += one("directory", home)
    if http.address:
        keys += one("http-address", http.address)
    if http.threads and http.threads != "4":
        keys += one("threads", http.threads)
    keys += process_keys(zope.running, deployment)
    root = next((mount for mount in found.mounts if mount.database.is_root), None)
    if root is not None and root.storage != f"root/{zope.name}":
        keys += one("root", root.storage)
    said = sites_line(found.kind, sites)
    if said:
        keys += one("sites", said)
    if found.kind.without:
        keys += one("without", " ".join(found.kind.without))
    if found.kind.kind == "development":
        keys += one("sandboxes", "none")
    if http.pipeline:
        keys += one("pipeline", " ".join(http.pipeline))
    return keys


def _mounts(found: InstanceFound) -> list[RawSection]:
    blocks = []
    settings = zip(found.mounts, found.databases, found.clients, strict=True)
    for mount, database, client in settings:
        ssl = mount.ssl if mount.ssl is not None and not _is_same(mount.ssl, found.ssl) else None
        made = block(
            "mount",
            mount.database.name,
            keys=Options((*_mount_keys(mount, found.kind), *database.items())),
            sections=(block_if_any("client", options(client), ssl_block(ssl)),),
        )
        if made.keys or made.sections:
            blocks.append(made)
    return blocks


def _mount_keys(mount: Mounted, kind: KindFound) -> Keys:
    """Return what a ``<mount>`` must say of where and what, beyond what is implied."""
    database = mount.database
    points = one("mount-point", *database.points)
    class_ = database.container_class
    classes = one("container-class", *((class_,) if class_ else ()))
    if database.is_root:
        is_plain = database.name == "main" and database.points == ("/",)
        return (() if is_plain else points) + classes
    implied = kind.implied.get(database.name)
    if implied is None:
        storage = one("storage", mount.storage) if mount.storage != database.name else ()
        return (*storage, *points, *classes)
    keys = one("storage", mount.storage) if mount.storage != implied.storage else ()
    if [parse_mount_point(text) for text in database.points] != [implied.point]:
        keys += points
    if database.container_class != implied.container_class:
        keys += one("container-class", database.container_class or _FOLDER)
    return keys


def _database(mount: Mounted) -> Said:
    said = dict(mount.database.keys.items_)
    known = said.get(_CROSS_REFERENCES, ("unset",))[-1]
    is_off = str(known).lower() in ("off", "no", "false", "0")
    said[_CROSS_REFERENCES] = ("false",) if is_off else (known,)
    return said


def _common_ssl(served: Sequence[Mounted]) -> RawSection | None:
    """Return the ``<ssl>`` that most mounts have, if all have one."""
    found = [mount.ssl for mount in served]
    if not found or None in found:
        return None
    counted = Counter(keys_of(ssl).items_ for ssl in found if ssl is not None)
    most = counted.most_common(1)[0][0]
    return next(ssl for ssl in found if ssl is not None and keys_of(ssl).items_ == most)


def _is_same(ssl: RawSection, other: RawSection | None) -> bool:
    return other is not None and keys_of(ssl) == keys_of(other)


def without_client(
    found: InstanceFound, client: Said, database: Said, ssl: RawSection | None
) -> InstanceFound:
    """Return FOUND less the settings that the file's top says for all instances."""
    return replace(
        found,
        client={key: value for key, value in found.client.items() if key not in client},
        database={key: value for key, value in found.database.items() if key not in database},
        says_ssl=ssl is None,
    )
