"""``zmount restart``."""

from __future__ import annotations

import click

from zmount.cli.app import App
from zmount.cli.completing import process_names


@click.command("restart")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=process_names)
@click.option(
    "--rolling",
    is_flag=True,
    help="One process of an instance after the other, so that visitors notice nothing.",
)
@click.option(
    "--drain",
    "drain_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="With --rolling: what load balancers need to see that one goes, or is back [10].",
)
@click.option(
    "--drain-limit",
    "limit_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="With --rolling: how long to wait besides for requests that take long [60].",
)
@click.pass_context
def restart(
    ctx: click.Context,
    /,
    names: tuple[str, ...],
    rolling: bool,
    drain_s: float | None,
    limit_s: float | None,
) -> None:
    """Stop and start again: what is named, or all that runs on this host.

    A ZEO server alone is restarted under its instances, which connect again.

    With --rolling instances only: /@@zmount-alive of a process answers 503 until load
    balancers send it no more requests, and it has answered those that it has; the next
    one's turn comes when it is back, and not at all if it does not come back.

    \b
    Examples:
      zmount restart
      zmount restart --rolling pub --drain 5
    """
    from zmount.cli.progress import finish, progress
    from zmount.operations.restart import restart
    from zmount.operations.rolling_restart import DRAIN_S, LIMIT_S, RollingWish, rolling_restart

    if not rolling and (drain_s is not None or limit_s is not None):
        raise click.UsageError("--drain and --drain-limit are for --rolling", ctx)
    app = ctx.ensure_object(App)
    topology, host = app.topology, app.host
    with progress("restarting") as watch:
        if rolling:
            wish = RollingWish(
                drain_s=DRAIN_S if drain_s is None else drain_s,
                limit_s=LIMIT_S if limit_s is None else limit_s,
            )
            changes = rolling_restart(topology, host, names, watch, wish)
        else:
            changes = restart(topology, host, names, watch)
    finish(app, changes, otherwise="nothing runs on this host: zmount start")
