"""``zmount stop``."""

from __future__ import annotations

import click

from zmount.cli.app import App
from zmount.cli.completing import process_names


@click.command("stop")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=process_names)
@click.option(
    "--force",
    is_flag=True,
    help="Stop a ZEO server under running instances, and what writes to a file that was replaced.",
)
@click.pass_obj
def stop(app: App, names: tuple[str, ...], force: bool) -> None:
    """Stop instances, then ZEO servers, cleanly; wait until they are gone.

    NAME is a ZEO server, an instance (all its replicas) or one process of it;
    without names, everything of this host is stopped. What takes longer than
    its stop-timeout is killed.
    """
    from zmount.cli.progress import finish, progress
    from zmount.operations.stop import stop

    topology, host = app.topology, app.host
    with progress("stopping") as watch:
        changes = stop(topology, host, names, watch, force=force)
    finish(app, changes)
