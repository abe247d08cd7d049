"""``zmount check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zmount.cli.app import App

if TYPE_CHECKING:
    from rich.text import Text

    from zmount.operations.check import Verdict
    from zmount.topology.findings import Finding

STYLES = {"error": "red", "warning": "yellow"}


@click.command("check")
@click.pass_context
def check(ctx: click.Context) -> None:
    """Say everything that is wrong or doubtful in the topology.

    Exit status: 0 nothing to say, 1 warnings only, 2 errors.
    """
    from zmount.operations.check import check_file

    app = ctx.find_object(App) or App()
    verdict = check_file(app.path)
    app.show(_text(verdict, str(app.path)), verdict.as_json())
    ctx.exit(verdict.exit_status)


def _text(verdict: Verdict, file: str) -> Text:
    """Return one block for each finding, and a line that counts them."""
    from rich.text import Text

    text = Text()
    for finding in verdict.findings:
        text.append_text(_block(finding, verdict.file, file))
    if not verdict.findings:
        return text.append(f"{file}: nothing to say")
    counts = [
        f"{number} {severity}{'s' if number > 1 else ''}"
        for severity, number in (
            ("error", verdict.count("error")),
            ("warning", verdict.count("warning")),
        )
        if number
    ]
    return text.append(f"{', '.join(counts)} in {file}")


def _block(finding: Finding, absolute: str, said: str) -> Text:
    """Return FINDING's lines; the file is called what the user called it."""
    from rich.text import Text

    place = finding.place
    where = said if place.file in (absolute, "") else place.file
    text = Text(f"{where}:{place.line}: " if place.line else f"{where}: ")
    text.append(f"{finding.severity}: ", STYLES[finding.severity])
    text.append(f"{finding.what} [{finding.rule}]\n")
    if finding.why:
        text.append(f"    why: {finding.why}\n")
    if finding.hint:
        text.append(f"    {_introduced(finding.hint)}\n")
    return text.append("\n")


def _introduced(hint: str) -> str:
    """Return HINT as a line of its own: what is no sentence yet is something to try."""
    return hint if hint.endswith("?") or hint.startswith(("instead: ", "see ")) else f"try: {hint}"
