"""``<stage>`` sections of a zeo.conf, which zmount makes of a site's staging storage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from zmount.topology.adopt.conf_files import keys_of
from zmount.topology.adopt.found import Served
from zmount.topology.options import Options
from zmount.topology.sections import RawSection
from zmount.topology.stages import generations_of
from zmount.topology.storages import STAGE_KEYS

_IMPLIED = frozenset("generations source source-path source-blob-dir".split())


def stage_keys(staging: Served, production: Served) -> Options | None:
    """Return what the ``<stage>`` of STAGING says beyond what zmount implies; None: no such one.

    A stage of something else than PRODUCTION is kept as it is written.
    """
    keys = keys_of(staging.section)
    if staging.section.type != "stage" or production.section.type != "filestorage":
        return None
    path = PurePosixPath(keys.text("path"))
    source = keys_of(production.section)
    is_implied = (
        keys.text("generations", str(path.parent / "generations")) == str(generations_of(path))
        and keys.text("source") == production.served_as
        and keys.text("source-path") == source.text("path")
        and keys.text("source-blob-dir") == source.text("blob-dir")
    )
    return keys.only(STAGE_KEYS) if is_implied else None


def as_filestorage(staging: Served) -> Served:
    """Return STAGING as the FileStorage that zmount makes a stage of."""
    section = staging.section
    kept = tuple((key, value) for key, value in section.keys if key not in _IMPLIED | STAGE_KEYS)
    filestorage = RawSection(type="filestorage", name=section.name, keys=kept, place=section.place)
    return replace(staging, section=filestorage)
