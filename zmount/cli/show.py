"""``zmount show``."""

from __future__ import annotations

import click

from zmount.cli.app import App
from zmount.cli.completing import all_names


@click.command("show")
@click.argument("name", required=False, shell_complete=all_names)
@click.pass_obj
def show(app: App, name: str | None) -> None:
    """Show hosts, ZEO servers, storages, instances, mounts and sites.

    With NAME, everything about the storage, site, instance, server or host of
    that name. With --host, only what concerns that host. What no section of the
    file says, only implies, carries a mark. Passwords are never shown.

    \b
    Examples:
      zmount show
      zmount show pub/example.org
      zmount show --json | jq '.storages[] | select(.role == "staging") | .data_fs'
    """
    from zmount.operations.show import show

    shown = show(app.topology, name, host=app.host_name)
    app.show(shown.text, shown.facts)
