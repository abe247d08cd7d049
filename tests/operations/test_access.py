"""Access rules of real Zopes are compared, and brought from one root to the other."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deployments import Deployment
from zope_files import in_zope

CONF = """
administrator admin
administrator-password a secret
<instance dev>
  kind development
  http-address 127.0.0.1:{port}
</instance>
<instance pub>
  kind public
  http-address 127.0.0.1:{port2}
</instance>
"""
# What an administrator does in the development root; the answer is ann's hash.
CHANGES = """
from OFS.Folder import Folder
app.acl_users._doAddUser("ann", "ann's password", ["Editor", "Manager"], ["127.0.0.1"])
app._addRole("Editor")
app.manage_permission("Add Folders", ["Editor", "Manager"], acquire=1)
app.manage_permission("View management screens", ["Editor", "Manager"], acquire=0)
app.manage_setLocalRoles("ann", ["Editor"])
app._setObject("private", Folder("private"), set_owner=0)
app.private.manage_permission("View", ["Manager"], acquire=0)
app.dev.manage_setLocalRoles("ann", ["Owner"])
answer = app.acl_users.data["ann"]._getPassword().decode()
"""
EXTRA = """
from OFS.Folder import Folder
app._setObject("private", Folder("private"), set_owner=0)
app.acl_users._doAddUser("bob", "bob's password", ["Manager"], [])
answer = None
"""
LOOK = """
answer = [
    sorted(app.acl_users.getUserNames()),
    app.acl_users.getUser("ann")._getPassword().decode(),
    str(app._Add_Folders_Permission),
    str(app._View_management_screens_Permission),
    str(app.private._View_Permission),
    sorted(app.__ac_roles__),
    app.__ac_local_roles__,
]
"""


@pytest.fixture
def deployment(deploy: Any) -> Deployment:
    """Two roots that are down and prepared."""
    made: Deployment = deploy(CONF)
    applied = made.zmount("apply")
    assert applied.returncode == 0, applied.stderr
    return made


@pytest.fixture
def ann(deployment: Deployment) -> str:
    """The hash of ann's password, who is a user of dev with many rules."""
    assert "have the same access rules" in access(deployment, status=0)
    found = in_zope(deployment, "dev", CHANGES)
    in_zope(deployment, "pub", EXTRA)
    return str(found)


def access(deployment: Deployment, *words: str, status: int) -> str:
    """Run ``zmount access`` and return what it printed."""
    done = deployment.zmount("access", *words)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def rules(deployment: Deployment) -> set[tuple[str, str, str]]:
    """Return which rules differ."""
    done = deployment.zmount("access", "--json")
    return {
        (each["path"], rule["what"], rule["name"])
        for each in json.loads(done.stdout)["differences"]
        for rule in each["rules"]
    }


def test_a_root_that_is_down_gets_the_rules_of_another(deployment: Deployment, ann: str) -> None:
    assert rules(deployment) == {
        ("/", "local roles", "ann"),
        ("/", "permission", "Add_Folders"),
        ("/", "permission", "View_management_screens"),
        ("/", "roles", ""),
        ("/acl_users", "user", "ann"),
        ("/acl_users", "user", "bob"),
        ("/private", "permission", "View"),
    }
    before = Path(deployment.directory / "pub_client/var/Data.fs").read_bytes()
    assert "set user ann" in access(deployment, "--copy-from", "dev", "--dry-run", status=1)
    assert "a script must say --yes" in access(deployment, "--copy-from", "dev", status=25)
    assert Path(deployment.directory / "pub_client/var/Data.fs").read_bytes() == before

    shown = access(deployment, "--copy-from", "dev", "--yes", status=1)

    assert rules(deployment) == {("/acl_users", "user", "bob")}
    assert in_zope(deployment, "pub", LOOK) == [
        ["admin", "ann", "bob"],
        ann,
        "['Editor', 'Manager']",
        "('Editor', 'Manager')",
        "('Manager',)",
        ["Anonymous", "Authenticated", "Editor", "Manager", "Owner"],
        {"ann": ["Editor"]},
    ]
    shown += access(deployment, "--copy-from", "dev", "--yes", "--remove-users", status=0)
    assert "have the same access rules" in access(deployment, status=0)
    assert ann not in shown


def test_a_root_that_is_up_gets_them_too_and_the_hash_lies_nowhere(
    deployment: Deployment, ann: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = deployment.zmount("start")
    assert started.returncode == 0, started.stderr
    with pytest.raises(urllib.error.HTTPError, match="401"):
        manage(deployment, "ann", "ann's password")
    before = rules(deployment)
    with monkeypatch.context() as patch:
        patch.setenv("ZMOUNT_ADMINISTRATOR", "admin:wrong")
        said = access(deployment, "--copy-from", "dev", "--yes", status=20)
    assert "does not let the administrator in" in said
    assert rules(deployment) == before

    shown = access(deployment, "--copy-from", "dev", "--yes", "--remove-users", status=0)

    assert "ann" in manage(deployment, "ann", "ann's password")
    assert ann not in shown
    hash_bytes = ann.encode()
    found = [path for path in files(deployment) if hash_bytes in path.read_bytes()]
    # both roots, and where FileStorage itself gathers a commit
    assert {path.name for path in found} <= {"Data.fs", "Data.fs.tmp"}
    assert "have the same access rules" in access(deployment, "pub", "dev", status=0)


def test_names_that_are_wrong_are_refused(deploy: Any) -> None:
    deployment = deploy(CONF)
    assert "there is no instance 'x'" in access(deployment, "dev", "x", status=3)
    assert "one root" in access(deployment, "dev", "dev", status=3)
    assert "not from x" in access(deployment, "--copy-from", "x", "--yes", status=3)
    assert "name two" in access(deployment, "dev", status=2)


def manage(deployment: Deployment, name: str, password: str) -> str:
    """Return a page of the public instance that only managers see."""
    request = urllib.request.Request(f"http://127.0.0.1:{deployment.port2}/acl_users/manage_users")
    token = base64.b64encode(f"{name}:{password}".encode()).decode()
    request.add_header("Authorization", f"Basic {token}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


def files(deployment: Deployment) -> Iterator[Path]:
    """Yield every file of the deployment that can be read."""
    yield from (path for path in deployment.directory.rglob("*") if path.is_file())
