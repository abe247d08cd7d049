"""``zmount show`` and ``zmount graph`` as an administrator calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

VSA = Path(__file__).parent.parent.parent / "configs" / "vsa" / "zmount.conf"
TWO_HOSTS = """
directory /srv/zope
<host one/>
<host two/>
<zeo zeo>
  address :8100
</zeo>
<site a.org/>
<instance dev>
  kind development
  host two
</instance>
<instance pub/>
"""


def zmount(*arguments: str, file: Path = VSA) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zmount", "-f", str(file), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def two_hosts(tmp_path):
    path = tmp_path / "zmount.conf"
    path.write_text(TWO_HOSTS)
    return path


def test_show_prints_plain_text_into_a_pipe():
    done = zmount("show")

    assert done.returncode == 0
    assert "ZEO server zeo  127.0.0.1:8100" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_show_json_is_the_whole_topology():
    facts = json.loads(zmount("show", "--json").stdout)

    assert [len(facts[key]) for key in ("hosts", "zeo_servers", "storages", "sites")] == [
        1,
        1,
        14,
        5,
    ]
    assert [each["name"] for each in facts["instances"]] == ["dev", "pub", "adm"]
    assert facts["administrator"] == {"name": "admin", "password": None}


def test_show_name_tells_all_about_it():
    text = zmount("show", "pub/vs_sites").stdout

    assert "data fs     /opt/zope/vsa_3/var/pub/vs_sites/Data.fs" in text
    assert "/pub/vs_sites:/home/vs_sites" in text


def test_show_name_as_json_holds_every_noun_of_that_name(tmp_path):
    path = tmp_path / "zmount.conf"
    path.write_text("<zeo a/>\n<site a/>\n<instance a/>")

    facts = json.loads(zmount("show", "a", "--json", file=path).stdout)

    assert {kind: [noun["name"] for noun in nouns] for kind, nouns in facts.items()} == {
        "zeo_servers": ["a"],
        "sites": ["a"],
        "instances": ["a"],
    }


def test_show_of_an_unknown_name_hints_at_the_nearest():
    done = zmount("show", "pub/vs_site")

    assert done.returncode == 3
    assert "pub/vs_sites" in done.stderr
    assert done.stdout == ""


def test_show_of_one_host_leaves_out_what_does_not_concern_it(two_hosts):
    facts = json.loads(zmount("show", "--json", "--host", "two", file=two_hosts).stdout)

    assert [each["name"] for each in facts["instances"]] == ["dev"]
    # the ZEO server is elsewhere, but dev mounts what it serves
    assert [each["name"] for each in facts["zeo_servers"]] == ["zeo"]
    assert "root/pub" not in {each["name"] for each in facts["storages"]}


def test_show_of_an_unknown_host_says_so():
    done = zmount("show", "--host", "nowhere")

    assert done.returncode == 3
    assert "there is no host 'nowhere'" in done.stderr


def test_graph_writes_the_format_that_the_files_name_asks_for(tmp_path):
    for name in ("a.svg", "a.gv", "a.dot", "a.mmd"):
        assert zmount("graph", "--output", str(tmp_path / name)).returncode == 0

    assert ET.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "a.gv").read_text() == (tmp_path / "a.dot").read_text()
    assert (tmp_path / "a.dot").read_text().startswith("digraph")
    assert (tmp_path / "a.mmd").read_text().startswith("flowchart")


def test_graph_prints_an_svg_into_a_pipe_unless_told_otherwise():
    assert ET.fromstring(zmount("graph").stdout.encode()).tag.endswith("svg")
    assert zmount("graph", "--format", "dot").stdout.startswith("digraph")


def test_graph_of_one_host_draws_only_its_instances(two_hosts):
    text = zmount("graph", "--format", "dot", "--host", "two", file=two_hosts).stdout

    assert '"instance dev"' in text
    assert '"instance pub"' not in text


def test_a_graph_that_cannot_be_written_leaves_the_old_file(tmp_path):
    old = tmp_path / "a.svg"
    old.write_text("old")
    broken = tmp_path / "zmount.conf"
    broken.write_text("<zeo zeo>\n")

    done = zmount("graph", "--output", str(old), file=broken)

    assert done.returncode == 2
    assert old.read_text() == "old"


def test_a_graph_as_json_is_written_too(tmp_path):
    done = zmount("graph", "--json", "--output", str(tmp_path / "a.dot"))

    facts = json.loads(done.stdout)
    assert facts["text"] == (tmp_path / "a.dot").read_text()
    assert (facts["format"], facts["output"]) == ("dot", str(tmp_path / "a.dot"))


@pytest.mark.parametrize(
    ("output", "status", "what"),
    [
        ("pipe", 5, "it is no plain file"),
        (".", 5, "it is a directory"),
        ("none/a.svg", 6, "it cannot be written: No such file or directory"),
    ],
)
def test_where_no_graph_can_be_written_is_one_clear_line(tmp_path, output, status, what):
    os.mkfifo(tmp_path / "pipe")  # stands for /dev/stdout and its like

    done = zmount("graph", "--output", str(tmp_path / output))

    assert done.returncode == status
    assert done.stderr.splitlines()[0] == f"zmount: {tmp_path / output}: {what}"
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
    assert (tmp_path / "pipe").is_fifo()
