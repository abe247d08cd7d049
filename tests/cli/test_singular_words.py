"""What there is one of is not told in the plural."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from zmount.cli.access_text import compared_text
from zmount.cli.changes import diff_text
from zmount.effects.stage_files import Changes
from zmount.operations.access import Compared
from zmount.operations.access_plan import Difference as RuleDifference
from zmount.operations.diff_config import ConfigDiff
from zmount.operations.swap_plan import changes_counted
from zmount.plan.access_rules import Key, RootRules
from zmount.plan.difference import Difference
from zmount.plan.plan import Plan


@pytest.mark.parametrize(("lines", "said"), [(1, "1 line ("), (2, "2 lines (")])
def test_lines_of_a_new_file(lines: int, said: str):
    file = Difference(path=PurePosixPath("/a"), summary="a", lines=("+b",) * lines, is_new=True)
    plan = Plan(title="", host="h", steps=())
    found = ConfigDiff(plan=plan, differences=(file,), conflicts=(), is_interrupted=False)

    assert f"  {said}" in str(diff_text(found, full=False))


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["/"], "1 rule differs, of 1 object"),
        (["/", "/"], "2 rules differ, of 1 object"),
        (["/", "/a"], "2 rules differ, of 2 objects"),
    ],
)
def test_access_rules_and_their_objects(paths: list[str], said: str):
    left, right = (RootRules(instance=name, objects={}, unreadable={}) for name in ("dev", "pub"))
    key = Key("permission", "View")
    found = tuple(RuleDifference(path=path, key=key, left=None, right=None) for path in paths)
    seen = Compared(left=left, right=right, found=found, other_hashes=0, sandbox_users={})

    assert compared_text(seen).endswith(f"dev and pub: {said}")


def test_changes_on_staging():
    assert changes_counted(Changes(objects=1, transactions=1)) == "1 object in 1 transaction"
    assert (
        changes_counted(Changes(objects=2000, transactions=2)) == "2,000 objects in 2 transactions"
    )
