"""What the design document's topology implies, without a word more than it takes."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from zmount.topology.load import load
from zmount.topology.mounts import Mount

VSA = Path(__file__).parent.parent.parent / "configs" / "vsa" / "zmount.conf"
SITES = (
    "srichinmoyraces.org",
    "srichinmoycentre.org",
    "srichinmoy.org",
    "srichinmoylibrary.com",
    "vs_sites",
)
HOME = PurePosixPath("/opt/zope/vsa_3")


@pytest.fixture(scope="module")
def vsa():
    return load(VSA)


def table(mounts: tuple[Mount, ...]) -> dict[str, tuple[str, str]]:
    """Virtual path: (storage, real path)."""
    return {
        point.virtual: (mount.storage.name, point.real)
        for mount in mounts
        for point in mount.points
    }


def test_the_design_document_takes_about_forty_lines():
    what_runs, _, _ = VSA.read_text().partition("\n# What is done when")
    assert len(what_runs.splitlines()) <= 42


def test_what_the_design_document_wants_done_again_and_again_is_scheduled(vsa):
    jobs = {schedule.job for schedule in vsa.schedules}

    assert {"start", "restart", "pack", "rotate-logs"} <= jobs


def test_a_site_has_a_production_and_a_staging_storage(vsa):
    for name in SITES:
        site = vsa.site(name)
        assert site.production.data_fs == HOME / "var" / "pub" / name / "Data.fs"
        assert site.production.blob_dir == HOME / "var" / "pub" / name / "blobs"
        assert site.staging.data_fs == HOME / "var" / "stage" / name / "Data.fs"
        assert (site.production.role, site.staging.role) == ("production", "staging")
        assert {storage.site for storage in site.storages} == {name}


def test_all_storages_of_sites_are_served_by_the_only_zeo_server(vsa):
    served = {storage.name for storage in vsa.storages_of(vsa.zeo_server("zeo"))}
    sites = {f"{area}/{name}" for area in ("pub", "stage") for name in SITES}
    assert served == sites | {"pub/session"}


def test_development_mounts_staging_at_home_and_production_at_pub(vsa):
    expected = {"/": ("root/dev", "/")}
    for name in SITES:
        expected[f"/home/{name}"] = (f"stage/{name}", f"/home/{name}")
        expected[f"/pub/{name}"] = (f"pub/{name}", f"/home/{name}")
    assert table(vsa.instance("dev").mounts) == expected


def test_public_mounts_production_at_home_and_the_sessions(vsa):
    expected = {"/": ("root/pub", "/"), "/session": ("pub/session", "/session")}
    for name in SITES:
        expected[f"/home/{name}"] = (f"pub/{name}", f"/home/{name}")
    assert table(vsa.instance("pub").mounts) == expected


def test_admin_mounts_nothing_and_is_off(vsa):
    admin = vsa.instance("adm")
    assert table(admin.mounts) == {"/": ("root/adm", "/")}
    assert not admin.autostart
    assert vsa.instance("dev").autostart


def test_sessions_lie_where_the_design_document_says(vsa):
    assert vsa.session.storage.data_fs == HOME / "var/pub/session/Data.fs"
    assert (vsa.session.path, vsa.session.timeout_minutes) == ("/session", 60)


@pytest.mark.parametrize("name", ["dev", "pub", "adm"])
def test_a_root_is_a_filestorage_in_its_instance(vsa, name):
    instance = vsa.instance(name)
    assert instance.directory == HOME / f"{name}_client"
    assert instance.root.storage.server is None
    assert instance.root.storage.data_fs == HOME / f"{name}_client/var/Data.fs"


def test_only_development_has_a_folder_for_sandboxes(vsa):
    assert [one.sandboxes for one in vsa.instances] == ["/dev", None, None]


def test_every_database_refuses_references_to_others(vsa):
    for instance in vsa.instances:
        for mount in instance.mounts:
            assert mount.database.text("allow-implicit-cross-references") == "false"


def test_a_client_caches_blobs_in_its_instance_and_by_storage(vsa):
    mount = vsa.instance("dev").mounts[1]
    assert mount.client.text("blob-dir") == str(
        HOME / "dev_client/var/blobcache" / mount.storage.name
    )


def test_an_instance_needs_the_products_that_its_mounts_need(vsa):
    assert vsa.instance("pub").products == ("Products.ZODBMountPoint", "Products.Sessions")
    assert vsa.instance("dev").products == ("Products.ZODBMountPoint",)
    assert vsa.instance("adm").products == ()


def test_zdaemon_runs_the_processes_and_the_only_host_is_this_one(vsa):
    assert vsa.manager == "zdaemon"
    assert [host.name for host in vsa.hosts] == ["localhost"]


def test_without_a_directory_everything_lies_beside_the_file(topology, tmp_path):
    only = topology("<instance zope/>\n")
    assert only.hosts[0].directory == PurePosixPath(tmp_path)
    assert only.hosts[0].venv == PurePosixPath(tmp_path) / "venv"
    assert str(only.instance("zope").http_address) == "127.0.0.1:8080"


def test_the_zeo_server_of_one_host_listens_on_loopback_and_of_several_on_its_address(topology):
    assert str(topology("<zeo zeo/>\n").zeo_server("zeo").address) == "127.0.0.1:8100"
    two = "directory /srv\n<host a>\naddress 10.0.0.1\n</host>\n<host b/>\n<zeo zeo/>\n"
    assert str(topology(two).zeo_server("zeo").address) == "10.0.0.1:8100"
