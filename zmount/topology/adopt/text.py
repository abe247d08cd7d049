"""The written zmount.conf: its text, and what must be known of it."""

from __future__ import annotations

from dataclasses import dataclass

from zmount.topology.adopt.conf_files import plain, shown
from zmount.topology.adopt.found import Deployment
from zmount.topology.adopt.notes import Notes
from zmount.topology.adopt.writing import conf_text, key_line
from zmount.topology.findings import Finding
from zmount.topology.options import Secret
from zmount.topology.sections import RawSection
from zmount.topology.storages import STOCK_PACKER

_KNOWN = frozenset(
    "zeo site session storage instance database client mount environment dos-protection "
    "product-config waitress ini log access-log runner ssl".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """A zmount.conf that is not on disk yet.

    ``findings`` say what it does not hold of the files that it was made from.
    ``holds_secret`` says that nobody but its owner may read it.
    """

    text: str
    findings: tuple[Finding, ...]
    holds_secret: bool


def written(
    deployment: Deployment,
    sections: tuple[RawSection, ...],
    files: tuple[str, ...],
    notes: Notes,
    *,
    stage_mode: str = "",
) -> Adopted:
    """Return the zmount.conf of DEPLOYMENT that has these SECTIONS, made from FILES."""
    holds_secret = any(_holds_secret(section) for section in sections)
    parts = ["# Adopted from", *(f"#   {file}" for file in files)]
    if holds_secret:
        parts.append("# A password stands in here: leave this file to its owner alone (0600).")
    parts += [f"%import {name}" for name in _imports(deployment, sections)]
    parts.append(key_line("directory", str(deployment.directory)))
    if deployment.venv:
        parts.append(key_line("venv", deployment.venv))
    if deployment.user:
        parts.append(key_line("user", deployment.user))
    if deployment.packer == STOCK_PACKER:
        parts.append("# FileStorage's own packer, as before; without this line, zmount's")
        parts.append(key_line("packer", STOCK_PACKER))
    if stage_mode:
        parts.append("# staging as before; without this line, zmount swap-stage refreshes it")
        parts.append(key_line("stage-mode", stage_mode))
    text = "\n".join(parts) + "\n"
    before = ""
    for section in sections:
        # <site a/> and <site b/> stand together
        is_short = not section.keys and not section.sections
        text += "" if is_short and before == section.type else "\n"
        text += conf_text(section)
        before = section.type if is_short else ""
    text += _not_carried_over(notes)
    return Adopted(text=text, findings=tuple(notes.findings), holds_secret=holds_secret)


def _imports(deployment: Deployment, sections: tuple[RawSection, ...]) -> tuple[str, ...]:
    """Return the packages whose schemas know the sections that are kept as they are."""
    foreign = {
        inner.type for section in sections for inner in section.walk() if inner.type not in _KNOWN
    }
    if not foreign:
        return ()
    # zmount adds ZEO's component itself where a zope.conf needs it
    return tuple(name for name in deployment.imports if name != "ZEO")


def _holds_secret(section: RawSection) -> bool:
    """True if a secret's own text stands in SECTION, not just ``$(NAME)`` for it."""
    return any(
        isinstance(value, Secret) and not _is_reference(plain(value))
        for inner in section.walk()
        for _, value in inner.keys
    )


def _is_reference(text: str) -> bool:
    return text.startswith("\ue000") and text.endswith("\ue001") and text.count("\ue000") == 1


def _not_carried_over(notes: Notes) -> str:
    if not notes.findings:
        return ""
    lines = [
        f"#   {str(finding).replace(f' {finding.severity}:', '', 1)}" for finding in notes.findings
    ]
    return "\n".join(["", "# To know of what it was made from:", *map(shown, lines), ""])
