"""``zmount sessions``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from zmount.cli.app import App
from zmount.cli.completing import process_names
from zmount.cli.options import dry_run_option

if TYPE_CHECKING:
    from zmount.operations.sessions_plan import ProofPlan, ProofWish
    from zmount.operations.sessions_proof import Event


@click.command("sessions")
@click.argument("instances", nargs=-1, metavar="[INSTANCE]...", shell_complete=process_names)
@click.option(
    "--prove",
    is_flag=True,
    help="Restart and kill the public instances, and see that a session outlives it.",
)
@click.option("--yes", is_flag=True, help="With --prove: do it without being asked.")
@dry_run_option
@click.pass_obj
def sessions(app: App, instances: tuple[str, ...], prove: bool, yes: bool, dry_run: bool) -> None:
    """Show where visitors' sessions are kept, how many there are, and who uses them.

    With --prove, a browser puts a value into its session and looks for it at every
    public process: after a clean restart of the public instances (or of INSTANCEs),
    after kill -9, and after a restart of the ZEO server. Visitors wait meanwhile. The
    plan is shown first and asked for; a script must say --yes. The session is ended
    afterwards, and no root is changed.

    Exit status 23: sessions were lost, or are not kept where they should be.

    \b
    Examples:
      zmount sessions
      zmount sessions --prove --dry-run
      zmount sessions --prove --yes --json
    """
    from zmount.cli.sessions_text import status_text
    from zmount.operations.sessions import sessions
    from zmount.operations.sessions_plan import ProofWish

    if prove:
        _prove(app, ProofWish(names=instances, is_agreed=yes, is_dry_run=dry_run))
        return
    if instances or yes or dry_run:
        raise click.UsageError("INSTANCEs, --yes and --dry-run go with --prove")
    status = sessions(app.topology, app.host)
    app.show(status_text(status), status.as_json())
    status.refuse_problems()


def _prove(app: App, wish: ProofWish) -> None:
    from zmount.cli.sessions_text import plan_text, proved_text, tried_text
    from zmount.operations.changes import Change
    from zmount.operations.sessions_plan import ProofPlan, Tried
    from zmount.operations.sessions_proof import prove

    def ask(plan: ProofPlan) -> bool:
        return click.confirm("Visitors wait meanwhile. Go on?", err=True)

    def watch(event: Event) -> None:
        if isinstance(event, Change):
            for line in (str(event), *event.notes, *event.warnings):
                click.echo(line, err=True)
        elif isinstance(event, ProofPlan | Tried) and not app.as_json:
            click.echo(plan_text(event) if isinstance(event, ProofPlan) else tried_text(event))

    asks = sys.stdin.isatty() and not app.as_json
    proof = prove(app.topology, app.host, wish, watch, ask if asks else None)
    app.show(proved_text(proof), proof.as_json())
    proof.refuse_losses()
