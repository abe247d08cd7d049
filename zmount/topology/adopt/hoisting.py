"""Saying once what holds for many: settings of mounts moved up to their instance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from zmount.topology.options import Value

Said: TypeAlias = Mapping[str, tuple[Value, ...]]


def hoist(
    wanted: Sequence[Said], implied: Sequence[Said]
) -> tuple[dict[str, tuple[Value, ...]], list[dict[str, tuple[Value, ...]]]]:
    """Return what to say for all, and what then remains to say for each.

    WANTED are the settings that each shall have, IMPLIED those that each has
    where nothing is said. A setting is said for all only if all want it, each
    with this or another value: whoever wants none could not take it back.
    """
    common: dict[str, tuple[Value, ...]] = {}
    rest: list[dict[str, tuple[Value, ...]]] = [{} for _ in wanted]
    for key in dict.fromkeys(key for each in wanted for key in each):
        values = [each.get(key) for each in wanted]
        defaults = [each.get(key) for each in implied]
        said = [value for value in values if value is not None]
        lines = sum(
            value not in (None, default) for value, default in zip(values, defaults, strict=True)
        )
        if len(said) == len(values):
            most, times = Counter(said).most_common(1)[0]
            if 1 + len(values) - times <= lines:
                common[key] = most
                defaults = [most] * len(values)
        for each, value, default in zip(rest, values, defaults, strict=True):
            if value is not None and value != default:
                each[key] = value
    return common, rest


def hoist_equal(
    wanted: Sequence[dict[str, tuple[Value, ...]]],
) -> tuple[dict[str, tuple[Value, ...]], list[dict[str, tuple[Value, ...]]]]:
    """Return what all of WANTED say alike, and what remains; of one, nothing is moved."""
    if len(wanted) < 2:
        return {}, list(wanted)
    common = {
        key: value
        for key, value in wanted[0].items()
        if all(each.get(key) == value for each in wanted)
    }
    return common, [
        {key: value for key, value in each.items() if key not in common} for each in wanted
    ]
