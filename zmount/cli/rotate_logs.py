"""``zmount rotate-logs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zmount.cli.app import App
from zmount.cli.completing import process_names
from zmount.cli.options import dry_run_option

if TYPE_CHECKING:
    from rich.console import Group

    from zmount.operations.rotated_logs import LogRotation, LogRotations

_COLOURS = {"rotated": "green", "reopened": "green", "left": "dim", "failed": "red"}


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> int:
    """Return the bytes that VALUE (10MB) says; 1 where it says none."""
    if value is None:
        return 1
    from ZConfig.datatypes import stock_datatypes

    try:
        return max(1, int(stock_datatypes["byte-size"](value)))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no size as 512KB, 10MB or 1GB") from None


@click.command("rotate-logs")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=process_names)
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep N old files of each log [default: the topology's old-files, or 5].",
)
@click.option(
    "--size",
    "smallest_bytes",
    callback=_size,
    metavar="SIZE",
    help="Leave logs alone that are smaller, as 10MB.",
)
@click.option(
    "--compress/--no-compress",
    "compresses",
    default=True,
    show_default=True,
    help="Compress old files but the newest, as .2.gz.",
)
@dry_run_option
@click.pass_obj
def rotate_logs(
    app: App,
    names: tuple[str, ...],
    keep: int | None,
    smallest_bytes: int,
    compresses: bool,
    dry_run: bool,
) -> None:
    """Rotate the logs of this host's processes, without logrotate; no line is lost.

    NAME is a ZEO server, an instance (all its replicas) or one process of it. Logs are
    renamed as logrotate does it (.1, .2.gz), so that both can take turns. ZEO opens a
    new file on SIGUSR2, zdaemon when it is asked; a Zope sees by itself that its log is
    gone, and gets no signal. Logs that their writer rotates are left alone, and what
    cannot be opened anew, as long as it is open. An old file is compressed when no
    process has it open any more.

    Exit status 29: a log was not rotated, or its writer goes on in the old file; the
    others are rotated.

    \b
    Examples:
      zmount rotate-logs
      zmount rotate-logs pub --size 10MB --keep 9
    """
    from zmount.operations.rotate_logs import rotate_logs
    from zmount.operations.rotation_plan import RotationWish

    wish = RotationWish(
        keep=keep, smallest_bytes=smallest_bytes, compresses=compresses, is_dry_run=dry_run
    )
    result = rotate_logs(app.topology, app.host, names, wish=wish)
    app.show(_text(result), result.as_json())
    result.refuse_failures()


def _text(result: LogRotations) -> Group | str:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    if not result.logs:
        return "no process here writes a log file"
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("log of", "would be" if result.is_dry_run else "is", "file", "size", ""):
        justify = "right" if heading == "size" else "left"
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for each in result.logs:
        table.add_row(
            Text(each.name),
            Text(each.done, style=_COLOURS[each.done]),
            Text(str(each.path)),
            _decimal(each.size_bytes),
            Text(_remark(each)),
        )
    return Group(table)


def _decimal(size_bytes: int) -> str:
    from rich.filesize import decimal

    return decimal(size_bytes) if size_bytes else ""


def _remark(each: LogRotation) -> str:
    said = [each.why] if each.why else []
    said += [f"dropped {', '.join(each.dropped)}"] if each.dropped else []
    said += [f"compressed {', '.join(each.compressed)}"] if each.compressed else []
    said += [f"{', '.join(each.waiting)} is still written"] if each.waiting else []
    return "; ".join(said)
