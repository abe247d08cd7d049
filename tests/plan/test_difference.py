"""Differences for a person to read, with no secret in them."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from zmount.plan.difference import text_difference
from zmount.render.generated import sign

PATH = PurePosixPath("/opt/vsa/etc/zope.conf")


def shown(old: str, new: str, *secrets: str) -> str:
    return "\n".join(text_difference(PATH, old, new, frozenset(secrets)))


def test_a_difference_is_a_unified_diff() -> None:
    assert shown("a\nb\n", "a\nc\n").splitlines() == [
        f"--- {PATH}",
        f"+++ {PATH}",
        "@@ -1,2 +1,2 @@",
        " a",
        "-b",
        "+c",
    ]


def test_a_secret_of_the_topology_is_hidden_wherever_it_stands() -> None:
    text = shown("", "dsn user=zope password=hunter2\nx hunter2-too\n", "hunter2")
    assert "hunter2" not in text
    assert "+x ••••••" in text


@pytest.mark.parametrize(
    ("secret", "spelled"),
    [("a$b", "a$$b"), ("50%x", "50%%x"), ("a&b<c", "a&amp;b&lt;c"), ('say "x"', 'say \\"x\\"')],
)
def test_a_secret_is_hidden_as_each_kind_of_file_spells_it(secret: str, spelled: str) -> None:
    text = shown("", f"key {spelled}\n", secret)
    assert spelled not in text


def test_the_secret_of_before_is_hidden_where_the_new_one_stands() -> None:
    text = shown("  user admin:old-one\n", "  user admin:new-one\n", "new-one")
    assert "old-one" not in text
    assert "-  user admin:••••••" in text


def test_the_secret_of_before_is_hidden_where_it_was_the_whole_text() -> None:
    assert "old-one" not in shown("old-one\n", "new-one\n", "new-one")


@pytest.mark.parametrize(
    "line",
    [
        "  password hunter2",
        "DB_PASSWORD=hunter2",
        "token: hunter2",
        "    dsn dbname=zodb password=hunter2",
    ],
)
def test_a_secret_that_only_the_old_text_has_is_known_by_its_key(line: str) -> None:
    assert "hunter2" not in shown(f"{line}\n", "")


def test_a_name_of_a_function_is_no_secret() -> None:
    assert "+password-function my.module" in shown("", "password-function my.module\n")


def test_the_checksum_in_the_first_line_is_not_shown() -> None:
    old, new = (sign(text, source="zmount.conf") for text in ("a\n", "b\n"))
    lines = shown(old, new).splitlines()
    assert [line[0] for line in lines[3:]] == [" ", "-", "+"]


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert "-\\xff" in shown("\udcff\n", "a\n")
