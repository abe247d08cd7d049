"""The set of files of a host: signatures, secrets, who must restart."""

from __future__ import annotations

import xml.sax
from pathlib import Path

import pytest
from topologies import file_of, files_of, topology_of

from zmount.render.files import generated_files
from zmount.render.generated import is_signed, is_untouched

VSA = Path(__file__).parents[2] / "configs" / "vsa" / "zmount.conf"
PLAIN = (
    "<zeo zeo/>\n<storage s/>\n<instance pub>\n<mount s>\nmount-point /s\n</mount>\n</instance>\n"
)
SECRETS = """
user zope
<zeo zeo>
  <ssl>
    certificate c.pem
    key k.pem
    key-passphrase opensesame
    authenticate clients.pem
  </ssl>
  <environment>
    BACKUP_TOKEN opensesame
  </environment>
</zeo>
<storage s/>
<storage sql>
  <relstorage>
    <postgresql>
      dsn dbname='zodb' password='opensesame'
    </postgresql>
  </relstorage>
</storage>
<client>
  <ssl>
    certificate c.pem
    key k.pem
    key-passphrase opensesame
  </ssl>
</client>
<instance pub>
  <environment>
    SMTP_PASSWORD opensesame
  </environment>
  <product-config mail>
    password opensesame
  </product-config>
  <ini handler_mail>
    class handlers.SMTPHandler
    args ()
    password opensesame
  </ini>
  <mount s>
    mount-point /s
  </mount>
</instance>
"""
MANAGERS = ("zdaemon", "systemd", "supervisor")


def test_every_file_is_signed_and_untouched(tmp_path: Path):
    for file in files_of(tmp_path, PLAIN):
        assert is_signed(file.text) and is_untouched(file.text), file.path


def test_a_signed_zcml_is_xml_even_under_a_directory_with_two_dashes(tmp_path: Path):
    directory = tmp_path / "a--b"
    directory.mkdir()

    zcml = file_of(directory, PLAIN, "zcml")

    xml.sax.parseString(zcml.text.encode(), xml.sax.ContentHandler())
    assert is_untouched(zcml.text)


def test_the_same_topology_gives_the_same_files(tmp_path: Path):
    assert files_of(tmp_path, PLAIN) == files_of(tmp_path, PLAIN)


@pytest.mark.parametrize("manager", MANAGERS)
def test_a_file_with_a_secret_is_private_and_its_reader_can_read_it(manager: str, tmp_path: Path):
    for file in files_of(tmp_path, f"manager {manager}\n{SECRETS}"):
        assert (file.mode == 0o600) == ("opensesame" in file.text), file.path
        # supervisord and systemd read theirs as whoever started them
        reads_as_user = file.processes != ()
        assert (file.user == "zope") == (file.mode == 0o600 and reads_as_user), file.path


@pytest.mark.parametrize("manager", MANAGERS)
def test_a_passphrase_stands_in_its_own_file_and_nowhere_else(manager: str, tmp_path: Path):
    text = SECRETS.replace("opensesame", "other").replace("passphrase other", "passphrase sesame")
    holding = [
        f.path for f in files_of(tmp_path, f"manager {manager}\n{text}") if "sesame" in f.text
    ]

    assert [str(path.relative_to(tmp_path)) for path in holding] == [
        "zeo/etc/tls-passphrase",
        "pub_client/etc/tls-passphrase",
    ]


def test_no_secret_stands_in_a_systemd_unit_which_systemctl_shows_to_all(tmp_path: Path):
    files = files_of(tmp_path, f"manager systemd\n{SECRETS}")
    units = [file for file in files if file.reader == "systemd"]

    assert units
    assert all("opensesame" not in file.text for file in units)
    assert f"EnvironmentFile={tmp_path}/pub_client/etc/environment" in "".join(
        file.text for file in units
    )


def test_the_administrators_password_is_in_no_file(tmp_path: Path):
    text = "administrator admin\nadministrator-password opensesame\n" + PLAIN

    assert all("opensesame" not in file.text for file in files_of(tmp_path, text))


def test_a_file_names_the_processes_that_must_restart_when_it_changes(tmp_path: Path):
    readers = {file.path.name: file.processes for file in files_of(tmp_path, PLAIN)}

    assert readers["zeo.conf"] == ("zeo",)
    assert readers["zope.conf"] == readers["zope.ini"] == readers["site.zcml"] == ("pub",)
    assert readers["logrotate.conf"] == ()


def test_each_manager_gets_its_own_files_and_a_start_at_boot(tmp_path: Path):
    names = {
        manager: {
            file.path.name
            for file in files_of(tmp_path, f"manager {manager}\n{PLAIN}")
            if file.reader in ("zdaemon", "systemd", "supervisor")
        }
        for manager in MANAGERS
    }

    assert names == {
        "zdaemon": {"zdaemon.conf", "zmount.service"},
        "systemd": {"zmount-zeo.service", "zmount-pub.service", "zmount.target"},
        "supervisor": {"supervisord.conf", "zmount.service"},
    }


def test_a_host_without_processes_needs_no_files(tmp_path: Path):
    topology = topology_of(tmp_path, "<host one/>\n<host two/>\n" + PLAIN)

    assert generated_files(topology, topology.host("two")) == ()


def test_the_design_documents_deployment_mounts_what_it_shall(tmp_path: Path):
    files = files_of(tmp_path, VSA.read_text().replace("/opt/zope/vsa_3", str(tmp_path)))
    conf = {str(f.path.relative_to(tmp_path)): f.text for f in files if f.reader == "zope"}

    assert "  mount-point /home/srichinmoy.org\n" in conf["dev_client/etc/zope.conf"]
    assert (
        "  mount-point /pub/srichinmoy.org:/home/srichinmoy.org\n"
        in conf["dev_client/etc/zope.conf"]
    )
    assert "    storage stage/srichinmoy.org\n" in conf["dev_client/etc/zope.conf"]
    assert "stage/" not in conf["pub_client/etc/zope.conf"]
    assert "  mount-point /session\n" in conf["pub_client/etc/zope.conf"]
    assert conf["adm_client/etc/zope.conf"].count("<zodb_db") == 1
