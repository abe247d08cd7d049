"""A topology as a picture, in SVG."""

from __future__ import annotations

import re
from collections.abc import Mapping

import drawsvg

from zmount.render.graph import KIND_COLOURS, ROLE_COLOURS
from zmount.render.svg_boxes import (
    MARGIN,
    PAD,
    ROW,
    TEXT,
    TITLE,
    Box,
    Frame,
    Layout,
    Row,
    Wire,
    sans_width,
)
from zmount.render.svg_layout import layout
from zmount.sizes import counted
from zmount.topology.topology import Topology

LIGHT = {
    "page": "#ffffff",
    "box": "#f6f8fa",
    "line": "#8c959f",
    "ink": "#1f2328",
    "pale": "#59636e",
}
DARK = {
    "page": "#0d1117",
    "box": "#161b22",
    "line": "#6e7681",
    "ink": "#e6edf3",
    "pale": "#9aa4af",
}
DARK_COLOURS = {
    "development": "#56b4e9",
    "public": "#f0a030",
    "admin": "#e08cc4",
    "production": "#2fc795",
    "staging": "#e6b84d",
    "session": "#e08cc4",
    "root": "#a9b1ba",
    "plain": "#56b4e9",
}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def svg(topology: Topology) -> str:
    """Return TOPOLOGY as an SVG document, light or dark as the reader's screen is."""
    made = layout(topology)
    picture = drawsvg.Drawing(round(made.width), round(made.height), role="img")
    picture.append_css(css())
    counts = (
        counted(len(topology.instances), "instance"),
        counted(len(topology.storages), "storage"),
        counted(len(made.wires), "mount"),
    )
    picture.append_title(f"Zope deployment: {', '.join(counts)}")
    picture.append(_rectangle(0, 0, made.width, made.height, "page"))
    if made.has_frames:
        for frame in made.left + made.right:
            _draw_frame(picture, frame)
    for wire in made.wires:
        _draw_wire(picture, made, wire)
    for box in made.boxes:
        _draw_box(picture, box)
    for at, line in enumerate(made.legend):
        y = made.legend_y + ROW * 0.9 * (at + 0.5)
        picture.append(_text(line, TEXT - 1, MARGIN, y, "pale"))
    return str(picture.as_svg()) + "\n"


def css() -> str:
    """Return the style sheet: light colours, and dark ones for dark screens."""
    light = _colours(LIGHT, dict([*KIND_COLOURS.items(), *ROLE_COLOURS.items()]))
    return (
        "text{font-family:'DejaVu Sans',Verdana,Helvetica,Arial,sans-serif}"
        ".mono{font-family:'DejaVu Sans Mono',Menlo,Consolas,'Liberation Mono',monospace}"
        ".strong{font-weight:bold}.wire{fill:none;stroke-width:1.5}"
        ".frame{fill:none;stroke-dasharray:2 3}.dashed{stroke-dasharray:6 4}"
        f"{light}@media (prefers-color-scheme:dark){{{_colours(DARK, DARK_COLOURS)}}}"
    )


def _colours(base: Mapping[str, str], colours: Mapping[str, str]) -> str:
    rules = [
        f".page{{fill:{base['page']}}}",
        f".box{{fill:{base['box']};stroke:{base['line']}}}",
        f".frame{{stroke:{base['line']}}}",
        f"text{{fill:{base['ink']}}}",
        f".pale{{fill:{base['pale']}}}",
        f".pill text{{fill:{base['page']}}}",
    ]
    for name, colour in colours.items():
        rules.append(f".stroke-{name}{{stroke:{colour}}}.fill-{name}{{fill:{colour}}}")
    return "".join(rules)


def _draw_frame(picture: drawsvg.Drawing, frame: Frame) -> None:
    picture.append(_rectangle(frame.x, frame.y, frame.width, frame.height, "frame"))
    picture.append(_text(frame.title, TEXT, frame.x + PAD, frame.y + 13, "pale strong"))


def _draw_wire(picture: drawsvg.Drawing, made: Layout, wire: Wire) -> None:
    """Draw a curve that leaves and arrives level, between the columns only."""
    instance = wire.edge.instance
    dashed = "" if instance.autostart else " dashed"
    path = drawsvg.Path(class_=f"wire stroke-{instance.kind}{dashed}")
    start, end = made.wires_from, made.wires_to
    middle = (start + end) / 2
    path.M(round(start, 1), round(wire.start.y, 1))
    path.C(
        round(middle, 1),
        round(wire.start.y, 1),
        round(middle, 1),
        round(wire.end.y, 1),
        round(end, 1),
        round(wire.end.y, 1),
    )
    picture.append(path)


def _draw_box(picture: drawsvg.Drawing, box: Box) -> None:
    instance = box.instance
    outline = "box"
    if instance is not None:
        outline += f" stroke-{instance.kind}" + ("" if instance.autostart else " dashed")
    picture.append(_rectangle(box.x, box.y, box.width, box.height, outline))
    y = box.y + PAD + TITLE / 2
    picture.append(_text(box.title, TITLE, box.x + PAD, y, "strong"))
    if instance is not None:
        _draw_pill(picture, instance.kind, box.x + box.width - PAD, y)
    for at, line in enumerate(box.subtitles):
        y = box.y + PAD + TITLE + 4 + ROW * 0.85 * (at + 0.5)
        picture.append(_text(line, TEXT, box.x + PAD, y, "mono pale"))
    for row in box.rows:
        if instance is not None:
            _draw_mount(picture, box, row)
        else:
            _draw_storage(picture, box, row)


def _draw_pill(picture: drawsvg.Drawing, kind: str, right: float, y: float) -> None:
    width = sans_width(kind, TEXT - 1) + 14
    pill = drawsvg.Group(class_="pill")
    pill.append(
        drawsvg.Rectangle(
            round(right - width, 1),
            round(y - 9, 1),
            round(width, 1),
            18,
            rx=9,
            class_=f"fill-{kind}",
        )
    )
    pill.append(_text(kind, TEXT - 1, right - width / 2, y, "strong", anchor="middle"))
    picture.append(pill)


def _draw_mount(picture: drawsvg.Drawing, box: Box, row: Row) -> None:
    assert box.instance is not None
    right = box.x + box.width
    picture.append(
        drawsvg.Circle(round(right, 1), round(row.y, 1), 3.5, class_=f"fill-{box.instance.kind}")
    )
    text = drawsvg.Text(
        "",
        TEXT,
        round(right - PAD, 1),
        round(row.y + TEXT * 0.35, 1),
        text_anchor="end",
        class_="mono",
    )
    text.append(drawsvg.TSpan(_clean(row.text)))
    if row.note:
        text.append(drawsvg.TSpan(_clean(row.note), class_="pale"))
    picture.append(text)


def _draw_storage(picture: drawsvg.Drawing, box: Box, row: Row) -> None:
    if row.is_heading:
        picture.append(_text(row.text, TEXT - 1, box.x + PAD, row.y + 2, f"strong fill-{row.role}"))
        return
    _draw_cylinder(picture, box.x + PAD, row.y, str(row.role))
    x = box.x + PAD + 20
    text = drawsvg.Text("", TEXT, round(x, 1), round(row.y + TEXT * 0.35, 1), class_="mono")
    text.append(drawsvg.TSpan(_clean(row.text)))
    if row.note:
        text.append(drawsvg.TSpan(_clean(row.note), dx=10, class_="pale"))
    picture.append(text)


def _draw_cylinder(picture: drawsvg.Drawing, x: float, y: float, role: str) -> None:
    """Draw the usual sign for a database, 12 by 13 pixels."""
    body = drawsvg.Path(class_=f"fill-{role}")
    body.M(round(x, 1), round(y - 4, 1)).v(8).a(6, 2.5, 0, 0, 0, 12, 0).v(-8).Z()
    lid = drawsvg.Ellipse(
        round(x + 6, 1), round(y - 4, 1), 6, 2.5, class_=f"box stroke-{role}", stroke_width=1
    )
    picture.append(body)
    picture.append(lid)


def _rectangle(x: float, y: float, width: float, height: float, name: str) -> drawsvg.Rectangle:
    return drawsvg.Rectangle(
        round(x, 1), round(y, 1), round(width, 1), round(height, 1), rx=8, class_=name
    )


def _text(
    text: str, size: float, x: float, y: float, name: str, *, anchor: str = "start"
) -> drawsvg.Text:
    """Return a line of text whose middle is at height Y."""
    return drawsvg.Text(
        _clean(text), size, round(x, 1), round(y + size * 0.35, 1), class_=name, text_anchor=anchor
    )


def _clean(text: str) -> str:
    """Return TEXT without the control characters that XML cannot hold."""
    return _NOT_XML.sub("\ufffd", text)
