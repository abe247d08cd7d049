"""Storages: the databases of a deployment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from zmount.topology.hosts import Host
from zmount.topology.options import Options
from zmount.topology.places import NOWHERE, Place
from zmount.topology.sections import RawSection
from zmount.topology.zeo import ZeoServer

PACKER = "zmount.filestorage.packer.pack"  # of every FileStorage that names no other
STOCK_PACKER = "stock"  # what zmount.conf calls FileStorage's own
STAGE_KEYS = frozenset("mode keep drain-timeout".split())
FILESTORAGE_KEYS = frozenset("create read-only quota packer pack-gc pack-keep-old".split())

Role = Literal["plain", "production", "staging", "session", "root"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackPolicy:
    """How ``zmount pack`` treats a storage.

    ``days`` of history are kept; ``gc`` also removes objects that nothing
    refers to; ``keep_old`` leaves the file from before as ``Data.fs.old``.
    """

    days: float = 1.0
    gc: bool = True
    keep_old: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How a staging storage comes to show what production holds.

    ``production`` is a FileStorage on the same host. ``generations`` is the directory
    of what took the place of the staging storage's own file so far. ``options`` are
    keys of :data:`STAGE_KEYS`, as written.
    """

    production: Storage
    generations: PurePosixPath
    options: Options = Options()

    @property
    def mode(self) -> str:
        """What a swap makes of production's file: a "link" or a "copy"."""
        return self.options.text("mode", "link")

    @property
    def keep(self) -> int:
        """How many generations stay besides the current one."""
        return int(self.options.text("keep", "1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A FileStorage, or any other storage that ``backend`` describes.

    ``name`` is unique in the deployment; ``served_as`` is what its ZEO server
    calls it, "" for the same: ask for :attr:`zeo_name`. ``server`` is the ZEO
    server that serves it, or None where its one instance opens the file itself;
    ``host`` is where its file is. ``data_fs`` and ``blob_dir`` are absolute paths there,
    None where the backend has no such thing. ``options`` are keys of
    :data:`FILESTORAGE_KEYS`, as written. ``backend`` is the section to write
    instead of ``<filestorage>``, ``imports`` the packages it needs by ``%import``.
    ``stage`` is None where ``zmount swap-stage`` cannot replace what it holds.
    ``may_refer`` is False where nothing in it refers to objects of other storages.
    ``site`` is the name of the site that it belongs to, or "".
    ``is_implied`` is True where no ``<storage>`` section names it.
    """

    name: str
    host: Host
    server: ZeoServer | None
    data_fs: PurePosixPath | None
    blob_dir: PurePosixPath | None
    served_as: str = ""
    role: Role = "plain"
    site: str = ""
    options: Options = Options()
    pack: PackPolicy = PackPolicy()
    backend: RawSection | None = None
    imports: tuple[str, ...] = ()
    stage: Stage | None = None
    may_refer: bool = True
    is_implied: bool = False
    place: Place = field(default=NOWHERE, compare=False, repr=False)

    @property
    def zeo_name(self) -> str:
        """What a ZEO client asks its server for."""
        return self.served_as or self.name

    @property
    def index(self) -> PurePosixPath | None:
        """Where FileStorage keeps its oid index; it can be rebuilt."""
        if self.data_fs is None:
            return None
        return self.data_fs.with_name(self.data_fs.name + ".index")
