"""Sandboxes in a real Zope: whose they are, and what others can do there, over HTTP."""

from __future__ import annotations

import json
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlencode

import pytest
from deployments import Deployment
from visitors import FORM, Answer, add_script, ask, login, manage

from zmount.errors import SandboxRefused
from zmount.operations.sandbox_look import list_sandboxes
from zmount.operations.sandboxes import plan_add, plan_remove

CONF = """
administrator admin
administrator-password a secret
<zeo zeo>
  address var/zeo.sock
</zeo>
<site x.org/>
<site y.org/>
<instance dev>
  kind development
  http-address 127.0.0.1:{port}
</instance>
<instance pub>
  http-address 127.0.0.1:{port2}
</instance>
"""
OWN, OTHER = "/dev/medur/x.org", "/dev/tejaswi/x.org"
TITLE = {"title": "changed", "submit": "Save"}
SHOUT = "return 'done'"


@pytest.fixture(scope="module")
def dev() -> Iterator[Deployment]:
    """A development instance, up, where medur and tejaswi have sandboxes."""
    with tempfile.TemporaryDirectory(prefix="zm-") as directory:
        made = Deployment(Path(directory), CONF)
        try:
            for command in (["apply"], ["start", "zeo", "dev"]):
                done = made.zmount(*command)
                assert done.returncode == 0, done.stdout + done.stderr
            for user in ("medur", "tejaswi"):
                done = made.zmount("sandbox", "add", user, "x.org")
                assert done.returncode == 0, done.stdout + done.stderr
            folder = f"{OTHER}/page"
            assert as_user(made, "tejaswi", f"{OTHER}/manage_addDTMLMethod", id="page").status < 400
            assert as_user(made, "tejaswi", f"{folder}/manage_main").status == 200
            yield made
        finally:
            made.end_all()


def as_user(dev: Deployment, user: str, path: str, **fields: str) -> Answer:
    """Return what USER gets at PATH; with FIELDS he sends a form."""
    lines = (dev.directory / "etc/sandbox-users").read_text().splitlines()
    who = login(user, dict(line.split(":") for line in lines)[user])
    if not fields:
        return ask(dev.port, path, headers=who)
    return ask(dev.port, path, method="POST", body=urlencode(fields), headers={**FORM, **who})


def clipboard(copied: Answer) -> str:
    """Return the clipboard that Zope gave to who COPIED something."""
    cookies = dict(
        each.partition(";")[0].split("=", 1) for each in copied.headers.get_all("Set-Cookie") or ()
    )
    return unquote(cookies["__cp"].strip('"'))


def listed(dev: Deployment, user: str = "") -> list[dict[str, object]]:
    return [each.as_json() for each in list_sandboxes(dev.topology, dev.host, user)]


def test_an_owner_works_in_his_sandbox(dev: Deployment) -> None:
    scripts = f"{OWN}/manage_addProduct/PythonScripts/manage_addPythonScript"
    pages = f"{OWN}/manage_addProduct/PageTemplates/manage_addPageTemplate"

    for path, fields in (
        (f"{OWN}/manage_addFolder", {"id": "news"}),
        (f"{OWN}/manage_addDTMLMethod", {"id": "method"}),
        (f"{OWN}/manage_addProduct/OFSP/manage_addDTMLDocument", {"id": "document"}),
        (pages, {"id": "page"}),
        (scripts, {"id": "shout"}),
        (f"{OWN}/shout/ZPythonScriptHTML_editAction", {"params": "", "body": SHOUT, "title": ""}),
        (f"{OWN}/news/manage_changeProperties", TITLE),
    ):
        assert as_user(dev, "medur", path, **fields).status in (200, 302), path
    assert as_user(dev, "medur", f"{OWN}/shout").text == "done"
    assert as_user(dev, "medur", f"{OWN}/manage_main").status == 200
    assert as_user(dev, "medur", f"{OWN}/manage_delObjects", **{"ids:list": "news"}).status < 400


def test_of_others_he_reads_and_copies(dev: Deployment) -> None:
    assert as_user(dev, "medur", f"{OTHER}/manage_main").status == 200
    assert as_user(dev, "medur", f"{OTHER}/page").status == 200

    copied = as_user(dev, "medur", f"{OTHER}/manage_copyObjects", **{"ids:list": "page"})
    pasted = as_user(dev, "medur", f"{OWN}/manage_pasteObjects", cb_copy_data=clipboard(copied))

    assert pasted.status < 400, pasted.text[-500:]
    owner = ask(dev.port, f"{OWN}/page/manage_owner", headers=login()).text
    assert "medur" in owner


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (f"{OTHER}/manage_addFolder", {"id": "mine"}),
        (f"{OTHER}/manage_addDTMLMethod", {"id": "mine"}),
        (f"{OTHER}/manage_delObjects", {"ids:list": "page"}),
        (f"{OTHER}/manage_cutObjects", {"ids:list": "page"}),
        (f"{OTHER}/manage_changeProperties", TITLE),
        (f"{OTHER}/page/manage_edit", {"data": "mine", "title": ""}),
        (f"{OTHER}/manage_permission", {"permission_to_manage": "View", "roles:list": "Owner"}),
        (f"{OTHER}/manage_setLocalRoles", {"userid": "medur", "roles:list": "Owner"}),
        (f"{OTHER}/page/manage_takeOwnership", {"recursive": "1"}),
        ("/dev/manage_addFolder", {"id": "mine"}),
        ("/dev/manage_delObjects", {"ids:list": "tejaswi"}),
        ("/dev/manage_delObjects", {"ids:list": "medur"}),
        ("/dev/manage_setLocalRoles", {"userid": "medur", "roles:list": "Manager"}),
        ("/manage_addFolder", {"id": "mine"}),
        ("/manage_delObjects", {"ids:list": "dev"}),
        ("/manage_changeProperties", TITLE),
        ("/home/manage_delObjects", {"ids:list": "x.org"}),
        ("/home/x.org/manage_addFolder", {"id": "mine"}),
        ("/acl_users/manage_users", {"submit": "Add", "name": "a", "password": "b"}),
        (f"{OWN}/manage_addProduct/OFSP/manage_addUserFolder", {"id": "acl_users"}),
        (f"{OWN}/manage_permission", {"permission_to_manage": "View", "roles:list": "Owner"}),
        (f"{OWN}/manage_setLocalRoles", {"userid": "medur", "roles:list": "Manager"}),
        (f"{OWN}/manage_defined_roles", {"submit": "Add Role", "role": "r"}),
        (
            "/Control_Panel/Database/main/manage_undo_transactions",
            {"transaction_info:list": "AAAAAAAAAAA="},
        ),
        (f"{OWN}/manage_exportObject", {"id": "page"}),
        (
            f"{OWN}/manage_addProduct/ExternalMethod/manage_addExternalMethod",
            {"id": "e", "title": "", "module": "m", "function": "f"},
        ),
        (
            f"{OWN}/manage_addProduct/ZODBMountPoint/manage_addMounts",
            {"paths:list": "/home/y.org", "create_mount_points": "1"},
        ),
        (
            "/manage_addProduct/ZODBMountPoint/manage_addMounts",
            {"paths:list": "/home/y.org", "create_mount_points": "1"},
        ),
        ("/Control_Panel/Database/main/manage_pack", {"days:float": "0"}),
        ("/@@zmount-agent", {"do": "look"}),
    ],
)
def test_all_else_is_refused_to_him(dev: Deployment, path: str, fields: dict[str, str]) -> None:
    assert as_user(dev, "medur", path, **fields).status == 401
    assert as_user(dev, "medur", "/dev/medur/manage_main").status == 200


def test_an_others_object_is_not_renamed(dev: Deployment) -> None:
    fields = {"ids:list": "page", "new_ids:list": "mine"}

    assert as_user(dev, "medur", f"{OTHER}/manage_renameObjects", **fields).status >= 400

    assert as_user(dev, "tejaswi", f"{OTHER}/page").status == 200


def test_a_manager_lends_his_rights_to_no_code_of_a_sandbox(dev: Deployment) -> None:
    add = f"{OWN}/manage_addProduct/PythonScripts/manage_addPythonScript"
    assert as_user(dev, "medur", add, id="trap").status < 400
    body = "context.restrictedTraverse('/').manage_addFolder('stolen')"
    fields = {"params": "", "body": body, "title": ""}
    saved = as_user(dev, "medur", f"{OWN}/trap/ZPythonScriptHTML_editAction", **fields)
    assert saved.status < 400
    proxy = as_user(dev, "medur", f"{OWN}/trap/manage_proxy", **{"roles:list": "Manager"})
    assert proxy.status == 401

    assert ask(dev.port, f"{OWN}/trap", headers=login()).status >= 400

    assert ask(dev.port, "/stolen").status == 404


def test_a_copy_lends_nobody_the_proxy_roles_of_its_script(dev: Deployment) -> None:
    manage(dev.port, "/manage_addFolder", id="lib")
    add_script(
        dev.port, "/lib", "maker", "context.restrictedTraverse('/').manage_addFolder('stolen')"
    )
    manage(dev.port, "/lib/maker/manage_proxy", **{"roles:list": "Manager"})
    copied = manage(dev.port, "/lib/manage_copyObjects", **{"ids:list": "maker"})
    pasted = as_user(dev, "medur", f"{OWN}/manage_pasteObjects", cb_copy_data=clipboard(copied))
    assert pasted.status < 400, pasted.text[-500:]

    called = as_user(dev, "medur", f"{OWN}/maker")

    assert called.status >= 400
    assert ask(dev.port, "/stolen").status == 404
    assert as_user(dev, "medur", "/lib/maker").status < 300  # the administrator's own does it
    manage(dev.port, "/manage_delObjects", **{"ids:list": "stolen"})


def test_visitors_manage_nothing(dev: Deployment) -> None:
    for path in ("/dev/manage_main", f"{OWN}/manage_main"):
        assert ask(dev.port, path).status == 401


def test_a_second_time_there_is_nothing_to_do(dev: Deployment) -> None:
    again = dev.zmount("sandbox", "add", "medur", "x.org")

    assert again.returncode == 0
    assert again.stdout == "dev: nothing to do: medur has it\n"


def test_passwords_are_in_one_private_file_and_nowhere_else(dev: Deployment) -> None:
    file = dev.directory / "etc/sandbox-users"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    done = dev.zmount("sandbox", "add", "abhinabha", "y.org")

    assert str(file) in done.stdout
    password = file.read_text().splitlines()[-1].partition(":")[2]
    assert password not in done.stdout + done.stderr
    assert as_user(dev, "abhinabha", "/dev/abhinabha/y.org/manage_main").status == 200


def test_a_user_who_is_there_keeps_his_roles_and_password(dev: Deployment) -> None:
    fields = {"name": "boss", "password": "hers", "confirm": "hers", "roles:list": "Manager"}
    manage(dev.port, "/acl_users/manage_users", submit="Add", **fields)

    done = dev.zmount("sandbox", "add", "boss", "x.org")

    assert "boss was there before, with the roles Manager: left so" in done.stdout
    assert "password" not in done.stdout
    assert ask(dev.port, "/manage_main", headers=login("boss", "hers")).status == 200
    refused = dev.zmount("sandbox", "remove", "boss", "--user")
    assert refused.returncode == 24
    assert "boss has roles in the root: Manager" in refused.stderr


def test_the_list_says_whose_they_are_and_how_large(dev: Deployment) -> None:
    before = {each["path"]: each for each in listed(dev)}[OTHER]
    fields = {"id": "large", "file": "x" * 100_000}
    assert as_user(dev, "tejaswi", f"{OTHER}/manage_addDTMLMethod", **fields).status < 400

    (after,) = listed(dev, "tejaswi")

    assert (after["user"], after["site"], after["owner"]) == ("tejaswi", "x.org", "tejaswi")
    assert 100_000 < int(str(after["size_bytes"])) - int(str(before["size_bytes"])) < 101_000
    assert str(after["last_change"]) > str(before["last_change"]) or after != before
    told = json.loads(dev.zmount("sandbox", "list", "--json").stdout)
    assert after in told
    rows = [line.split() for line in dev.zmount("sandbox", "list").stdout.splitlines()]
    assert ["dev", "tejaswi", "x.org", "tejaswi"] in [row[:4] for row in rows]


def test_what_is_removed_lies_in_the_attic_and_comes_back(dev: Deployment) -> None:
    dev.zmount("sandbox", "add", "kusumita", "x.org", "y.org")
    path = "/dev/kusumita/x.org"
    as_user(dev, "kusumita", f"{path}/manage_addDTMLMethod", id="page", file="hers")

    shown = dev.zmount("sandbox", "remove", "kusumita", "x.org", "--dry-run")
    assert shown.stdout == f"dev: would move {path} to the attic\n"
    done = dev.zmount("sandbox", "remove", "kusumita", "x.org", "--json")

    (slot,) = json.loads(done.stdout)["attic"]
    assert ask(dev.port, f"{path}/page").status == 404
    assert as_user(dev, "kusumita", "/dev/kusumita/y.org/manage_main").status == 200
    assert as_user(dev, "kusumita", f"/zmount_attic/{slot}/x.org/page").status == 401
    assert dev.zmount("attic", "dev", "--restore", slot).returncode == 0
    assert as_user(dev, "kusumita", f"{path}/page").text == "hers"


def test_with_the_last_sandbox_go_the_looks_at_others(dev: Deployment) -> None:
    dev.zmount("sandbox", "add", "sagar", "x.org")
    assert as_user(dev, "sagar", f"{OTHER}/manage_main").status == 200

    done = dev.zmount("sandbox", "remove", "sagar")

    assert done.returncode == 0, done.stderr
    assert as_user(dev, "sagar", f"{OTHER}/manage_main").status == 401
    assert [each["user"] for each in listed(dev, "sagar")] == []
    assert dev.zmount("sandbox", "remove", "sagar", "--user").returncode == 0
    assert "sagar" not in ask(dev.port, "/acl_users/manage_main", headers=login()).text
    file = dev.directory / "etc/sandbox-users"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    names = [line.partition(":")[0] for line in file.read_text().splitlines()]
    assert "sagar" not in names
    assert {"medur", "tejaswi"} <= set(names)


@pytest.mark.parametrize(
    "user",
    [
        "../etc",
        "a/b",
        "/dev",
        "..",
        "_private",
        "aq_parent",
        "acl_users",
        "a:b",
        "a\nb",
        "jürgen",
        "",
    ],
)
def test_a_name_that_is_none_is_refused(dev: Deployment, user: str) -> None:
    for plan in (plan_add, plan_remove):
        with pytest.raises(SandboxRefused, match="is no name of a user"):
            plan(dev.topology, dev.host, user, ("x.org",))


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("add", "../etc", "x.org"), 24, "'../etc' is no name of a user"),
        (("add", "manage_main", "x.org"), 24, "cannot make the sandbox"),
        (("add", "medur", "../x.org"), 3, "../x.org"),
        (("add", "medur", "x.org", "--instance", "prod"), 3, "prod"),
        (("add", "medur", "x.org", "--instance", "pub"), 24, "pub has no folder for sandboxes"),
        (("remove", "medur", "y.org"), 24, "dev: there is no /dev/medur/y.org"),
    ],
)
def test_what_cannot_be_changes_nothing(
    dev: Deployment, arguments: tuple[str, ...], status: int, said: str
) -> None:
    before = listed(dev), ask(dev.port, "/acl_users/manage_main", headers=login()).text

    done = dev.zmount("sandbox", *arguments)

    assert done.returncode == status, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert (listed(dev), ask(dev.port, "/acl_users/manage_main", headers=login()).text) == before


def test_what_somebody_else_has_is_not_given_away(dev: Deployment) -> None:
    manage(dev.port, "/dev/manage_addFolder", id="taken")

    done = dev.zmount("sandbox", "add", "taken", "x.org")

    assert done.returncode == 24
    assert "/dev/taken belongs to admin, not to taken" in done.stderr


def test_a_wrong_password_of_the_administrator_changes_nothing(
    dev: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZMOUNT_ADMINISTRATOR", "admin:wrong")

    done = dev.zmount("sandbox", "add", "outsider", "x.org")

    assert done.returncode == 20
    assert listed(dev, "outsider") == []


def test_all_works_while_the_instance_is_down(dev: Deployment) -> None:
    assert dev.zmount("stop", "dev").returncode == 0
    try:
        added = dev.zmount("sandbox", "add", "night", "x.org")
        assert added.returncode == 0, added.stderr
        assert [each["path"] for each in listed(dev, "night")] == ["/dev/night/x.org"]
        removed = dev.zmount("sandbox", "remove", "night", "--user")
        assert removed.returncode == 0, removed.stderr
        assert listed(dev, "night") == []
    finally:
        assert dev.zmount("start", "dev").returncode == 0
