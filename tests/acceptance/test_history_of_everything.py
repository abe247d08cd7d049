"""What is done to a real deployment, with Zopes up, is in its history: each command of it."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deployments import Deployment
from visitors import manage

CONF = """
administrator admin
administrator-password a secret
<zeo zeo>
  address var/zeo.sock
</zeo>
<session/>
<site x.org/>
<instance dev>
  kind development
  http-address 127.0.0.1:{port}
</instance>
<instance pub>
  kind public
  http-address 127.0.0.1:{port2}
</instance>
"""


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with tempfile.TemporaryDirectory(prefix="zm-") as directory:
        made = Deployment(Path(directory), CONF)
        try:
            yield made
        finally:
            made.end_all()


def did(deployment: Deployment, command: str, *more: str) -> None:
    done = deployment.zmount(*command.split(), *more)
    assert done.returncode == 0, (command, done.stdout, done.stderr)


def undated(subject: str) -> str:
    """Return SUBJECT without the moment when it went into the attic."""
    return re.sub(r"\.\d{8}T\d{6}Z$", "", subject)


def told(deployment: Deployment) -> list[dict[str, Any]]:
    found = deployment.zmount("history", "--json", "-n", "1000")
    entries: list[dict[str, Any]] = json.loads(found.stdout)
    return entries


def test_every_command_that_changes_or_proves_something_is_told(deployment: Deployment) -> None:
    did(deployment, "apply")
    did(deployment, "start")
    did(deployment, "sandbox add medur x.org")
    manage(deployment.port, "/dev/medur/x.org/manage_addFolder", id="news")
    did(deployment, "push dev:/dev/medur/x.org/news dev:/home/x.org/news")
    fields = {"permission_to_manage": "Add Folders", "roles:list": "Manager", "acquire": "1"}
    manage(deployment.port2, "/manage_permission", **fields)
    did(deployment, "access --copy-from dev --yes")
    did(deployment, "offline x.org --instance pub", "--reason", "new search")
    did(deployment, "online x.org")
    manage(deployment.port2, "/home/manage_delObjects", **{"ids:list": "x.org"})
    did(deployment, "remount pub --all")
    did(deployment, "sandbox remove medur x.org")
    did(deployment, "attic dev --drop x.org --yes")
    did(deployment, "swap-stage x.org --drop-changes")
    did(deployment, "sessions --prove --yes")
    did(deployment, "restart pub")
    did(deployment, "stop")
    for storage in ("pub/x.org", "stage/x.org"):
        did(deployment, f"verify {storage}")
    did(deployment, "index pub/x.org")
    did(deployment, f"clone pub/x.org {deployment.directory}/clone")
    did(deployment, "undo")

    found = told(deployment)

    assert {each["result"] for each in found} <= {"done", "nothing to do"}
    assert [(each["operation"], [*map(undated, each["subjects"])]) for each in found] == [
        ("apply", ["localhost"]),
        ("prepare", ["dev", "pub"]),
        ("start", ["zeo", "dev", "pub"]),
        ("sandbox", ["dev", "medur"]),
        ("push", ["dev", "dev:/dev/medur/x.org/news", "dev:/home/x.org/news"]),
        ("access", ["pub"]),
        ("offline", ["x.org", "pub"]),
        ("online", ["x.org", "dev", "pub"]),
        ("remount", ["pub"]),
        ("sandbox", ["dev", "medur"]),
        ("attic", ["dev", "x.org"]),
        ("swap-stage", ["x.org", "stage/x.org"]),
        ("sessions", ["pub"]),
        ("restart", ["pub"]),  # for the proof
        ("restart", ["zeo"]),
        ("restart", ["pub"]),
        ("stop", ["zeo", "dev", "pub"]),
        ("verify", ["pub/x.org"]),
        ("verify", ["stage/x.org"]),
        ("index", ["pub/x.org"]),
        ("clone", ["pub/x.org"]),
        ("undo", ["localhost"]),
    ]
    planned = {each["operation"]: "\n".join(each["plan"]) for each in found}
    for operation in ("prepare", "apply", "sandbox", "push", "access", "offline", "online"):
        assert planned[operation], operation
    assert "x.org" in planned["remount"] + planned["attic"]
    assert "a secret" not in json.dumps(found)
    assert found[6]["arguments"] == {"reason": "new search"}
