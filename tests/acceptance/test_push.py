"""Objects are copied between sandbox, staging and production of real Zopes that run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import transaction
from deployments import Deployment
from persistent.wref import WeakRef
from pushing import (
    BLOB,
    CONF,
    PRODUCTION,
    STAGE,
    add_blob,
    add_folder,
    application,
    empty,
    pushed,
    site_of,
)
from visitors import add_page, ask, login, manage

from zmount.errors import SandboxRefused
from zmount.operations.push import plan_push

FROM, TO = "dev:/home/x.org/news", "pub:/home/x.org/news"


@pytest.fixture(scope="module")
def started() -> Iterator[Deployment]:
    """A development and a public instance, up, on one ZEO server."""
    with tempfile.TemporaryDirectory(prefix="zm-") as directory:
        made = Deployment(Path(directory), CONF)
        try:
            for command in (["apply"], ["start"], ["sandbox", "add", "medur", "x.org"]):
                done = made.zmount(*command)
                assert done.returncode == 0, done.stdout + done.stderr
            yield made
        finally:
            made.end_all()


@pytest.fixture
def zopes(started: Deployment) -> Iterator[Deployment]:
    """The same with news in staging, and nothing else in either."""
    empty(started, STAGE)
    empty(started, PRODUCTION)
    with application(started, STAGE) as app:
        news = add_folder(site_of(app), "news", title="of today", owner="medur")
        add_folder(news, "first", title="the first")
        add_blob(news, "picture")
    return started


def refused(zopes: Deployment, *arguments: str) -> str:
    """Return what is said of a push that must be refused, and must have changed nothing."""
    before = sizes(zopes)
    done = zopes.zmount("push", *arguments)
    assert done.returncode == 24, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert sizes(zopes) == before
    return done.stderr


def at_terminal(zopes: Deployment, answer: str, *arguments: str) -> tuple[int, str]:
    """Run a command for somebody at a terminal, who gives ANSWER; return status and text."""
    ours, theirs = os.openpty()
    try:
        os.write(ours, answer.encode())
        done = subprocess.run(
            [sys.executable, "-m", "zmount", "-f", str(zopes.conf), *arguments],
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    return done.returncode, done.stdout + done.stderr


def sizes(zopes: Deployment) -> dict[str, int]:
    return {
        str(path): path.stat().st_size
        for path in zopes.directory.rglob("*.fs*")
        if path.suffix in (".fs", ".changes")
    }


def title_of(zopes: Deployment, path: str) -> str:
    """Return what the public sees."""
    return ask(zopes.port2, f"{path}/title_or_id").text


def test_staging_to_production_is_seen_at_once_and_whole(zopes: Deployment) -> None:
    root = next(zopes.directory.rglob("dev_client/**/Data.fs"))
    before = root.stat().st_size

    told = pushed(zopes, FROM, TO, "--note", "issue 12")

    assert told["instance"] == "dev"
    assert told["target"]["path"] == "/pub/x.org/news"
    assert told["source"]["objects"] == 4
    assert (told["source"]["blobs"], told["source"]["blob_bytes"]) == (1, len(BLOB))
    assert told["root_grew_bytes"] == 0
    assert root.stat().st_size == before
    assert title_of(zopes, "/home/x.org/news") == "of today"
    assert title_of(zopes, "/home/x.org/news/first") == "the first"
    with application(zopes, PRODUCTION) as app:
        news = site_of(app)._getOb("news")
        assert news._owner == (["acl_users"], "medur")
        assert dict(news.get_local_roles()) == {"medur": ("Owner",)}
        with news._getOb("picture").picture.open("r") as blob:
            assert blob.read() == BLOB
        (last,) = app._p_jar.db().undoInfo(0, 1)
        assert last["description"].endswith(
            "zmount: push dev:/home/x.org/news to dev:/pub/x.org/news: issue 12"
        )
        assert last["user_name"].endswith("admin")


def test_a_sandbox_goes_to_staging_and_a_site_to_a_sandbox(zopes: Deployment) -> None:
    sandbox = "dev:/dev/medur/x.org"
    pushed(zopes, FROM, f"{sandbox}/news", "--replace")
    add_page(zopes.port, "/dev/medur/x.org/news", f"new{len(sizes(zopes))}", "of the sandbox")

    told = pushed(zopes, f"{sandbox}/news", FROM, "--replace")

    assert told["source"]["objects"] == 5
    assert told["target"]["replaced"]["objects"] == 4
    with application(zopes, STAGE) as app:
        news = site_of(app)._getOb("news")
        assert {"first", "picture"} < set(news.objectIds())
        with news._getOb("picture").picture.open("r") as blob:
            assert blob.read() == BLOB
    manage(zopes.port, "/dev/medur/x.org/manage_delObjects", **{"ids:list": "news"})


def test_only_the_object_is_replaced_and_keeps_its_place(zopes: Deployment) -> None:
    with application(zopes, PRODUCTION) as app:
        site = site_of(app)
        for name in ("about", "news", "contact"):
            add_folder(site, name, title=f"old {name}")
        transaction.commit()
        oids = {name: site._getOb(name)._p_oid for name in ("about", "contact")}

    told = pushed(zopes, FROM, TO, "--replace")

    assert told["target"]["replaced"]["objects"] == 1
    with application(zopes, PRODUCTION) as app:
        site = site_of(app)
        assert list(site.objectIds()) == ["about", "news", "contact"]
        assert {name: site._getOb(name)._p_oid for name in oids} == oids
    assert title_of(zopes, "/home/x.org/about") == "old about"
    assert title_of(zopes, "/home/x.org/news") == "of today"


def test_it_may_have_another_id_there(zopes: Deployment) -> None:
    pushed(zopes, FROM, "dev:/pub/x.org/archive")

    with application(zopes, PRODUCTION) as app:
        assert site_of(app)._getOb("archive").getId() == "archive"
    with application(zopes, STAGE) as app:
        assert site_of(app)._getOb("news").getId() == "news"


def test_a_dry_run_shows_sizes_and_changes_nothing(zopes: Deployment) -> None:
    before = sizes(zopes)

    done = zopes.zmount("push", FROM, TO, "--dry-run")

    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"dev: would copy /home/x.org/news, a Folder: 4 objects, [\d.]+ \w+, "
        r"and one blob, 400.0 kB\n  to /pub/x.org/news in pub/x.org\n",
        done.stdout,
    )
    assert sizes(zopes) == before


def test_a_script_must_say_that_something_may_be_replaced(zopes: Deployment) -> None:
    with application(zopes, PRODUCTION) as app:
        add_folder(site_of(app), "news", title="old")

    said = refused(zopes, FROM, TO)

    assert "dev:/pub/x.org/news is there already, a Folder: one object" in said
    assert "--replace says that it may go" in said


def test_a_terminal_asks_before_something_is_replaced(zopes: Deployment) -> None:
    with application(zopes, PRODUCTION) as app:
        add_folder(site_of(app), "news", title="old")

    no, said = at_terminal(zopes, "n\n", "push", FROM, TO)

    assert no == 24
    assert "in place of a Folder: one object" in said
    assert "nothing was copied" in said
    assert title_of(zopes, "/home/x.org/news") == "old"
    assert at_terminal(zopes, "y\n", "push", FROM, TO)[0] == 0
    assert title_of(zopes, "/home/x.org/news") == "of today"


def test_undo_takes_it_back(zopes: Deployment) -> None:
    with application(zopes, PRODUCTION) as app:
        add_folder(site_of(app), "news", title="old")
    pushed(zopes, FROM, TO, "--replace")

    with application(zopes, PRODUCTION) as app:
        database = app._p_jar.db()
        database.undo(database.undoInfo(0, 1)[0]["id"])

    assert title_of(zopes, "/home/x.org/news") == "old"


def test_the_catalog_of_the_site_looks_again(zopes: Deployment) -> None:
    manage(
        zopes.port2,
        "/home/x.org/manage_addProduct/ZCatalog/manage_addZCatalog",
        id="Catalog",
        title="",
    )
    catalog_path = "/home/x.org/Catalog"
    manage(zopes.port2, f"{catalog_path}/manage_addIndex", name="title", type="FieldIndex")
    with application(zopes, PRODUCTION) as app:
        site = site_of(app)
        catalog = site._getOb("Catalog")
        for name in ("about", "news"):
            add_folder(site, name, title="old")
        for name in ("first", "gone"):
            add_folder(site._getOb("news"), name, title="old")
        for path in ("about", "news", "news/first", "news/gone"):
            catalog.catalog_object(site.unrestrictedTraverse(path), f"/home/x.org/{path}")

    told = pushed(zopes, FROM, TO, "--replace")

    assert told["catalog"] == "/home/x.org/Catalog"
    assert (told["cataloged"], told["uncataloged"]) == (3, 1)
    with application(zopes, PRODUCTION) as app:
        catalog = site_of(app)._getOb("Catalog")._catalog
        assert sorted(catalog.uids) == [
            f"/home/x.org/{path}" for path in ("about", "news", "news/first", "news/picture")
        ]
        titles = {
            catalog.paths[rid]: title for rid, title in catalog.getIndex("title")._unindex.items()
        }
        assert titles["/home/x.org/news"] == "of today"
        assert titles["/home/x.org/about"] == "old"


def test_pushes_at_the_same_time_all_arrive(zopes: Deployment) -> None:
    with ThreadPoolExecutor(3) as threads:
        done = list(
            threads.map(lambda n: zopes.zmount("push", FROM, f"dev:/pub/x.org/copy{n}"), range(3))
        )

    assert [each.returncode for each in done] == [0, 0, 0], [each.stderr for each in done]
    with application(zopes, PRODUCTION) as app:
        assert sorted(site_of(app).objectIds()) == ["copy0", "copy1", "copy2"]


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        ("dev:/home/x.org", "dev:/dev/medur/x.org", "/home/x.org is a mount point"),
        (FROM, "dev:/pub/x.org", "/pub/x.org is a mount point"),
        (FROM, "dev:/pub/x.org/dev/medur/news", "there is no /pub/x.org/dev"),
        ("dev:/dev/home/x.org/news", TO, "there is no /dev/home"),
        (FROM, "dev:/pub/x.org/news/deep", "there is no /pub/x.org/news"),
        ("dev:/home/x.org/nothing", TO, "there is no /home/x.org/nothing"),
        ("dev:/home/x.org/title", TO, "there is no /home/x.org/title"),
        ("dev:/home/x.org/_objects", TO, "there is no /home/x.org/_objects"),
        ("dev:/home/x.org/news/first/title_or_id/x", TO, "there is no"),
        (FROM, "dev:/home/x.org/news/first/copy", "/home/x.org/news/first/copy is inside"),
        ("dev:/home/x.org/news/first", FROM, "/home/x.org/news/first is inside"),
        (FROM, FROM, "are one object"),
        (FROM, "dev:/pub/x.org/_private", "begins with an underscore"),
        (FROM, "dev:/pub/x.org/REQUEST", '"REQUEST" is invalid'),
        (FROM, "dev:/zmount_attic/news", "in the attic"),
        ("dev:/home", "dev:/pub/x.org/home", "/home/x.org is a mount point"),
        ("dev:/dev/medur", "pub:/medur", "no instance shows both"),
        ("/home/x.org/news", TO, "does not say which instance"),
    ],
)
def test_what_would_harm_is_refused(zopes: Deployment, source: str, target: str, why: str) -> None:
    before = sizes(zopes)

    with pytest.raises(SandboxRefused, match=re.escape(why)):
        plan_push(zopes.topology, zopes.host, source, target)

    assert sizes(zopes) == before


def test_a_folder_of_the_root_is_an_object_like_others(zopes: Deployment) -> None:
    assert pushed(zopes, "dev:/dev", "dev:/pub/x.org/dev")["source"]["objects"] > 2


def test_no_path_is_told(zopes: Deployment) -> None:
    done = zopes.zmount("push", "dev:/home/../news", TO)

    assert done.returncode == 3
    assert done.stderr.startswith("zmount: '/home/../news' is no path of an object")


def test_a_stored_parent_drags_nothing_along(zopes: Deployment) -> None:
    with application(zopes, STAGE) as app:
        site = site_of(app)
        for n in range(60):
            add_folder(site, f"large{n}").text = "x" * 10_000
        item = add_folder(site, "item")
        item.__dict__["__parent__"] = site.aq_base
        item._p_changed = True

    said = refused(zopes, "dev:/home/x.org/item", "dev:/pub/x.org/item")

    assert "/home/x.org/item/__parent__ refers to what /home/x.org/item lies in" in said
    own, all_of_it = re.findall(r"instead of ([\d,]+) bytes ([\d,]+)", said)[0]
    assert int(own.replace(",", "")) < 200
    assert int(all_of_it.replace(",", "")) > 600_000


def test_references_into_other_databases_stop_it_and_poison_nothing(zopes: Deployment) -> None:
    with application(zopes, STAGE, PRODUCTION) as (stage, production):
        other = add_folder(site_of(production), "other")
        transaction.commit()
        site_of(stage)._getOb("news")._getOb("first").related = other.aq_base

    said = refused(zopes, FROM, TO)

    assert "/home/x.org/news/first refers into the database pub/x.org" in said
    with application(zopes, STAGE, PRODUCTION) as (app, _):
        del site_of(app)._getOb("news")._getOb("first").related
    pushed(zopes, FROM, TO)


def test_weak_references_and_lost_objects_stop_it(zopes: Deployment) -> None:
    with application(zopes, STAGE) as app:
        news = site_of(app)._getOb("news")
        news._getOb("first").other = WeakRef(news._getOb("picture").aq_base)

    assert "/home/x.org/news/first holds a weak reference" in refused(zopes, FROM, TO)


@pytest.mark.parametrize("is_up", [True, False])
def test_blobs_do_not_go_into_a_storage_that_has_no_directory_for_them(
    zopes: Deployment, is_up: bool
) -> None:
    if not is_up:
        assert zopes.zmount("stop", "dev").returncode == 0
    try:
        said = refused(zopes, FROM, "dev:/plain/news")
        assert refused(zopes, FROM, "dev:/plain/news", "--dry-run") == said
        without = pushed(zopes, f"{FROM}/first", f"dev:/plain/without{is_up}")
    finally:
        assert zopes.zmount("start", "dev").returncode == 0

    assert "/home/x.org/news has blobs, and /plain/news is in a storage without" in said
    assert without["target"]["storage"] == "plain"


def test_what_is_off_line_is_left_alone(zopes: Deployment) -> None:
    off = zopes.zmount("offline", "x.org", "--instance", "dev", "--staging")
    assert off.returncode == 0, off.stderr
    try:
        assert "/home/x.org is off-line" in refused(zopes, FROM, TO)
        assert "is off-line" in refused(zopes, "dev:/dev/medur/x.org", "dev:/home/x.org/copy")
    finally:
        back = zopes.zmount("online", "x.org", "--instance", "dev")
        assert back.returncode == 0, back.stderr


def test_a_wrong_password_of_the_administrator_changes_nothing(
    zopes: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sizes(zopes)
    monkeypatch.setenv("ZMOUNT_ADMINISTRATOR", "admin:wrong")

    assert zopes.zmount("push", FROM, TO).returncode == 20

    assert sizes(zopes) == before


def test_it_works_with_the_instance_down_too(zopes: Deployment) -> None:
    assert zopes.zmount("stop", "dev").returncode == 0
    try:
        told = pushed(zopes, FROM, TO)
        assert told["source"]["blob_bytes"] == len(BLOB)
    finally:
        assert zopes.zmount("start", "dev").returncode == 0
    assert title_of(zopes, "/home/x.org/news/first") == "the first"
    assert ask(zopes.port, "/pub/x.org/news/manage_main", headers=login()).status == 200
