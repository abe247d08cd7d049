"""What passes between zmount, a packer and a process of ours that packs."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import pytest
from deployments import wait_until
from fillings import fill

from zmount.effects.packing import Child, garbage_kept, progress_since, report_since
from zmount.errors import PackFailed

FILE = "<filestorage>\npath {}\nblob-dir {}\n{}\n</filestorage>\n"


@pytest.fixture
def data_fs(tmp_path: Path) -> Path:
    return tmp_path / "Data.fs"


def beside(data_fs: Path, suffix: str) -> Path:
    return data_fs.with_name(data_fs.name + suffix)


def child(data_fs: Path, *, python: str = sys.executable, packer: str = "") -> Child:
    conf = FILE.format(data_fs, data_fs.with_name("blobs"), packer)
    request = {"action": "pack", "conf": conf, "data_fs": str(data_fs), "time": time.time()}
    return Child(python=python, request=request)


def test_garbage_is_kept_by_a_request_that_lasts_as_long_as_the_call(data_fs: Path):
    with garbage_kept(data_fs):
        request = json.loads(beside(data_fs, ".pack-options").read_text())
        assert request["gc"] is False
        assert 0 < request["expires"] - time.time() < 600
        assert beside(data_fs, ".pack-options").stat().st_mode & 0o777 == 0o644

    assert not beside(data_fs, ".pack-options").exists()


def test_the_request_goes_away_with_a_call_that_fails(data_fs: Path):
    with pytest.raises(ZeroDivisionError), garbage_kept(data_fs):
        raise ZeroDivisionError

    assert not beside(data_fs, ".pack-options").exists()


def test_a_link_in_the_place_of_the_request_is_replaced_and_not_followed(
    data_fs: Path, tmp_path: Path
):
    beside(data_fs, ".pack-options").symlink_to(tmp_path / "precious")
    (tmp_path / "precious").write_text("as it was")

    with garbage_kept(data_fs):
        assert not beside(data_fs, ".pack-options").is_symlink()

    assert (tmp_path / "precious").read_text() == "as it was"


def test_a_request_that_cannot_be_written_is_said_before_anything_is_packed(tmp_path: Path):
    with pytest.raises(PackFailed, match="pack-options cannot be written"):
        garbage_kept(tmp_path / "nowhere" / "Data.fs").__enter__()


@pytest.mark.parametrize("read", [report_since, progress_since])
def test_only_what_belongs_to_this_pack_is_read(data_fs: Path, read):
    path = beside(data_fs, ".pack-report" if read is report_since else ".pack-progress")
    assert read(data_fs, 100.0) == {}
    path.write_text(json.dumps({"started": 90.0}))
    assert read(data_fs, 100.0) == {}
    path.write_text(json.dumps({"started": 100.1, "phase": "copy"}))
    assert read(data_fs, 100.0)["phase"] == "copy"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"started": "now"}', '{"started": null}'])
def test_a_report_that_makes_no_sense_is_none(data_fs: Path, text: str):
    beside(data_fs, ".pack-report").write_text(text)

    assert report_since(data_fs, 0.0) == {}


def test_a_child_packs(data_fs: Path):
    fill(data_fs)
    before = data_fs.stat().st_size

    child(data_fs).run()

    assert data_fs.stat().st_size < before


def test_a_child_does_not_make_a_file_that_is_not_there(data_fs: Path):
    with pytest.raises(PackFailed, match=r"Data\.fs is not there"):
        child(data_fs).run()

    assert not data_fs.exists()


def test_what_a_packer_raises_is_the_reason(data_fs: Path):
    fill(data_fs)

    with pytest.raises(PackFailed, match="KeyError 'why'"):
        child(data_fs, packer="packer operator:lambda *_: {}['why']").run()


def test_a_packer_that_is_not_there_is_the_reason(data_fs: Path):
    fill(data_fs)

    with pytest.raises(PackFailed, match="No module named 'nowhere'"):
        child(data_fs, packer="packer nowhere.pack").run()


def test_a_process_that_dies_without_a_word_is_a_failure(data_fs: Path):
    fill(data_fs)

    with pytest.raises(PackFailed, match="the process that packs ended: exit status -9"):
        child(data_fs, packer="packer os:lambda *_: kill(getpid(), 9)").run()


def test_a_python_that_cannot_be_run_is_a_failure(data_fs: Path, tmp_path: Path):
    with pytest.raises(PackFailed, match="python cannot be run: No such file"):
        child(data_fs, python=f"{tmp_path}/python").run()


def test_a_child_that_is_abandoned_ends_by_way_of_its_packers_finally(data_fs: Path):
    fill(data_fs)
    working = beside(data_fs, ".working")
    (data_fs.parent / "patient.py").write_text(
        "import pathlib, time\n"
        "def pack(storage, *_):\n"
        f"    working = pathlib.Path({str(working)!r})\n"
        "    try:\n"
        "        working.touch()\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        "        working.unlink()\n"
    )
    code = f"sys:path.insert(0, {str(data_fs.parent)!r}) or __import__('patient').pack"
    one = child(data_fs, packer=f"packer {code}")
    raised: list[PackFailed] = []

    def run() -> None:
        try:
            one.run()
        except PackFailed as why:
            raised.append(why)

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(working.exists, "the packer is at work")
    one.abandon()
    thread.join(10)

    assert not working.exists()
    assert "exit status 143" in str(raised[0])
