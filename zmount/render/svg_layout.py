"""Where everything of the SVG picture goes.

Instances stand in the left column, storages in the right one, each as a row of
a box. A mount is a wire from its row to the storage's row. All text is inside
boxes and all wires are between the columns, so no wire can cross a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zmount.render.graph import Edge, StorageGroup, edges, storage_groups
from zmount.render.svg_boxes import (
    BOX_GAP,
    FRAME_PAD,
    FRAME_TITLE,
    GAP_MAX,
    GAP_MIN,
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
    monospace_width,
    sans_width,
)
from zmount.topology.instances import Instance
from zmount.topology.storages import Role, Storage
from zmount.topology.topology import Topology

ROLE_TITLES: dict[Role, str] = {
    "staging": "staging",
    "production": "production",
    "session": "sessions",
    "plain": "storages",
    "root": "root",
}


def layout(topology: Topology) -> Layout:
    """Return where to draw what of TOPOLOGY."""
    mounts = list(edges(topology))
    several_hosts = len(topology.hosts) > 1
    ends, right = _storage_boxes(topology, mounts)
    starts, left = _instance_boxes(topology, mounts, list(ends))
    made = Layout(
        left=_frames(left),
        right=_frames(right),
        wires=[
            Wire(edge=edge, start=starts[at], end=ends[edge.storage.name])
            for at, edge in enumerate(mounts)
        ],
        has_frames=several_hosts,
        legend=_legend(topology, mounts),
        boxes=left + right,
    )
    _place(made)
    return made


def _storage_boxes(topology: Topology, mounts: list[Edge]) -> tuple[dict[str, Row], list[Box]]:
    """Return the boxes from top to bottom, and each storage's row in that order."""
    height_of = {instance.name: at for at, instance in enumerate(topology.instances)}
    users: dict[str, list[int]] = {}
    for edge in mounts:
        users.setdefault(edge.storage.name, []).append(height_of[edge.instance.name])

    def height(storages: Iterable[Storage]) -> float:
        found = [at for storage in storages for at in users.get(storage.name, ())]
        return sum(found) / len(found) if found else len(height_of)

    rows: dict[str, Row] = {}
    boxes = []
    for group in sorted(storage_groups(topology), key=lambda group: height(group.storages)):
        by_role: dict[Role, list[Storage]] = {}
        for storage in group.storages:
            by_role.setdefault(storage.role, []).append(storage)
        box_rows = []
        for role in sorted(by_role, key=lambda role: height(by_role[role])):
            if group.server is not None:
                box_rows.append(Row(text=ROLE_TITLES[role], role=role, is_heading=True))
            for storage in by_role[role]:
                rows[storage.name] = Row(text=storage.name, note=_file_note(storage), role=role)
                box_rows.append(rows[storage.name])
        boxes.append(_storage_box(group, box_rows))
    return rows, boxes


def _storage_box(group: StorageGroup, rows: list[Row]) -> Box:
    server = group.server
    about = ""
    if server is not None:
        about = f"{server.address} with TLS" if server.tls is not None else str(server.address)
    return Box(
        title=group.title, subtitles=(about,) if about else (), rows=rows, host=group.host.name
    )


def _file_note(storage: Storage) -> str:
    """Return the storage's file where it is not what the name makes expect."""
    if storage.backend is not None:
        return f"<{storage.backend.type}>"
    if storage.data_fs is None:
        return ""
    if not storage.data_fs.is_relative_to(storage.host.directory):
        return str(storage.data_fs)
    path = str(storage.data_fs.relative_to(storage.host.directory))
    return "" if path == f"var/{storage.name}/Data.fs" else path


def _instance_boxes(
    topology: Topology, mounts: list[Edge], order: Sequence[str]
) -> tuple[dict[int, Row], list[Box]]:
    """Return the boxes, and the row of each of MOUNTS; rows follow their storages."""
    height_of = {name: at for at, name in enumerate(order)}
    rows: dict[int, Row] = {}
    boxes = []
    for instance in topology.instances:
        mine = [at for at, edge in enumerate(mounts) if edge.instance is instance]
        mine.sort(key=lambda at: height_of[mounts[at].storage.name])
        for at in mine:
            point = mounts[at].point
            rows[at] = Row(
                text=point.virtual,
                note=str(point)[len(point.virtual) :],
                role=mounts[at].storage.role,
            )
        boxes.append(
            Box(
                title=instance.name,
                subtitles=_about(instance),
                rows=[rows[at] for at in mine],
                host=" and ".join(host.name for host in instance.hosts),
                instance=instance,
            )
        )
    return rows, boxes


def _about(instance: Instance) -> tuple[str, ...]:
    facts = [str(instance.http_address)]
    if instance.is_replicated:
        facts[0] = f"{len(instance.replicas)} processes, from {facts[0]} on"
    if instance.sandboxes:
        facts.append(f"sandboxes in {instance.sandboxes}")
    if not instance.autostart:
        facts.append("started by name only")
    return tuple(facts)


def _legend(topology: Topology, mounts: list[Edge]) -> tuple[str, ...]:
    """Return what needs an explanation in this picture."""
    lines = ["A line is a mount: a path in Zope, and the storage that it shows."]
    if any(edge.point.virtual != edge.point.real for edge in mounts):
        lines.append("/a:/b is shown at /a and lies at /b in the storage.")
    if not all(instance.autostart for instance in topology.instances):
        lines.append("Dashed: started by name only.")
    return tuple(lines)


def _frames(boxes: list[Box]) -> list[Frame]:
    """Return BOXES by host; a host stands where its first box would."""
    frames: dict[str, Frame] = {}
    for box in boxes:
        frames.setdefault(box.host, Frame(title=f"host {box.host}", boxes=[])).boxes.append(box)
    return list(frames.values())


def _place(made: Layout) -> None:
    """Give everything in MADE its place."""
    heights = [_stack(made, column) for column in (made.left, made.right)]
    widths = [_column_width(made, column) for column in (made.left, made.right)]
    gap = min(max(GAP_MIN, max(heights) * 0.22), GAP_MAX)
    xs = (MARGIN, MARGIN + widths[0] + gap)
    for column, x, width, height in zip((made.left, made.right), xs, widths, heights, strict=True):
        _move(made, column, x, width, MARGIN + (max(heights) - height) / 2)
    inner = FRAME_PAD if made.has_frames else 0.0
    made.wires_from = xs[0] + widths[0] - inner
    made.wires_to = xs[1] + inner
    legend = max(sans_width(line, TEXT - 1) for line in made.legend)
    made.width = max(xs[1] + widths[1], MARGIN + legend) + MARGIN
    made.legend_y = MARGIN + max(heights) + BOX_GAP
    made.height = made.legend_y + ROW * 0.9 * len(made.legend) + MARGIN * 0.6


def _stack(made: Layout, column: list[Frame]) -> float:
    """Put the frames of COLUMN below each other, from 0; return the height."""
    y = 0.0
    for frame in column:
        frame.y = y
        if made.has_frames:
            y += FRAME_TITLE
        for box in frame.boxes:
            box.y = y
            y += box.height + BOX_GAP
        y += (FRAME_PAD - BOX_GAP) if made.has_frames else 0.0
        frame.height = y - frame.y
        y += BOX_GAP if made.has_frames else 0.0
    return max(y - BOX_GAP, 0.0)


def _column_width(made: Layout, column: list[Frame]) -> float:
    widest = max((_box_width(box) for frame in column for box in frame.boxes), default=120.0)
    if not made.has_frames:
        return widest
    title = max((sans_width(frame.title, TEXT) for frame in column), default=0.0)
    return max(widest, title) + 2 * FRAME_PAD


def _box_width(box: Box) -> float:
    pill = sans_width(box.instance.kind, TEXT - 1) + 24 if box.instance is not None else 0.0
    widths = [sans_width(box.title, TITLE) + pill]
    widths += [monospace_width(text) for text in box.subtitles]
    widths += [
        sans_width(row.text, TEXT - 1)
        if row.is_heading
        else monospace_width(row.text + row.note) + 32
        for row in box.rows
    ]
    return max(widths) + 2 * PAD


def _move(made: Layout, column: list[Frame], x: float, width: float, y: float) -> None:
    inner = FRAME_PAD if made.has_frames else 0.0
    for frame in column:
        frame.x, frame.width, frame.y = x, width, frame.y + y
        for box in frame.boxes:
            box.x, box.width, box.y = x + inner, width - 2 * inner, box.y + y
            for at, row in enumerate(box.rows):
                row.y = box.y + box.head + ROW * (at + 0.5)
