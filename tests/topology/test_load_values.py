"""Values: where they come from, what they look like, and who may see them."""

from __future__ import annotations

import dataclasses
import json

import pytest

import zmount
from zmount.errors import TopologyError, TopologyNotFound, UnknownName
from zmount.topology.addresses import Address, parse_address
from zmount.topology.mounts import parse_mount_point
from zmount.topology.options import Options, Secret, guard, options
from zmount.topology.places import Place

# --- from elsewhere


def test_a_value_may_use_defined_names(topology):
    found = topology("%define base /srv/zope\ndirectory $base/vsa\nuser ${base}x\n<instance a/>\n")
    assert str(found.hosts[0].directory) == "/srv/zope/vsa"
    assert found.instance("a").user == "/srv/zopex"


def test_two_dollars_are_one(topology):
    assert topology("user a$$b\n<instance a/>\n").instance("a").user == "a$b"


def test_a_value_may_come_from_the_environment(topology, monkeypatch):
    monkeypatch.setenv("ZMOUNT_TEST_USER", "zope")
    text = "user $(ZMOUNT_TEST_USER)\n<instance a/>\n"
    assert topology(text).instance("a").user == "zope"


def test_a_value_of_the_environment_cannot_smuggle_in_a_line(topology, monkeypatch):
    monkeypatch.setenv("ZMOUNT_TEST_USER", "zope\nroot")
    with pytest.raises(TopologyError, match="user: it holds a control character"):
        topology("user $(ZMOUNT_TEST_USER)\n<instance a/>\n")


def test_another_file_can_be_included_in_any_place(write, topology):
    write("kind development\n%define port 8081\n", "dev.conf")
    write("<instance dev>\n%include dev.conf\nhttp-address $port\n</instance>\n", "instances.conf")
    found = topology("directory /srv\n%include instances.conf\n")
    assert found.instance("dev").kind == "development"
    assert found.instance("dev").http_address.port == 8081


def test_an_included_file_is_looked_for_beside_the_file_that_includes_it(write, tmp_path, topology):
    (tmp_path / "conf d").mkdir()
    write("%include b#1%20.conf\n", "conf d/a.conf")
    write("user zope\n", "conf d/b#1%20.conf")
    assert (
        topology("%include conf d/../conf d/a.conf\n<instance a/>\n").instance("a").user == "zope"
    )


def test_a_file_may_begin_with_a_byte_order_mark_and_end_lines_with_cr(tmp_path):
    path = tmp_path / "zmount.conf"
    path.write_bytes(b"\xef\xbb\xbfuser zope\r\n<instance a>\r\n  user x\r\n</instance>\r\n")
    assert zmount.load(path).instance("a").user == "x"


# --- secrets

SECRETS = """
administrator admin
administrator-password open-sesame
<zeo zeo>
  <ssl>
    certificate c.pem
    key-passphrase open-sesame
    authenticate ca.pem
  </ssl>
  <environment>
    DB_PASSWORD open-sesame
  </environment>
</zeo>
<storage x>
  <relstorage>
    <postgresql>
      dsn host=db password=open-sesame
    </postgresql>
  </relstorage>
</storage>
<instance a>
  <product-config mailer>
    smtp-password open-sesame
  </product-config>
  <environment>
    API_TOKEN open-sesame
  </environment>
</instance>
"""


def test_no_secret_is_seen_in_a_topology(topology):
    found = topology(SECRETS)
    assert "open-sesame" not in repr(found)
    assert "open-sesame" not in str(dataclasses.asdict(found.administrator))
    assert "open-sesame" not in f"{found.zeo_servers} {found.storages} {found.instances}"
    assert "open-sesame" not in json.dumps(
        found.instance("a").environment["API_TOKEN"], default=str
    )


def test_a_secret_is_there_for_those_who_ask(topology):
    found = topology(SECRETS)
    assert found.administrator.password.reveal() == "open-sesame"
    assert found.zeo_server("zeo").tls.passphrase.reveal() == "open-sesame"
    assert found.instance("a").environment.text("API_TOKEN") == "open-sesame"


def test_a_secret_of_a_wrong_kind_is_not_shown_either(topology):
    with pytest.raises(TopologyError) as caught:
        topology("<instance a>\n<ssl>\nkey-passphrase open-sesame\n</ssl>\n</instance>\n")
    assert "open-sesame" not in str(caught.value)


def test_secrets_are_equal_by_what_they_hide():
    assert Secret("a") == Secret("a") != Secret("b")
    assert f"{Secret('abc')} {Secret('abc')!r}".count("abc") == 0


@pytest.mark.parametrize(
    "key",
    "password SMTP_PASSWORD key-passphrase dsn api-token client-secret API_KEY SENDGRID_APIKEY "
    "AWS_ACCESS_KEY PRIVATE_KEY DB_PWD SMTP_PASS GOOGLE_CREDENTIALS".split(),
)
def test_a_key_that_sounds_secret_is_one(key):
    assert guard(key, "x") == Secret("x")


@pytest.mark.parametrize(
    "key", ["user", "password-function", "token-limit", "path", "PRIVATE_KEY_PATH", "compass"]
)
def test_a_key_that_does_not_is_none(key):
    assert guard(key, "x") == "x"


@pytest.mark.parametrize("url", ["postgresql://zope:hush@db/zope", "see https://hush@sentry/1"])
def test_a_value_with_a_password_in_its_url_is_a_secret_whatever_its_key(url):
    assert guard("DATABASE_URL", url) == Secret(url)


def test_a_url_without_a_user_is_no_secret():
    assert guard("proxy", "https://example.org/a@b") == "https://example.org/a@b"


# --- immutable, comparable


def test_a_topology_cannot_be_changed(topology):
    found = topology("<zeo zeo/>\n<storage x/>\n<instance a/>\n")
    for noun in (found, found.hosts[0], found.storages[0], found.instances[0]):
        with pytest.raises(dataclasses.FrozenInstanceError):
            noun.name = "other"
        assert hash(noun)
    assert isinstance(found.storages, tuple)
    with pytest.raises(TypeError):
        found.instances[0].zope["x"] = ("y",)


def test_the_same_text_gives_equal_topologies(write):
    path = write("<zeo zeo/>\n<site a.org/>\n<instance a/>\n")
    assert zmount.load(path) == zmount.load(path)


# --- look-ups


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("host", "localhost"),
        ("zeo_server", "zeo"),
        ("storage", "pub/example.org"),
        ("site", "example.org"),
        ("instance", "public"),
    ],
)
def test_every_noun_is_found_by_its_name_and_nearly_by_a_wrong_one(topology, kind, name):
    found = topology("<zeo zeo/>\n<site example.org/>\n<instance public/>\n")
    look_up = getattr(found, kind)
    assert look_up(name).name == name
    with pytest.raises(UnknownName) as caught:
        look_up(name[:-1])
    assert caught.value.hint.startswith(f"did you mean {name}")
    with pytest.raises(UnknownName) as caught:
        look_up("zzzzzzzz")
    assert name in caught.value.hint


def test_an_instance_gives_its_zope_conf(topology):
    assert "zodb_db" in topology("<instance a/>\n").instance("a").zope_conf()


def test_there_is_an_error_for_a_file_that_is_not_there(tmp_path):
    with pytest.raises(TopologyNotFound, match="there is no such file"):
        zmount.load(tmp_path / "nothing.conf")


# --- small nouns


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("8100", Address(host="127.0.0.1", port=8100), "127.0.0.1:8100"),
        (":8100", Address(host="", port=8100), ":8100"),
        ("zeo.example:8100", Address(host="zeo.example", port=8100), "zeo.example:8100"),
        ("[::1]:8100", Address(host="::1", port=8100), "[::1]:8100"),
    ],
)
def test_an_address_is_a_port_or_a_host_and_a_port(text, address, shown):
    assert parse_address(text) == address
    assert str(address) == shown


@pytest.mark.parametrize("text", ["", "zeo", "0", "65536", "host:", "host:http", "-1", "\u0661"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(TopologyError, match="is not an address"):
        parse_address(text)


def test_a_socket_is_relative_to_the_directory_of_its_process(topology):
    found = topology("directory /srv\n<zeo zeo>\naddress var/zeo.sock\n</zeo>\n")
    assert str(found.zeo_server("zeo").address) == "/srv/zeo/var/zeo.sock"


def test_replicas_of_a_socket_have_sockets_of_their_own():
    socket = parse_address("/run/http.sock")
    assert [str(socket.plus(number)) for number in (1, 2)] == [
        "/run/http-2.sock",
        "/run/http-3.sock",
    ]


@pytest.mark.parametrize(
    ("text", "virtual", "real", "root"),
    [
        ("/v", "/v", "/v", "Application"),
        ("/v:/p", "/v", "/p", "Application"),
        ("/v:~root/p", "/v", "/p", "root"),
        ("/v:~root:/p", "/v", "/p", "root:"),
    ],
)
def test_a_mount_point_is_read_as_zope_reads_it(text, virtual, real, root):
    from Zope2.Startup.datatypes import ZopeDatabase

    point = parse_mount_point(text)
    assert (point.virtual, point.real, point.root) == (virtual, real, root)

    class Config:
        mount_points = (text,)

    database = ZopeDatabase.__new__(ZopeDatabase)
    database.config = Config()
    ((zope_virtual, zope_root, zope_real),) = database.computeMountPaths()
    assert (zope_virtual, zope_root or "Application", "/" + zope_real.lstrip("/")) == (
        virtual,
        root,
        real,
    )


def test_options_keep_their_order_and_their_text():
    some = Options((("b", ("1", "2")), ("a", ("512KB",))))
    assert list(some) == ["b", "a"]
    assert some.text("a") == "512KB"
    assert some.text("b") == "2"
    assert some.text("c", "default") == "default"
    assert some.get("c") is None
    with pytest.raises(KeyError):
        some["c"]


def test_options_over_others_win_where_both_speak():
    merged = options(a="1").over(options(a="2", b_c="3"))
    assert dict(merged) == {"a": ("1",), "b-c": ("3",)}
    assert not options(a="1").without("a")
    assert dict(merged.only(frozenset(["a"]))) == {"a": ("1",)}


def test_a_place_knows_the_lines_of_its_keys():
    place = Place("f", 3, {"a": Place("f", 4)})
    assert str(place.of("a")) == "f:4"
    assert place.of("b") is place
    assert place == Place("f", 3)
