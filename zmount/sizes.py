"""How many there are, as sentences say it."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return NUMBER of something: 1 object, 2,000 objects; PLURAL where it is not NOUN and s."""
    return f"1 {noun}" if number == 1 else f"{number:,} {plural or noun + 's'}"
