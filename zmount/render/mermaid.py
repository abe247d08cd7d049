"""A topology as a Mermaid flowchart, which many forges draw inside Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from zmount.render.graph import KIND_COLOURS, ROLE_COLOURS, edges, hosts_of, storage_groups
from zmount.topology.topology import Topology

# Mermaid gives a meaning to nearly every other character somewhere.
_MEANINGFUL = re.compile(r"[^A-Za-z0-9 /._:,\-]")


def mermaid(topology: Topology) -> str:
    """Return TOPOLOGY as a flowchart: instances to the left, storages to the right.

    Nodes are numbered, so no name can break the syntax. Mermaid itself draws no
    more than 500 edges unless it is told to.
    """
    instances = {instance.name: f"i{at}" for at, instance in enumerate(topology.instances)}
    storages = {storage.name: f"s{at}" for at, storage in enumerate(topology.storages)}
    return "\n".join(
        [
            "flowchart LR",
            *_instances(topology, instances),
            *_storages(topology, storages),
            *_edges(topology, instances, storages),
            *_classes(topology, instances, storages),
            "",
        ]
    )


def quoted(*lines: str) -> str:
    """Return a label of LINES: what is not plain stands as its character's number."""
    escaped = (_MEANINGFUL.sub(lambda found: f"#{ord(found[0])};", line) for line in lines if line)
    return '"' + "<br/>".join(escaped) + '"'


def _instances(topology: Topology, ids: dict[str, str]) -> Iterator[str]:
    for instance in topology.instances:
        label = quoted(instance.name, instance.kind, str(instance.http_address), hosts_of(instance))
        yield f"  {ids[instance.name]}[{label}]"


def _storages(topology: Topology, ids: dict[str, str]) -> Iterator[str]:
    for number, group in enumerate(storage_groups(topology)):
        address = str(group.server.address) if group.server is not None else ""
        yield f"  subgraph g{number} [{quoted(group.title, address, 'host ' + group.host.name)}]"
        for storage in group.storages:
            yield f"    {ids[storage.name]}[({quoted(storage.name, storage.role)})]"
        yield "  end"


def _edges(
    topology: Topology, instances: dict[str, str], storages: dict[str, str]
) -> Iterator[str]:
    for edge in edges(topology):
        arrow = "-->" if edge.instance.autostart else "-.->"
        yield (
            f"  {instances[edge.instance.name]} {arrow}|{quoted(str(edge.point))}| "
            f"{storages[edge.storage.name]}"
        )


def _classes(
    topology: Topology, instances: dict[str, str], storages: dict[str, str]
) -> Iterator[str]:
    for kind, colour in KIND_COLOURS.items():
        named = [instances[each.name] for each in topology.instances if each.kind == kind]
        yield from _class(kind, colour, named)
    for role, colour in ROLE_COLOURS.items():
        named = [storages[each.name] for each in topology.storages if each.role == role]
        yield from _class(role, colour, named)


def _class(name: str, colour: str, nodes: list[str]) -> Iterator[str]:
    if nodes:
        yield f"  classDef {name} stroke:{colour},stroke-width:2px"
        yield f"  class {','.join(nodes)} {name}"
