"""The example topologies: each loads, and there is nothing to say about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from zmount.operations.check import check_file
from zmount.topology.load import load
from zmount.topology.topology import Topology

CONFIGS = Path(__file__).parent.parent.parent / "configs"
NAMES = ("vsa", "vsa-two-hosts", "single", "catalog", "tls")


@pytest.fixture(autouse=True)
def passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEO_KEY_PASSPHRASE", "open-sesame")
    monkeypatch.setenv("ZOPE_KEY_PASSPHRASE", "open-barley")


def conf(name: str) -> Path:
    return CONFIGS / name / "zmount.conf"


def example(name: str) -> Topology:
    return load(conf(name))


def test_no_example_is_left_out():
    assert {path.parent.name for path in CONFIGS.glob("*/zmount.conf")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_clean(name):
    assert check_file(conf(name)).findings == ()


@pytest.mark.parametrize("name", NAMES)
def test_an_example_begins_with_what_it_is_about(name):
    assert conf(name).read_text().startswith("# ")
    assert len(conf(name).read_text().splitlines()) < 80


def test_two_hosts_have_development_on_the_second_and_the_public_on_both():
    topology = example("vsa-two-hosts")
    assert [host.name for host in topology.instance("dev").hosts] == ["zope2"]
    pub = topology.instance("pub")
    assert [(one.host.name, one.http_address.port) for one in pub.replicas] == [
        ("zope1", 8090),
        ("zope1", 8091),
        ("zope2", 8090),
        ("zope2", 8091),
    ]
    assert pub.root.storage.server == topology.zeo_server("zeo")
    assert len(topology.sites) == 5


def test_single_is_one_process():
    topology = example("single")
    assert [len(topology.zeo_servers), len(topology.replicas), len(topology.storages)] == [0, 1, 1]


def test_the_catalog_lies_inside_the_site_with_a_storage_for_each_area():
    topology = example("catalog")
    path = "/home/example.org/portal_catalog"
    found = {
        instance.name: mount.storage.name
        for instance in topology.instances
        for mount in instance.mounts
        if str(mount.points[0]) == path
    }
    assert found == {"pub": "catalog/example.org", "dev": "stage-catalog/example.org"}


def test_tls_has_its_passphrases_from_the_environment_and_shows_them_to_nobody():
    topology = example("tls")
    server, client = topology.zeo_server("zeo").tls, topology.instance("pub").mounts[1].tls
    assert server.passphrase.reveal() == "open-sesame"
    assert client.passphrase.reveal() == "open-barley"
    assert "open-" not in repr(topology)


def test_tls_without_its_passphrases_says_which_variable_is_missing(monkeypatch):
    monkeypatch.delenv("ZEO_KEY_PASSPHRASE")
    (finding,) = check_file(conf("tls")).findings
    assert finding.what == "$ZEO_KEY_PASSPHRASE is not defined"
