"""``zmount attic``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from zmount.cli.app import App
from zmount.cli.completing import process_names
from zmount.cli.options import dry_run_option

if TYPE_CHECKING:
    from zmount.operations.attic import AtticChange, InAttic


@click.command("attic")
@click.argument("instance", required=False, shell_complete=process_names)
@click.option("--restore", metavar="ID", help="Put this object back.")
@click.option("--to", metavar="PATH", help="With --restore: there, not where it was.")
@click.option("--drop", metavar="ID", help="Remove this object for good.")
@click.option("--yes", is_flag=True, help="With --drop: do not ask.")
@dry_run_option
@click.pass_obj
def attic(app: App, /, instance: str | None, **said: Any) -> None:
    """Show what remount and sandbox have moved aside; put it back, or drop it.

    The attic is a folder of the instance's root that only managers see. An object
    goes back only where nothing is. What is dropped is gone for good with the next
    pack of the root; a script must say --yes. ID may be cut short before its time,
    if it is the only one.

    \b
    Examples:
      zmount attic
      zmount attic dev --restore example.org --to /found
      zmount attic dev --drop example.org.20260101T120000Z
    """
    from zmount.operations.attic import change_attic, list_attic, plan_drop, plan_restore

    if said["restore"] and said["drop"]:
        raise click.UsageError("--restore or --drop, not both")
    if (said["to"] and not said["restore"]) or (said["yes"] and not said["drop"]):
        raise click.UsageError("--to goes with --restore, --yes with --drop")
    found = list_attic(app.topology, app.host, (instance,) if instance else ())
    if not said["restore"] and not said["drop"]:
        app.show(_listed(found), [each.as_json() for each in found])
        return
    if said["restore"]:
        change = plan_restore(app.topology, app.host, found, said["restore"], said["to"])
    else:
        change = plan_drop(found, said["drop"])
        if not said["dry_run"] and not said["yes"]:
            _ask(app, change)
    if not said["dry_run"]:
        change = change_attic(
            app.topology, app.host, change, lambda line: click.echo(line, err=True)
        )
    app.show(_line(change), change.as_json())


def _ask(app: App, change: AtticChange) -> None:
    """Let the operator agree to what would be gone for good.

    :raises RemountFailed: he does not, or nobody is there to be asked
    """
    from zmount.errors import RemountFailed

    if not sys.stdin.isatty() or app.as_json:
        raise RemountFailed(
            f"{change.of.found.slot} would be gone for good",
            hint="--yes says that it may, --dry-run shows what it is",
        )
    click.echo(_line(change), err=True)
    if not click.confirm("Go on?", err=True):
        raise RemountFailed("nothing was dropped")


def _line(change: AtticChange) -> str:
    from rich.filesize import decimal

    from zmount.plan.remount_steps import DropFromAttic

    would = "" if change.is_done else "would "
    text = f"{change.of.instance}: {would}{change.step}"
    if not isinstance(change.step, DropFromAttic):
        return text
    found = change.of.found
    objects = "one object" if found.size.objects == 1 else f"{found.size.objects:,} objects"
    return (
        f"{text}: {found.class_name or 'a damaged object'} from {found.path}, {objects}; "
        f"a pack of {change.of.root} gets {decimal(found.size.size_bytes)} back"
    )


def _listed(found: tuple[InAttic, ...]) -> str:
    """Return FOUND, each id whole in a line with what else is short, the rest below it."""
    from rich.filesize import decimal

    if not found:
        return "nothing is in the attic"
    rows = [("instance", "id", "size")]
    rows += [
        (each.instance, each.found.slot, decimal(each.found.size.size_bytes)) for each in found
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    head, *lines = (f"{a:{widths[0]}}  {b:{widths[1]}}  {c}" for a, b, c in rows)
    margin = " " * (widths[0] + 2)
    told = [head]
    for each, line in zip(found, lines, strict=True):
        one = each.found
        count = "one object" if one.size.objects == 1 else f"{one.size.objects:,} objects"
        why = f": {one.reason}" if one.reason else ""
        told += [
            line,
            f"{margin}{one.class_name or 'a damaged object'} from {one.path}, {count}",
            f"{margin}since {one.since}{why}",
        ]
    return "\n".join(told)
