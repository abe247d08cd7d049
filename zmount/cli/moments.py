"""Moments on the command line: 1h ago, 03:00 today, 2026-11-26T03:00."""

from __future__ import annotations

import datetime as dt
import re

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_CLOCK = re.compile(r"\d\d?:\d\d(?::\d\d)?")


def moment(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Return the moment that VALUE says (1h, 03:00, 2026-11-26T03:00), in epoch seconds."""
    if value is None:
        return None
    said = value.strip()
    now = dt.datetime.now().astimezone()
    if ago := _AGO.fullmatch(said):
        return now.timestamp() - float(ago[1]) * _UNITS[ago[2]]
    try:
        if _CLOCK.fullmatch(said):
            said = f"{now.date()}T{said.rjust(8 if said.count(':') == 2 else 5, '0')}"
        return dt.datetime.fromisoformat(said.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            f"{value!r} is neither a time ago (90s, 30m, 1h, 2d) nor a moment (03:00, "
            "2026-11-26, 2026-11-26T03:00)"
        ) from None
