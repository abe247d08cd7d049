"""Staging storages whose content production's can take the place of."""

from __future__ import annotations

from pathlib import PurePosixPath

from zmount.topology.options import Options
from zmount.topology.sites import Site
from zmount.topology.storages import Storage

NONE = "none"  # the mode of a staging storage that is to stay a FileStorage


def why_no_stage(production: Storage, staging: Storage) -> str:
    """Return why a swap cannot let STAGING show what PRODUCTION holds; "" if it can."""
    if staging.name == production.name:
        return "it is the production storage itself"
    if staging.server is None:
        return "no ZEO server serves it"
    if staging.backend is not None:
        return f"<{staging.backend.type}> inside says what it is"
    for key in ("read-only", "create"):
        if staging.options.text(key).lower() in ("on", "yes", "true", "1"):
            return f"it says {key} {staging.options.text(key)}"
    if production.backend is not None and production.backend.type != "filestorage":
        return f"production is a <{production.backend.type}>, and not a FileStorage as it stands"
    if production.data_fs is None:
        return "production has no Data.fs"
    if production.host.name != staging.host.name:
        return f"production's file is on host {production.host.name}, and not here"
    return ""


def why_not_swapped(site: Site) -> str:
    """Return why ``zmount swap-stage`` does nothing for SITE; "" if it can."""
    if site.staging is None:
        return "it has no staging storage"
    if not site.is_swapped:
        return "zmount.conf says stage-mode none"
    return why_no_stage(site.production, site.staging)


def generations_of(data_fs: PurePosixPath) -> PurePosixPath:
    """Return where the generations of the staging storage in DATA_FS are."""
    if data_fs.name == "Data.fs":
        return data_fs.with_name("generations")
    return data_fs.with_name(data_fs.name + ".generations")  # others lie beside it


def stage_options(mode: str, keep: int | None, drain_timeout: str | None) -> Options:
    """Return the keys of a ``<stage>`` section; what was not said is left out."""
    said = {"mode": mode, "keep": str(keep or ""), "drain-timeout": drain_timeout or ""}
    return Options(tuple((key, (value,)) for key, value in said.items() if value))
