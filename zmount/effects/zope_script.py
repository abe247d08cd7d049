"""Carrying out steps in the root of an instance that is down, by its own Python."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, cast

import zmount.agent
from zmount.effects.child_process import as_user, dying_with_us, environment
from zmount.effects.local_files import why_not_readable, why_not_runnable
from zmount.effects.log_tail import last_lines
from zmount.errors import EnvironmentMissing, PrepareFailed
from zmount.topology.instances import Replica
from zmount.topology.processes import Process

TIMEOUT_S = 300  # a Zope with many products takes some of them to start

_SCRIPT = Path(__file__).parent / "in_zope" / "steps.py"


def run_in_zope(process: Process, plan: dict[str, Any]) -> dict[str, Any]:
    """Carry out PLAN as the user of the Zope PROCESS; return its result (``agent/steps.py``).

    The plan goes through a pipe, so that a secret in it is in no command line
    and no file; the texts of the scripts go the same way, so that a user who may
    not read zmount's own files can run them.

    :raises EnvironmentMissing: there is no virtual environment, or no zope.conf
    :raises PrepareFailed: the script failed; the message has its last line
    """
    replica = cast(Replica, process.noun)
    python = replica.venv / "bin" / "python"
    if problem := why_not_runnable(python) or why_not_readable(replica.zope_conf):
        raise EnvironmentMissing(
            f"{process.name}: {problem}",
            hint="the virtual environment must have Zope; zmount apply writes zope.conf",
        )
    agent = Path(zmount.agent.__file__).parent
    sources = {f"zmount.agent.{path.stem}": path.read_text() for path in agent.glob("*.py")}
    sources["zmount.agent"] = sources.pop("zmount.agent.__init__")
    try:
        done = subprocess.run(
            dying_with_us(str(python), (str(python), "-c", _SCRIPT.read_text())),
            input=json.dumps({"sources": sources, "plan": plan}),
            env=environment(process),
            cwd=process.directory,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            **as_user(process.user),
        )
    except subprocess.TimeoutExpired:
        raise PrepareFailed(
            f"{process.name}: its Zope did not finish within {TIMEOUT_S} s",
            hint=f"its log {process.log.path} may say why",
        ) from None
    if done.returncode != 0:
        why = last_lines(done.stderr, 1) or (f"exit status {done.returncode}",)
        raise PrepareFailed(
            f"{process.name}: Zope could not prepare its root: {why[0].strip()}",
            hint=f"{python.parent}/zconsole debug {replica.zope_conf} shows it by hand",
        )
    result: dict[str, Any] = json.loads(done.stdout)
    return result
