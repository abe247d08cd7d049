"""Settings that zmount hands on as they are written, and secrets among them.

ZEO, ZODB, Zope and zdaemon each know dozens of keys. zmount's schema checks
their type and keeps their text: what the administrator wrote is what stands in
the generated file, ``128MB`` and not ``134217728``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias


class Secret:
    """A password or passphrase: it prints as dots, :meth:`reveal` gives it.

    Files that hold a revealed secret are written with mode 0600. This is no
    dataclass, because ``dataclasses.asdict`` would show what is in it.
    """

    __slots__ = ("_text",)
    _text: str

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_text", text)

    def reveal(self) -> str:
        """Return the secret's text; for generated 0600 files only."""
        return self._text

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Secret does not change")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __str__(self) -> str:
        return "••••••"

    def __repr__(self) -> str:
        return "Secret(••••••)"


Value: TypeAlias = "str | Secret"

SECRET_WORDS = (
    "password passphrase passwd pwd secret dsn token parameters credential "
    "api-key apikey access-key private-key"
).split()
CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")  # of a URL: user and password


def guard(key: str, text: str) -> Value:
    """Return TEXT, as a :class:`Secret` if KEY's name, or a URL in it, says that it is one.

    ``dsn`` and ``parameters`` are RelStorage's keys that carry a password.
    ``password-function`` names a function and is none.
    """
    name = key.lower().replace("_", "-")
    if name.endswith(("-function", "-file", "-path", "-limit")):
        return text
    sounds_secret = name.endswith("-pass") or any(word in name for word in SECRET_WORDS)
    return Secret(text) if sounds_secret or CREDENTIALS.search(text) else text


@dataclass(frozen=True, slots=True)
class Options(Mapping[str, tuple[Value, ...]]):
    """An immutable, ordered mapping from a key to its values as written.

    A key that takes one value has a tuple of one. ``Options()`` is empty.
    """

    items_: tuple[tuple[str, tuple[Value, ...]], ...] = ()

    def __getitem__(self, key: str) -> tuple[Value, ...]:
        for name, values in self.items_:
            if name == key:
                return values
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.items_)

    def __len__(self) -> int:
        return len(self.items_)

    def __bool__(self) -> bool:
        return bool(self.items_)

    def text(self, key: str, default: str = "") -> str:
        """Return KEY's only value as text, or DEFAULT if it was not said."""
        for name, values in self.items_:
            if name == key:
                value = values[-1]
                return value.reveal() if isinstance(value, Secret) else value
        return default

    def over(self, defaults: Options) -> Options:
        """Return DEFAULTS, with these options in their place where both speak."""
        if not self.items_:
            return defaults
        if not defaults.items_:
            return self
        merged = dict(defaults.items_)
        merged.update(self.items_)
        return Options(tuple(merged.items()))

    def without(self, *keys: str) -> Options:
        """Return these options less KEYS."""
        return Options(tuple(item for item in self.items_ if item[0] not in keys))

    def only(self, keys: frozenset[str]) -> Options:
        """Return those of these options whose key is one of KEYS."""
        return Options(tuple(item for item in self.items_ if item[0] in keys))


def options(**values: str) -> Options:
    """Return options from keyword arguments; ``_`` in a name stands for ``-``."""
    return Options(tuple((key.replace("_", "-"), (text,)) for key, text in values.items()))
