"""``zmount mounts``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from zmount.cli.app import App
from zmount.cli.completing import process_names
from zmount.sizes import counted

if TYPE_CHECKING:
    from rich.text import Text

    from zmount.operations.mount_problems import Problem
    from zmount.operations.mount_reports import InstanceMounts, MountReport, Mounts

SHOWN = 40  # mounts of an instance up to which those that are right are told one by one
_COLOURS = {"ok": "green", "off-line": "yellow", "off-line, unmounted": "yellow"}
Told = tuple[str, str]  # what it is, what to do
Row = tuple[str, str, str, Told | None]  # state, path, storage, what is told below it


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
    from zmount.topology.load import load

    app = ctx.ensure_object(App)
    # as the file says it, with what is unmounted
    topology = load(app.path)
    seen = mounts(topology, app.host, instances, is_deep=is_deep, progress=_say)
    app.show(_text(seen, is_all), seen.as_json(), wraps=False)
    ctx.exit(seen.severity)


def _say(said: str) -> None:
    click.echo(said, err=True)


def _text(seen: Mounts, is_all: bool) -> Text:
    from rich.text import Text

    if not seen.instances:
        return Text(f"host {seen.host} has no instance")
    parts = [_instance(each, is_all) for each in seen.instances]
    for root, names in seen.shared_roots.items():
        said = f"{' and '.join(names)} share the root {root}: what is done to it is done to all"
        parts.append(Text(said))
    return Text("\n\n").join(parts)


def _instance(each: InstanceMounts, is_all: bool) -> Text:
    from rich.text import Text

    wrong = [mount for mount in each.mounts if mount.state != "ok"]
    right = [mount for mount in each.mounts if mount.state == "ok"]
    is_told = is_all or len(each.mounts) <= SHOWN
    head = Text.assemble((f"{each.instance}: ", "bold"), (_summary(each), "" if wrong else "green"))
    rows = list(_rows([*wrong, *(right if is_told else ())]))
    return Text("\n").join((head, *_lines(rows))) if rows else head


def _summary(each: InstanceMounts) -> str:
    mounts = [mount for mount in each.mounts if mount.is_configured and mount.path != "/"]
    broken = sum(1 for mount in mounts if mount.problems)
    offline = sum(1 for mount in mounts if mount.offline)
    others = sum(1 for mount in each.mounts if mount.problems) - broken
    if not mounts and others:
        return "its root cannot be read, so that nothing is known of its mounts"
    said = [f"{broken} of {counted(len(mounts), 'mount')} not right"] if broken else []
    said += [f"{offline} off-line"] if offline else []
    said += [f"{others} other {'thing' if others == 1 else 'things'} to see to"] if others else []
    return ", ".join(said) or f"{counted(len(mounts), 'mount')}, all right"


def _lines(rows: list[Row]) -> Iterator[Text]:
    """Yield ROWS below each other; what is to be told of one, and done, below it."""
    from rich.text import Text

    head = ("state", "path", "storage")
    widths = (
        max(len(head[0]), *(len(row[0]) for row in rows)),
        max(len(head[1]), *(len(row[1]) for row in rows)),
    )
    yield Text("  ".join((f"{head[0]:{widths[0]}}", f"{head[1]:{widths[1]}}", head[2])), "bold")
    for state, path, storage, told in rows:
        line = Text(f"{state:{widths[0]}}", _COLOURS.get(state, "red"))
        line.append(f"  {path:{widths[1]}}  {storage}" if path else "", "default")
        line.rstrip()
        yield line
        if told is not None:
            margin = " " * (widths[0] + 2)
            yield Text(margin + told[0].replace("\n", f"\n{margin}"))
            yield Text(f"{margin}> {told[1]}", "cyan")


def _rows(mounts: list[MountReport]) -> Iterator[Row]:
    for problem, paths in _away(mounts).items():
        yield problem.state, _count(paths), "", (_detail(problem), problem.advice)
    for mount in mounts:
        path, storage = mount.path, mount.storage
        for state, told in _told(mount):
            yield state, path, storage, told
            path = storage = ""


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


def _told(mount: MountReport) -> Iterator[tuple[str, Told | None]]:
    """Yield each state of MOUNT, what is to be told of it and what to do."""
    if mount.offline is not None:
        site = mount.offline.site or mount.path.rpartition("/")[2]
        state = "off-line, unmounted" if mount.is_unmounted else "off-line"
        yield state, (str(mount.offline), f"zmount online {site}")
    for problem in mount.problems:
        if problem.state != "no connection":
            yield problem.state, (_detail(problem), problem.advice)
    if mount.state == "ok":
        yield "ok", None


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
