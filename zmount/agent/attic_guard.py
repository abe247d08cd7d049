"""The attic is for managers of the root, whatever what lies in it grants to whom.

Its own permissions keep others from the attic. But an object in it may have permissions
of its own, as one that visitors could see where it stood, and Zope asks only the last
object of a path.
"""

from __future__ import annotations

from typing import Any

from zmount.agent.attic import ATTIC


def traversed(event: Any) -> None:
    """Refuse who is no Manager of the root, if what he asks for is in the attic.

    :raises Unauthorized: with it
    """
    request = event.request
    if ATTIC not in request.environ.get("PATH_INFO", ""):
        return
    from AccessControl import Unauthorized, getSecurityManager
    from Acquisition import aq_base

    parents = request.get("PARENTS") or ()
    found = (request.get("PUBLISHED"), *parents)
    if not any(getattr(aq_base(each), "_zmount_is_attic", False) for each in found):
        return
    if not getSecurityManager().getUser().allowed(parents[-1], ["Manager"]):
        raise Unauthorized("the attic is for managers of the root")
