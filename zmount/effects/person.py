"""Who it is that runs this process."""

from __future__ import annotations

import os
import pwd


def user_id() -> int:
    """Return the user id that counts: the effective one."""
    return os.geteuid()


def login_name() -> str:
    """Return the login name; of one who became another by sudo ``anna as root``."""
    account = _account(os.geteuid())
    person = os.environ.get("SUDO_USER", "")
    return f"{person} as {account}" if person and person != account else account


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
