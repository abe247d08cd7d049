"""Reading configuration files without their schema, and moving common settings up."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from adopting import DATA, adopted_from

from zmount.errors import AdoptError
from zmount.topology.adopt.conf_files import ConfFile, keys_of, shown
from zmount.topology.adopt.hoisting import hoist, hoist_equal
from zmount.topology.adopt.http import http
from zmount.topology.adopt.ini_files import parse_ini
from zmount.topology.adopt.notes import Notes
from zmount.topology.adopt.processes import eventlog, running
from zmount.topology.adopt.reading import read_conf
from zmount.topology.adopt.sites import find_sites
from zmount.topology.adopt.writing import conf_text


@pytest.fixture
def notes() -> Notes:
    return Notes()


def conf(directory: Path, text: str, notes: Notes | None = None) -> ConfFile:
    path = directory / "some.conf"
    path.write_text(dedent(text))
    return read_conf(path, notes if notes is not None else Notes())


def test_definitions_and_included_files_are_resolved_and_keep_their_lines(tmp_path: Path):
    (tmp_path / "more.conf").write_text("\n\n<filestorage 1>\n  path $here/Data.fs\n</filestorage>")

    found = conf(tmp_path, "%define HERE /data\n%include more.conf\nlocale $HERE $$x\n")

    (storage,) = found.top.sections
    assert keys_of(storage).text("path") == "/data/Data.fs"
    assert str(storage.place.of("path")) == f"{tmp_path}/more.conf:4"
    assert keys_of(found.top).text("locale") == "/data $x"
    assert str(found.top.place.of("locale")) == f"{tmp_path}/some.conf:3"
    assert found.defines == {"here": "/data"}


def test_a_variable_of_the_environment_is_resolved_if_it_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ZEO_TMP", "/tmp/zeo")
    monkeypatch.delenv("NOT_SET", raising=False)

    found = conf(tmp_path, "%define X $(NOT_SET)/x\nlocale $(ZEO_TMP)/$X/$$(ZEO_TMP)\n")

    assert shown(keys_of(found.top).text("locale")) == "/tmp/zeo/$(NOT_SET)/x/$(ZEO_TMP)"


def test_what_is_written_is_read_again_as_it_was(tmp_path: Path):
    text = "<a b>\n  key $$x $(NOT_SET) # <no> comment\n  <c/>\n</a>\n"

    (section,) = conf(tmp_path, text).top.sections

    assert conf_text(section) == text


def test_a_file_is_what_its_sections_make_it(tmp_path: Path):
    assert conf(tmp_path, "<zeo/>").kind == "zeo"
    assert conf(tmp_path, "<zodb_db main/>").kind == "zope"
    assert conf(tmp_path, "<runner/>\n<eventlog/>").kind == "zdaemon"
    with pytest.raises(AdoptError, match="neither"):
        conf(tmp_path, "<eventlog/>").kind  # noqa: B018


def test_the_name_of_a_section_is_lowered_and_that_is_said(tmp_path: Path, notes: Notes):
    (section,) = conf(tmp_path, "\n<filestorage Pub/X/>\n", notes).top.sections

    assert section.name == "pub/x"
    assert section.place.line == 2
    assert [str(f.place) for f in notes.findings] == [f"{tmp_path}/some.conf:2"]


def test_an_event_log_of_one_file_is_a_log_and_any_other_stays_as_it_is(tmp_path: Path):
    def log(text: str):
        (section,) = conf(tmp_path, f"<eventlog>\n{text}\n</eventlog>").top.sections
        return eventlog(section)

    plain = log("level WARN\n<logfile>\npath /l/e.log\nwhen D\nold-files 3\n</logfile>")
    assert plain.path == "/l/e.log"
    assert plain.options.text("level") == "WARN"
    assert plain.options.text("when") == "D"
    assert log("<logfile>\npath STDERR\n</logfile>").raw is not None
    assert log("<logfile>\npath /l\nlevel error\n</logfile>").raw is not None
    assert log("<logfile>\npath /l\n</logfile>\n<syslog/>").raw is not None


def test_a_runner_names_the_virtual_environment_unless_it_is_the_instance(tmp_path: Path):
    def venv(program: str):
        (section,) = conf(tmp_path, f"<runner>\nprogram {program}\n</runner>").top.sections
        return running(section, tmp_path, Notes()).venv

    assert venv("/venv/bin/runzeo -C zeo.conf") == "/venv"
    assert venv(f"{tmp_path}/bin/runzeo") == ""
    assert venv("runzeo") == ""


def test_settings_move_up_only_where_every_mount_says_them():
    said = [{"a": ("1",), "b": ("2",)}, {"a": ("1",), "b": ("3",)}, {"a": ("1",)}]

    common, rest = hoist(said, [{}, {}, {}])

    assert common == {"a": ("1",)}
    assert rest == [{"b": ("2",)}, {"b": ("3",)}, {}]


def test_the_most_common_value_moves_up_and_the_others_stay():
    said = [{"a": ("1",)}, {"a": ("2",)}, {"a": ("2",)}]

    assert hoist(said, [{}, {}, {}]) == ({"a": ("2",)}, [{"a": ("1",)}, {}, {}])


def test_what_is_implied_anyway_is_not_said():
    said = [{"blob-dir": ("x",)}, {"blob-dir": ("x",)}, {"blob-dir": ("none",)}]
    implied = [{"blob-dir": ("x",)}] * 3

    assert hoist(said, implied) == ({}, [{}, {}, {"blob-dir": ("none",)}])


def test_what_one_instance_alone_says_stays_there():
    assert hoist_equal([{"a": ("1",)}]) == ({}, [{"a": ("1",)}])
    assert hoist_equal([{"a": ("1",)}, {"a": ("1",), "b": ("2",)}]) == (
        {"a": ("1",)},
        [{}, {"b": ("2",)}],
    )


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ("listen = *:8080", ":8080"),
        ("listen = 8080", "0.0.0.0:8080"),
        ("host = 127.0.0.1\nport = 8081", "127.0.0.1:8081"),
        ("host = ::1", "[::1]:8080"),
        ("port = 8081", "0.0.0.0:8081"),
        ("unix_socket = /run/zope.sock", "/run/zope.sock"),
        ("fast-listen = 0.0.0.0:8080", "0.0.0.0:8080"),
        ("threads = 4", ""),
    ],
)
def test_waitress_tells_where_it_listens(server: str, address: str, notes: Notes):
    ini = parse_ini(f"[server:main]\nuse = egg:waitress#main\n{server}\n", "/i/etc/zope.ini")

    assert http(ini, notes).address == address


def test_a_pipeline_without_a_log_of_requests_has_none(notes: Notes):
    text = "[pipeline:main]\npipeline = egg:Zope#httpexceptions zope\n"

    found = http(parse_ini(text, "/i/etc/zope.ini"), notes)

    assert found.access_log.path == "none"
    assert found.pipeline == ()


def test_a_deployment_without_sites_has_none():
    assert find_sites((), ()) == ()
    assert "<site" not in adopted_from(DATA / "mkzeoinstance/etc/zeo.conf").text
