"""Which staging storages are stages, and what is said of those that are none."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

SITE = """
directory /srv/zope
{top}
<zeo zeo/>
<zeo other>
  address 8101
</zeo>
<site x.org>
  server zeo
  {site}
</site>
{more}
<instance dev>
  kind development
  http-address 8081
</instance>
<instance pub/>
"""


def site(
    topology, *, top: str = "", site: str = "", more: str = "<storage y>\nserver other\n</storage>"
):
    return topology(SITE.format(top=top, site=site, more=more)).site("x.org")


def test_a_staging_storage_is_a_stage_of_its_production(topology):
    found = site(topology)

    stage = found.staging.stage
    assert stage.production is found.production
    assert stage.generations == PurePosixPath("/srv/zope/var/stage/x.org/generations")
    assert (stage.mode, stage.keep) == ("link", 1)
    assert found.production.stage is None


def test_generations_of_files_in_one_directory_do_not_meet(topology):
    more = "<storage stage/x.org>\nserver zeo\npath var/x.fs\n</storage>\n" + OTHER

    found = site(topology, more=more)

    assert found.staging.stage.generations == PurePosixPath("/srv/zope/var/x.fs.generations")


def test_what_the_site_says_goes_before_what_the_top_says(topology):
    found = site(
        topology,
        top="stage-mode copy\nstage-keep 3\nstage-drain-timeout 5s",
        site="stage-mode link\nstage-keep 2",
    )

    assert dict(found.staging.stage.options.items_) == {
        "mode": ("link",),
        "keep": ("2",),
        "drain-timeout": ("5s",),
    }


@pytest.mark.parametrize(("top", "own"), [("stage-mode none", ""), ("", "stage-mode none")])
def test_with_mode_none_it_is_a_filestorage_and_nothing_is_said_of_it(topology, finds, top, own):
    found = site(topology, top=top, site=own)

    assert found.staging.stage is None
    assert not found.is_swapped


BACKEND = "<storage {name}>\nserver zeo\n<{type}>\n{keys}\n</{type}>\n</storage>\n"
OTHER = "<storage y>\nserver other\n</storage>\n"
MOUNTED = "<mount y>\nmount-point /y\n</mount>\n"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("<storage stage/x.org>\nserver zeo\nread-only true\n</storage>\n", "read-only"),
        (BACKEND.format(name="stage/x.org", type="mappingstorage", keys=""), "mappingstorage"),
        (BACKEND.format(name="pub/x.org", type="mappingstorage", keys=""), "mappingstorage"),
    ],
)
def test_what_can_be_no_stage_is_doubtful(topology, write, more, why):
    from zmount.operations.check import check_file

    text = SITE.format(top="", site="", more=more + OTHER)

    assert topology(text).site("x.org").staging.stage is None
    found = [each for each in check_file(write(text)).findings if each.rule == "staging-no-stage"]
    assert [why in str(each) for each in found] == [True]


def test_production_in_a_plain_filestorage_section_can_be_linked_to(topology):
    more = BACKEND.format(name="pub/x.org", type="filestorage", keys="path live.fs") + OTHER

    found = site(topology, more=more)

    assert found.staging.stage.production.data_fs == PurePosixPath("/srv/zope/live.fs")


def test_a_shared_blob_directory_is_none_of_a_stages(topology):
    text = SITE.format(top="<client>\nshared-blob-dir on\n</client>", site="", more=OTHER)

    dev = topology(text).instance("dev")

    shared = {
        mount.name: "shared-blob-dir" in mount.client for mount in dev.mounts if not mount.is_root
    }
    assert shared == {"stage/x.org": False, "pub/x.org": True}
