"""Deployments as their generators and their administrators lay them out."""

from __future__ import annotations

from pathlib import Path

import pytest
from adopting import DATA, adopted_from, assert_same_settings, reproduce
from real_schemas import zope_settings

from zmount.topology.adopt.notes import Notes
from zmount.topology.adopt.reading import read_conf
from zmount.topology.storages import PACKER

SAMPLES = {
    "plone": (
        "plone/parts/zeoserver/etc/zeo.conf",
        "plone/parts/instance/etc/zope.conf",
        "plone/parts/client2/etc/zope.conf",
    ),
    "cookiecutter-direct": ("cookiecutter/direct/etc/zope.conf",),
    "cookiecutter-zeo": ("cookiecutter/zeo/etc/zope.conf",),
    "mkwsgiinstance": ("mkwsgiinstance/etc/zope.conf",),
    "mkzeoinstance": ("mkzeoinstance/etc/zeo.conf", "mkwsgiinstance/etc/zope.conf"),
    "tls": ("tls/zeo/etc/zeo.conf", "tls/web/etc/zope.conf"),
    "two-servers": ("mkzeoinstance/etc/zeo.conf", "plone/parts/zeoserver/etc/zeo.conf"),
}


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHOMATIC_SECRET", "of the environment")


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_option_of_a_sample_comes_out_as_it_went_in(sample: str, tmp_path: Path):
    paths = [DATA / name for name in SAMPLES[sample]]

    found = reproduce(tmp_path, *paths)

    assert_same_settings(found, [path.read_text() for path in paths])


def test_a_deployment_of_files_that_include_others_comes_out_as_it_went_in(tmp_path: Path):
    zeo, dev, public = (DATA / "by_hand" / name for name in ("zeo", "dev", "public"))
    paths = (zeo / "etc/zeo.conf", dev / "etc/zope.conf", public / "etc/zope.conf")
    included = (zeo / "etc/storages.conf").read_text()

    found = reproduce(tmp_path, *paths)

    originals = [path.read_text().replace("%include storages.conf", included) for path in paths]
    originals[0] = originals[0].replace("%import zc.zlibstorage", "")
    assert_same_settings(found, ["%import zc.zlibstorage\n" + originals[0], *originals[1:]])


def test_sites_and_kinds_are_recognised_where_storages_and_mounts_say_so(tmp_path: Path):
    names = ("zeo/etc/zeo.conf", "dev/etc/zope.conf", "public/etc/zope.conf")
    found = reproduce(tmp_path, *(DATA / "by_hand" / name for name in names))

    assert [site.name for site in found.topology.sites] == ["one.org", "two.org"]
    assert {str(site.container) for site in found.topology.sites} == {"/sites"}
    assert [each.kind for each in found.topology.instances] == ["development", "public"]
    assert "<storage pub/one.org>" not in found.text


def test_a_zope_of_2_7_goes_on_with_what_lives_today(tmp_path: Path):
    paths = DATA / "zeo27/etc/zeo.conf", DATA / "zope27/etc/zope.conf"
    found = reproduce(tmp_path, *paths)

    zope = found.topology.instance("zope27")
    assert str(zope.http_address) == ":9080"
    assert zope.user == "zope"
    assert zope.wsgi.threads == 6
    assert str(zope.log.path) == "/var/zope/zope27/log/event.log"
    assert zope.access_log.level == "warn"
    databases = zope_settings(found.zope_confs[0])["databases"]
    assert databases["main"]["storage"]["client"] == "Zope27"
    # the zeo.conf says Sessions, which ZConfig lowers
    assert databases["sessions"]["storage"]["storage"] == "sessions"


def test_what_died_since_zope_2_7_is_said_with_its_line_and_what_is_there_today():
    adopted = adopted_from(DATA / "zeo27/etc/zeo.conf", DATA / "zope27/etc/zope.conf")

    said = {str(f.place).rpartition("adopt_data/")[2]: f for f in adopted.findings}
    assert said["zeo27/etc/zeo.conf:6"].what == "monitor-address is not carried over"
    assert "zmount status" in said["zeo27/etc/zeo.conf:6"].hint
    assert said["zope27/etc/zope.conf:7"].what == "products is not carried over"
    assert said["zope27/etc/zope.conf:36"].what == "<ftp-server> is not carried over"
    assert said["zope27/etc/zope.conf:42"].what == "version-pool-size is not carried over"
    assert said["zope27/etc/zope.conf:50"].what == "password is not carried over"
    assert said["zope27/etc/zope.conf:58"].rule == "upper-case-storage"
    assert "opensesame" not in adopted.text
    assert "opensesame" not in "".join(map(str, adopted.findings))


def test_a_relstorage_is_kept_as_it_is_and_its_password_makes_the_file_private(tmp_path: Path):
    path = DATA / "cookiecutter/relstorage/etc/zope.conf"
    found = reproduce(tmp_path, path)
    rendered = tmp_path / "zope.conf"
    rendered.write_text(found.zope_confs[0])

    def storage(conf: Path):
        (database,) = read_conf(conf, Notes()).top.sections
        return database.sections

    assert found.adopted.holds_secret
    assert storage(rendered) == storage(path)
    assert read_conf(rendered, Notes()).imports == ("relstorage",)
    assert "hunter2" not in "".join(map(str, found.adopted.findings))


def test_a_secret_of_the_environment_stays_there(tmp_path: Path):
    adopted = adopted_from(DATA / "cookiecutter/direct/etc/zope.conf")

    assert "secret $(AUTHOMATIC_SECRET)" in adopted.text
    assert "of the environment" not in adopted.text
    assert not adopted.holds_secret


def test_http_and_logs_come_from_the_ini_file(tmp_path: Path):
    found = reproduce(tmp_path, DATA / "cookiecutter/direct/etc/zope.conf")

    instance = found.topology.instance("direct")
    assert instance.wsgi.waitress.text("listen") == "localhost:8080 [::1]:8080"
    assert instance.wsgi.waitress.text("ident") == "Zope 100%"
    assert "cors" in instance.wsgi.pipeline
    assert dict(instance.wsgi.sections)["filter:cors"].text("policy") == "open"
    assert str(instance.log.path) == "/app/direct/var/log/event.log"
    assert instance.log.level == "debug"
    assert instance.access_log.options.text("handler-args") == "(sys.stdout,)"


def test_two_servers_that_both_serve_a_storage_1_are_told_apart(tmp_path: Path):
    paths = [DATA / name for name in SAMPLES["two-servers"]]
    found = reproduce(tmp_path, *paths)

    assert [storage.zeo_name for storage in found.topology.storages] == ["1", "1", "catalog"]
    assert found.rules.count("renamed") == 2


def test_relative_paths_are_taken_to_be_in_the_home_of_the_process(tmp_path: Path):
    conf = tmp_path / "blog/etc/zope.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(
        "instancehome /srv/blog\n<zodb_db main>\n  mount-point /\n  <filestorage>\n"
        "    path data/Data.fs\n  </filestorage>\n</zodb_db>\n"
    )

    found = reproduce(tmp_path, conf)

    assert "path /srv/blog/data/Data.fs" in found.zope_confs[0]
    assert "relative-path" in found.rules


def test_a_section_of_a_product_is_kept_and_an_unknown_one_is_said(tmp_path: Path):
    conf = tmp_path / "zope.conf"
    head = (
        "instancehome /srv/blog\n<zodb_db main>\n  mount-point /\n  <mappingstorage/>\n</zodb_db>\n"
    )
    ticker = "<ticker tick>\n  Period 10\n  <every x>\n    A b\n  </every>\n</ticker>\n"

    conf.write_text("%import Products.Ticker\n" + head + ticker)
    kept = reproduce(tmp_path, conf)
    conf.write_text(head + ticker)
    dropped = reproduce(tmp_path, conf)

    assert ticker in kept.zope_confs[0]
    assert "%import Products.Ticker" in kept.zope_confs[0]
    assert "ticker" not in dropped.zope_confs[0]
    assert "unknown" in dropped.rules


def test_a_client_of_a_server_that_was_not_named_is_kept_without_its_dead_keys(tmp_path: Path):
    conf = tmp_path / "zope.conf"
    conf.write_text(
        "instancehome /srv/blog\n<zodb_db main>\n  mount-point /\n  <zeoclient>\n"
        "    server 10.0.0.9:8100\n    username x\n    password opensesame\n"
        "  </zeoclient>\n</zodb_db>\n"
    )

    found = reproduce(tmp_path, conf)

    assert "server 10.0.0.9:8100" in found.zope_confs[0]
    assert "opensesame" not in found.text
    assert not found.adopted.holds_secret
    assert "unknown-server" in found.rules


def test_the_server_of_another_name_for_this_port_is_taken_for_granted_and_said(tmp_path: Path):
    zeo, zope = tmp_path / "zeo.conf", tmp_path / "zope.conf"
    zeo.write_text((DATA / "mkzeoinstance/etc/zeo.conf").read_text())
    zope.write_text(
        "instancehome /srv/blog\n<zodb_db main>\n  mount-point /\n  <zeoclient>\n"
        "    server zeo.example.org:9999\n  </zeoclient>\n</zodb_db>\n"
    )

    found = reproduce(tmp_path, zeo, zope)

    assert found.topology.instance("blog").root.storage.zeo_name == "1"
    assert "server zeo.example.org:9999" in found.zope_confs[0]
    assert "assumed-server" in found.rules


def test_one_tls_section_is_said_once_for_all_instances(tmp_path: Path):
    zope = (
        (DATA / "tls/web/etc/zope.conf")
        .read_text()
        .replace("server-hostname zeo.example.org", "check-hostname false")
    )
    other = tmp_path / "other/etc/zope.conf"
    web = tmp_path / "web/etc/zope.conf"
    for path in (other, web):
        path.parent.mkdir(parents=True)
        path.write_text(zope.replace("web_client", path.parent.parent.name))
    zeo = DATA / "tls/zeo/etc/zeo.conf"

    found = reproduce(tmp_path, zeo, other, web)

    assert_same_settings(found, [path.read_text() for path in (zeo, other, web)])
    assert found.text.count("<ssl>") == 2


def test_a_deployment_keeps_filestorages_own_packer_until_its_administrator_wants_another(
    tmp_path: Path,
):
    found = reproduce(tmp_path, DATA / "mkwsgiinstance/etc/zope.conf")

    assert "\npacker stock\n" in found.text
    assert "packer" not in found.zope_confs[0]


def test_a_deployment_with_zmounts_packer_need_not_say_so(tmp_path: Path):
    conf = tmp_path / "etc" / "zope.conf"
    conf.parent.mkdir()
    conf.write_text(
        f"instancehome {tmp_path}\n<zodb_db main>\n  mount-point /\n  <filestorage>\n"
        f"    path {tmp_path}/var/Data.fs\n    packer {PACKER}\n  </filestorage>\n</zodb_db>\n"
    )

    found = reproduce(tmp_path, conf)

    assert "packer" not in found.text
    assert f"packer {PACKER}\n" in found.zope_confs[0]


def test_a_packer_of_a_storages_own_is_kept(tmp_path: Path):
    conf = tmp_path / "zeo.conf"
    conf.write_text(
        "<zeo>\n  address 8100\n</zeo>\n"
        "<filestorage a>\n  path /d/a.fs\n  packer zc.FileStorage:packer\n</filestorage>\n"
        "<filestorage b>\n  path /d/b.fs\n</filestorage>\n"
    )

    found = reproduce(tmp_path, conf)

    assert_same_settings(found, [conf.read_text()])
