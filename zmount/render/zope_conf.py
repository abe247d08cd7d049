"""zope.conf of a Zope process."""

from __future__ import annotations

from zmount.render.storage_section import storage_section, tls_keys
from zmount.render.text import ZConfigText
from zmount.topology.instances import Replica
from zmount.topology.mounts import CLIENTSTORAGE_ONLY, Mount
from zmount.topology.options import Value
from zmount.topology.zeo import ZeoServer

_PATH_KEYS = frozenset("blob-dir cache-path var".split())


def zope_conf(replica: Replica) -> str:
    """Return the text of REPLICA's zope.conf."""
    return str(zope_conf_text(replica))


def zope_conf_text(replica: Replica) -> ZConfigText:
    """The same, knowing whether a secret stands in it."""
    instance = replica.instance
    text = ZConfigText()
    text.comment(f"Zope {replica.name} ({instance.kind}) on {replica.host.name}")
    imports = instance.imports + tuple(
        name
        for mount in instance.mounts
        if mount.storage.server is None
        for name in mount.storage.imports
    )
    if any(_is_clientstorage(mount) for mount in instance.mounts):
        imports = ("ZEO", *imports)
    text.imports(imports)
    text.add("")
    text.key("instancehome", replica.directory)
    text.key("clienthome", replica.var)
    text.key("pid-filename", replica.pid_filename)
    text.options(instance.zope.without("clienthome", "pid-filename"))
    _sections(text, replica)
    for mount in instance.mounts:
        text.add("")
        _zodb_db(text, replica, mount)
    return text


def _sections(text: ZConfigText, replica: Replica) -> None:
    """Append the sections that are no databases."""
    instance = replica.instance
    if instance.environment:
        text.add("")
        with text.section("environment"):
            text.options(instance.environment)
    if instance.dos_protection:
        text.add("")
        with text.section("dos_protection"):
            text.options(instance.dos_protection)
    for name, options in instance.product_config:
        text.add("")
        with text.section("product-config", name):
            text.options(options)
    for raw in instance.sections:
        text.add("")
        for key, value in raw.keys:
            text.key(key, value)
        for section in raw.sections:
            text.raw(section)


def _zodb_db(text: ZConfigText, replica: Replica, mount: Mount) -> None:
    with text.section("zodb_db", mount.name):
        for point in mount.points:
            text.key("mount-point", str(point))
        if mount.container_class:
            text.key("container-class", mount.container_class)
        text.options(mount.database)
        if mount.storage.server is None:
            storage_section(text, mount.storage, name="")
        else:
            _client(text, replica, mount, mount.storage.server)


def _client(text: ZConfigText, replica: Replica, mount: Mount, server: ZeoServer) -> None:
    options = mount.client
    with text.section("clientstorage" if _is_clientstorage(mount) else "zeoclient"):
        if "server" not in options:
            text.key("server", str(server.address_from(replica.host)))
        text.key("storage", mount.storage.zeo_name)
        for name, values in options.items_:
            if name != "client-label":
                for value in values:
                    text.key(name, _local(replica, name, value))
        label = options.text("client-label", replica.name)
        if label != "unset":
            text.key("client-label", label)
        if mount.tls is not None:
            with text.section("ssl"):
                text.options(tls_keys(replica.local_tls(mount.tls)))


def _is_clientstorage(mount: Mount) -> bool:
    """True if only ZEO's own section has the keys that MOUNT needs, or MOUNT says so."""
    storage = mount.storage
    if storage.server is None:
        backend = storage.backend.walk() if storage.backend is not None else ()
        return any(section.type == "clientstorage" for section in backend)
    return mount.tls is not None or any(
        name in CLIENTSTORAGE_ONLY for name, _ in mount.client.items_
    )


def _local(replica: Replica, name: str, value: Value) -> Value:
    if name in _PATH_KEYS and isinstance(value, str):
        return str(replica.local(value))
    return value
