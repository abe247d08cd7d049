"""What <health> says: from where on numbers are a warning, or critical."""

from __future__ import annotations

from pathlib import Path

import pytest

from zmount.topology.health import DEFAULTS, NEVER, UNITS, HealthLimits, Limits, parse_limits
from zmount.topology.load import load, read

HEAD = "<host h>\n  directory /srv/zope\n</host>\n<zeo zeo/>\n<storage content/>\n"


def health(tmp_path: Path, *lines: str) -> HealthLimits:
    path = tmp_path / "zmount.conf"
    path.write_text(HEAD + "<health>\n" + "\n".join(lines) + "\n</health>\n")
    return load(path).health


def test_without_a_section_the_limits_are_the_usual_ones(tmp_path: Path) -> None:
    path = tmp_path / "zmount.conf"
    path.write_text(HEAD)
    assert load(path).health.of("round-trip") == DEFAULTS["round-trip"]
    assert load(path).health.timeout_s == 3


def test_what_is_said_is_another_limit_and_the_rest_stays(tmp_path: Path) -> None:
    limits = health(tmp_path, "round-trip 50ms 1.5s", "timeout 500ms")
    assert limits.of("round-trip") == Limits(warning=0.05, critical=1.5)
    assert limits.of("waiting") == DEFAULTS["waiting"]
    assert limits.timeout_s == 0.5


def test_none_turns_a_limit_off(tmp_path: Path) -> None:
    limits = health(tmp_path, "last-pack none", "memory none 2GB")
    assert limits.of("last-pack") == NEVER
    assert limits.of("memory") == Limits(critical=2 * 1024**3)


def test_every_default_is_of_a_key_and_every_key_is_in_the_schema(tmp_path: Path) -> None:
    said = {"seconds": "5s 1m", "bytes": "1MB 2MB", "percent": "1% 2%", "count": "1 2"}
    assert set(DEFAULTS) <= set(UNITS)
    limits = health(tmp_path, *(f"{key} {said[unit]}" for key, unit in UNITS.items()))
    assert all(limits.of(key).critical for key in UNITS)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("round-trip 5x 10s", "a time, as 200ms, 5s, 10m, 2h, 7d or 5w, is expected, not '5x'"),
        ("round-trip 5s", "two limits are expected"),
        ("round-trip -1s 5s", "not '-1s'"),
        ("free-space 10% 5%", "a size"),
        ("conflicts 10 50", "a percentage"),
        ("waiting 4 many", "a number"),
        ("timeout 0s", "from 50ms to 1m"),
        ("timeout 2h", "from 50ms to 1m"),
    ],
)
def test_a_limit_that_makes_no_sense_is_told_with_its_line(
    tmp_path: Path, line: str, why: str
) -> None:
    path = tmp_path / "zmount.conf"
    path.write_text(HEAD + f"<health>\n  {line}\n</health>\n")
    _, findings = read(path)
    assert [each.place.line for each in findings] == [7]
    assert why in findings[0].why


def test_limits_are_read_in_the_unit_of_their_key() -> None:
    assert parse_limits("1w none", "seconds") == Limits(warning=604800)
    assert parse_limits("2 3", "count") == Limits(warning=2, critical=3)
