"""``zmount adopt``."""

from __future__ import annotations

from pathlib import Path

import click

from zmount.cli.app import App


@click.command("adopt")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    default="-",
    help="Where to write it [default: standard output].",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.pass_obj
def adopt(app: App, files: tuple[str, ...], output: str, overwrite: bool) -> None:
    """Write the zmount.conf of an existing deployment.

    FILE... are its zeo.conf and zope.conf files, in any order; ini files and
    zdaemon.conf files are found beside them, or named too. What could not be
    carried over is said line by line, and stands at the end of the result.

    \b
    Example:
      zmount adopt zeo/etc/zeo.conf */etc/zope.conf --output zmount.conf
    """
    from zmount.operations.adopt import adopt

    made = adopt(files, output=None if output == "-" else Path(output), overwrite=overwrite)
    for finding in made.findings:
        click.echo(str(finding), err=True)
    for finding in made.verdict.findings:
        click.echo(f"zmount check: {finding}", err=True)
    if made.holds_secret:
        click.echo("a password stands in the result: leave it to its owner alone (0600)", err=True)
    told = made.text.rstrip("\n") if made.output is None else f"{made.output} is written"
    app.show(told, made.as_json())
