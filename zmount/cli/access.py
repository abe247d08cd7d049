"""``zmount access``."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from zmount.cli.app import App
from zmount.cli.completing import process_names
from zmount.cli.options import dry_run_option

if TYPE_CHECKING:
    from zmount.operations.access import Pair
    from zmount.operations.access_copy import Copied
    from zmount.operations.access_plan import CopyPlan


@click.command("access")
@click.argument("instances", nargs=-1, metavar="[INSTANCE INSTANCE]", shell_complete=process_names)
@click.option("--copy-from", metavar="INSTANCE", help="Bring its rules to the other root.")
@click.option(
    "--passwords", is_flag=True, help="Also users whose passwords only have another hash."
)
@click.option("--sandbox-users", is_flag=True, help="Also users who have nothing but a sandbox.")
@click.option(
    "--remove-users", is_flag=True, help="With --copy-from: remove users that it does not have."
)
@click.option("--yes", is_flag=True, help="With --copy-from: do it without being asked.")
@dry_run_option
@click.pass_context
def access(ctx: click.Context, /, instances: tuple[str, ...], **said: Any) -> None:
    """Compare the access rules in the roots of two instances.

    Without names, the development and the public instance: users, roles, local roles,
    permissions, owners, proxy roles and access rules of what lies in the roots
    themselves, below no mount point. Sandboxes, users who have nothing but one, and the
    attic do not count. Only the kind of a password's hash is shown.

    With --copy-from, the other root gets the rules, users with their passwords. The plan
    is shown first and asked for; a script must say --yes.

    Exit status: 0 if the roots have the same rules (now), 1 if they differ.

    \b
    Examples:
      zmount access
      zmount access --copy-from dev --dry-run
      zmount access dev adm --copy-from dev --remove-users
    """
    from zmount.cli.access_text import compared_text
    from zmount.operations.access import compare, pair

    if len(instances) not in (0, 2):
        raise click.UsageError("name two INSTANCEs, or none")
    if not said["copy_from"] and (said["remove_users"] or said["yes"] or said["dry_run"]):
        raise click.UsageError("--remove-users, --yes and --dry-run go with --copy-from")
    app = ctx.ensure_object(App)
    chosen = replace(
        pair(app.topology, instances),
        with_passwords=said["passwords"],
        with_sandbox_users=said["sandbox_users"],
    )
    if said["copy_from"]:
        done = _copy(app, chosen, said)
        seen, facts = done.after or done.before, done.as_json()
    else:
        seen = compare(app.host, chosen)
        facts = seen.as_json()
    app.show(compared_text(seen), facts)
    ctx.exit(1 if seen.found else 0)


def _copy(app: App, chosen: Pair, said: dict[str, Any]) -> Copied:
    from zmount.cli.access_text import plan_text
    from zmount.operations.access_copy import copy
    from zmount.operations.access_plan import CopyWish

    wish = CopyWish(
        source=said["copy_from"],
        removes_users=said["remove_users"],
        is_agreed=said["yes"],
        is_dry_run=said["dry_run"],
    )

    def watch(event: CopyPlan | str) -> None:
        if isinstance(event, str):
            click.echo(event, err=True)
        elif not app.as_json:
            click.echo(plan_text(event))

    ask = _ask if sys.stdin.isatty() and not app.as_json else None
    return copy(app.topology, app.host, chosen, wish, watch, ask)


def _ask(plan: CopyPlan) -> bool:
    return click.confirm(f"Change the root of {plan.target} so?", err=True)
