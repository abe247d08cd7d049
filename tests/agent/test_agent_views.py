"""What the agent's page says to others that look at its requests."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from AccessControl.SecurityManagement import newSecurityManager, noSecurityManager
from AccessControl.users import UnrestrictedUser
from OFS.Application import Application
from zope.interface import Interface
from zope.publisher import browser

from zmount.agent.views import Agent


@pytest.fixture
def request_of_a_manager() -> Iterator[Any]:
    newSecurityManager(None, UnrestrictedUser("admin", "", ["Manager"], []))
    request = browser.TestRequest(BODY=json.dumps({"do": "look"}), CONTENT_TYPE="application/json")
    request.method = "POST"
    yield request
    noSecurityManager()


def test_plone_is_told_that_no_form_sent_the_request(
    request_of_a_manager: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would abort the transaction otherwise, when the agent has said that all is done."""
    interfaces = types.ModuleType("plone.protect.interfaces")
    wanted = type(Interface)("IDisableCSRFProtection", (Interface,), {})
    interfaces.IDisableCSRFProtection = wanted  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plone.protect.interfaces", interfaces)

    Agent(Application(), request_of_a_manager)()

    assert wanted.providedBy(request_of_a_manager)


def test_without_plone_nothing_is_told(request_of_a_manager: Any) -> None:
    assert "requests" in Agent(Application(), request_of_a_manager)()
