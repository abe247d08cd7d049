"""The configuration that opens a storage in order to pack or to swap it."""

from __future__ import annotations

from dataclasses import replace

from zmount.render.storage_section import imports_of, storage_section
from zmount.render.text import ZConfigText
from zmount.topology.options import Options
from zmount.topology.sections import RawSection
from zmount.topology.storages import Storage


def pack_conf(storage: Storage, *, gc: bool, name: str = "") -> str:
    """Return what ``ZODB.config.storageFromString`` reads, for a STORAGE that is down.

    It is what the server opens but for two keys: without GC, pack-gc is off;
    and ``create`` is left out, which would empty the file.
    """
    text = ZConfigText()
    text.imports(imports_of(storage))
    changed = replace(
        storage,
        options=_changed(storage.options, gc),
        backend=None if storage.backend is None else _inside(storage.backend, gc),
    )
    storage_section(text, changed, name=name)
    return str(text)


def _changed(options: Options, gc: bool) -> Options:
    if gc:
        return options.without("create")
    return Options((*options.without("create", "pack-gc").items_, ("pack-gc", ("false",))))


def _inside(section: RawSection, gc: bool) -> RawSection:
    keys = section.keys
    if section.type == "filestorage":
        options = _changed(Options(tuple((key, (value,)) for key, value in keys)), gc)
        keys = tuple((key, values[0]) for key, values in options.items_)
    return replace(
        section, keys=keys, sections=tuple(_inside(inner, gc) for inner in section.sections)
    )
