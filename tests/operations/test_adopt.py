"""``zmount adopt`` from files on disk to a file on disk."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest
from adopting import DATA, reproduce
from click.testing import CliRunner, Result

from zmount.cli.app import main
from zmount.errors import AdoptError, ApplyRefused
from zmount.operations.adopt import adopt
from zmount.operations.check import check_file

VSA = Path(__file__).parents[2] / "configs/vsa/zmount.conf"
PLAIN = "<zeo>\n  address 8100\n</zeo>\n<filestorage 1>\n  path /d/Data.fs\n</filestorage>\n"

ROOT = (
    "<zodb_db main>\n  mount-point /\n"
    "  <filestorage>\n    path /d/Data.fs\n  </filestorage>\n</zodb_db>\n"
)


def zmount(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def vsa(tmp_path: Path) -> Path:
    """What ``zmount render`` writes for the design document's deployment."""
    directory = tmp_path / "rendered"
    result = zmount("-f", VSA, "render", "--output", directory)
    assert result.exit_code == 0, result.output
    return directory / "localhost/opt/zope/vsa_3"


def test_what_zmount_generated_for_the_design_document_is_adopted_in_40_lines(
    vsa: Path, tmp_path: Path
):
    files = [*vsa.glob("zeo/etc/*.conf"), *vsa.glob("*_client/etc/*.conf")]
    output = tmp_path / "zmount.conf"

    result = zmount("adopt", *files, "--output", output)

    assert result.exit_code == 0, result.output
    said = [line for line in output.read_text().splitlines() if line and line[0] != "#"]
    assert len(said) <= 40
    again = tmp_path / "again"
    assert zmount("-f", output, "render", "--output", again).exit_code == 0
    for file in files:
        name = file.relative_to(vsa)
        assert _body(again / "localhost/opt/zope/vsa_3" / name) == _body(file), name


def test_the_order_of_the_files_says_nothing_about_what_they_are(vsa: Path):
    files = [str(path) for path in sorted(vsa.glob("*/etc/z*.*"))]

    one, other = adopt(files), adopt(files[::-1])

    assert sorted(one.text.splitlines()) == sorted(other.text.splitlines())


def test_the_runner_of_a_zdaemon_conf_is_found_by_its_program(tmp_path: Path):
    zeo = tmp_path / "some" / "zeo.conf"
    zeo.parent.mkdir()
    zeo.write_text(PLAIN)
    zdaemon = tmp_path / "elsewhere.conf"
    zdaemon.write_text(
        f"<runner>\n  program /venv/bin/runzeo -C {zeo}\n  user zope\n  umask 027\n</runner>\n"
        "<environment>\n  TMPDIR /fast\n</environment>\n"
    )

    adopted = adopt([str(zdaemon), str(zeo)])

    assert "umask 027" in adopted.text
    assert "TMPDIR /fast" in adopted.text
    assert "user zope" in adopted.text
    assert "venv /venv" in adopted.text


def test_zope_keeps_the_environment_of_its_process(tmp_path: Path):
    home = tmp_path / "blog"
    shutil.copytree(DATA / "mkwsgiinstance", home)
    zdaemon = "<runner>\n  program x\n</runner>\n<environment>\n  TMPDIR /fast\n</environment>\n"
    (home / "etc/zdaemon.conf").write_text(zdaemon)

    adopted = adopt([str(home / "etc/zope.conf")])

    assert "  <environment>\n    TMPDIR /fast\n" in adopted.text
    assert [str(f.place) for f in adopted.findings if f.rule == "became"] == [
        f"{home}/etc/zdaemon.conf:4"
    ]


def test_a_file_with_a_password_is_for_its_owner_alone_and_says_so(tmp_path: Path):
    output = tmp_path / "zmount.conf"

    result = zmount("adopt", DATA / "cookiecutter/relstorage/etc/zope.conf", "-o", output)

    assert result.exit_code == 0
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert "hunter2" in output.read_text()
    assert "0600" in output.read_text()
    assert "a password stands in the result" in result.stderr
    assert "hunter2" not in result.output


def test_json_never_shows_a_password():
    result = zmount("--json", "adopt", DATA / "cookiecutter/relstorage/etc/zope.conf")

    said = json.loads(result.stdout)
    assert said["holds_secret"] is True
    assert said["text"] is None
    assert "hunter2" not in result.output


def test_json_has_the_text_the_notes_and_the_verdict():
    files = DATA / "zeo27/etc/zeo.conf", DATA / "zope27/etc/zope.conf"

    said = json.loads(zmount("--json", "adopt", *files).stdout)

    assert "<instance zope27>" in said["text"]
    lines = {note["line"]: note["rule"] for note in said["notes"] if "zeo27" in note["file"]}
    assert lines[6] == "dead-option"
    assert said["check"]["errors"] == 0


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path: Path):
    output = tmp_path / "zmount.conf"
    output.write_text("mine")

    with pytest.raises(ApplyRefused, match="the file exists"):
        adopt([str(DATA / "mkzeoinstance/etc/zeo.conf")], output=output)
    assert output.read_text() == "mine"

    adopt([str(DATA / "mkzeoinstance/etc/zeo.conf")], output=output, overwrite=True)
    assert "<zeo zeo>" in output.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["zmount.conf"]


def test_the_findings_of_check_are_told_with_the_result():
    result = zmount("adopt", *DATA.glob("by_hand/*/etc/z*.conf"))

    assert "zmount check: zmount.conf:" in result.stderr
    assert "127.0.0.1:8080" in result.stderr  # both instances: no ini file says another
    assert result.stdout.startswith("# Adopted from")


def test_a_site_zcml_of_the_instance_is_mentioned(tmp_path: Path):
    home = tmp_path / "blog"
    shutil.copytree(DATA / "mkwsgiinstance", home)
    conf = home / "etc/zope.conf"
    conf.write_text(conf.read_text().replace("/home/zope/blog", str(home)))
    (home / "etc/site.zcml").write_text("<configure/>")

    adopted = adopt([str(conf)])

    assert [f.place.file for f in adopted.findings if f.rule == "site-zcml"] == [
        str(home / "etc/site.zcml")
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<zeo>\n  address 8100\n", "zeo.conf:2: unclosed sections not allowed"),
        ("instancehome $NOWHERE\n", "zeo.conf:1"),
        ("\x00\xff garbage \x80", "zeo.conf"),
        ("", "neither a zeo.conf .no <zeo>. nor a zope.conf"),
        ("%include gone.conf\n", "zeo.conf:1: .*gone.conf cannot be read: No such file"),
        ("%include http://example.org/x\n", "zeo.conf:1: .*only files of this machine"),
        ("%include zeo.conf\n", "includes itself"),
        ("<zeo>\n</zeo>\n<filestorage 1>\n</filestorage>\n", "zeo.conf:1: <zeo> has no address"),
        ("<zeo>\n address 8100\n</zeo>\n", "the ZEO server has no storage"),
        ("<zeo>\n address x:y\n</zeo>\n<mappingstorage 1/>\n", "zeo.conf:2: 'x:y' is not an add"),
        ("<zeo>\n address 1\n</zeo>\n<mappingstorage/>\n", "zeo.conf:4: <mappingstorage> has no n"),
        ("<zodb_db main>\n mount-point /\n</zodb_db>\n", "zeo.conf:1: <zodb_db main> has no stora"),
        ("<zodb_db a>\n <mappingstorage/>\n</zodb_db>\n", "zeo.conf:1: .* has no mount-point"),
        ("<zeo>\n address 1\n</zeo>\n<filestorage 1/>\n", "zeo.conf:4: <filestorage> has no path"),
        ("<instance a/>\n", "this is a zmount.conf already"),
        ("<zeo/>\n<zodb_db main/>\n", "is it a zeo.conf or a zope.conf"),
    ],
)
def test_a_file_that_is_no_such_configuration_is_refused_in_one_line(
    text: str, why: str, tmp_path: Path
):
    path = tmp_path / "zeo.conf"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(AdoptError, match=why) as refused:
        adopt([str(path)])

    assert "\n" not in str(refused.value)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path):
    with pytest.raises(AdoptError, match=f"^{tmp_path}/zeo.conf: it cannot be read: No such file"):
        adopt([str(tmp_path / "zeo.conf")])
    with pytest.raises(AdoptError, match=f"^{tmp_path}: it cannot be read: Is a directory"):
        adopt([str(tmp_path)])
    assert zmount("adopt", tmp_path / "zeo.conf").exit_code == AdoptError.exit_code


def test_a_broken_ini_file_is_refused_with_its_line(tmp_path: Path):
    ini = tmp_path / "zope.ini"
    ini.write_text("[server:main]\nlisten 8080\n")

    with pytest.raises(AdoptError, match=r"zope.ini:2"):
        adopt([str(ini)])


def test_what_adopt_writes_is_what_it_can_load(vsa: Path, tmp_path: Path):
    found = reproduce(tmp_path, *sorted(vsa.glob("*/etc/z[eo]*[eo].conf")))

    assert len(found.topology.sites) == 5
    assert found.topology.session is not None


def _body(path: Path) -> str:
    """The text of a generated file less its signature, which names its source."""
    return path.read_text().partition("\n")[2]


def test_what_zope_4_ignores_beside_its_ini_file_is_said(tmp_path: Path):
    (tmp_path / "zope.ini").write_text("[server:main]\nlisten = 127.0.0.1:8080\nthreads = 6\n")
    zope_conf = tmp_path / "zope.conf"
    zope_conf.write_text("instancehome /i\nzserver-threads 3\n<eventlog>\n</eventlog>\n" + ROOT)

    adopted = adopt([str(zope_conf)])

    said = {str(found.place): found.what for found in adopted.findings}
    assert said[f"{zope_conf}:2"] == "zserver-threads is not carried over"
    assert said[f"{zope_conf}:3"] == "<eventlog> is not carried over"
    assert "threads 6" in adopted.text


def test_two_hosts_with_the_same_directories_are_told_how_to_become_two(tmp_path: Path):
    for host in ("a", "b"):
        (tmp_path / host).mkdir()
        (tmp_path / host / "zope.conf").write_text("instancehome /srv/zope\n" + ROOT)
        ini = "[server:main]\nlisten = 0.0.0.0:8080\n"
        (tmp_path / host / "zope.ini").write_text(ini)
    output = tmp_path / "zmount.conf"

    adopted = adopt([str(tmp_path / host / "zope.conf") for host in ("a", "b")], output=output)

    (said,) = [found for found in adopted.findings if found.rule == "same-directory"]
    assert said.what == "zope-2 has the directory of zope: /srv/zope"
    assert adopted.verdict.count("error")  # what check says of one host with two such instances
    text = output.read_text()
    for host, instance in (("a", "zope"), ("b", "zope-2")):  # as the hint says
        text = text.replace(f"<instance {instance}>", f"<instance {instance}>\n  host {host}")
        text += f"\n<host {host}>\n  address {host}.example.org\n</host>\n"
    output.write_text(text)
    assert check_file(output).count("error") == 0


def test_a_server_that_logs_into_a_shared_directory_has_its_own_where_its_file_is(tmp_path: Path):
    zeo_conf = tmp_path / "zeo" / "etc" / "zeo.conf"
    zeo_conf.parent.mkdir(parents=True)
    log = f"<eventlog>\n<logfile>\npath {tmp_path}/log/zeo.log\n</logfile>\n</eventlog>\n"
    zeo_conf.write_text(PLAIN.replace("/d/", f"{tmp_path}/var/") + log)

    adopted = adopt([str(zeo_conf)])

    assert f"\ndirectory {tmp_path}\n" in adopted.text
    assert "<zeo zeo>" in adopted.text
