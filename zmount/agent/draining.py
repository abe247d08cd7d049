"""Whether this process is about to be stopped, and wants no more visitors.

Whoever is about to stop it writes its process id and a word into a file of the
clienthome:

- ``drains``: the liveness page answers 503, and load balancers send their requests to
  others.
- ``intends``: that is what it will say next, unless another process of the instance
  says so, too. The page is still 200, and only its text tells.

Another process' id, left over from before, means nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

FILE_NAME = "zmount-draining"
INTENDS, DRAINS = "intends", "drains"
_LONGEST = 40  # bytes of a process id and a word


def intention() -> str:
    """Return what is to become of this process: DRAINS, INTENDS, or "" for nothing."""
    from App.config import getConfiguration

    try:
        with Path(getConfiguration().clienthome, FILE_NAME).open("rb") as file:
            pid, _, word = file.read(_LONGEST).decode("ascii", "replace").strip().partition(" ")
    except OSError:
        return ""
    return word if pid == str(os.getpid()) else ""
