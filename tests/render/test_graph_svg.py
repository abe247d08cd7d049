"""The SVG picture: well-formed, nothing on top of a text, readable colours."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from zmount.render.graph import KIND_COLOURS, ROLE_COLOURS
from zmount.render.svg import DARK, DARK_COLOURS, LIGHT, svg
from zmount.render.svg_boxes import monospace_width, sans_width
from zmount.topology.load import load

VSA = Path(__file__).parent.parent.parent / "configs" / "vsa" / "zmount.conf"
NS = "{http://www.w3.org/2000/svg}"
TWO_HOSTS = """
directory /srv/zope
<host web1/>
<host web2/>
<host dev1/>
<zeo zeo>
  address :8100
</zeo>
<zeo second>
  address :8101
</zeo>
<site a.org>
  server zeo
</site>
<site b.org>
  server second
</site>
<session>
  storage session
</session>
<storage session>
  server zeo
</storage>
<storage root/web>
  server zeo
  path /srv/elsewhere/root/Data.fs
</storage>
<instance dev>
  kind development
  host dev1
</instance>
<instance pub>
  host web1 web2
  replicas 2
  root root/web
</instance>
<instance adm>
  kind admin
  sites a.org
  http-address 8090
</instance>
"""
FIFTY = (
    "<zeo zeo/>\n<session/>\n"
    + "".join(f"<site site-{number}.example.org/>\n" for number in range(50))
    + "<instance dev>\nkind development\nhttp-address 8081\n</instance>\n<instance pub/>"
)
SINGLE = "<instance zope/>"
EMPTY = "<zeo zeo/>"


@dataclass(frozen=True)
class Area:
    """The rectangle that a text or a shape covers."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Area) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, x: float, y: float) -> bool:
        return self.left < x < self.right and self.top < y < self.bottom


def areas_of_texts(root: ET.Element) -> list[Area]:
    """Return where each text is, a character as wide as in common fonts."""
    found = []
    for element in root.iter(f"{NS}text"):
        spans = list(element)
        text = "".join(element.itertext())
        size = float(element.get("font-size"))
        is_mono = "mono" in element.get("class", "")
        width = (monospace_width if is_mono else sans_width)(text, size)
        width += sum(float(span.get("dx", 0)) for span in spans)
        x, baseline = float(element.get("x")), float(element.get("y"))
        anchor = element.get("text-anchor", "start")
        left = {"start": x, "middle": x - width / 2, "end": x - width}[anchor]
        found.append(Area(text, left, baseline - size * 0.8, left + width, baseline + size * 0.2))
    return found


def points_of_wires(root: ET.Element) -> list[list[tuple[float, float]]]:
    """Return points along each wire's curve."""
    wires = []
    for element in root.iter(f"{NS}path"):
        if "wire" not in element.get("class", ""):
            continue
        numbers = [float(text) for text in re.findall(r"-?[\d.]+", element.get("d"))]
        x0, y0, x1, y1, x2, y2, x3, y3 = numbers
        wires.append(
            [
                (
                    (1 - t) ** 3 * x0
                    + 3 * (1 - t) ** 2 * t * x1
                    + 3 * (1 - t) * t**2 * x2
                    + t**3 * x3,
                    (1 - t) ** 3 * y0
                    + 3 * (1 - t) ** 2 * t * y1
                    + 3 * (1 - t) * t**2 * y2
                    + t**3 * y3,
                )
                for t in (step / 60 for step in range(61))
            ]
        )
    return wires


@pytest.fixture(params=["vsa", "two hosts", "single", "fifty sites", "empty"])
def picture(request, tmp_path):
    """The picture of each kind of deployment, as an XML tree."""
    path = tmp_path / "zmount.conf"
    texts = {"two hosts": TWO_HOSTS, "single": SINGLE, "fifty sites": FIFTY, "empty": EMPTY}
    path.write_text(texts[request.param] if request.param in texts else VSA.read_text())
    return ET.fromstring(svg(load(path)).encode())


def test_no_text_lies_on_another(picture):
    texts = areas_of_texts(picture)

    assert texts
    on_each_other = [
        (one.text, other.text)
        for one, other in itertools.combinations(texts, 2)
        if one.overlaps(other)
    ]
    assert on_each_other == []


def test_no_line_crosses_a_text(picture):
    texts = areas_of_texts(picture)

    crossed = [
        text.text
        for points in points_of_wires(picture)
        for text in texts
        if any(text.holds(x, y) for x, y in points)
    ]
    assert crossed == []


def test_everything_is_inside_the_picture(picture):
    width, height = float(picture.get("width")), float(picture.get("height"))

    outside = [
        text.text
        for text in areas_of_texts(picture)
        if text.left < 0 or text.top < 0 or text.right > width or text.bottom > height
    ]
    assert outside == []


def test_boxes_do_not_overlap(picture):
    boxes = [
        Area(
            "",
            float(element.get("x")),
            float(element.get("y")),
            float(element.get("x")) + float(element.get("width")),
            float(element.get("y")) + float(element.get("height")),
        )
        for element in picture.iter(f"{NS}rect")
        if element.get("class", "").startswith("box")
    ]

    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_there_is_a_line_for_each_mount_and_a_text_for_each_name():
    topology = load(VSA)

    root = ET.fromstring(svg(topology).encode())

    texts = {"".join(element.itertext()) for element in root.iter(f"{NS}text")}
    points = [
        point for each in topology.instances for mount in each.mounts for point in mount.points
    ]
    assert len(points_of_wires(root)) == len(points)
    assert {str(point) for point in points} <= texts
    assert {storage.name for storage in topology.storages if storage.server} <= texts


def test_hosts_are_framed_only_where_there_are_several(tmp_path):
    path = tmp_path / "zmount.conf"
    path.write_text(TWO_HOSTS)

    assert "host web1 and web2" in svg(load(path))
    assert 'class="frame"' not in svg(load(VSA))


def test_no_name_can_break_the_xml():
    topology = load(VSA)
    name = "a&b;<c>]]>\x01\ufffe"
    strange = replace(topology.storages[0], name=name)

    root = ET.fromstring(svg(replace(topology, storages=(strange,), instances=())).encode())

    texts = {"".join(element.itertext()) for element in root.iter(f"{NS}text")}
    assert any(text.startswith("a&b;<c>]]>\ufffd\ufffd") for text in texts)


@pytest.mark.parametrize(
    ("base", "colours"),
    [(LIGHT, {**KIND_COLOURS, **ROLE_COLOURS}), (DARK, DARK_COLOURS)],
    ids=["light", "dark"],
)
def test_every_text_can_be_read_on_its_ground(base, colours):
    """At least 4.5:1, as WCAG 2.1 asks of small text."""
    inks = {"ink": base["ink"], "pale": base["pale"], **colours}

    weak = {name: contrast(ink, base["box"]) for name, ink in inks.items()}
    pills = {name: contrast(base["page"], colours[name]) for name in KIND_COLOURS}

    assert min(weak.values()) >= 4.5, weak
    assert min(pills.values()) >= 4.5, pills


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
