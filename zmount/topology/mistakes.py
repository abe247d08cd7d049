"""Mistakes in the writing of a file, in words that an administrator can use.

ZConfig's own messages speak of its schemas; these say what to write.
"""

from __future__ import annotations

import difflib

from zmount.topology.dead import dead_option
from zmount.topology.findings import Finding, error
from zmount.topology.keeping import RAW
from zmount.topology.places import Place

LONGEST = 60  # characters of the file that a message shows

# what begins a zeo.conf or a zope.conf, at the top of the file
_OTHER_FILES = frozenset(
    "filestorage zodb_db zeoclient clientstorage mappingstorage demostorage blobstorage "
    "relstorage temporarystorage".split()
)

# part of ZConfig's message: (why, hint)
_WORDS = {
    "does not support multiple values": ("it stands twice", "leave one out"),
    "malformed configuration data": ("it is neither KEY VALUE nor a section", ""),
    "missing argument": ("its argument is missing", ""),
    "missing or unrecognized directive": ("it is no directive", "%define, %include or %import"),
    "unknown directive": ("it is no directive", "%define, %include or %import"),
    "cannot redefine": ("it has another value already", "leave one %define out"),
    "did not match regular expression": (
        "it is no key",
        "a key begins with a letter and goes on with letters, digits, - . and _",
    ),
    "lone '$'": ("a $ begins a name", "$$ for a dollar sign"),
    "not a substitution legal name": (
        "a name begins with a letter and goes on with letters, digits and _",
        "",
    ),
}


def shown(text: str) -> str:
    """Return TEXT from the file so that a message can show it on any terminal."""
    cut = text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
    return "".join(char if char.isprintable() else "�" for char in cut)


def in_our_words(message: str) -> tuple[str, str]:
    """Return reason and remedy for what ZConfig calls MESSAGE."""
    for part, words in _WORDS.items():
        if part in message:
            return words
    return first_line(message), ""


def first_line(why: object) -> str:
    """Return the first line of WHY; some of ZConfig's reasons have many."""
    return str(why).strip().splitlines()[0] if str(why).strip() else "not a valid value"


def unknown_key(key: str, known: set[str], place: Place, within: str) -> Finding:
    """Return what to say of a KEY that is none of those KNOWN."""
    dead = dead_option(key)
    if dead is not None:
        return error(
            "dead-option", place, f"{key} is gone", why=dead.why, hint=f"instead: {dead.instead}"
        )
    return _unknown(shown(key), key, known, place, within)


def unknown_section(type_: str, known: set[str], place: Place, within: str) -> Finding:
    """Return what to say of a section that is none of those KNOWN."""
    what = f"<{shown(type_)}>"
    dead = dead_option(type_)
    if dead is not None:
        return error(
            "dead-option", place, f"{what} is gone", why=dead.why, hint=f"instead: {dead.instead}"
        )
    if type_ in _OTHER_FILES:
        return error(
            "unknown",
            place,
            f"{what} is not known in {within}",
            why="it belongs into a zeo.conf or zope.conf, or into a <storage>",
            hint="zmount adopt makes a zmount.conf of those files",
        )
    return _unknown(what, type_, known, place, within)


def _unknown(what: str, name: str, known: set[str], place: Place, within: str) -> Finding:
    close = difflib.get_close_matches(name[:LONGEST], sorted(known - {RAW}), n=1)
    hint = f"did you mean {close[0]}?" if close else "see the reference of zmount.conf"
    return error("unknown", place, f"{what} is not known in {within}", hint=hint)
