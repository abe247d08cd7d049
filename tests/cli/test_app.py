"""Where every command finds its topology, and what the command line itself answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from zmount.cli import app
from zmount.cli.app import main


@pytest.fixture
def four_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A topology in each place where one is looked for, with its rank as its only host's name."""
    (tmp_path / "here").mkdir()
    places = {
        "said": tmp_path / "said.conf",
        "environment": tmp_path / "environment.conf",
        "here": tmp_path / "here" / "zmount.conf",
        "etc": tmp_path / "etc.conf",
    }
    for name, path in places.items():
        path.write_text(f"directory /srv/zope\n<host {name}/>\n<instance zope/>\n")
    assert app.PLACES == ("./zmount.conf", "/etc/zmount/zmount.conf")
    monkeypatch.setattr(app, "PLACES", ("./zmount.conf", str(places["etc"])))
    monkeypatch.setenv("ZMOUNT_CONF", str(places["environment"]))
    monkeypatch.chdir(tmp_path / "here")
    return places


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_topology_is_the_file_said_or_the_environments_or_the_one_here_or_in_etc(
    four_places, monkeypatch
):
    def used(*arguments: object) -> str:
        shown = run(*arguments, "show").stdout
        return next(name for name in four_places if f"host {name}  /srv/zope" in shown)

    assert used("-f", four_places["said"]) == "said"
    assert used() == "environment"
    monkeypatch.setenv("ZMOUNT_CONF", "")
    assert used() == "here"
    four_places["here"].unlink()
    assert used() == "etc"


def test_the_file_can_be_said_after_the_commands_name_too(four_places):
    assert "host said  /srv/zope" in run("show", "-f", four_places["said"]).stdout


def test_a_file_that_was_said_is_not_replaced_by_another(four_places, tmp_path):
    four_places["environment"].unlink()

    done = run("show")

    assert done.exit_code == 2
    assert f"zmount: {four_places['environment']}: there is no such file" in done.stderr


def test_without_any_topology_the_places_are_named(four_places):
    for path in four_places.values():
        path.unlink()

    done = CliRunner(env={"ZMOUNT_CONF": None}).invoke(main, ["show"])

    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        f"zmount: there is no topology in ./zmount.conf or {four_places['etc']}",
        "  try: zmount -f FILE, or set ZMOUNT_CONF; zmount adopt writes one",
    ]


def test_a_command_of_a_similar_name_is_offered():
    done = run("chekc")

    assert done.exit_code == 2
    assert "No such command 'chekc'. Did you mean check?" in done.stderr


def test_a_host_without_processes_says_so(tmp_path):
    conf = tmp_path / "zmount.conf"
    conf.write_text("<host one/>\n<host two/>\n<instance zope/>\n")

    done = run("-f", conf, "--host", "two", "status")

    assert done.stdout == "host two has no ZEO server and no instance\n"
