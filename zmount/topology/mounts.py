"""Mounts: which object of which storage an instance shows at which path."""

from __future__ import annotations

from dataclasses import dataclass, field

from zmount.topology.options import Options
from zmount.topology.places import NOWHERE, Place
from zmount.topology.storages import Storage
from zmount.topology.zeo import Tls

DATABASE_KEYS = frozenset(
    "cache-size cache-size-bytes large-record-size pool-size pool-timeout "
    "historical-pool-size historical-cache-size historical-cache-size-bytes "
    "historical-timeout allow-implicit-cross-references class-factory "
    "connection-class database-name".split()
)
ZEOCLIENT_ONLY = frozenset(
    "client var min-disconnect-poll max-disconnect-poll wait drop-cache-rather-verify".split()
)
CLIENTSTORAGE_ONLY = frozenset("cache-path server-sync wait-timeout".split())
CLIENT_KEYS = (
    frozenset(
        "cache-size blob-dir shared-blob-dir blob-cache-size blob-cache-size-check "
        "read-only read-only-fallback name client-label".split()
    )
    | ZEOCLIENT_ONLY
    | CLIENTSTORAGE_ONLY
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPoint:
    """One ``mount-point`` line: a path in Zope and the path in the storage.

    ``virtual`` begins with ``/`` and is ``/`` for the root. ``real`` is the path
    below the object ``root`` of the storage's own root mapping, which is
    ``Application`` everywhere but in exotic databases.
    """

    virtual: str
    real: str
    root: str = "Application"
    place: Place = field(default=NOWHERE, compare=False, repr=False)

    def __str__(self) -> str:
        """The value of zope.conf's ``mount-point``, in the form that Zope reads.

        Zope documents ``/v:~root:/p`` but reads ``/v:~root/p``.
        """
        if self.root != "Application":
            return f"{self.virtual}:~{self.root}/{self.real.lstrip('/')}"
        return self.virtual if self.virtual == self.real else f"{self.virtual}:{self.real}"

    @property
    def is_root(self) -> bool:
        """True for the root of the instance."""
        return self.virtual == "/"


def parse_mount_point(text: str, place: Place = NOWHERE) -> MountPoint:
    """Return the mount point that TEXT says: ``/v``, ``/v:/p`` or ``/v:~root/p``.

    Reads what Zope reads (``Zope2.Startup.datatypes.computeMountPaths``), also
    where it is wrong; ``topology/check`` judges the result.
    """
    virtual, colon, real = text.partition(":")
    if not colon:
        return MountPoint(virtual=virtual, real=virtual, place=place)
    if not real.startswith("~"):
        return MountPoint(virtual=virtual, real=real, place=place)
    root, _, path = real[1:].partition("/")
    return MountPoint(virtual=virtual, real="/" + path, root=root, place=place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A storage that an instance mounts: one ``<zodb_db>`` section.

    ``name`` is the database's name in the instance. ``database`` are keys of
    :data:`DATABASE_KEYS`, ``client`` of :data:`CLIENT_KEYS`; what the instance
    and the deployment say for all mounts is already in them.
    ``is_implied`` is True where no ``<mount>`` section names it.
    """

    name: str
    storage: Storage
    points: tuple[MountPoint, ...]
    container_class: str = ""
    database: Options = Options()
    client: Options = Options()
    tls: Tls | None = None
    is_implied: bool = False
    place: Place = field(default=NOWHERE, compare=False, repr=False)

    @property
    def is_root(self) -> bool:
        """True if this is what the instance shows at ``/``."""
        return any(point.is_root for point in self.points)
