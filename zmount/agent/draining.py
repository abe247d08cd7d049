"""Whether this process is about to be stopped, and wants no more visitors.

Whoever is about to stop it writes this process' id, a word, and the id of its own process
into a file of the clienthome:

- ``drains``: the liveness page answers 503, and load balancers send their requests to
  others.
- ``intends``: that is what it will say next, unless another process of the instance
  says so, too. The page is still 200, and only its text tells.

Another process' id, left over from before, means nothing; neither does what somebody
wrote who is dead by now.
"""

from __future__ import annotations

import os
from pathlib import Path

FILE_NAME = "zmount-draining"
INTENDS, DRAINS = "intends", "drains"
_LONGEST = 60  # bytes of two process ids and a word


def intention() -> str:
    """Return what is to become of this process: DRAINS, INTENDS, or "" for nothing."""
    from App.config import getConfiguration

    try:
        with Path(getConfiguration().clienthome, FILE_NAME).open("rb") as file:
            pid, word, writer = file.read(_LONGEST).decode("ascii", "replace").split()
    except (OSError, ValueError):
        return ""
    return word if pid == str(os.getpid()) and _is_alive(writer) else ""


def _is_alive(pid: str) -> bool:
    """True if the process PID exists, whoever's it is."""
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
