"""Adopting files and rendering what came out, to compare the two in the real schemas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from real_schemas import zeo_settings, zope_settings

from zmount.render.zeo_conf import zeo_conf
from zmount.render.zope_conf import zope_conf
from zmount.topology.adopt.adopt import Source, adopt
from zmount.topology.adopt.ini_files import parse_ini
from zmount.topology.adopt.notes import Notes
from zmount.topology.adopt.reading import read_conf
from zmount.topology.adopt.text import Adopted
from zmount.topology.load import load
from zmount.topology.topology import Topology

DATA = Path(__file__).parent / "adopt_data"


@dataclass(frozen=True)
class Reproduced:
    """A zmount.conf made from files, the topology it says, and what that renders to."""

    adopted: Adopted
    topology: Topology
    zeo_confs: tuple[str, ...]
    zope_confs: tuple[str, ...]

    @property
    def text(self) -> str:
        return self.adopted.text

    @property
    def rules(self) -> list[str]:
        return [finding.rule for finding in self.adopted.findings]


def adopted_from(*paths: Path) -> Adopted:
    """Adopt PATHS, each with the zope.ini beside it."""
    notes = Notes()
    return adopt(tuple(_source(path, notes) for path in paths), notes)


def _source(path: Path, notes: Notes) -> Source:
    ini = path.with_name("zope.ini")
    conf = read_conf(path, notes)
    has_ini = conf.kind == "zope" and ini.exists()
    return Source(conf=conf, ini=parse_ini(ini.read_text(), str(ini)) if has_ini else None)


def reproduce(directory: Path, *paths: Path) -> Reproduced:
    """Adopt PATHS, write the result into DIRECTORY, load and render it."""
    adopted = adopted_from(*paths)
    conf = directory / "zmount.conf"
    conf.write_text(adopted.text, encoding="utf-8")
    topology = load(conf)
    return Reproduced(
        adopted=adopted,
        topology=topology,
        zeo_confs=tuple(
            zeo_conf(server, topology.storages_of(server)) for server in topology.zeo_servers
        ),
        zope_confs=tuple(zope_conf(replica) for replica in topology.replicas),
    )


def assert_same_settings(found: Reproduced, originals: Sequence[str]) -> None:
    """Every option of every database and storage is the same in the real schemas.

    ORIGINALS are the texts of the files, ZEO servers and instances each in the
    order in which they were adopted.
    """
    zeo = [text for text in originals if "<zodb_db" not in text]
    zope = [text for text in originals if "<zodb_db" in text]
    assert len(found.zeo_confs) == len(zeo)
    assert len(found.zope_confs) == len(zope)
    for ours, theirs in zip(found.zeo_confs, zeo, strict=True):
        assert zeo_of(ours, theirs) == zeo_of(theirs, theirs)
    for ours, theirs in zip(found.zope_confs, zope, strict=True):
        assert zope_settings(ours) == zope_settings(theirs)


def zeo_of(text: str, original: str) -> dict[str, Any]:
    """Return the settings of the zeo.conf TEXT.

    Without its pid file if ORIGINAL names none: ZEO then writes one into the
    directory it was started in, zmount into var/.
    """
    settings = zeo_settings(text)
    if "pid-filename" not in original:
        del settings["zeo"]["pid_filename"]
    return settings
