"""What ``zmount show`` prints, and what it must never print."""

from __future__ import annotations

import io
import json
from dataclasses import fields
from pathlib import Path

import pytest
from rich.console import Console

from zmount.render.facts import shown, topology_facts
from zmount.render.tree import IMPLIED, detail, tree
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance
from zmount.topology.load import load
from zmount.topology.mounts import Mount
from zmount.topology.options import Secret
from zmount.topology.sessions import SessionData
from zmount.topology.sites import Site
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology
from zmount.topology.zeo import Tls, ZeoServer

VSA = Path(__file__).parent.parent.parent / "configs" / "vsa" / "zmount.conf"
SECRETS = """
administrator admin
administrator-password hush-administrator
<zeo zeo>
  <ssl>
    certificate server.pem
    key-passphrase hush-passphrase
  </ssl>
  <environment>
    DB_PASSWORD hush-environment
    DATABASE_URL postgresql://zope:hush-url@db.example/zope
  </environment>
</zeo>
<client>
  <ssl>
    certificate client.pem
    key-passphrase hush-client
  </ssl>
</client>
<storage big>
  <relstorage>
    <postgresql>
      dsn dbname='zope' password='hush-dsn'
    </postgresql>
  </relstorage>
</storage>
<instance pub>
  <environment>
    SENTRY_DSN https://hush-sentry@sentry.example/1
  </environment>
  <product-config mail>
    smtp-password hush-product
  </product-config>
  <ini filter:auth>
    secret hush-ini
  </ini>
  <waitress>
    url_token hush-waitress
  </waitress>
  <zope-conf>
    <product-config other>
      api-token hush-zope-conf
    </product-config>
  </zope-conf>
  <mount big>
    mount-point /big
  </mount>
</instance>
"""


def topology_of(tmp_path: Path, text: str) -> Topology:
    path = tmp_path / "zmount.conf"
    path.write_text(text)
    return load(path)


def printed(renderable: object, *, encoding: str = "utf-8", terminal: int = 0) -> str:
    """Return what a file gets, or a terminal of so many columns."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    Console(file=file, width=terminal or 200, soft_wrap=not terminal).print(renderable)
    file.flush()
    return raw.getvalue().decode(encoding)


def test_the_listing_names_every_noun_and_every_mount():
    topology = load(VSA)

    text = printed(tree(topology))

    names = [
        noun.name
        for nouns in (
            topology.hosts,
            topology.zeo_servers,
            topology.storages,
            topology.sites,
            topology.instances,
        )
        for noun in nouns
    ]
    points = [
        point.virtual
        for instance in topology.instances
        for mount in instance.mounts
        for point in mount.points
    ]
    assert [name for name in names + points if name not in text] == []
    assert "1 host, 1 ZEO server, 14 storages, 5 sites, 3 instances, 19 mounts" in text


def test_a_mount_shows_its_storage_and_the_path_in_it_where_that_differs():
    lines = [line.split() for line in printed(tree(load(VSA))).splitlines()]

    assert [IMPLIED, "/home/vs_sites", "←", "stage/vs_sites"] in lines
    assert [IMPLIED, "/pub/vs_sites", "←", "pub/vs_sites:/home/vs_sites"] in lines


def test_only_what_is_implied_carries_the_mark(tmp_path):
    topology = topology_of(
        tmp_path,
        """
        <zeo zeo/>
        <site a.org/>
        <storage pub/a.org>
          quota 5GB
        </storage>
        <instance pub/>
        """,
    )

    lines = printed(tree(topology)).splitlines()

    assert [line.strip()[0] for line in lines if "var/pub/a.org/Data.fs" in line] == ["p"]
    assert [line.strip()[0] for line in lines if "var/stage/a.org/Data.fs" in line] == [IMPLIED]


def test_the_listing_prints_on_a_terminal_that_knows_only_ascii():
    text = printed(tree(load(VSA)), encoding="ascii")

    assert "* /home/vs_sites" in text
    assert "* implied: no section of the file names it" in text


def test_a_file_gets_no_colours_and_lines_of_any_length(tmp_path):
    name = "s" * 250
    text = printed(tree(topology_of(tmp_path, f"<zeo zeo/>\n<site {name}/>\n<instance pub/>")))

    assert "\x1b" not in text
    assert f"var/pub/{name}/Data.fs" in text


def test_a_narrow_terminal_gets_everything_with_the_rest_of_a_line_indented():
    wide, narrow = printed(tree(load(VSA))), printed(tree(load(VSA)), terminal=80)

    assert narrow.split() == wide.split()
    assert max(len(line) for line in narrow.splitlines()) <= 80
    assert "\n        var/pub/srichinmoyraces.org/Data.fs\n" in narrow


def test_the_processes_of_a_replicated_instance_are_listed_with_their_hosts(tmp_path):
    topology = topology_of(
        tmp_path,
        """
        directory /srv/zope
        <host web1/>
        <host web2/>
        <zeo zeo/>
        <storage root/web/>
        <instance pub>
          host web1 web2
          root root/web
          http-address 10.0.0.1:8080
        </instance>
        """,
    )

    text = printed(tree(topology))

    assert "2 processes" in text
    assert "pub_client/ on web2" in text


@pytest.mark.parametrize("as_json", [True, False])
def test_no_secret_is_ever_shown(tmp_path, as_json):
    topology = topology_of(tmp_path, SECRETS)
    facts = topology_facts(topology)

    if as_json:
        text = json.dumps(facts)
    else:
        text = printed(tree(topology))
        for kind in ("hosts", "zeo_servers", "storages", "sites", "instances"):
            text += "".join(printed(detail(kind, each)) for each in facts[kind])

    assert "SENTRY_DSN" in text or not as_json  # the file was understood
    assert "hush" not in text


def test_a_password_in_an_address_is_dots_and_the_rest_is_readable():
    assert shown("http://zope:hush@db/x") == "http://••••••@db/x"
    assert shown("dbname=x@y") == "dbname=x@y"
    assert shown(Secret("hush")) == "••••••"


def test_the_facts_say_who_mounts_a_storage():
    facts = topology_facts(load(VSA))

    (found,) = (each for each in facts["storages"] if each["name"] == "pub/vs_sites")
    assert found["mounted_by"] == [
        {"instance": "dev", "points": ["/pub/vs_sites:/home/vs_sites"]},
        {"instance": "pub", "points": ["/home/vs_sites"]},
    ]


@pytest.mark.parametrize(
    ("noun", "kind", "otherwise"),
    [
        (Topology, "", set()),
        (Host, "hosts", set()),
        (ZeoServer, "zeo_servers", set()),
        (Storage, "storages", {"served_as"}),  # as zeo_name
        (Site, "sites", set()),
        (Instance, "instances", {"replicas_per_host"}),  # as replicas
        (Mount, "mounts", set()),
        (SessionData, "session", set()),
        (Tls, "tls", {"place"}),
    ],
)
def test_no_field_of_a_noun_is_forgotten(tmp_path, noun, kind, otherwise):
    facts = topology_facts(topology_of(tmp_path, SECRETS + "<session/>\n<site a.org/>"))
    facts["tls"] = facts["zeo_servers"][0]["tls"]
    facts["mounts"] = facts["instances"][0]["mounts"]
    here = facts[kind] if kind else {**facts, "place": ""}
    here = here[0] if isinstance(here, list) else here

    assert {each.name for each in fields(noun)} - otherwise <= set(here)


def test_a_key_that_may_be_repeated_is_always_a_list(tmp_path):
    topology = topology_of(
        tmp_path, "<instance pub>\n trusted-proxy 10.0.0.9\n max-conflict-retries 5\n</instance>"
    )

    (instance,) = topology_facts(topology)["instances"]

    assert instance["zope"] == {"trusted-proxy": ["10.0.0.9"], "max-conflict-retries": "5"}


def test_the_details_of_a_noun_leave_out_what_says_nothing():
    (server,) = topology_facts(load(VSA))["zeo_servers"]

    text = printed(detail("ZEO server", server))

    assert text.startswith("ZEO server zeo\n")
    assert "transaction-timeout      60" in text
    assert "eventlog" not in text
    assert "environment" not in text
