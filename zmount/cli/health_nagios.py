"""``zmount health`` for Nagios, Icinga and the like: one line, and performance data.

Source: https://www.monitoring-plugins.org/doc/guidelines.html
"""

from __future__ import annotations

from collections.abc import Iterator

from zmount.errors import ZMountError
from zmount.operations.health_readings import Health, Number, Reading
from zmount.topology.health import Limits

LONGEST = 8000  # characters; Nagios cuts what a plugin says at 8192
_TOLD = 3  # readings that are told in words
_LONGEST_SENTENCE = 300
_UNITS = {"seconds": "s", "bytes": "B", "percent": "%", "count": ""}


def nagios_line(seen: Health) -> str:
    """Return one line: the state, what is wrong, and after a ``|`` the numbers.

    Where they are too many for Nagios, those that have limits come first and the rest is
    left out: name what is to be looked at, or say --only.
    """
    wrong = [each for each in seen.readings if each.state != "ok"]
    fine = len(seen.readings) - len(wrong)
    told = [f"{each.subject}: {each.check}: {each.sentence}" for each in wrong[:_TOLD]]
    told = [each if len(each) < _LONGEST_SENTENCE else each[:_LONGEST_SENTENCE] for each in told]
    if len(wrong) > _TOLD:
        told.append(f"{len(wrong) - _TOLD} more")
    said = "; ".join(told) or f"{fine} readings ok"
    line = f"ZMOUNT {seen.state.upper()} - {_one_line(said)}"
    return line + _numbers(seen, LONGEST - len(line.encode()))


def nagios_unknown(why: ZMountError) -> str:
    """Return the line of a look that WHY prevented."""
    hint = f"; try: {why.hint}" if why.hint else ""
    return f"ZMOUNT UNKNOWN - {_one_line(f'{why}{hint}')}"


def _numbers(seen: Health, room: int) -> str:
    items: list[str] = []
    used = 3
    for item in _items(seen):
        used += len(item.encode()) + 1
        if used > room:
            break
        items.append(item)
    return " | " + " ".join(items) if items else ""


def _items(seen: Health) -> Iterator[str]:
    """Yield performance data, that of numbers with limits first."""
    numbers = [(reading, number) for reading in seen.readings for number in reading.numbers]
    for has_limits in (True, False):
        for reading, number in numbers:
            if (number.limits != Limits()) is has_limits:
                yield _item(reading, number)


def _item(reading: Reading, number: Number) -> str:
    label = f"{reading.subject} {number.name}".replace("=", "_").replace("'", "_")
    unit = "c" if number.name.endswith("_total") else _UNITS[number.unit]
    below = ":" if number.is_wrong_below else ""
    warning, critical = (
        "" if limit is None else f"{_value(number, limit)}{below}"
        for limit in (number.limits.warning, number.limits.critical)
    )
    value = _value(number, number.value)
    return f"'{_one_line(label)}'={value}{unit};{warning};{critical}".rstrip(";")


def _value(number: Number, value: float) -> str:
    """Return VALUE with digits and a point only: what reads performance data knows no 3e+06."""
    if number.unit in ("bytes", "count"):
        return f"{value:.0f}"
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _one_line(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
