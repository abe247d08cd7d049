"""``zmount online``."""

from __future__ import annotations

from typing import Any

import click

from zmount.cli.app import App
from zmount.cli.completing import site_names
from zmount.cli.offline_options import side_and_instances, told
from zmount.cli.options import dry_run_option


@click.command("online")
@click.argument("site", shell_complete=site_names)
@side_and_instances
@click.option(
    "--restart", "restarts", is_flag=True, help="Restart an instance where that is needed."
)
@dry_run_option
@click.pass_obj
def online(app: App, /, site: str, **said: Any) -> None:
    """Put SITE back that zmount offline took away.

    The very mount point comes back, once the storage is seen to hold the site. Then
    the root is read again, and the site asked for as a visitor would.

    \b
    Examples:
      zmount online example.org
      zmount online example.org --instance dev --staging
    """
    from zmount.operations.unmount import online_or_mount

    told(app, online_or_mount, site=site, **said)
