"""Pushes that meet somebody else's commit, or the end of their Zope, in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from deployments import Deployment, wait_until
from pushing import CONF, PRODUCTION, STAGE, add_blob, add_folder, application, empty, site_of

FROM, TO = "dev:/home/x.org/news", "dev:/pub/x.org/news"
PAUSING = f"""  kind development
  zcml pausing
  <environment>
    PYTHONPATH {Path(__file__).parents[1]}
    PAUSING {{directory}}/pausing
  </environment>
"""


@pytest.fixture(scope="module")
def started() -> Iterator[Deployment]:
    """A development instance, up, that pauses in a push where a test says so."""
    with tempfile.TemporaryDirectory(prefix="zm-") as directory:
        made = Deployment(Path(directory), CONF.replace("  kind development\n", PAUSING))
        (made.directory / "pausing").mkdir()
        try:
            for command in (["apply"], ["start", "zeo", "dev"]):
                done = made.zmount(*command)
                assert done.returncode == 0, done.stdout + done.stderr
            yield made
        finally:
            made.end_all()


@pytest.fixture
def zopes(started: Deployment) -> Deployment:
    """The same with news in staging, and old ones in production."""
    empty(started, STAGE)
    empty(started, PRODUCTION)
    for each in (started.directory / "pausing").iterdir():
        each.unlink()
    with application(started, STAGE) as app:
        add_blob(add_folder(site_of(app), "news", title="new"), "picture")
    with application(started, PRODUCTION) as app:
        add_folder(site_of(app), "news", title="old")
    (started.directory / "pausing/passed").write_text("")
    return started


@contextmanager
def paused(zopes: Deployment, where: str) -> Iterator[Callable[[], tuple[int, str]]]:
    """Push, and let a test do something when the push has come to WHERE.

    Yields what lets it go on, and gives its exit status and what it said.
    """
    directory = zopes.directory / "pausing"
    (directory / where).touch()
    push = subprocess.Popen(
        [sys.executable, "-m", "zmount", "-f", str(zopes.conf), "push", FROM, TO, "--replace"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def go_on() -> tuple[int, str]:
        (directory / "go").touch()
        said, _ = push.communicate(timeout=60)
        return push.returncode, said

    try:
        wait_until(lambda: not (directory / where).exists(), f"the push is {where}", timeout_s=30)
        yield go_on
    finally:
        (directory / "go").touch()
        push.kill()
        push.wait()


def title_of_news(zopes: Deployment) -> str:
    with application(zopes, PRODUCTION) as app:
        return str(site_of(app)._getOb("news").title)


def passed(zopes: Deployment) -> list[str]:
    """Return what was added in pushes, in their order, those that were for nothing, too."""
    lines = (zopes.directory / "pausing/passed").read_text().splitlines()
    return [line for line in lines if line == "added news"]


def test_somebody_else_who_is_first_loses_nothing(zopes: Deployment) -> None:
    with paused(zopes, "added") as go_on:
        with application(zopes, PRODUCTION) as app:
            add_folder(site_of(app), "meanwhile")
        status, said = go_on()

    assert status == 0, said
    assert passed(zopes) == ["added news", "added news"]
    with application(zopes, PRODUCTION) as app:
        assert sorted(site_of(app).objectIds()) == ["meanwhile", "news"]
    assert title_of_news(zopes) == "new"


def test_it_is_so_with_the_instance_down(zopes: Deployment) -> None:
    assert zopes.zmount("stop", "dev").returncode == 0
    try:
        with paused(zopes, "added") as go_on:
            with application(zopes, PRODUCTION) as app:
                add_folder(site_of(app), "meanwhile")
            status, said = go_on()
    finally:
        assert zopes.zmount("start", "dev").returncode == 0

    assert status == 0, said
    with application(zopes, PRODUCTION) as app:
        assert sorted(site_of(app).objectIds()) == ["meanwhile", "news"]
    assert title_of_news(zopes) == "new"


def test_what_would_be_replaced_by_now_is_looked_at_again(zopes: Deployment) -> None:
    with paused(zopes, "added") as go_on:
        with application(zopes, PRODUCTION) as app:
            site_of(app)._delObject("news")
            add_folder(site_of(app), "news", title="somebody else's")
        status, said = go_on()

    assert status == 24
    assert "/pub/x.org/news is another object now than when it was shown" in said
    assert title_of_news(zopes) == "somebody else's"


@pytest.mark.parametrize(
    ("where", "title", "told"),
    [
        ("added", "old", "nothing was copied by now"),
        ("answered", "new", "it was copied nevertheless"),
    ],
)
def test_a_zope_that_is_killed_leaves_the_old_or_the_new(
    zopes: Deployment, where: str, title: str, told: str
) -> None:
    with paused(zopes, where) as go_on:
        os.kill(zopes_pid(zopes), signal.SIGKILL)
        status, said = go_on()

    assert status == 8, said
    assert "Traceback" not in said
    assert told in said
    assert title_of_news(zopes) == title
    assert zopes.zmount("start", "dev").returncode == 0
    again = zopes.zmount("push", FROM, TO, "--replace")
    assert again.returncode == 0, again.stderr
    assert title_of_news(zopes) == "new"


def zopes_pid(zopes: Deployment) -> int:
    """Return the pid of the development instance itself."""
    return int((zopes.directory / "dev_client/var/Z4.pid").read_text())
