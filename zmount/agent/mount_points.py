"""Mount points that look for their object again when the database may hold another.

Products.ZODBMountPoint finds a mount point's object once for each thread and holds it
as long as the mount point itself is in memory. When a whole database is replaced under
it, as ``zmount swap-stage`` does, that object is emptied in place like all others, and
would be filled with whatever has its oid now: another object's state, or none.

So whoever asks a mount point for an object that is empty makes it look anew. That costs
nothing as long as the object is in memory, and then one traversal.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def started(event: Any) -> None:
    """Begin, when Zope is about to serve; without the product there are no mount points."""
    try:
        product = import_module("Products.ZODBMountPoint.MountedObject")
    except ImportError:
        return
    look_again(product.MountedObject)


def look_again(mounted_object: Any) -> None:
    """Let the class MOUNTED_OBJECT look for its object where that is a ghost."""
    find = mounted_object._getOrOpenObject
    if getattr(find, "_is_of_zmount", False):
        return

    def _getOrOpenObject(self: Any, parent: Any) -> Any:
        held = self._v_data
        if held is not None and getattr(held[0], "_p_changed", False) is None:
            self._v_data = None
        return find(self, parent)

    _getOrOpenObject._is_of_zmount = True  # type: ignore[attr-defined]
    mounted_object._getOrOpenObject = _getOrOpenObject
