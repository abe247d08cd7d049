"""``zmount sandbox``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zmount.cli.app import App
from zmount.cli.completing import site_names
from zmount.cli.options import dry_run_option

if TYPE_CHECKING:
    from rich.table import Table

    from zmount.operations.sandbox_look import Sandbox
    from zmount.operations.sandboxes import SandboxChange

instance_option = click.option(
    "--instance", default="", help="This one, if several have folders for sandboxes."
)


@click.command("sandbox")
@click.argument("action", type=click.Choice(["add", "list", "remove"]))
@click.argument("user", required=False, default="")
@click.argument("sites", nargs=-1, metavar="[SITE]...", shell_complete=site_names)
@click.option("--user", "with_user", is_flag=True, help="With remove: the user as well.")
@instance_option
@dry_run_option
@click.pass_obj
def sandbox(app: App, /, action: str, user: str, sites: tuple[str, ...], **said: Any) -> None:
    """Give developers sandboxes, list them, or take one away.

    A sandbox is a folder for one user and one site, as /dev/medur/example.org, in the root
    of the development instance. Its owner may change what is his; of the others' he may
    only read and copy. add makes what is missing, the user as well: he has no role in the
    root, and his first password is in etc/sandbox-users (mode 0600). remove moves the
    sandbox to the attic (zmount attic), never away; without SITE all sandboxes of the user.

    Exit status 24: it is somebody else's, no name, or not there; nothing was changed.

    \b
    Examples:
      zmount sandbox add medur example.org
      zmount sandbox list
      zmount sandbox remove medur example.org
      zmount sandbox remove medur --user
    """
    from zmount.operations.sandbox_look import list_sandboxes
    from zmount.operations.sandboxes import plan_add, plan_remove

    if said["with_user"] and action != "remove":
        raise click.UsageError("--user goes with remove")
    if said["with_user"] and sites:
        raise click.UsageError("--user removes all sandboxes of USER: name no SITE")
    if action == "list":
        if sites or said["dry_run"]:
            raise click.UsageError("list takes one USER at most")
        found = list_sandboxes(app.topology, app.host, user)
        app.show(_table(found), [each.as_json() for each in found])
        return
    if not user:
        raise click.UsageError(f"{action} whose sandbox? name USER")
    if action == "add":
        change = plan_add(app.topology, app.host, user, sites, said["instance"])
    else:
        change = plan_remove(
            app.topology,
            app.host,
            user,
            sites,
            with_user=said["with_user"],
            instance=said["instance"],
        )
    _finish(app, change, is_dry_run=said["dry_run"])


def _finish(app: App, change: SandboxChange, *, is_dry_run: bool) -> None:
    from zmount.operations.sandboxes import change_sandbox

    if not is_dry_run:
        change = change_sandbox(
            app.topology, app.host, change, lambda line: click.echo(line, err=True)
        )
    app.show("\n".join(_lines(change)), change.as_json())


def _lines(change: SandboxChange) -> list[str]:
    would = "" if change.is_done else "would "
    lines = []
    if change.is_new_user:
        lines.append(f"{would}make the user {change.user}")
    lines += [f"{would}make {path}" for path in change.makes]
    if not change.steps:
        lines.append(f"nothing to do: {change.user} has it")
    elif not lines:
        lines += [f"{would}{step}" for step in change.steps]
    if change.password_file:
        lines.append(f"the first password of {change.user} is in {change.password_file}")
    if change.roles:
        roles = ", ".join(change.roles)
        lines.append(f"{change.user} was there before, with the roles {roles}: left so")
    lines += [f"in the attic as {slot} (zmount attic {change.instance})" for slot in change.slots]
    return [f"{change.instance}: {line}" for line in lines]


def _table(found: tuple[Sandbox, ...]) -> Table | str:
    from rich.filesize import decimal
    from rich.table import Table
    from rich.text import Text

    from zmount.tids import tid_text

    if not found:
        return "there are no sandboxes"
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for heading in ("instance", "user", "site", "owner"):
        table.add_column(heading, overflow="fold")
    for heading in ("objects", "size"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("last change", no_wrap=True)
    for each in found:
        table.add_row(
            each.instance,
            Text(each.user if each.is_user_there else f"{each.user} (no user)"),
            Text(each.site or "-"),
            Text(each.owner or "nobody"),
            f"{each.objects:,}",
            decimal(each.size_bytes),
            tid_text(each.last_tid),
        )
    return table
