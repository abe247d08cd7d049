"""Adopt, load, render: whatever the files say, the real schemas see no difference."""

from __future__ import annotations

import tempfile
from pathlib import Path

from adopting import assert_same_settings, reproduce
from hypothesis import HealthCheck, given, settings
from random_confs import Confs, deployments, deployments_of_sites

SETTINGS = settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(deployments())
def test_every_option_of_random_deployments_comes_out_as_it_went_in(confs: Confs):
    reproduces(confs)


@SETTINGS
@given(deployments_of_sites())
def test_sites_and_kinds_are_said_in_short_only_where_that_changes_nothing(confs: Confs):
    reproduces(confs)


def reproduces(confs: Confs) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        paths = []
        for file, text in (confs.zeo | confs.zope).items():
            path = directory / file
            path.parent.mkdir(parents=True)
            path.write_text(text, encoding="utf-8")
            paths.append(path)

        found = reproduce(directory, *paths)

        assert_same_settings(found, confs.texts)
