"""What is pushed into a site with CMF's catalog and workflows, as Plone has them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cmf_sites import MODIFIED, VIEW, add_page, add_section, cataloged, make_cmf
from deployments import Deployment
from pushing import CONF, PRODUCTION, STAGE, application, pushed, site_of

FROM, TO = "dev:/home/x.org/news", "dev:/pub/x.org/news"
TESTS = Path(__file__).parents[1]
WITH_CLASSES = CONF.replace(
    "  kind development\n",
    f"  kind development\n  <environment>\n    PYTHONPATH {TESTS}\n  </environment>\n",
)


@pytest.fixture(scope="module")
def started() -> Iterator[Deployment]:
    """A development instance, up, that has the classes of the content."""
    with tempfile.TemporaryDirectory(prefix="zm-") as directory:
        made = Deployment(Path(directory), WITH_CLASSES)
        try:
            for command in (["apply"], ["start", "zeo", "dev"]):
                done = made.zmount(*command)
                assert done.returncode == 0, done.stdout + done.stderr
            for name in (STAGE, PRODUCTION):
                with application(made, name) as app:
                    make_cmf(site_of(app))
            yield made
        finally:
            made.end_all()


@pytest.fixture
def zopes(started: Deployment) -> Deployment:
    """The same with a published page in staging, and a private one of that name in production."""
    for name, title, state in ((STAGE, "new", "published"), (PRODUCTION, "old", "private")):
        with application(started, name) as app:
            site = site_of(app)
            if "news" in site.objectIds():
                site._delObject("news")
            site._getOb("portal_catalog").manage_catalogClear()
            add_page(add_section(site, "news"), "first", title, state)
    with application(started, STAGE) as app:
        add_page(site_of(app)._getOb("news"), "second", "new, too", "private")
    with application(started, PRODUCTION) as app:
        site = site_of(app)
        news = site._getOb("news")
        add_page(news, "gone", "old", "private")
        catalog = site._getOb("portal_catalog")
        for thing in news.objectValues():
            catalog.catalog_object(thing, "/".join(thing.getPhysicalPath()))
        assert set(cataloged(site, "Title")) == {"news/first", "news/gone"}
    return started


def test_the_catalog_knows_what_is_there_and_forgets_the_rest(zopes: Deployment) -> None:
    told = pushed(zopes, FROM, TO, "--replace")

    assert told["catalog"] == "/home/x.org/portal_catalog"
    assert (told["cataloged"], told["uncataloged"]) == (2, 1)
    with application(zopes, PRODUCTION) as app:
        assert cataloged(site_of(app), "Title") == {
            "news/first": "new",
            "news/second": "new, too",
        }


def test_a_page_keeps_the_state_of_its_workflow_and_the_time_of_its_last_change(
    zopes: Deployment,
) -> None:
    pushed(zopes, FROM, TO, "--replace")

    with application(zopes, PRODUCTION) as app:
        site = site_of(app)
        page = site._getOb("news")._getOb("first")
        assert page.workflow_history["publishing"] == ({"review_state": "published"},)
        assert getattr(page, VIEW) == ("Anonymous",)
        assert page.modification_date == MODIFIED
        states = cataloged(site, "review_state")
        assert (states["news/first"], states["news/second"]) == ("published", "private")
        times = cataloged(site, "modified")
        assert times["news/first"] == times["news/second"]


def test_a_page_under_a_new_name_is_cataloged_by_it(zopes: Deployment) -> None:
    told = pushed(zopes, f"{FROM}/first", f"{TO}/third")

    assert (told["cataloged"], told["uncataloged"]) == (1, 0)
    with application(zopes, PRODUCTION) as app:
        site = site_of(app)
        assert cataloged(site, "Title")["news/third"] == "new"
        assert cataloged(site, "review_state")["news/third"] == "published"
