"""Telling a stage to swap: the ZEO server that serves it, or a process of ours.

Both take the same requests (see ``zmount/server/control.py``).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zmount.effects.child_process import acts_for, as_user, dying_with_us, environment
from zmount.effects.log_tail import last_lines
from zmount.effects.packing import own_python
from zmount.effects.stage_files import generations_of
from zmount.errors import EnvironmentMissing, Locked, SwapFailed, SwapRefused
from zmount.server.control import ControlError, call
from zmount.topology.processes import Process
from zmount.topology.storages import Storage

Progress = Callable[[str, int, int], None]
_REFUSALS = frozenset(("SwapRefused", "LockError", "PermissionError"))


def is_listening(storage: Storage) -> bool:
    """True if a ZEO server serves STORAGE as a stage, and may be told to swap by us.

    :raises SwapRefused: it may not
    """
    try:
        call(generations_of(storage).control, {"call": "facts"})
    except ControlError as why:
        if why.kind == "PermissionError":
            raise _not_for_us(storage, str(why)) from None
        return True
    except PermissionError as why:
        raise _not_for_us(storage, f"{why.filename or why.strerror}") from None
    except OSError:
        return False
    return True


def tell_server(storage: Storage, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Let the ZEO server of STORAGE do what REQUEST says; return its result.

    :raises SwapRefused: it refuses; nothing is changed
    :raises SwapFailed: it failed, or is gone
    """
    try:
        found: dict[str, Any] = call(
            generations_of(storage).control, request, lambda said: progress(*_told(said))
        )
    except ControlError as why:
        raise _error(storage, str(why), why.kind) from None
    except OSError as why:
        raise _error(storage, f"the ZEO server ended: {why.strerror}", "Gone") from None
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline:
    """The files of a stage that no server has open; ``conf`` is its section.

    A process of ours works on them, as the user of PROCESS, which would open them.
    """

    storage: Storage
    conf: str
    process: Process | None = None

    def tell(self, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Do what REQUEST says; return the result.

        :raises SwapRefused: it cannot be done; nothing is changed
        :raises SwapFailed: it failed
        :raises EnvironmentMissing: the user's virtual environment is not there
        """
        user = self.process.user if self.process is not None else ""
        python = own_python()
        if self.process is not None and acts_for(user):
            python = str(self.process.venv / "bin" / "python")
        program = (python, "-m", "zmount.server.offline")
        try:
            child = subprocess.Popen(
                dying_with_us(python, program),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(self.process) if self.process is not None else None,
                cwd="/",  # -m looks for modules where it is run
                start_new_session=True,  # Ctrl-C is for us: it then ends with us
                **as_user(user),
            )
        except OSError as why:
            raise EnvironmentMissing(f"{python} cannot be run: {why.strerror}") from None
        return self._result(child, request, progress)

    def _result(
        self, child: subprocess.Popen[str], request: dict[str, Any], progress: Progress
    ) -> dict[str, Any]:
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        with child:
            json.dump({"conf": self.conf, "request": request}, child.stdin)
            child.stdin.close()
            for line in child.stdout:
                said = json.loads(line)
                if "error" in said:
                    raise _error(self.storage, said["error"], said["kind"])
                if "result" in said:
                    found: dict[str, Any] = said["result"]
                    return found
                progress(*_told(said))
            printed = last_lines(child.stderr.read(), 1)
        last = printed[0].strip() if printed else f"exit status {child.returncode}"
        raise _error(self.storage, f"the process that swaps ended: {last}", "Gone")


def _told(said: dict[str, Any]) -> tuple[str, int, int]:
    return str(said.get("phase", "")), int(said.get("done") or 0), int(said.get("total") or 0)


def _error(storage: Storage, message: str, kind: str) -> SwapRefused | SwapFailed | Locked:
    name = storage.name
    text = message if message.startswith(f"{storage.zeo_name}: ") else f"{name}: {message}"
    if kind == "LockError":
        return Locked(f"{name}: {message}", hint="zmount status; wait until that ends")
    if kind == "PermissionError":
        return _not_for_us(storage, message)
    if kind in _REFUSALS:
        return SwapRefused(text)
    hint = "zmount status; staging shows what it did before, or all of the new"
    return SwapFailed(text, hint=hint if kind == "Gone" else f"the log of {_server(storage)}")


def _not_for_us(storage: Storage, why: str) -> SwapRefused:
    user = storage.server.user if storage.server is not None else ""
    who = f"as {user}, or as root" if user else "as the user of that server, or as root"
    return SwapRefused(
        f"{storage.name}: the ZEO server {_server(storage)} does not take orders from us: {why}",
        hint=who,
    )


def _server(storage: Storage) -> str:
    return storage.server.name if storage.server is not None else ""


def conf_knows_stage(storage: Storage) -> bool:
    """True if the zeo.conf on the disk serves STORAGE as a stage, or cannot be read."""
    if storage.server is None:
        return False
    try:
        lines = Path(storage.server.conf).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError):
        return True
    return any(line.strip() == f"<stage {storage.zeo_name}>" for line in lines)
