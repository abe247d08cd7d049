"""zmount: the operations tool of Zope and Plone administrators.

>>> import zmount
>>> topology = zmount.load("zmount.conf")
>>> print(topology.instance("dev").zope_conf())

Only the top package re-exports, and only on demand, so that ``zmount --help``
imports neither ZConfig nor ZODB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zmount.topology.load import load as load
    from zmount.topology.topology import Topology as Topology

__version__ = "0.1.0"

_EXPORTS = {
    "load": "zmount.topology.load",
    "Topology": "zmount.topology.topology",
    "ZMountError": "zmount.errors",
}
__all__ = ["Topology", "ZMountError", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_EXPORTS[name]), name)
