"""The history of packs outlives concurrent writers, crashes and its own size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from zmount.effects import history as history_module
from zmount.effects.history import history, last_record, remember


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pack-history.jsonl"


def test_without_a_file_there_is_no_history(path: Path):
    assert list(history(path)) == []
    assert last_record(path, "a") is None


def test_the_newest_record_of_a_storage_is_its_last_record(path: Path):
    for number, name in enumerate(["a", "b", "a", "b", "b"]):
        remember(path, {"storage": name, "number": number})

    assert last_record(path, "a") == {"storage": "a", "number": 2}
    assert last_record(path, "b") == {"storage": "b", "number": 4}
    assert last_record(path, "c") is None


@pytest.mark.parametrize("damage", [b'{"storage": "a", "num', b"\xff\xfe", b"[1, 2]\n", b"null\n"])
def test_a_damaged_line_loses_itself_and_no_other(path: Path, damage: bytes):
    remember(path, {"storage": "a", "number": 1})
    with path.open("ab") as file:
        file.write(damage)

    remember(path, {"storage": "a", "number": 2})

    assert [record["number"] for record in history(path)] == [1, 2]


def test_several_processes_that_write_at_once_lose_no_line(path: Path):
    script = (
        "import sys; from pathlib import Path; from zmount.effects import history as h\n"
        "h.LARGEST, h.KEPT = 60_000, 30_000\n"
        "for number in range(200):\n"
        "    h.remember(Path(sys.argv[1]), {'by': sys.argv[2], 'number': number, 'x': 'y' * 50})\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(path), str(each)]) for each in range(3)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]

    found = list(history(path))
    # each writer's last lines follow one another: none was lost when the file was shortened
    for by in "012":
        numbers = [record["number"] for record in found if record["by"] == by]
        assert numbers == list(range(200 - len(numbers), 200))
    assert len(found) == len(path.read_bytes().splitlines())


def test_a_history_that_has_grown_large_keeps_its_newest_half(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(history_module, "LARGEST", 1000)
    monkeypatch.setattr(history_module, "KEPT", 500)
    for number in range(100):
        remember(path, {"number": number})

    numbers = [record["number"] for record in history(path)]
    assert path.stat().st_size <= 1000
    assert numbers == list(range(100 - len(numbers), 100))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_history_that_may_not_be_read_is_no_obstacle_for_who_only_asks(path: Path):
    path.mkdir()

    assert last_record(path, "a") is None


def test_a_link_in_its_place_is_not_followed(path: Path, tmp_path: Path):
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError):
        remember(path, {})
    assert not (tmp_path / "elsewhere").exists()


def test_names_of_any_script_stay_readable(path: Path):
    remember(path, {"storage": "pub/größe"})

    assert "größe" in path.read_text()
    assert json.loads(path.read_text())["storage"] == "pub/größe"
