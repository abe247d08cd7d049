"""zmount render: the files of all hosts under one directory, and nothing else."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from topologies import topology_of

from zmount.errors import ApplyFailed, ApplyRefused, RenderError, UnknownName
from zmount.operations.render import render

TWO_HOSTS = """
<host one>
  directory /srv/one
</host>
<host two>
  directory /srv/two
</host>
<zeo zeo>
  host one
</zeo>
<storage content/>
<instance pub>
  host two
  <environment>
    SMTP_PASSWORD opensesame
  </environment>
  <mount content>
    mount-point /content
  </mount>
</instance>
"""


def names(directory: Path) -> set[str]:
    return {
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_every_hosts_files_lie_where_they_would_lie_there(tmp_path: Path):
    out = tmp_path / "out"

    done = render(topology_of(tmp_path, TWO_HOSTS), out)

    assert names(out) == {str(done.path(file).relative_to(out)) for file in done.files}
    assert {"one/srv/one/zeo/etc/zeo.conf", "two/srv/two/pub_client/etc/zope.conf"} <= names(out)


def test_only_the_host_that_was_named_is_rendered(tmp_path: Path):
    render(topology_of(tmp_path, TWO_HOSTS), tmp_path / "out", host="two")

    assert {name.split("/")[0] for name in names(tmp_path / "out")} == {"two"}


def test_a_host_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(UnknownName):
        render(topology_of(tmp_path, TWO_HOSTS), tmp_path / "out", host="three")


def test_a_file_with_a_secret_is_private_there_too(tmp_path: Path):
    done = render(topology_of(tmp_path, TWO_HOSTS), tmp_path / "out")

    for file in done.files:
        path = done.path(file)
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if "opensesame" in file.text else 0o644)
        assert path.read_text() == file.text


def test_rendering_again_replaces_what_was_rendered(tmp_path: Path):
    out = tmp_path / "out"
    render(topology_of(tmp_path, TWO_HOSTS), out)
    (out / "one/srv/one/zeo/etc/zeo.conf").write_text("spoiled")

    done = render(topology_of(tmp_path, TWO_HOSTS.replace("<instance pub>", "<instance p2>")), out)

    assert names(out) == {str(done.path(file).relative_to(out)) for file in done.files}
    assert "spoiled" not in (out / "one/srv/one/zeo/etc/zeo.conf").read_text()
    assert not (out / "two/srv/two/pub_client").exists()


def test_rendering_one_host_leaves_the_others_renderings(tmp_path: Path):
    out = tmp_path / "out"
    render(topology_of(tmp_path, TWO_HOSTS), out)
    before = names(out)

    render(topology_of(tmp_path, TWO_HOSTS), out, host="one")

    assert names(out) == before


def test_a_directory_with_something_else_in_it_is_refused_and_left_alone(tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")

    with pytest.raises(ApplyRefused, match="something else"):
        render(topology_of(tmp_path, TWO_HOSTS), out)

    assert names(out) == {"mine.txt"}


def test_a_persons_notes_among_rendered_files_stay(tmp_path: Path):
    out = tmp_path / "out"
    render(topology_of(tmp_path, TWO_HOSTS), out)
    (out / "one" / "notes.txt").write_text("mine")

    render(topology_of(tmp_path, TWO_HOSTS), out)

    assert (out / "one" / "notes.txt").read_text() == "mine"


def test_nothing_is_written_through_a_link_that_leads_out(tmp_path: Path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    render(topology_of(tmp_path, TWO_HOSTS), out, host="two")
    elsewhere.mkdir()
    (out / "one").symlink_to(elsewhere)

    with pytest.raises(ApplyRefused, match="outside"):
        render(topology_of(tmp_path, TWO_HOSTS), out)

    assert list(elsewhere.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path):
    (tmp_path / "file").write_text("")

    with pytest.raises((ApplyFailed, ApplyRefused), match="file"):
        render(topology_of(tmp_path, TWO_HOSTS), tmp_path / "file" / "out")


def test_a_file_that_would_not_load_is_written_for_inspection_and_refused(tmp_path: Path):
    text = TWO_HOSTS.replace("<mount content>", "<mount content>\nclass-factory nowhere.at")

    with pytest.raises(RenderError, match=r"nowhere\.at"):
        render(topology_of(tmp_path, text), tmp_path / "out", is_judged=True)

    assert "two/srv/two/pub_client/etc/zope.conf" in names(tmp_path / "out")


def command(conf: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zmount", "-f", str(conf), *arguments],
        capture_output=True,
        text=True,
    )


def test_the_command_lists_the_files_also_as_json(tmp_path: Path):
    topology_of(tmp_path, TWO_HOSTS)
    conf, out = tmp_path / "zmount.conf", tmp_path / "out"

    plain = command(conf, "render", "--output", str(out))
    as_json = command(conf, "--json", "render", "-o", str(out))

    files = json.loads(as_json.stdout)["files"]
    assert plain.stdout.splitlines() == [file["rendered"] for file in files]
    assert {"host", "path", "mode", "reader", "processes"} <= set(files[0])
    assert "opensesame" not in as_json.stdout


def test_the_command_says_what_it_could_not_judge(tmp_path: Path):
    topology_of(tmp_path, f"venv {tmp_path}/nowhere\n{TWO_HOSTS}")

    done = command(tmp_path / "zmount.conf", "render", "-o", str(tmp_path / "out"), "--validate")

    assert done.returncode == 0, done.stderr
    assert "warning: " in done.stderr and "runwsgi does not exist" in done.stderr


def test_a_thousand_sites_are_rendered_in_under_three_seconds(tmp_path: Path):
    sites = "\n".join(f"<site site{number}.example.org/>" for number in range(1000))
    instances = "".join(
        f"<instance {name}>\nkind {kind}\nhttp-address {port}\n</instance>\n"
        for name, kind, port in (
            ("dev", "development", 8081),
            ("one", "public", 8082),
            ("two", "public", 8083),
        )
    )
    topology_of(tmp_path, f"<zeo zeo/>\n{sites}\n{instances}")

    started = time.monotonic()
    done = command(tmp_path / "zmount.conf", "render", "-o", str(tmp_path / "out"))
    took = time.monotonic() - started

    assert done.returncode == 0, done.stderr
    assert took < 3
