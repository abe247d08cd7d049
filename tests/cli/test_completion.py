"""What the shell is offered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

VSA = str(Path(__file__).parents[2] / "configs" / "vsa" / "zmount.conf")
TWO_HOSTS = str(Path(__file__).parents[2] / "configs" / "vsa-two-hosts" / "zmount.conf")


def offered(*words: str) -> list[str]:
    """Return what bash is offered for the last of WORDS."""
    environment = {
        **os.environ,
        "_ZMOUNT_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["zmount", *words]),
        "COMP_CWORD": str(len(words)),
    }
    environment.pop("ZMOUNT_CONF", None)
    done = subprocess.run(
        [f"{sys.prefix}/bin/zmount"], env=environment, capture_output=True, text=True, timeout=30
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_commands_are_offered():
    assert {"start", "stop", "status"} <= set(offered("st"))


@pytest.mark.parametrize("words", [("-f", VSA, "start", ""), ("start", "-f", VSA, "")])
def test_processes_are_offered_wherever_the_file_is_said(words):
    assert offered(*words) == ["zeo", "dev", "pub", "adm"]


def test_replicas_are_offered_by_their_names():
    assert offered("-f", TWO_HOSTS, "status", "pub-") == ["pub-1", "pub-2", "pub-3", "pub-4"]


def test_show_offers_storages_and_sites():
    assert offered("-f", VSA, "show", "stage/srichinmoyl") == ["stage/srichinmoylibrary.com"]
    assert "vs_sites" in offered("-f", VSA, "show", "vs")


def test_a_file_that_cannot_be_read_offers_nothing_and_says_nothing(tmp_path: Path):
    assert offered("-f", str(tmp_path / "none.conf"), "start", "") == []
    (tmp_path / "bad.conf").write_text("<zoe x>")
    assert offered("-f", str(tmp_path / "bad.conf"), "show", "") == []
