"""``zmount offline``."""

from __future__ import annotations

from typing import Any

import click

from zmount.cli.app import App
from zmount.cli.completing import site_names
from zmount.cli.offline_options import side_and_instances, told
from zmount.cli.options import dry_run_option


@click.command("offline")
@click.argument("site", shell_complete=site_names)
@click.option("--reason", default="", metavar="TEXT", help="Why; visitors do not see it.")
@side_and_instances
@click.option(
    "--restart",
    "restarts",
    is_flag=True,
    help="Restart an instance that does not answer, or goes on working on the site.",
)
@click.option(
    "--unmount",
    "unmounts",
    is_flag=True,
    help="Leave its database out of zope.conf, too; its instances are restarted.",
)
@dry_run_option
@click.pass_obj
def offline(app: App, /, site: str, reason: str, **said: Any) -> None:
    """Take SITE off-line: visitors get 503 at its path and below.

    It stays so, through restarts and zmount apply, until zmount online. Nothing of
    the site's own storage is read or changed. An instance that is up does it at
    once, one that is down has it done for it; one whose threads are all busy must
    be restarted for it, which is asked for first.

    A Zope opens every database when it starts, and does not start where one cannot be
    opened: --unmount leaves that of the site out until zmount online.

    \b
    Examples:
      zmount offline example.org --reason "the new search never ends"
      zmount offline example.org --instance dev --staging
      zmount offline example.org --instance pub --restart
      zmount offline example.org --unmount
    """
    from zmount.operations.unmount import offline_or_unmount

    told(app, offline_or_unmount, site=site, reason=reason, **said)
