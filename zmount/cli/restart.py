"""``zmount restart``."""

from __future__ import annotations

import click

from zmount.cli.app import App
from zmount.cli.completing import process_names


@click.command("restart")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=process_names)
@click.pass_obj
def restart(app: App, names: tuple[str, ...]) -> None:
    """Stop and start again: what is named, or all that runs on this host.

    A ZEO server alone is restarted under its instances, which connect again.
    """
    from zmount.cli.progress import finish, progress
    from zmount.operations.restart import restart

    topology, host = app.topology, app.host
    with progress("restarting") as watch:
        changes = restart(topology, host, names, watch)
    finish(app, changes, otherwise="nothing runs on this host: zmount start")
