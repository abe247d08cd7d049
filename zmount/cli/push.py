"""``zmount push``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from zmount.cli.app import App
from zmount.cli.options import dry_run_option

if TYPE_CHECKING:
    from zmount.operations.push import Pushed, PushPlan, Weight


@click.command("push")
@click.argument("source", metavar="INSTANCE:SOURCE")
@click.argument("target", metavar="INSTANCE:TARGET")
@click.option("--replace", "replaces", is_flag=True, help="Also where something is at TARGET.")
@click.option("--note", default="", help="Say why; it goes into the transaction's description.")
@dry_run_option
@click.pass_obj
def push(app: App, /, source: str, target: str, **said: Any) -> None:
    """Copy an object between sandboxes, staging and production.

    Both are paths of objects, each with its instance; an instance that shows both copies,
    up or down, in one transaction. The copy takes the place of what is at TARGET, and
    of nothing else; that is asked for first, and a script must say --replace. Owner,
    local roles and blobs are the source's; the site's catalog looks at what is new and
    forgets what is gone. Undo in Zope takes it back. Mount points are not copied, nor
    what refers into another database, or to what it lies in.

    Exit status 24: it cannot be copied, and nothing was changed.

    \b
    Examples:
      zmount push dev:/dev/medur/example.org/news dev:/home/example.org/news --dry-run
      zmount push dev:/dev/medur/example.org/news dev:/home/example.org/news --replace
      zmount push dev:/home/example.org/news pub:/home/example.org/news --note "issue 12"
    """
    from zmount.operations.push import Pushed, plan_push, push

    def say(line: str) -> None:
        click.echo(line, err=True)

    plan = plan_push(app.topology, app.host, source, target, say)
    if said["dry_run"]:
        result = Pushed(plan=plan)
    else:
        if plan.replaced is not None and not said["replaces"]:
            _ask(app, plan)
        result = push(app.topology, app.host, plan, note=said["note"], say=say)
    app.show("\n".join(_lines(result)), result.as_json())


def _ask(app: App, plan: PushPlan) -> None:
    """Let the operator agree to what would be replaced.

    :raises SandboxRefused: he does not, or nobody is there to be asked
    """
    from zmount.errors import SandboxRefused

    assert plan.replaced is not None
    if not sys.stdin.isatty() or app.as_json:
        raise SandboxRefused(
            f"{plan.way.target} is there already, {_weight(plan.replaced)}",
            hint="--replace says that it may go, --dry-run shows what would take its place",
        )
    click.echo("\n".join(_plan_lines(plan, is_done=False)), err=True)
    if not click.confirm("Go on?", err=True):
        raise SandboxRefused("nothing was copied")


def _lines(result: Pushed) -> list[str]:
    lines = _plan_lines(result.plan, is_done=result.is_done)
    if not result.is_done:
        return lines
    plan = result.plan
    if plan.catalog:
        lines.append(
            f"{plan.catalog} looked at {result.cataloged:,} and forgot {result.uncataloged:,}"
        )
    if result.root_grew_bytes:
        lines.append(
            f"the root of {plan.way.instance.name} grew by {result.root_grew_bytes:,} bytes "
            "meanwhile: others write there"
        )
    lines.append(f"to take it back: Undo in Zope, in the database {plan.way.target.mount.name}")
    return lines


def _plan_lines(plan: PushPlan, *, is_done: bool) -> list[str]:
    would = "" if is_done else "would "
    way = plan.way
    lines = [
        f"{way.instance.name}: {would}copy {way.source.path}, {_weight(plan.copied)}",
        f"  to {way.target.path} in {way.target.mount.storage.name}",
    ]
    if plan.replaced is not None:
        lines.append(f"  in place of {_weight(plan.replaced)}")
    return lines


def _weight(weight: Weight) -> str:
    from rich.filesize import decimal

    kind = weight.class_name.rpartition(".")[2]
    objects = "one object" if weight.objects == 1 else f"{weight.objects:,} objects"
    text = f"a {kind}: {objects}, {decimal(weight.record_bytes)}"
    if weight.blobs:
        blobs = "one blob" if weight.blobs == 1 else f"{weight.blobs:,} blobs"
        size = f", {decimal(weight.blob_bytes)}" if weight.blob_bytes else ""
        text += f", and {blobs}{size}"
    return f"{text}, or more" if weight.is_cut else text
