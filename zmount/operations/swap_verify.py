"""Whether a swap did what it should, as a new client sees it."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import Any

from zmount.effects.raw_storages import open_files
from zmount.effects.stage_files import StageState
from zmount.effects.stage_moment import must_show
from zmount.effects.zeo_client import connected
from zmount.errors import SwapFailed
from zmount.operations.local_processes import LocalProcesses
from zmount.topology.sites import Site
from zmount.topology.storages import Storage


def must_show_moment(
    site: Site, state: StageState, local: LocalProcesses, *, is_undone: bool
) -> int:
    """Compare what new clients read from the staging of SITE, now STATE, with production.

    IS_UNDONE if that is a content from before. Returns how many objects were compared: of
    production's last transaction, and the root; none where it is staging's own file.

    :raises SwapFailed: it is something else, or older than the swap
    :raises StorageUnreadable: a storage is not to be had
    """
    staging, production = site.staging, site.production
    assert staging is not None
    with ExitStack() as stack:
        shown = stack.enter_context(closing(_opened(staging, local)))
        last: bytes = shown.lastTransaction()
        if last < state.floor:
            raise SwapFailed(
                f"{staging.name}: a new client is shown transaction 0x{last.hex()}, which is "
                f"older than the swap (0x{state.floor.hex()})",
                hint="zmount status; the ZEO server's log",
            )
        if state.is_plain:
            return 0
        live = stack.enter_context(closing(_opened(production, local)))
        # what comes back may have been changed before it was left
        since = state.base_tid if is_undone else state.floor
        return must_show(shown, live, state.files[0], state.base_end, since)


def _opened(storage: Storage, local: LocalProcesses) -> Any:
    """Open STORAGE as a new client of its ZEO server, or its files where that is down."""
    server = storage.server
    if server is not None and local.ask(local.everywhere[server.name]).is_answering:
        addresses = (server.address_from(local.host),)
        return connected(storage, addresses, local.client_tls(server))
    return open_files(storage)
