"""The pages of the agent: ``/@@zmount-alive`` for everybody, ``/@@zmount-agent`` for managers.

``zmount-agent`` takes a JSON object by POST::

    {"do": "steps", "note": TEXT, "steps": [STEP, ...]}   see ``steps``; one transaction
    {"do": "look"}                                        who answers, what its threads do

and answers with one; what it does not understand is 400. A form of another
site cannot send what it takes: the content type must be ``application/json``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from AccessControl import Unauthorized, getSecurityManager
from Products.Five.browser import BrowserView
from zExceptions import BadRequest
from zope.interface import alsoProvides

from zmount.agent.draining import DRAINS, intention
from zmount.agent.requests import noted
from zmount.agent.steps import UnknownStep, carry_out

TYPE = "application/json"

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class Alive(BrowserView):  # type: ignore[misc]
    """Says that a thread was free to answer, or with 503 that no more visitors are wanted."""

    def __call__(self) -> str:
        """Return one line; no cache may keep it."""
        response = self.request.response
        response.setHeader("Content-Type", "text/plain; charset=utf-8")
        response.setHeader("Cache-Control", "no-store")
        said = intention()
        if said == DRAINS:
            response.setStatus(503)
        return f"{said or 'alive'}\n"


class Agent(BrowserView):  # type: ignore[misc]
    """Does what zmount asks for."""

    def __call__(self) -> str:
        """Return the answer, JSON."""
        _must_be_manager(self.context)
        asked = self._asked()
        answer = self._answers().get(asked.get("do", ""))
        if answer is None:
            raise BadRequest(f"zmount's agent does not know {asked.get('do')!r}")
        _needs_no_token(self.request)
        self.request.response.setHeader("Content-Type", TYPE)
        self.request.response.setHeader("Cache-Control", "no-store")
        return json.dumps(answer(asked))

    def _answers(self) -> dict[str, Answer]:
        """Return what may be asked for, and who answers."""
        return {"steps": self._steps, "look": self._look}

    def _asked(self) -> dict[str, Any]:
        request = self.request
        kind = request.get("CONTENT_TYPE", "") or request.environ.get("CONTENT_TYPE", "")
        if request.method != "POST" or kind.partition(";")[0].strip() != TYPE:
            raise BadRequest(f"zmount's agent takes {TYPE} by POST")
        try:
            asked = json.loads(request.get("BODY") or b"")
        except ValueError as why:
            raise BadRequest(f"this is no JSON: {why}") from None
        if not isinstance(asked, dict):
            raise BadRequest("a JSON object is wanted")
        return asked

    def _steps(self, asked: dict[str, Any]) -> dict[str, Any]:
        from Acquisition import aq_inner

        steps = asked.get("steps")
        if not isinstance(steps, list) or not all(isinstance(each, dict) for each in steps):
            raise BadRequest("steps are wanted, a list of JSON objects")
        try:
            return carry_out(aq_inner(self.context), steps, asked.get("note", "zmount"))
        except UnknownStep as why:
            raise BadRequest(str(why)) from None

    def _look(self, asked: dict[str, Any]) -> dict[str, Any]:
        own = os.getpid()
        requests = [
            {"thread": each.native_id, "started": each.started, "path": each.path}
            for each in noted()
        ]
        return {"pid": own, "python": sys.version.split()[0], "requests": requests}


def _must_be_manager(app: Any) -> None:
    """Refuse whoever is no Manager at the root, whatever permissions the root gives away.

    :raises Unauthorized: with it
    """
    user = getSecurityManager().getUser()
    if "Manager" not in user.getRolesInContext(app):
        raise Unauthorized("zmount's agent is for managers of the root")


def _needs_no_token(request: Any) -> None:
    """Tell plone.protect, if it is there, that no form of another site sent REQUEST.

    It would abort the transaction for the want of a form's token, and the answer would say
    that all is done: it looks when the view has answered.
    """
    protect = sys.modules.get("plone.protect.interfaces")
    if protect is not None:
        alsoProvides(request, protect.IDisableCSRFProtection)
