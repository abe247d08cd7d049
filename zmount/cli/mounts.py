"""``zmount mounts``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from zmount.cli.app import App
from zmount.cli.completing import process_names

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from zmount.operations.mount_problems import Problem
    from zmount.operations.mount_reports import InstanceMounts, MountReport, Mounts

SHOWN = 40  # mounts of an instance up to which those that are right are told one by one
_COLOURS = {"ok": "green", "off-line": "yellow"}


@click.command("mounts")
@click.argument("instances", nargs=-1, metavar="[INSTANCE]...", shell_complete=process_names)
@click.option(
    "--deep",
    "is_deep",
    is_flag=True,
    help="Look for mount points and references to other databases in all of each root.",
)
@click.option("--all", "is_all", is_flag=True, help="Tell the mounts that are right, too.")
@click.pass_context
def mounts(ctx: click.Context, instances: tuple[str, ...], is_deep: bool, is_all: bool) -> None:
    """Say of each mount of the instances whether it is right, and what to do if not.

    Reads the records of the roots, in use or not, and of the storages that they
    mount; writes nothing and needs no Zope. Of an instance with many mounts only those
    are told that are not right, unless --all is said.

    Exit status: 0, all mounts are right, or off-line because somebody wanted it; 1,
    "zmount remount" puts right what is not; 2, it cannot put right all of it.

    \b
    Examples:
      zmount mounts
      zmount mounts dev --deep
    """
    from zmount.operations.mounts import mounts

    app = ctx.ensure_object(App)
    seen = mounts(app.topology, app.host, instances, is_deep=is_deep, progress=_say)
    app.show(_text(seen, is_all), seen.as_json())
    ctx.exit(seen.severity)


def _say(said: str) -> None:
    click.echo(said, err=True)


def _text(seen: Mounts, is_all: bool) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    if not seen.instances:
        return f"host {seen.host} has no instance"
    parts: list[RenderableType] = []
    for each in seen.instances:
        parts += ["", *_instance(each, is_all)] if parts else _instance(each, is_all)
    for root, names in seen.shared_roots.items():
        said = f"{' and '.join(names)} share the root {root}: what is done to it is done to all"
        parts += ["", Text(said)]
    return Group(*parts)


def _instance(each: InstanceMounts, is_all: bool) -> list[RenderableType]:
    from rich.text import Text

    wrong = [mount for mount in each.mounts if mount.state != "ok"]
    right = [mount for mount in each.mounts if mount.state == "ok"]
    is_told = is_all or len(each.mounts) <= SHOWN
    head = Text(f"{each.instance}: ", style="bold")
    head.append(_summary(each), style="" if wrong else "green")
    shown = [*wrong, *(right if is_told else ())]
    return [head, _table(shown)] if shown else [head]


def _summary(each: InstanceMounts) -> str:
    mounts = [mount for mount in each.mounts if mount.is_configured and mount.path != "/"]
    broken = sum(1 for mount in mounts if mount.problems)
    offline = sum(1 for mount in mounts if mount.offline)
    others = sum(1 for mount in each.mounts if mount.problems) - broken
    if not mounts and others:
        return "its root cannot be read, so that nothing is known of its mounts"
    said = [f"{broken} of {len(mounts)} mounts not right"] if broken else []
    said += [f"{offline} off-line"] if offline else []
    said += [f"{others} other {'thing' if others == 1 else 'things'} to see to"] if others else []
    return (
        ", ".join(said) or f"{len(mounts)} {'mount' if len(mounts) == 1 else 'mounts'}, all right"
    )


def _table(mounts: list[MountReport]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("state", no_wrap=True)
    table.add_column("path", overflow="fold")
    table.add_column("storage", overflow="fold")
    table.add_column("", overflow="fold")
    for problem, paths in _away(mounts).items():
        table.add_row(
            Text(problem.state, style="red"), Text(_count(paths)), Text(""), _what(problem)
        )
    for mount in mounts:
        path, storage = mount.path, mount.storage
        for state, what in _lines(mount):
            style = _COLOURS.get(state, "red")
            table.add_row(Text(state, style=style), Text(path), Text(storage), what)
            path = storage = ""
    return table


def _away(mounts: list[MountReport]) -> dict[Problem, list[str]]:
    """Return why there is no connection, once for all mounts of a server, and their paths."""
    away: dict[Problem, list[str]] = {}
    for mount in mounts:
        for problem in mount.problems:
            if problem.state == "no connection":
                away.setdefault(problem, []).append(mount.path)
    return away


def _count(paths: list[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{len(paths)} mounts"


def _lines(mount: MountReport) -> Iterator[tuple[str, Text]]:
    """Yield the state and what to say of it, of each thing that is to be told of MOUNT."""
    from rich.text import Text

    if mount.offline is not None:
        site = mount.offline.site or mount.path.rpartition("/")[2]
        what = Text(str(mount.offline))
        what.append(f"\n> zmount online {site}", style="cyan")
        yield "off-line", what
    for problem in mount.problems:
        if problem.state != "no connection":
            yield problem.state, _what(problem)
    if mount.state == "ok":
        yield "ok", Text("")


def _what(problem: Problem) -> Text:
    from rich.text import Text

    what = Text(_detail(problem))
    what.append(f"\n> {problem.advice}", style="cyan")
    return what


def _detail(problem: Problem) -> str:
    if problem.lying is None:
        return problem.detail
    from rich.filesize import decimal

    lying = problem.lying
    blobs = f" and {decimal(lying.blob_bytes)} of blobs" if lying.blob_bytes else ""
    objects = "one object" if lying.objects == 1 else f"{lying.objects:,} objects"
    return (
        f"{problem.detail}: {objects}, {decimal(lying.record_bytes)}{blobs} "
        f"lie in the storage {problem.holder}"
    )
