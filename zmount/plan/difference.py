"""The difference between two texts of a file, for a person to read; no secret is in it.

What the topology calls a secret is known and hidden wherever it stands. In a
text from before there may be older ones: hidden is what follows a key whose name
says that it is one, and what stands where the new text has a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import PurePosixPath

from zmount.plan.steps import FileStep, WriteFile
from zmount.topology.options import Secret, guard

HIDDEN = "••••••"
_CHECKSUM = re.compile(r"\bsha256:[0-9a-f]{64}\b")  # it says only that something differs
_KEY = re.compile(r"^(\s*([A-Za-z_][\w.-]*)[ \t]*[=: \t][ \t]*)(\S.*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a file changes. ``lines`` are those of a unified diff, without secrets."""

    path: PurePosixPath
    summary: str
    lines: tuple[str, ...]
    is_new: bool = False


def difference(step: FileStep, secrets: frozenset[str]) -> Difference:
    """Return how STEP changes its file's text, hiding SECRETS."""
    if not isinstance(step, WriteFile):
        return Difference(path=step.path, summary=str(step), lines=())
    old = step.old.text if step.old is not None else ""
    return Difference(
        path=step.path,
        summary=str(step),
        lines=text_difference(step.path, old, step.new.text, secrets),
        is_new=step.old is None,
    )


def text_difference(
    path: PurePosixPath, old: str, new: str, secrets: frozenset[str]
) -> tuple[str, ...]:
    """Return the unified difference of two texts of PATH, hiding SECRETS and older ones."""
    spelled = spellings(secrets)
    before = _openings(new, spelled)
    diff = unified_diff(
        _printable(old).splitlines(),
        _printable(new).splitlines(),
        fromfile=str(path),
        tofile=str(path),
        lineterm="",
    )
    return tuple(
        line
        if line.startswith(("---", "+++", "@@"))
        else line[0] + _hide(line[1:], spelled, before)
        for line in diff
    )


def spellings(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return SECRETS as ZConfig, ini and XML files spell them, longest first."""
    found: set[str] = set()
    for secret in secrets:
        xml = secret.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
        quoted = secret.replace("\\", "\\\\").replace('"', '\\"')
        found |= {secret, secret.replace("$", "$$"), secret.replace("%", "%%"), xml, quoted}
        found |= set(secret.splitlines())
    return tuple(
        sorted((text for text in found if text.strip()), key=lambda text: (-len(text), text))
    )


def _hide(line: str, spelled: tuple[str, ...], openings: tuple[str, ...]) -> str:
    for opening in openings:
        if line.startswith(opening) and not (opening == "" and line.startswith(("#", "<!--"))):
            return opening + HIDDEN
    for secret in spelled:
        line = line.replace(secret, HIDDEN)
    match = _KEY.match(line)
    if match is not None and isinstance(guard(match[2], match[3]), Secret):
        return match[1] + HIDDEN
    return line


def _openings(text: str, spelled: tuple[str, ...]) -> tuple[str, ...]:
    """Return what stands before a secret in the lines of TEXT."""
    found = (
        line[: line.index(secret)]
        for secret in spelled
        for line in text.splitlines()
        if secret in line
    )
    return tuple(dict.fromkeys(found))


def _printable(text: str) -> str:
    """Return TEXT with bytes that are no UTF-8 written as such, and its checksum left out."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    first, newline, rest = text.partition("\n")
    return _CHECKSUM.sub("sha256:...", first) + newline + rest
