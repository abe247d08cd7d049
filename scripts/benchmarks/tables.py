"""Tables in Markdown, and the line below them that says where they were made."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from statistics import median

from benchmarks.course import Course
from zmount.filestorage.cores import chosen


def table(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """Return a table; its first columns, so many TEXTS, are texts, the others numbers."""
    rule = ["---"] * texts + ["---:"] * (len(head) - texts)
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(rule) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def times(fast: float, slow: float) -> str:
    """Return how often FAST goes into SLOW, as a person writes it."""
    ratio = slow / fast if fast else 0.0
    return f"{ratio:.1f}" if ratio >= 2 else f"{ratio:.2f}"


def machine(course: Course) -> str:
    """Return where and how it was measured."""
    return (
        f"Medians of {course.rounds} alternating rounds, page cache warm; Python "
        f"{platform.python_version()}, ZODB {version('ZODB')}, {chosen()}; {os.cpu_count()} "
        f"processor cores, {platform.machine()}, of which others took "
        f"{median(course.others):.2f}, at most {max(course.others):.2f}."
    )
