"""Draw a topology.

1. narrow: the part of one host, if one was named.
2. render: as SVG, DOT or Mermaid.
"""

from __future__ import annotations

from typing import Literal

from zmount.render.dot import dot
from zmount.render.mermaid import mermaid
from zmount.topology.part import part_of
from zmount.topology.topology import Topology

Format = Literal["svg", "dot", "mermaid"]


def graph(topology: Topology, format_: Format, *, host: str | None = None) -> str:
    """Return TOPOLOGY, as far as it concerns HOST, drawn in FORMAT_."""
    if host is not None:
        topology = part_of(topology, topology.host(host))
    if format_ == "dot":
        return dot(topology)
    if format_ == "mermaid":
        return mermaid(topology)
    from zmount.render.svg import svg  # only here: drawsvg is slow to import

    return svg(topology)
