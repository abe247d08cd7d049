"""``zmount start``."""

from __future__ import annotations

import click

from zmount.cli.app import App
from zmount.cli.completing import process_names


@click.command("start")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=process_names)
@click.option(
    "--mount",
    "mounts",
    multiple=True,
    metavar="SITE",
    help="Mount this site's production, or this storage, in the instance NAME as well.",
)
@click.option("--root", metavar="STORAGE", help="Show this storage at the root of NAME.")
@click.pass_obj
def start(app: App, names: tuple[str, ...], mounts: tuple[str, ...], root: str | None) -> None:
    """Start ZEO servers, then instances, each when the one before answers.

    NAME is a ZEO server, an instance (all its replicas) or one process of it;
    without names, all that have autostart on are started. ZEO servers of this
    host that a named instance needs are started, too.

    What --mount and --root add is written into the files of NAME, and stays
    there until the next zmount apply.

    \b
    Examples:
      zmount start
      zmount start adm --mount srichinmoy.org
      zmount start adm --mount srichinmoy.org stage/srichinmoy.org
      zmount start adm --root stage/srichinmoy.org
    """
    from zmount.cli.progress import finish, progress
    from zmount.operations.start import start
    from zmount.operations.start_extra import start_extra
    from zmount.operations.without_unmounted import without_unmounted
    from zmount.topology.load import load
    from zmount.topology.said import Extra

    with_extra = bool(mounts or root)
    if with_extra and (not names or (names[1:] and not mounts)):
        raise click.UsageError("--mount and --root need the NAME of one instance")
    if with_extra:
        # start adm --mount a b: what follows the first name are more to mount
        extra = Extra(instance=names[0], mounts=(*mounts, *names[1:]), root=root)
        app.topology = without_unmounted(load(app.path, extra=extra))
    with progress("starting") as watch:
        if with_extra:
            changes = start_extra(app.topology, app.host, names[0], watch)
        else:
            changes = start(app.topology, app.host, names, watch)
    finish(app, changes)
