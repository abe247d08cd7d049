"""A topology in Graphviz' language."""

from __future__ import annotations

from collections.abc import Iterator

from zmount.render.graph import KIND_COLOURS, ROLE_COLOURS, edges, hosts_of, storage_groups
from zmount.topology.topology import Topology


def dot(topology: Topology) -> str:
    """Return TOPOLOGY as a digraph: instances to the left, storages to the right."""
    return "\n".join(
        [
            "digraph zmount {",
            '  graph [rankdir=LR, ranksep=3, nodesep=0.15, fontname="sans-serif"];',
            '  node [shape=box, style=rounded, fontname="sans-serif", fontsize=11];',
            '  edge [fontname="monospace", fontsize=9, arrowsize=0.6];',
            *_instances(topology),
            *_storages(topology),
            *_edges(topology),
            "}",
            "",
        ]
    )


def quoted(*lines: str) -> str:
    """Return a label of LINES as a DOT string: every character means itself."""
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"') for line in lines if line)
    return '"' + "\\n".join(" ".join(line.split()) for line in escaped) + '"'


def _instances(topology: Topology) -> Iterator[str]:
    for instance in topology.instances:
        label = quoted(instance.name, instance.kind, str(instance.http_address), hosts_of(instance))
        style = "rounded" if instance.autostart else '"rounded,dashed"'
        yield (
            f"  {quoted('instance ' + instance.name)} "
            f"[label={label}, style={style}, color={quoted(KIND_COLOURS[instance.kind])}];"
        )


def _storages(topology: Topology) -> Iterator[str]:
    for number, group in enumerate(storage_groups(topology)):
        address = str(group.server.address) if group.server is not None else ""
        yield f"  subgraph cluster_{number} {{"
        yield f"    label={quoted(group.title, address, 'host ' + group.host.name)};"
        for storage in group.storages:
            yield (
                f"    {quoted('storage ' + storage.name)} "
                f"[shape=cylinder, style=solid, label={quoted(storage.name, storage.role)}, "
                f"color={quoted(ROLE_COLOURS[storage.role])}];"
            )
        yield "  }"


def _edges(topology: Topology) -> Iterator[str]:
    for edge in edges(topology):
        colour = KIND_COLOURS[edge.instance.kind]
        style = "solid" if edge.instance.autostart else "dashed"
        yield (
            f"  {quoted('instance ' + edge.instance.name)} -> "
            f"{quoted('storage ' + edge.storage.name)} "
            f"[label={quoted(str(edge.point))}, color={quoted(colour)}, style={style}];"
        )
