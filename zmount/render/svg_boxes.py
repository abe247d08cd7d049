"""The parts of the SVG picture: rows in boxes in frames, and the wires between them.

Lengths are pixels, y grows downwards. ``svg_layout`` says where they go, ``svg``
draws them.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

from zmount.render.graph import Edge
from zmount.topology.instances import Instance
from zmount.topology.storages import Role

TEXT = 12.0
TITLE = 15.0
ROW = 20.0
PAD = 14.0
BOX_GAP = 22.0
FRAME_PAD = 16.0
FRAME_TITLE = 24.0
MARGIN = 24.0
GAP_MIN, GAP_MAX = 170.0, 420.0
_MONOSPACE = 0.61  # an em's share that a character takes in common monospaced fonts
_SANS = 0.64  # the same of the widest common sans-serif, DejaVu and Verdana, bold


@dataclass(slots=True, kw_only=True)
class Row:
    """A line of a box: a mount point or a storage, or a heading of its own.

    ``note`` follows the text, paler. ``y`` is the line's middle.
    """

    text: str
    note: str = ""
    role: Role | None = None
    is_heading: bool = False
    y: float = 0.0


@dataclass(slots=True, kw_only=True)
class Box:
    """An instance, or a group of storages; ``rows`` are below its title."""

    title: str
    subtitles: tuple[str, ...]
    rows: list[Row]
    host: str
    instance: Instance | None = None
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0

    @property
    def head(self) -> float:
        """The height of title and subtitles."""
        return PAD + TITLE + 4 + ROW * 0.85 * len(self.subtitles) + 6

    @property
    def height(self) -> float:
        """The height of all of it."""
        return self.head + ROW * len(self.rows) + PAD * 0.6


@dataclass(slots=True, kw_only=True)
class Frame:
    """The boxes of one column that are on the same host."""

    title: str
    boxes: list[Box]
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0


@dataclass(slots=True, kw_only=True)
class Wire:
    """A mount, from the left column to the right one."""

    edge: Edge
    start: Row
    end: Row


@dataclass(slots=True, kw_only=True)
class Layout:
    """The whole picture. Frames are drawn only where there are several hosts."""

    left: list[Frame]
    right: list[Frame]
    wires: list[Wire]
    has_frames: bool
    legend: tuple[str, ...] = ()
    wires_from: float = 0.0
    wires_to: float = 0.0
    legend_y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    boxes: list[Box] = field(default_factory=list)


def monospace_width(text: str, size: float = TEXT) -> float:
    """Return the width of TEXT in a monospaced font; wide characters count twice."""
    cells = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
    return cells * size * _MONOSPACE


def sans_width(text: str, size: float) -> float:
    """Return a width that TEXT will not exceed in a common sans-serif font."""
    cells = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
    return cells * size * _SANS
