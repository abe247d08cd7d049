"""What holds for every mount of an instance, unless the mount says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from zmount.topology.build_servers import build_tls
from zmount.topology.hosts import Host
from zmount.topology.instances import Kind
from zmount.topology.mounts import CLIENT_KEYS, DATABASE_KEYS
from zmount.topology.options import Options
from zmount.topology.places import Place
from zmount.topology.said import Said, key_options
from zmount.topology.zeo import Tls

CLIENT_SERVER_KEYS = CLIENT_KEYS | {"server"}
_SAFE = Options((("allow-implicit-cross-references", ("false",)),))


@dataclass(frozen=True, slots=True, kw_only=True)
class MountDefaults:
    """What holds for every mount of one instance; KEYS say where it was said."""

    said: Said
    section: Any
    name: str
    kind: Kind
    host: Host
    directory: PurePosixPath
    database: Options
    client: Options
    tls: Tls | None
    keys: Mapping[str, Place]

    def place(self, place: Place) -> Place:
        """Return PLACE, knowing also of the keys that hold for all mounts."""
        return Place(place.file, place.line, self.keys)


def mount_defaults(
    said: Said, section: Any, kind: Kind, host: Host, directory: PurePosixPath
) -> MountDefaults:
    """Return the defaults that the file's top and the instance's section say."""
    top, own = said.top.client, section.client
    return MountDefaults(
        said=said,
        section=section,
        name=section.getSectionName(),
        kind=kind,
        host=host,
        directory=directory,
        database=key_options(section.database, DATABASE_KEYS)
        .over(key_options(said.top.database, DATABASE_KEYS))
        .over(_SAFE),
        client=key_options(own, CLIENT_SERVER_KEYS).over(key_options(top, CLIENT_SERVER_KEYS)),
        tls=build_tls(said, own.ssl if own is not None else None, directory)
        or build_tls(said, top.ssl if top is not None else None, host.directory),
        keys=key_places(top, own, said.top.database, section.database),
    )


def key_places(*sections: Any) -> Mapping[str, Place]:
    """Return where the keys of SECTIONS were said; a later section wins."""
    merged: dict[str, Place] = {}
    for section in sections:
        if section is not None:
            merged.update(section.place.keys)
    return MappingProxyType(merged)
