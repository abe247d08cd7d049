"""A known question to each core, asked before it touches anybody's data.

A library built by a broken compiler, for another processor or with a patch too
many may load and yet answer wrongly. Each self-test is a few records with their
known results; together they take less than a millisecond.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

# name of the core: a function that asks it and raises AssertionError at a wrong answer
SELF_TESTS: dict[str, Callable[[ModuleType], None]] = {}
# what a core that is not the one we know can raise
WRONG = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)


def wrong_answer(core: str, module: ModuleType) -> str:
    """Return what is wrong with CORE as loaded in MODULE; empty: nothing."""
    try:
        SELF_TESTS[core](module)
    except WRONG as error:
        return f"{type(error).__name__}: {error}"
    return ""
