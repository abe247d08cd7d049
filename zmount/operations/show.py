"""Show a topology, or one noun of it.

1. narrow: the part of one host, if one was named.
2. find:   the nouns of the name, if one was given; of storages of this machine
           also the last pack, what a site's staging shows, and what is off-line.
3. render: a listing for people, plain values for JSON.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group, RenderableType

from zmount.effects.history import Entry
from zmount.effects.stage_files import is_swapped
from zmount.errors import StorageUnreadable, UnknownName
from zmount.operations.offline_facts import known_offline, offline_facts, offline_lines
from zmount.operations.recorded import last_ended
from zmount.operations.stage_facts import stage_facts, stage_text
from zmount.render.facts import (
    Facts,
    host_facts,
    instance_facts,
    server_facts,
    site_facts,
    storages_facts,
    topology_facts,
)
from zmount.render.tree import detail, tree
from zmount.tids import moment
from zmount.topology.part import part_of
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology, nearest

# as server/overlay.py does it, whatever pack-gc and pack-keep-old say
OF_CHANGES = "of what was changed since the swap; garbage stays there, and no Data.fs.old"
KINDS = {
    "hosts": "host",
    "zeo_servers": "ZEO server",
    "storages": "storage",
    "sites": "site",
    "instances": "instance",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """``text`` is for people, ``facts`` for JSON."""

    text: RenderableType
    facts: Facts


def show(topology: Topology, name: str | None = None, *, host: str | None = None) -> Shown:
    """Return TOPOLOGY, or every noun called NAME, as far as it concerns HOST.

    :raises UnknownName: nothing has the name
    """
    if host is not None:
        topology = part_of(topology, topology.host(host))
    if name is None:
        return _all(topology)
    found = find(topology, name)
    listings = [detail(KINDS[kind], facts) for kind, nouns in found.items() for facts in nouns]
    return Shown(text=Group(*listings), facts=found)


def _all(topology: Topology) -> Shown:
    """Return all of TOPOLOGY, and what the staging of each site shows."""
    facts, shows = topology_facts(topology), {}
    out = known_offline(topology.hosts)
    for site, of_site in zip(topology.sites, facts["sites"], strict=True):
        of_site["staging_shows"] = stage_facts(site.staging)
        of_site["offline"] = offline_facts(out, site=site.name)
        lines = offline_lines(each for each in out if each.site == site.name)
        shows[site.name] = "; ".join(line for line in (stage_text(site.staging), *lines) if line)
    return Shown(text=tree(topology, shows), facts=facts)


def find(topology: Topology, name: str) -> dict[str, list[Facts]]:
    """Return the facts of every noun called NAME, by kind; kinds without one are left out.

    :raises UnknownName: with the nearest names that exist
    """
    out = known_offline(topology.hosts)
    found = {
        "hosts": [host_facts(noun, topology) for noun in topology.hosts if noun.name == name],
        "zeo_servers": [
            server_facts(noun, topology) for noun in topology.zeo_servers if noun.name == name
        ],
        "storages": _storages(topology, name),
        "sites": [
            {
                **site_facts(noun),
                "staging_shows": stage_facts(noun.staging),
                "offline": offline_facts(out, site=noun.name),
            }
            for noun in topology.sites
            if noun.name == name
        ],
        "instances": [
            {**instance_facts(noun), "offline": offline_facts(out, instance=noun.name)}
            for noun in topology.instances
            if noun.name == name
        ],
    }
    if not any(found.values()):
        names = dict.fromkeys(
            noun.name
            for nouns in (
                topology.hosts,
                topology.zeo_servers,
                topology.storages,
                topology.sites,
                topology.instances,
            )
            for noun in nouns
        )
        raise UnknownName(
            f"nothing in {topology.file} is called {name!r}",
            hint=nearest(name, names) or "zmount show, for all names",
        )
    return {kind: nouns for kind, nouns in found.items() if nouns}


def _storages(topology: Topology, name: str) -> list[Facts]:
    """Return the facts of the storage NAME, if there is one, and of its last pack."""
    storages = [storage for storage in topology.storages if storage.name == name]
    return [
        {
            **facts,
            "pack": _pack(storage, facts["pack"]),
            "last_pack": _last_pack(last_ended(topology.file, "pack", name)),
            "shows": stage_facts(storage),
        }
        for storage, facts in zip(storages, storages_facts(storages, topology), strict=True)
    ]


def _pack(storage: Storage, policy: Facts) -> Facts:
    """Return what a pack of STORAGE does: its POLICY, but for a stage that was swapped."""
    try:
        is_of_changes = is_swapped(storage)
    except StorageUnreadable:
        return policy  # why, "shows" says
    if not is_of_changes:
        return policy
    return {**policy, "gc": False, "keep_old": False, "note": OF_CHANGES}


def _last_pack(entry: Entry | None) -> Facts | None:
    """Return what matters of the history's ENTRY of a pack; None if there was none."""
    if entry is None:
        return None
    return {
        "at": moment(entry.began),
        "result": entry.numbers.get("result", entry.result),
        "freed_bytes": entry.numbers.get("freed"),
        "objects_dropped": entry.numbers.get("objects_dropped"),
        "revisions_dropped": entry.numbers.get("revisions_dropped"),
        "error": entry.sentence or None,
    }
