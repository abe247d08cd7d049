"""Whether this process is about to be stopped, and wants no more visitors.

Whoever is about to stop it writes its process id into a file of the clienthome; the
liveness page then answers 503, and load balancers send their requests to others. Another
process' id, left over from before, means nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

FILE_NAME = "zmount-draining"
_LONGEST = 20  # bytes of a process id and the end of its line


def is_draining() -> bool:
    """True if this process shall get no more requests; those that come are answered."""
    from App.config import getConfiguration

    try:
        with Path(getConfiguration().clienthome, FILE_NAME).open("rb") as file:
            return file.read(_LONGEST).strip() == str(os.getpid()).encode()
    except OSError:
        return False
