"""What ``zmount health`` says to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zmount.operations.health_readings import Health, Reading

if TYPE_CHECKING:
    from rich.text import Text

COLOURS = {"ok": "green", "warning": "yellow", "critical": "red", "unknown": "magenta"}


def health_text(seen: Health, is_all: bool) -> Text:
    """Return a line for each reading that is not ok, or for all, and what they come to."""
    from rich.text import Text

    shown = [each for each in seen.readings if is_all or each.state != "ok"]
    text = Text()
    for each in shown:
        text.append(each.state.ljust(9), style=COLOURS[each.state])
        text.append(f"{each.kind} {each.subject}".ljust(_width(shown)))
        text.append(f"  {each.check}: {each.sentence}\n")
        if each.hint and each.state != "ok":
            text.append(f"{'':9}try: {each.hint}\n", style="dim")
    fine = sum(1 for each in seen.readings if each.state == "ok")
    if shown and not is_all:
        text.append("\n")
    text.append(f"host {seen.host}: ")
    text.append(seen.state, style=COLOURS[seen.state])
    text.append(f"; {fine:,} of {len(seen.readings):,} readings ok, in {seen.seconds:.1f} s")
    return text


def _width(shown: list[Reading]) -> int:
    return max((len(f"{each.kind} {each.subject}") for each in shown), default=0)
