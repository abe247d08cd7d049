"""A browser with one set of cookies, which asks every public process for its session."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from zmount.effects.credentials import administrator_client
from zmount.effects.zope_http import ZopeClient, one_browser
from zmount.operations.local_processes import LocalProcesses
from zmount.topology.processes import Process

PAGE = "zmount-session"
ANSWERS_S = 60.0  # for a Zope to answer, and to have its ZEO server back


@dataclass(frozen=True, kw_only=False)
class Browser:
    """A visitor's browser that is logged in as the administrator."""

    local: LocalProcesses

    @cached_property
    def cookies(self) -> Any:
        """What every process gets of it, whatever its address."""
        return one_browser()

    def ask(
        self, process: Process, do: str, *, timeout_s: float = ANSWERS_S, **values: str
    ) -> dict[str, Any]:
        """Let PROCESS, of any host, DO something with the session; return its answer.

        :raises AccessRefused: it does not let the administrator in
        :raises ProcessFailed: it does not answer, or has no such page
        """
        local = self.local
        client: ZopeClient = administrator_client(
            local.topology, local.host, local.address_of(process), cookies=self.cookies
        )
        return client.ask_agent(do, page=PAGE, timeout_s=timeout_s, **values)
