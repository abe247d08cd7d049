"""What failed in several instances is told at once, with the exit status of its kind."""

from __future__ import annotations

import pytest

from zmount.errors import AccessRefused, OfflineFailed, ProcessFailed, ZMountError
from zmount.operations.offlined import Offlined, refuse_failures

REFUSED = AccessRefused("8080 does not let the administrator in", hint="say who is one")


def told(*errors: ZMountError) -> ZMountError:
    results = [
        Offlined(instance=f"i{number}", path="/x", storage="x", result="failed", error=error)
        for number, error in enumerate(errors)
    ]
    with pytest.raises(ZMountError) as raised:
        refuse_failures(results)
    return raised.value


def test_one_failure_is_told_as_it_was() -> None:
    assert told(REFUSED, REFUSED) is REFUSED  # of two mount points


def test_several_of_one_kind_keep_its_exit_status() -> None:
    error = told(REFUSED, AccessRefused("8081 does not let the administrator in"))

    assert type(error) is AccessRefused
    assert str(error).splitlines() == [
        "these failed: i0, i1",
        "8080 does not let the administrator in",
        "  try: say who is one",
        "8081 does not let the administrator in",
    ]


def test_several_of_several_kinds_are_failures_of_the_command() -> None:
    assert type(told(REFUSED, ProcessFailed("it did not answer"))) is OfflineFailed
