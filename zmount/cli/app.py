"""The ``zmount`` command: finds the topology, runs a command, shows errors.

Each command is a file of this package and is imported when it is called; the
table below holds what ``zmount --help`` needs, so that help is instant.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zmount import __version__
from zmount.errors import TopologyNotFound, ZMountError

if TYPE_CHECKING:
    from rich.console import Console

    from zmount.topology.hosts import Host
    from zmount.topology.topology import Topology

# command: what --help says of it, in the order of an administrator's first day
COMMANDS = {
    "check": "Say everything that is wrong or doubtful in the topology.",
    "show": "Show hosts, servers, storages, instances and mounts.",
    "graph": "Draw the topology as SVG, DOT or Mermaid.",
    "adopt": "Write the zmount.conf of an existing deployment.",
    "render": "Write every generated file under a directory, for review.",
    "diff-config": "Show what apply would change.",
    "apply": "Write the generated files, make directories and mount points.",
    "undo": "Put back the files that the last apply replaced.",
    "start": "Start ZEO servers, then instances.",
    "stop": "Stop instances, then ZEO servers, cleanly.",
    "restart": "Stop and start again.",
    "status": "Show what runs, where, since when and how large.",
    "health": "Check everything, for people, cron, Nagios and Prometheus.",
    "history": "Show what was done, when, by whom, and what came of it.",
    "logs": "Show the logs of all processes in one stream.",
    "rotate-logs": "Rotate logs without logrotate; no line is lost.",
    "remount": "Repair mount points that are gone, covered or forgotten.",
    "attic": "Show what remount moved aside; put it back, or drop it.",
    "mounts": "Say of each mount whether it is right, and what to do if not.",
    "spin": "Find threads that do not come back, and their site.",
    "offline": "Take a site off-line: visitors get 503 until it is put back.",
    "online": "Put a site back that was taken off-line.",
    "swap-stage": "Let a site's staging show what production holds now.",
    "pack": "Drop old revisions and garbage from storages, in use or not.",
    "index": "Build the index that lets a storage open at once.",
    "verify": "Say whether storages are sound, in use or not.",
    "clone": "Copy a storage as it is at one moment, while it is used.",
    "access": "Compare the access rules of two roots; bring one's to the other.",
    "sessions": "Show where sessions are kept; prove that they outlive restarts.",
    "sandbox": "Give developers sandboxes, list them, or take one away.",
    "push": "Copy an object between sandboxes, staging and production.",
    "schedule": "Show what runs when, when it ran last, and what was missed.",
    "run": "Do a scheduled job now, as cron and timers do.",
    "demo": "Bring up the design document's deployment in a directory.",
    "completion": "Print the shell's completion script.",
}

INTERRUPTED = 130  # 128 + SIGINT, as shells say it
PLACES = ("./zmount.conf", "/etc/zmount/zmount.conf")


class App:
    """What every command gets: the topology, the host, and how to show results."""

    def __init__(self) -> None:
        self.file: str | None = None
        self.host_name: str | None = None
        self.as_json = False
        self.has_shown = False

    @property
    def path(self) -> Path:
        """The topology's file: -f, else $ZMOUNT_CONF, else the usual places.

        :raises TopologyNotFound: there is none
        """
        said = self.file or os.environ.get("ZMOUNT_CONF")
        if said:
            return Path(said)  # reading it says so if it is not there
        for place in PLACES:
            if os.access(place, os.F_OK):
                return Path(place)
        raise TopologyNotFound(
            f"there is no topology in {' or '.join(PLACES)}",
            hint="zmount -f FILE, or set ZMOUNT_CONF; zmount adopt writes one",
        )

    @cached_property
    def topology(self) -> Topology:
        """The topology, read once; without the mounts that are off-line and unmounted."""
        from zmount.operations.without_unmounted import without_unmounted
        from zmount.topology.load import load

        return without_unmounted(load(self.path))

    @cached_property
    def host(self) -> Host:
        """The host that this command acts on: --host, or the one it runs on."""
        from zmount.operations.this_host import this_host

        return this_host(self.topology, self.host_name)

    @cached_property
    def console(self) -> Console:
        """For tables: coloured on a terminal, plain elsewhere or with NO_COLOR."""
        from rich.console import Console

        # Without a terminal rich would cut tables at 80 columns.
        width = None if sys.stdout.isatty() else 200
        return Console(highlight=False, width=width, soft_wrap=not sys.stdout.isatty())

    def show(self, text: Any, data: Any, *, wraps: bool = True) -> None:
        """Print DATA as JSON if that was asked for, else TEXT (may be a rich object).

        Without WRAPS long lines are left to the terminal, so that what is copied from there
        has no line ends in it.

        :raises ZMountError: what standard output is written to does not take it
        """
        with self._writing():
            if self.as_json:
                import json

                click.echo(json.dumps(data, indent=2, ensure_ascii=False))
            elif isinstance(text, str):
                click.echo(text)
            else:
                self.console.print(text, soft_wrap=None if wraps else True)

    def stream(self, text: str) -> None:
        """Print TEXT, the next part of a result that may have no end.

        :raises ZMountError: what standard output is written to does not take it
        """
        with self._writing():
            click.echo(text, nl=False)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self.has_shown = True
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as why:
            _to_nowhere()
            raise ZMountError(f"the result cannot be written: {why.strerror}") from None

    def show_error(self, error: ZMountError) -> None:
        """Print ERROR; with --json also as the result, if there is no other."""
        click.echo(f"zmount: {error}", err=True)
        if error.hint:
            click.echo(f"  try: {error.hint}", err=True)
        if self.as_json and not self.has_shown:
            facts = {"error": str(error), "hint": error.hint, "exit_status": error.exit_code}
            with suppress(ZMountError, BrokenPipeError):  # the first error is the one to exit with
                self.show("", facts)


class Commands(click.Group):
    """Loads a command when it is called; turns a ZMountError into its message."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"zmount.cli.{name}"), name)
        said = {option for param in command.params for option in param.opts}
        for option in common_options():
            option.opts = [each for each in option.opts if each not in said]
            if option.opts:
                command.params.append(option)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if close:
                raise click.UsageError(f"{error.message} Did you mean {close[0]}?", ctx) from None
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ZMountError as error:
            ctx.ensure_object(App).show_error(error)
            ctx.exit(error.exit_code)
        except BrokenPipeError:
            # the reader of our output went away (zmount show | head)
            _to_nowhere()
            ctx.exit(1)
        except KeyboardInterrupt:
            # click would say 1, which check, diff-config and status mean otherwise
            click.echo("\nzmount: interrupted; zmount status shows what runs now", err=True)
            ctx.exit(INTERRUPTED)


def _to_nowhere() -> None:
    """Let what is still to be printed vanish: Python would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value:
        setattr(ctx.ensure_object(App), str(param.name), value)


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Print the version, and which core runs: a report of a slow pack needs to say both."""
    if not value or ctx.resilient_parsing:
        return
    from zmount.filestorage.cores import VARIABLE, choose

    try:
        cores = choose(os.environ.get(VARIABLE, ""))
    except ZMountError as error:  # raised before any command is invoked
        ctx.ensure_object(App).show_error(error)
        ctx.exit(error.exit_code)
    click.echo(f"zmount {__version__} ({cores})")
    ctx.exit()


def common_options() -> list[click.Option]:
    """Return the options that may stand before or after the command's name."""
    return [
        click.Option(
            ["-f", "--file"],
            metavar="FILE",
            expose_value=False,
            callback=_keep,
            help="The topology [default: $ZMOUNT_CONF, ./zmount.conf, /etc/zmount/zmount.conf].",
        ),
        click.Option(
            ["--host", "host_name"],
            metavar="HOST",
            expose_value=False,
            callback=_keep,
            help="Act on this host's part of the topology.",
        ),
        click.Option(
            ["--json", "as_json"],
            is_flag=True,
            expose_value=False,
            callback=_keep,
            help="Print the result as JSON.",
        ),
    ]


@click.group(
    cls=Commands,
    params=list(common_options()),
    context_settings={"help_option_names": ["-h", "--help"], "obj": None},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version, and whether the compiled core runs.",
)
@click.pass_context
def main(ctx: click.Context) -> None:
    """Describe a Zope/ZEO deployment in one file; check, generate, run and show it."""
    ctx.ensure_object(App)
