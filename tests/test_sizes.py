"""One thing is said as one."""

from __future__ import annotations

from zmount.sizes import counted


def test_numbers_are_said_with_the_right_noun() -> None:
    assert counted(0, "blob") == "0 blobs"
    assert counted(1, "blob") == "1 blob"
    assert counted(2000, "process", "processes") == "2,000 processes"
