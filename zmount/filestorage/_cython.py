"""What the cores need of the module ``cython`` where Cython is not installed.

The cores are written in Cython's pure Python mode: one source is compiled, and
runs as it stands, too. Then their declarations are read by nobody, and this
module lets them pass. It has exactly the names that the cores use, or may.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

compiled = False


class _Type:
    """Stands for a C type: converts nothing, and can be declared an array of."""

    def __call__(self, value: Any = 0) -> Any:
        return value

    def __getitem__(self, item: Any) -> _Type:
        return self


char = schar = uchar = short = ushort = uint = sint = long = ulong = _Type()
longlong = ulonglong = Py_ssize_t = size_t = ssize_t = bint = void = double = _Type()
int = _Type()  # hides the builtin, which nothing here uses
p_char = p_uchar = p_ulonglong = p_void = _Type()


class _Directive:
    """A decorator, with or without a value, and a context: ``with cython.nogil:``."""

    def __call__(self, value: Any = None) -> Any:
        return value if callable(value) else self

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        return None


nogil = gil = cfunc = ccall = inline = final = _Directive()
boundscheck = wraparound = initializedcheck = cdivision = _Directive()
overflowcheck = nonecheck = infer_types = profile = binding = _Directive()


def locals(**types: Any) -> Callable[[T], T]:
    """Declare local variables: the function stays as it is."""
    return _unchanged


def returns(type: Any) -> Callable[[T], T]:
    """Declare what a function returns: it stays as it is."""
    return _unchanged


def exceptval(value: Any = None, *, check: bool = True) -> Callable[[T], T]:
    """Declare how a function raises: it stays as it is."""
    return _unchanged


def _unchanged(function: T) -> T:
    return function


def cast(type: Any, value: T, *, typecheck: bool = False) -> T:
    """Return VALUE: plain integers have no width, so cores must mask where it matters."""
    return value


def declare(type: Any = None, value: Any = None, **types: Any) -> Any:
    """Return VALUE."""
    return value


def likely(condition: T) -> T:
    """Return CONDITION."""
    return condition


unlikely = likely
