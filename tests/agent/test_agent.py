"""The agent in a real Zope: who may use it, and what of the Zope can be seen from outside."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployments import Deployment, wait_until
from visitors import FORM, LOOP, add_page, add_script, ask, login, manage, spinning

from zmount.agent.requests import FILE_NAME, requests_in
from zmount.agent.watch import STACKS
from zmount.effects.threads import catches, stacks_of, thread_times
from zmount.topology.instances import Replica

CONF = """
administrator admin
administrator-password a secret
<runner>
  stop-timeout 3
</runner>
<instance pub>
  http-address 127.0.0.1:{port}
</instance>
"""
AGENT, ALIVE = "/@@zmount-agent", "/@@zmount-alive"
JSON = {"Content-Type": "application/json"}
LOOK = json.dumps({"do": "look"})


@pytest.fixture(scope="module")
def zope() -> Iterator[Deployment]:
    """A Zope with a page that loops, an owner of a folder, and a manager of that folder."""
    with tempfile.TemporaryDirectory(prefix="zm-") as directory:
        made = Deployment(Path(directory), CONF)
        try:
            for command in ("apply", "start"):
                done = made.zmount(command)
                assert done.returncode == 0, done.stdout + done.stderr
            add_script(made.port, "", "spin", LOOP)
            manage(made.port, "/manage_addFolder", id="folder")
            for name, role in (("olga", "Owner"), ("lena", "")):
                manage(
                    made.port,
                    "/acl_users/manage_users",
                    submit="Add",
                    name=name,
                    password="pw",
                    confirm="pw",
                    **({"roles:list": role} if role else {}),
                )
            local = {"userid": "lena", "roles:list": "Manager"}
            manage(made.port, "/folder/manage_setLocalRoles", **local)
            yield made
        finally:
            made.end_all()


@pytest.fixture
def fresh(zope: Deployment) -> Iterator[Deployment]:
    """The same; whatever spins is ended after the test."""
    yield zope
    restarted = zope.zmount("restart", "pub")
    assert restarted.returncode == 0, restarted.stderr


def agent(zope: Deployment, body: str, headers: dict[str, str], path: str = AGENT) -> int:
    return ask(zope.port, path, method="POST", body=body, headers=headers).status


def pid_of(zope: Deployment) -> int:
    return int(Path(zope.process("pub").directory / "var/Z4.pid").read_text())


def replica_of(zope: Deployment) -> Replica:
    return zope.topology.replicas[0]


def test_only_a_manager_of_the_root_may_ask(zope: Deployment) -> None:
    assert agent(zope, LOOK, JSON) == 401
    assert agent(zope, LOOK, {**JSON, **login(password="wrong")}) == 401
    assert agent(zope, LOOK, {**JSON, **login("olga", "pw")}) == 401
    assert agent(zope, LOOK, {**JSON, **login("lena", "pw")}) == 401
    assert agent(zope, LOOK, {**JSON, **login()}) == 200
    assert ask(zope.port, AGENT).status == 401


def test_it_is_the_roots_alone(zope: Deployment) -> None:
    for path in (f"/folder{AGENT}", f"/folder{ALIVE}"):
        assert agent(zope, LOOK, {**JSON, **login("lena", "pw")}, path) == 404


def test_a_permission_given_away_lets_nobody_in(zope: Deployment) -> None:
    screens = {"permission_to_manage": "View management screens"}
    given = {**screens, "roles:list": "Anonymous"}
    manage(zope.port, "/manage_permission", acquire="1", **given)
    try:
        assert ask(zope.port, "/manage_main").status == 200  # it is given away
        assert agent(zope, LOOK, JSON) == 401
        assert agent(zope, LOOK, {**JSON, **login("olga", "pw")}) == 401
    finally:
        manage(zope.port, "/manage_permission", **screens, **{"roles:list": "Manager"})


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ("do=look", FORM),
        (LOOK, FORM),
        (LOOK, {"Content-Type": "text/plain"}),
        ("{", JSON),
        ("[]", JSON),
        (json.dumps({"do": "harm"}), JSON),
        (json.dumps({"do": "steps"}), JSON),
        (json.dumps({"do": "steps", "steps": ["take_offline"]}), JSON),
        (json.dumps({"do": "steps", "steps": [{"do": "take_offline"}]}), JSON),
    ],
)
def test_what_a_form_of_another_site_could_send_is_not_taken(
    zope: Deployment, body: str, headers: dict[str, str]
) -> None:
    assert agent(zope, body, {**headers, **login()}) == 400


def test_a_step_that_fails_changes_nothing(zope: Deployment) -> None:
    steps = [
        {"step": "make_sandboxes", "path": "/made", "permissions": []},
        {"step": "no_such_step"},
    ]
    body = json.dumps({"do": "steps", "note": "a test", "steps": steps})

    assert agent(zope, body, {**JSON, **login()}) == 400  # an older agent, and no error of it
    assert ask(zope.port, "/made").status == 404


def test_alive_says_no_more_than_that_and_writes_nothing(zope: Deployment) -> None:
    data_fs = Path(zope.process("pub").directory / "var/Data.fs")
    before = data_fs.stat().st_size

    answer = ask(zope.port, ALIVE)

    assert (answer.status, answer.text) == (200, "alive\n")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    assert data_fs.stat().st_size == before


def test_what_each_thread_works_on_is_read_while_none_is_free(fresh: Deployment) -> None:
    began = [f"/spin/{number}" for number in range(3)] + ["/spin/" + "x" * 3000]
    file = Path(fresh.process("pub").directory / "var" / FILE_NAME)

    with spinning(fresh, "pub", fresh.port, began):
        requests = requests_in(file, pid_of(fresh)) or ()
        of_another = requests_in(file, pid_of(fresh) + 1)
        times = thread_times(pid_of(fresh))

    assert {each.method for each in requests} == {"GET"}
    assert sorted(each.path[:7] for each in requests) == [
        "/spin/0",
        "/spin/1",
        "/spin/2",
        "/spin/x",
    ]
    assert max(len(each.path) for each in requests) < 1024  # cut, not dropped
    assert {each.native_id for each in requests} <= set(times)
    assert of_another is None
    assert file.stat().st_mode & 0o077 == 0


def test_a_request_that_has_ended_is_not_told_any_more(zope: Deployment) -> None:
    file = Path(zope.process("pub").directory / "var" / FILE_NAME)
    for path in ("/", "/is-not-there", ALIVE):
        ask(zope.port, path)

    wait_until(lambda: requests_in(file, pid_of(zope)) == (), "no request is left")


def test_sigusr1_names_file_and_line_of_a_thread_that_spins(fresh: Deployment) -> None:
    pid = pid_of(fresh)
    with spinning(fresh, "pub", fresh.port, ["/spin"] * 4):
        file = Path(fresh.process("pub").directory / "var" / FILE_NAME)
        requests = requests_in(file, pid) or ()
        assert catches(pid, signal.SIGUSR1)
        stacks = stacks_of(replica_of(fresh), pid)
        assert stacks is not None
        innermost = [stacks[each.ident][0] for each in requests]

    assert len(innermost) == 4
    assert {each.file for each in innermost} == {"Script (Python):/spin"}
    assert {each.line for each in innermost} <= {1, 2}
    os.kill(pid, 0)  # it lives


def test_stacks_are_for_the_zopes_user_alone_and_no_other_process_is_asked(
    zope: Deployment,
) -> None:
    stacks = Path(zope.process("pub").directory / "var" / STACKS)

    assert stacks.stat().st_mode & 0o077 == 0
    assert stacks_of(replica_of(zope), os.getpid()) is None


def test_a_look_from_inside_tells_the_same(zope: Deployment) -> None:
    add_page(zope.port, "", "hello", "hello")

    answer = ask(zope.port, AGENT, method="POST", body=LOOK, headers={**JSON, **login()})

    told = json.loads(answer.text)
    assert told["pid"] == pid_of(zope)
    assert [each["path"] for each in told["requests"]] == [AGENT]  # this one
