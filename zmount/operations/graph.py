"""Draw a topology.

1. narrow: the part of one host, if one was named.
2. render: as SVG, DOT or Mermaid.
3. write:  into a file, if one was named, whole or not at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from zmount.effects.deployed_files import write_configuration
from zmount.render.dot import dot
from zmount.render.mermaid import mermaid
from zmount.topology.part import part_of
from zmount.topology.topology import Topology

Format = Literal["svg", "dot", "mermaid"]


def graph(
    topology: Topology, format_: Format, *, host: str | None = None, output: Path | None = None
) -> str:
    """Return TOPOLOGY, as far as it concerns HOST, drawn in FORMAT_; write it to OUTPUT.

    :raises UnknownName: there is no host HOST
    :raises ApplyRefused: OUTPUT is a directory or device
    :raises ApplyFailed: OUTPUT cannot be written
    """
    if host is not None:
        topology = part_of(topology, topology.host(host))
    text = _drawn(topology, format_)
    if output is not None:
        write_configuration(output, text, mode=0o644, overwrite=True)
    return text


def _drawn(topology: Topology, format_: Format) -> str:
    if format_ == "dot":
        return dot(topology)
    if format_ == "mermaid":
        return mermaid(topology)
    from zmount.render.svg import svg  # only here: drawsvg is slow to import

    return svg(topology)
