"""``zmount remount``."""

from __future__ import annotations

import click

from zmount.cli.app import App
from zmount.cli.completing import process_names
from zmount.cli.options import dry_run_option


@click.command("remount")
@click.argument("names", nargs=-1, metavar="[INSTANCE] [PATH]...", shell_complete=process_names)
@click.option("--all", "is_all", is_flag=True, help="Every mount point that is not right.")
@dry_run_option
@click.pass_obj
def remount(app: App, names: tuple[str, ...], is_all: bool, dry_run: bool) -> None:
    """Repair mount points: deleted, overwritten, renamed or forgotten ones.

    PATH is a mount point's, or that of a reference into another database which a
    renamed or moved mount point has left. An object in the way is moved to the
    attic, a folder of the root that only managers see: zmount attic shows it, puts it
    back or drops it. Mounted storages are only read. An instance that is up does it
    itself, with the administrator's password from the environment or from
    etc/administrator; the root of one that is down is changed by its own Zope.

    Exit status 21: something was not repaired; all else is.

    \b
    Examples:
      zmount remount --all --dry-run
      zmount remount dev /home/example.org
      zmount remount dev --all
    """
    from zmount.operations.remount import RemountWish, remount

    paths = tuple(name for name in names if name.startswith("/"))
    if is_all == bool(paths):
        raise click.UsageError("name PATHs of mount points, or say --all")
    wish = RemountWish(
        instances=tuple(name for name in names if name not in paths),
        paths=paths,
        is_dry_run=dry_run,
    )
    result = remount(app.topology, app.host, wish, lambda line: click.echo(line, err=True))
    app.show(str(result), result.as_json())
    result.refuse_failures()
