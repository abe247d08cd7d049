"""The administrator's own program that is told of a failed job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

from zmount.errors import ZMountError

TIMEOUT_S = 60


def run_hook(command: str, facts: Mapping[str, Any], directory: PurePosixPath) -> None:
    """Let a shell do COMMAND in DIRECTORY, and tell it FACTS.

    They are JSON on its standard input, and those that are no lists are environment
    variables, too: ``exit_status`` is ZMOUNT_EXIT_STATUS.

    :raises ZMountError: it failed, or takes longer than a minute
    """
    told = {
        f"ZMOUNT_{name.upper()}": str(value)
        for name, value in facts.items()
        if not isinstance(value, list)
    }
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env={**os.environ, **told},
            start_new_session=True,
        )
    except OSError as why:
        raise ZMountError(f"on-failure: {command}: {why.strerror}") from None
    try:
        printed, _ = process.communicate(json.dumps(facts).encode(), timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ZMountError(f"on-failure: {command}: it took longer than {TIMEOUT_S} s") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode != 0:
        last = printed.decode(errors="backslashreplace").strip().splitlines()[-1:]
        said = f": {last[0]}" if last else ""
        raise ZMountError(f"on-failure: {command}: exit status {process.returncode}{said}")
