"""``zmount status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zmount.cli.app import App
from zmount.cli.completing import process_names

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, Group, RenderResult
    from rich.table import Table

    from zmount.operations.status import ProcessStatus, Status, StorageStatus

REMARK = 24  # characters, at least; where a terminal has not so many left, it breaks the line
_COLOURS = {
    "running": "green",
    "starting": "yellow",
    "restarting": "red",
    "not answering": "red",
    "unmanaged": "yellow",
    "foreign": "red",
    "unknown": "yellow",
}


@click.command("status")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=process_names)
@click.pass_context
def status(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Show what runs on this host, where, since when, and how large it is.

    NAME is a ZEO server, an instance (all its replicas) or one process of it.
    Exit status: 0 if everything that starts by itself, or is named, runs and
    answers; else 1.
    """
    from zmount.operations.status import status

    app = ctx.ensure_object(App)
    seen = status(app.topology, app.host, names)
    app.show(_tables(seen), _facts(seen), wraps=False)
    ctx.exit(0 if seen.is_well else 1)


def _tables(seen: Status) -> Group | str:
    from rich.console import Group
    from rich.text import Text

    from zmount.operations.offline_facts import offline_lines

    if not seen.processes:
        return f"host {seen.host.name} has no ZEO server and no instance"
    listing: list[Any] = [_process_table(seen), "", _storage_table(seen.storages)]
    if seen.offline:
        lines = [Text(line, style="red") for line in offline_lines(seen.offline)]
        listing += ["", *lines]
    return Group(*listing)


def _process_table(seen: Status) -> _Unfolded:
    from rich.text import Text

    table = _table("process", "state", "pid", "up", "memory", "address", "")
    for one in seen.processes:
        table.add_row(
            one.process.name,
            Text(one.state, style=_COLOURS.get(one.state, "")),
            str(one.pid or ""),
            _duration(one.uptime_s),
            _size(one.memory_bytes),
            str(one.process.address),
            _remark(one),
        )
    for needed in seen.elsewhere:
        answers = needed.answer.is_answering
        table.add_row(
            needed.process.name,
            Text("answers" if answers else "not answering", style="green" if answers else "red"),
            "",
            "",
            "",
            str(needed.process.address),
            f"on host {needed.process.host.name}: {needed.answer.detail}",
        )
    return _Unfolded(table)


def _storage_table(storages: tuple[StorageStatus, ...]) -> _Unfolded:
    table = _table("storage", "Data.fs", "blobs", "written", "clients", "")
    for one in storages:
        table.add_row(
            one.storage.name,
            _size(one.use.size_bytes),
            _size(one.use.blob_bytes),
            _moment(one.use.modified_at),
            "" if one.clients is None else str(one.clients),
            "its running server does not serve it: restart that"
            if one.is_missing_in_server
            else one.remark,
        )
    return _Unfolded(table)


def _table(*headings: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        justify: Any = "right" if heading in ("pid", "memory", "Data.fs", "blobs") else "left"
        table.add_column(heading, justify=justify)
    return table


class _Unfolded:
    """TABLE with its names and addresses whole; only its last column wraps.

    Where a terminal is too narrow even for that, the lines are longer than it.
    """

    def __init__(self, table: Table) -> None:
        from rich.cells import cell_len

        self._table = table
        widths = []
        for column in table.columns:
            column.no_wrap = True
            longest = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
            column.min_width = longest
            widths.append(longest)
        last = table.columns[-1]
        last.no_wrap, last.overflow = False, "fold"
        last.min_width = widths[-1] = min(widths[-1], REMARK)
        self._width = sum(widths) + 2 * (len(widths) - 1)  # two blanks between

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, as wide as it must be."""
        width = max(self._width, options.max_width)
        yield from console.render(self._table, options.update(width=width))


def _remark(one: ProcessStatus) -> str:
    restarts = f"restarts: {one.restarts}; " if one.restarts else ""
    idle = "" if one.process.autostart or one.state != "stopped" else "started on demand; "
    return (restarts + idle + one.detail).removesuffix("; ")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    if minutes < 1:
        return f"{seconds:.0f} s"
    if hours < 1:
        return f"{minutes:.0f} min"
    return f"{hours:.1f} h" if days < 1 else f"{days:.1f} d"


def _size(size_bytes: int | None) -> str:
    from rich.filesize import decimal

    return "" if size_bytes is None else decimal(size_bytes)


def _moment(seconds: float | None) -> str:
    from datetime import datetime

    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def _facts(seen: Status) -> dict[str, Any]:
    return {
        "host": seen.host.name,
        "is_well": seen.is_well,
        "processes": [_process_facts(one) for one in seen.processes],
        "elsewhere": [
            {
                "name": needed.process.name,
                "host": needed.process.host.name,
                "address": str(needed.process.address),
                "is_answering": needed.answer.is_answering,
                "detail": needed.answer.detail,
            }
            for needed in seen.elsewhere
        ],
        "storages": [_storage_facts(one) for one in seen.storages],
        "offline": [each.as_json() for each in seen.offline],
    }


def _process_facts(one: ProcessStatus) -> dict[str, Any]:
    return {
        "name": one.process.name,
        "state": one.state,
        "autostart": one.process.autostart,
        "pid": one.pid,
        "started_at": one.started_at,
        "uptime_s": one.uptime_s,
        "memory_bytes": one.memory_bytes,
        "restarts": one.restarts,
        "address": str(one.process.address),
        "detail": one.detail,
    }


def _storage_facts(one: StorageStatus) -> dict[str, Any]:
    server = one.storage.server
    return {
        "name": one.storage.name,
        "server": server.name if server is not None else None,
        "data_fs": str(one.storage.data_fs) if one.storage.data_fs is not None else None,
        "size_bytes": one.use.size_bytes,
        "blob_bytes": one.use.blob_bytes,
        "modified_at": one.use.modified_at,
        "clients": one.clients,
        "shows": one.shows,
        "is_missing_in_server": one.is_missing_in_server,
    }
