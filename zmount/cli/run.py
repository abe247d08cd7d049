"""``zmount run``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zmount.cli.app import App
from zmount.cli.completing import schedule_names
from zmount.cli.options import dry_run_option

if TYPE_CHECKING:
    from zmount.operations.run_job import JobRun


@click.command("run")
@click.argument("job", shell_complete=schedule_names)
@click.option("--force", is_flag=True, help="Begin outside of the job's windows, too.")
@click.option(
    "--cron",
    "is_cron",
    is_flag=True,
    help="As cron calls it: wait the job's jitter first, and print nothing unless it fails.",
)
@dry_run_option
@click.pass_context
def run(ctx: click.Context, /, job: str, force: bool, is_cron: bool, dry_run: bool) -> None:
    """Do the scheduled JOB of zmount.conf now.

    It never runs twice at the same time. Its output goes to log/JOB.log in the host's
    directory, what came of it into the history. When it fails, the schedule's mail is
    sent and its on-failure is run.

    Exit status: that of the command that did the job; 27 where it was not begun or took
    too long, 7 where the run before is still at work.

    \b
    Examples:
      zmount run pack-all --dry-run
      zmount run pack-all
    """
    from zmount.operations.run_job import RunWish, run_job

    app = ctx.ensure_object(App)
    wish = RunWish(is_dry_run=dry_run, is_forced=force, has_jitter=is_cron)
    done = run_job(app.topology, app.host, job, wish)
    if app.as_json:
        app.show("", done.as_json())
    elif not is_cron or done.exit_status:
        click.echo(_text(done), err=bool(done.exit_status))
    ctx.exit(done.exit_status)


def _text(done: JobRun) -> str:
    name = done.schedule.name
    if done.is_dry_run:
        later = f", but not now: {done.sentence}" if done.sentence else ""
        return f"job {name} would do: {done.does}{later}\nits output would go to {done.log}"
    if not done.exit_status:
        return f"job {name} is done after {done.seconds:.1f} s; its output is in {done.log}"
    lines = [f"zmount: {done.sentence}", *(f"  | {line}" for line in done.lines)]
    lines += [f"zmount: {untold}" for untold in done.untold]
    return "\n".join([*lines, f"  try: see {done.log}"])
