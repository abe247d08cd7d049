"""Walking the opcodes of pickles as pickletools does, but faster."""

from __future__ import annotations

import pickle
import pickletools
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmount.filestorage.opcodes import PUTS, opcodes, put_number
from zmount.filestorage.pickles import check_pickles

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)
LARGE = pickle.dumps(["x" * 300, b"y" * 70_000, "z" * 70_000, 1 << 3000, -(1 << 900)], 3)


def told(data: bytes) -> list[tuple[int, Any]]:
    """Return what pickletools says of DATA: where each opcode begins, and what it puts where."""
    return [
        (position or 0, argument if opcode.name.endswith("PUT") else None)
        for opcode, argument, position in pickletools.genops(data)
    ]


def walked(data: bytes) -> list[tuple[int, Any]]:
    return [
        (start - 1, put_number(data, code, start, end) if code in PUTS else None)
        for code, start, end in opcodes(data, 0)
    ]


@given(VALUES, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_opcodes_are_where_pickletools_finds_them(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    assert walked(data) == told(data)


@pytest.mark.parametrize("value", [LARGE, pickle.dumps(pytest.raises, 0), pickle.dumps(Any, 2)])
def test_long_arguments_and_names_are_passed_over(value: bytes) -> None:
    assert walked(value) == told(value)


@given(st.binary(max_size=200))
def test_what_is_no_pickle_ends_in_an_error_or_at_its_stop(data: bytes) -> None:
    try:
        *_, (code, _, end) = opcodes(data, 0)
    except ValueError:
        return
    assert code == ord(".")
    assert end <= len(data)


@given(VALUES)
def test_a_pickle_that_is_cut_short_is_refused(value: Any) -> None:
    data = pickle.dumps(value, 3)
    for length in range(len(data)):
        with pytest.raises(ValueError, match=r"cut short|substring|subsection"):
            list(opcodes(data[:length], 0))


@pytest.mark.parametrize(
    "put", [b"r\xff\xff\xff\x7f", b"r\xff\xff\xff\xff", b"p999999\n", b"p-1\n", b"p 5_0_0_0\n"]
)
def test_a_number_past_the_end_of_the_record_is_refused(put: bytes) -> None:
    with pytest.raises(ValueError, match="in the memo"):
        check_pickles(BytesIO(b"\x80\x03]" + put + b"."), 1)


def test_the_file_is_left_after_the_pickles() -> None:
    data = pickle.dumps(1) + pickle.dumps("two") + b"more"
    file = BytesIO(data)
    check_pickles(file, 2)
    assert file.read() == b"more"
