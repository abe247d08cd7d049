"""``zmount graph``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

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
    default="-",
    help="Where to write [default: standard output].",
)
@click.pass_obj
def graph(app: App, format_: Format | None, output: str) -> None:
    """Draw the topology: instances on the left, storages on the right.

    Every mount is a line. SVG is a picture for browsers and READMEs, DOT is
    Graphviz' language, and Mermaid is drawn by many forges inside Markdown.

    \b
    Examples:
      zmount graph --output topology.svg
      zmount graph --format dot | dot -Tpdf > topology.pdf
    """
    from zmount.operations.graph import graph

    chosen = format_ or SUFFIXES.get(Path(output).suffix.lower(), "svg")
    file = None if output == "-" else Path(output)
    if chosen == "svg" and file is None and not app.as_json and sys.stdout.isatty():
        raise click.UsageError("an SVG picture is not for reading: --output FILE, or --format dot")
    text = graph(app.topology, chosen, host=app.host_name, output=file)
    if app.as_json:
        app.show("", {"format": chosen, "output": output if file else None, "text": text})
    elif file is None:
        app.show(text.rstrip("\n"), None)
