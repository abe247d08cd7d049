"""Which packer these tests test: ours, or stock's where that is asked for.

``ZMOUNT_TEST_PACKER=stock`` runs them with ZODB's own packer. The tests of the
dangers fail then: that is how one sees that they are tests.
"""

from __future__ import annotations

import os
from typing import Any

from pack_rule import stock

from zmount.filestorage import cores

VARIABLE = "ZMOUNT_TEST_PACKER"
# as in conftest.py: without a compiled core the tests fail, unless this is admitted
CORES = ("plain",) if os.environ.get(cores.VARIABLE) == "plain" else ("plain", "compiled")
IS_STOCK = os.environ.get(VARIABLE) == "stock"


def packer_here(storage: Any, referencesf: Any, stop: bytes, gc: bool) -> Any:
    """Pack with the packer that is tested."""
    if IS_STOCK:
        return stock(storage, referencesf, stop, gc)
    from zmount.filestorage.packer import pack

    return pack(storage, referencesf, stop, gc)
