"""What a zeo.conf or zope.conf comes to in the schemas of ZEO and Zope themselves."""

from __future__ import annotations

import io
import os
import xml.sax
from functools import cache
from pathlib import Path
from typing import Any

import ZEO
import Zope2.Startup
from ZConfig.datatypes import Registry, SocketAddress, stock_datatypes
from ZConfig.loader import ConfigLoader, SchemaLoader
from ZConfig.matcher import SectionValue
from Zope2.Startup.datatypes import ZopeDatabase
from Zope2.Startup.options import ConditionalSchemaParser

# conversions that look for files and directories
ON_DISK = ("existing-directory", "existing-path", "existing-file", "existing-dirpath")
# accepted by the schema of ZODB, used by nobody since ZEO 5
DEAD = ("username", "password", "realm")


def zeo_settings(text: str) -> dict[str, Any]:
    """Return all that the zeo.conf TEXT says, defaults filled in."""
    top, _ = ConfigLoader(_zeo_schema()).loadFile(io.StringIO(text))
    return {
        "zeo": plain(top.zeo),
        "storages": {storage.name: plain(storage) for storage in top.storages},
    }


def zope_settings(text: str) -> dict[str, Any]:
    """Return all that the zope.conf TEXT says, defaults filled in."""
    top, _ = ConfigLoader(_zope_schema()).loadFile(io.StringIO(text))
    settings = {
        name: plain(getattr(top, name))
        for name in top.getSectionAttributes()
        if name not in ("databases", "environment", "product_config")
    }
    environment = top.environment.data if hasattr(top.environment, "data") else top.environment
    return settings | {
        "environment": dict(environment),
        "product_config": {name: dict(keys) for name, keys in top.product_config.items()},
        "databases": {each.config.getSectionName(): _database(each) for each in top.databases},
    }


def _database(database: ZopeDatabase) -> dict[str, Any]:
    settings: dict[str, Any] = plain(database.config)
    # /v and /v:/v are the same
    settings["mount_points"] = database.computeMountPaths()
    return settings


def plain(value: Any) -> Any:
    """Return a section, or what its conversion made of it, as dicts, lists and text."""
    if isinstance(value, SectionValue):
        return {
            name: plain(getattr(value, name))
            for name in value.getSectionAttributes()
            if name not in DEAD
        }
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, SocketAddress):
        return str(value.family), value.address
    config = getattr(value, "config", None)
    if isinstance(config, SectionValue):
        return {"type": config.getSectionType(), **plain(config)}
    if isinstance(value, type):
        return value.__module__, value.__qualname__
    return value


@cache
def _zeo_schema() -> Any:
    return SchemaLoader(_registry()).loadURL(str(Path(ZEO.__file__).with_name("schema.xml")))


@cache
def _zope_schema() -> Any:
    loader = SchemaLoader(_registry())
    path = Path(Zope2.Startup.__file__).with_name("wsgischema.xml")
    with loader.openResource(loader.normalizeURL(str(path))) as resource:
        parser = ConditionalSchemaParser(loader, resource.url)
        xml.sax.parse(resource.file, parser)
    return parser._schema


def _registry() -> Registry:
    stock = dict(stock_datatypes)
    stock.update((name, os.path.expanduser) for name in ON_DISK)
    stock["locale"] = str  # this machine may have fewer
    registry = Registry(stock)
    for name in ("existing_parent_directory", "existing_parent_dirpath"):
        registry.register(f"zdaemon.zdoptions.{name}", os.path.expanduser)
    for name in ("server_ssl", "client_ssl"):
        registry.register(f"ZEO.zconfig.{name}", lambda section: section)
    # the real one changes ZPublisher's global settings
    registry.register("Zope2.Startup.datatypes.default_zpublisher_encoding", str)
    return registry
