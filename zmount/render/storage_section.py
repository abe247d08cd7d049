"""The section that opens a storage's file, in zeo.conf or in zope.conf."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from zmount.render.text import ZConfigText
from zmount.topology.options import Options, Value
from zmount.topology.sections import RawSection
from zmount.topology.storages import STOCK_PACKER, Stage, Storage
from zmount.topology.zeo import Tls

STAGE_PACKAGE = "zmount.server"  # has the section type "stage"
_OF_PLAIN_FILE = frozenset("packer pack-gc pack-keep-old quota".split())
PASSWORD_FUNCTION = "zmount.server.tls_passphrase.tls_passphrase"


def storage_section(text: ZConfigText, storage: Storage, *, name: str) -> None:
    """Append the section that opens STORAGE on its host; NAME may be ""."""
    if storage.backend is not None:
        text.raw(_absolute(storage.backend, storage.host.directory), name=name)
        return
    with text.section("filestorage" if storage.stage is None else "stage", name):
        if storage.data_fs is not None:
            text.key("path", storage.data_fs)
        if storage.blob_dir is not None:
            text.key("blob-dir", storage.blob_dir)
        if storage.stage is not None:
            _stage_keys(text, storage, storage.stage)
        else:
            text.options(storage.options)


def imports_of(storage: Storage) -> tuple[str, ...]:
    """Return the packages that the section of STORAGE needs by ``%import``."""
    return storage.imports if storage.stage is None else (*storage.imports, STAGE_PACKAGE)


def _stage_keys(text: ZConfigText, storage: Storage, stage: Stage) -> None:
    production = stage.production
    text.key("generations", stage.generations)
    if storage.server == production.server:
        text.key("source", production.zeo_name)
    if production.data_fs is not None:
        text.key("source-path", production.data_fs)
    if production.blob_dir is not None:
        text.key("source-blob-dir", production.blob_dir)
    text.options(stage.options)
    text.options(storage.options.only(_OF_PLAIN_FILE))
    if "packer" not in storage.options:
        text.key("packer", STOCK_PACKER)  # the section's own default is zmount's


def tls_keys(tls: Tls) -> Options:
    """Return the keys of an ``<ssl>`` section; the passphrase is not among them."""
    function = PASSWORD_FUNCTION if tls.passphrase is not None else tls.password_function
    keys = (
        ("certificate", str(tls.certificate)),
        ("key", str(tls.key) if tls.key is not None else ""),
        ("password-function", function),
        ("authenticate", tls.authenticate),
        ("check-hostname", tls.check_hostname),
        ("server-hostname", tls.server_hostname),
    )
    return Options(tuple((name, (value,)) for name, value in keys if value))


def _absolute(section: RawSection, directory: PurePosixPath) -> RawSection:
    """Return SECTION with its paths under DIRECTORY, as the topology reads them.

    A relative path would depend on the directory that the process starts in.
    """

    def absolute(key: str, value: Value) -> Value:
        is_path = key == "blob-dir" or (key == "path" and section.type == "filestorage")
        return str(directory / value) if is_path and isinstance(value, str) and value else value

    return replace(
        section,
        keys=tuple((key, absolute(key, value)) for key, value in section.keys),
        sections=tuple(_absolute(inner, directory) for inner in section.sections),
    )
