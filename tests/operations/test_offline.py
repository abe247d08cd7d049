"""A site is off-line for every visitor, and comes back as it was; with a real Zope."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from deployments import Deployment
from offline_sites import (
    OFFLINE,
    PAGE,
    all_on_line,
    deployment_with_sites,
    record_of,
    remembered,
    replica_of,
    state_of,
    take_offline,
)
from visitors import add_page, ask, login, manage

from zmount.effects.raw_storages import RawDatabases

PAGE_NAME = "standard_error_message"
ABOVE_AND_BELOW = (
    "/home/x.org",
    "/home/x.org/",
    "/home/x.org/page",
    "/home/x.org/is/not/there",
    "/home/x.org/index_html",
    "/home/x.org/manage_main",
    "/home/x.org/zmount_offline",
    "/home/x.org/standard_error_message",
    "/VirtualHostBase/http/x.org:80/home/x.org/VirtualHostRoot/",
    "/VirtualHostBase/http/x.org:80/home/x.org/VirtualHostRoot/page",
    "/VirtualHostBase/http/x.org:80/home/x.org/VirtualHostRoot/_vh_sub/page",
    "/home/y.org/x.org/page",
    "/other/home/x.org/page",
    "/other/home/x.org/index_html",
)


@pytest.fixture(scope="module")
def started() -> Iterator[Deployment]:
    """A deployment whose public instance runs; the other is down."""
    with deployment_with_sites() as made:
        yield made


@pytest.fixture
def zopes(started: Deployment) -> Iterator[Deployment]:
    """The deployment with everything on-line, and so it is left."""
    with all_on_line(started) as made:
        yield made


def test_visitors_get_503_at_the_site_and_below_whatever_they_ask(zopes: Deployment) -> None:
    take_offline(zopes, "--reason", "a <secret>\nreason")
    assert "a <secret> reason" in zopes.zmount("status", "pub").stdout  # in one line

    for path in ABOVE_AND_BELOW:
        for method in ("GET", "HEAD", "POST", "PUT", "PROPFIND"):
            answer = ask(zopes.port, path, method=method)
            assert answer.status == 503, (method, path)
            assert answer.headers["Retry-After"] == "600"
            assert answer.headers["Content-Type"].startswith("text/html")
            assert "secret" not in answer.text
            assert ("Please come back later" in answer.text) == (method != "HEAD")
    assert ask(zopes.port, "/home/x.org/manage_main", headers=login()).status == 503
    assert ask(zopes.port, "/home/y.org").status == 200


def test_no_error_page_of_the_root_makes_it_another_status(zopes: Deployment) -> None:
    add_page(zopes.port, "", "standard_error_message", '<dtml-call "RESPONSE.setStatus(200)">fine')
    take_offline(zopes)

    assert [ask(zopes.port, path).status for path in ABOVE_AND_BELOW] == [503] * 14
    manage(zopes.port, "/manage_delObjects", **{"ids:list": "standard_error_message"})


def test_managers_manage_the_root_as_before(zopes: Deployment) -> None:
    take_offline(zopes)

    for path in ("/manage_main", "/home/manage_main", "/manage_workspace"):
        answer = ask(zopes.port, path, headers=login())
        assert answer.status in (200, 302)
    assert "x.org" in ask(zopes.port, "/home/manage_main", headers=login()).text


def test_a_restart_and_an_apply_leave_it_off_line(zopes: Deployment) -> None:
    take_offline(zopes)

    restarted = zopes.zmount("restart", "pub")
    applied = zopes.zmount("apply")

    assert restarted.returncode == applied.returncode == 0, restarted.stderr + applied.stderr
    assert "refused" not in restarted.stderr + applied.stdout
    assert ask(zopes.port, f"{OFFLINE}/page").status == 503


def test_a_root_that_lost_it_gets_it_again_at_the_next_start(zopes: Deployment) -> None:
    take_offline(zopes)
    manage(zopes.port, "/home/manage_delObjects", **{"ids:list": "x.org"})
    assert state_of(zopes) == "missing"

    restarted = zopes.zmount("restart", "pub")

    assert "take /home/x.org off-line" in restarted.stderr
    assert ask(zopes.port, f"{OFFLINE}/page").status == 503


def test_what_is_no_longer_off_line_is_told_and_each_advice_leads_on(zopes: Deployment) -> None:
    take_offline(zopes)
    manage(zopes.port, "/home/manage_delObjects", **{"ids:list": "x.org"})

    looked = zopes.zmount("mounts", "pub")
    assert looked.returncode == 2
    assert "not off-line" in looked.stdout
    assert "but now: missing, there is nothing at its path" in looked.stdout
    assert "> zmount offline x.org, or zmount online x.org if visitors" in looked.stdout
    again = zopes.zmount("offline", "x.org")
    assert again.returncode == 0, again.stderr
    assert ask(zopes.port, f"{OFFLINE}/page").status == 503

    manage(zopes.port, "/home/manage_delObjects", **{"ids:list": "x.org"})
    manage(zopes.port, "/home/manage_addFolder", id="x.org")
    looked = zopes.zmount("mounts", "pub")
    assert looked.returncode == 2
    assert "> zmount online x.org, then zmount remount pub /home/x.org" in looked.stdout
    back = zopes.zmount("online", "x.org")
    assert back.returncode == 22
    assert "/home/x.org is not off-line any more, but shadowed" in back.stderr
    assert "zmount remount pub /home/x.org" in back.stderr
    remounted = zopes.zmount("remount", "pub", "/home/x.org")
    assert remounted.returncode == 0, remounted.stderr
    assert zopes.zmount("mounts", "pub").returncode == 0
    assert ask(zopes.port, "/home/x.org").status == 200


def test_on_line_brings_back_the_very_mount_point(zopes: Deployment) -> None:
    before = record_of(zopes)
    take_offline(zopes)
    assert state_of(zopes) == "off-line"

    back = zopes.zmount("online", "x.org")

    assert back.returncode == 0, back.stderr
    assert "is on-line again" in back.stdout
    assert state_of(zopes) == "ok"
    assert record_of(zopes).oid == before.oid
    assert ask(zopes.port, f"{OFFLINE}/page").text == PAGE
    assert remembered(zopes) == []


def test_the_stand_in_is_made_of_classes_that_every_zope_has(zopes: Deployment) -> None:
    take_offline(zopes)

    replica = replica_of(zopes)
    with RawDatabases(replica) as databases:
        root = databases.get("main")
        assert root is not None
        folder = record_of(zopes).attributes
        parts = [root.referred(folder[name]) for name in ("zmount_offline", PAGE_NAME)]
    assert record_of(zopes).class_name == "OFS.Folder.Folder"
    assert {part.class_name for part in parts if part} == {"OFS.DTMLMethod.DTMLMethod"}


def test_it_is_said_since_when_and_why(zopes: Deployment) -> None:
    take_offline(zopes, "--reason", "it never ends")

    again = take_offline(zopes)

    assert "was off-line since 20" in again
    assert "it never ends" in again
    (one,) = remembered(zopes)
    assert (one["instance"], one["path"], one["site"]) == ("pub", OFFLINE, "x.org")
    assert (one["storage"], one["reason"]) == ("pub/x.org", "it never ends")


def test_show_and_status_say_since_when_and_why(zopes: Deployment) -> None:
    take_offline(zopes, "--reason", "it never ends")
    (one,) = remembered(zopes)

    for command in (["show"], ["status", "pub"]):
        said = zopes.zmount(*command).stdout
        assert f"pub /home/x.org (pub/x.org) is off-line since {one['since']}" in said, command
        assert "it never ends" in said
    shown = json.loads(zopes.zmount("show", "x.org", "--json").stdout)
    assert shown["sites"][0]["offline"] == [one]
    assert json.loads(zopes.zmount("status", "--json").stdout)["offline"] == [one]
