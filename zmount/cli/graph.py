"""``zmount graph``."""

from __future__ import annotations

from pathlib import PurePath
from typing import IO, TYPE_CHECKING

import click

from zmount.cli.app import App

if TYPE_CHECKING:
    from zmount.operations.graph import Format

SUFFIXES: dict[str, Format] = {
    ".svg": "svg",
    ".dot": "dot",
    ".gv": "dot",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
}


@click.command("graph")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["svg", "dot", "mermaid"]),
    help="What to draw [default: by FILE's suffix, else svg].",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.File("w", encoding="utf-8", atomic=True),
    default="-",
    help="Where to write [default: standard output].",
)
@click.pass_obj
def graph(app: App, format_: Format | None, output: IO[str]) -> None:
    """Draw the topology: instances on the left, storages on the right.

    Every mount is a line. SVG is a picture for browsers and READMEs, DOT is
    Graphviz' language, and Mermaid is drawn by many forges inside Markdown.

    \b
    Examples:
      zmount graph --output topology.svg
      zmount graph --format dot | dot -Tpdf > topology.pdf
    """
    from zmount.operations.graph import graph

    chosen = format_ or SUFFIXES.get(PurePath(output.name).suffix.lower(), "svg")
    text = graph(app.topology, chosen, host=app.host_name)
    if chosen == "svg" and output.isatty():
        raise click.UsageError("an SVG picture is not for reading: --output FILE, or --format dot")
    if app.as_json:
        app.show("", {"format": chosen, "text": text})
    else:
        output.write(text)
