"""The page ``/@@zmount-session``: a value in the session of whoever asks, for managers.

``zmount sessions --prove`` puts a value in, restarts servers and looks whether it is still
there. Nothing is added to the root: the value lies in the session and goes with it.

As ``zmount-agent`` (see ``views``) it takes a JSON object by POST, and answers with one::

    {"do": "set", "value": TEXT}    -> {"value": TEXT, ...}
    {"do": "get"}                   -> {"value": TEXT, or null where it is gone, ...}
    {"do": "end"}                   -> {"value": null, ...}, and the session is over

Each answer also has ``pid``, which another host's process may have, too, and ``run``, a word
that only this process has.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

from Acquisition import aq_base, aq_inner
from zExceptions import BadRequest

from zmount.agent.views import Agent, Answer

KEY = "zmount.proof"
MANAGER = "session_data_manager"
RUN = secrets.token_hex(8)


class Session(Agent):
    """Reads and writes one value in the session of the browser that asks."""

    def _answers(self) -> dict[str, Answer]:
        return {"set": self._set, "get": self._get, "end": self._end}

    def _set(self, asked: dict[str, Any]) -> dict[str, Any]:
        value = str(asked["value"])
        self._manager().getSessionData(create=1).set(KEY, value)
        return _told(value)

    def _get(self, asked: dict[str, Any]) -> dict[str, Any]:
        manager = self._manager()
        if not manager.hasSessionData():  # getSessionData would make a session
            return _told(None)
        return _told(manager.getSessionData(create=0).get(KEY, None))

    def _end(self, asked: dict[str, Any]) -> dict[str, Any]:
        manager = self._manager()
        if manager.hasSessionData():
            manager.getSessionData(create=0).invalidate()
        return _told(None)

    def _manager(self) -> Any:
        app = aq_inner(self.context)
        if getattr(aq_base(app), MANAGER, None) is None:
            raise BadRequest(f"the root has no {MANAGER}")
        return getattr(app, MANAGER)


def _told(value: Any) -> dict[str, Any]:
    return {"pid": os.getpid(), "run": RUN, "value": value}
