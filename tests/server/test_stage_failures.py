"""What fails in a swap, what is wrong in a stage's directory, and who may ask for what."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from crashing import EVENTS, run_in_child
from deployments import wait_until
from stages import Stages
from test_stage_crash import CASES, MORE_EVENTS, WRITING, restore, stage
from ZODB.POSException import StorageError
from ZODB.utils import z64

from zmount.server.control import ControlError, call
from zmount.server.generation import BrokenGeneration
from zmount.server.stage import StageStorage

WRONG = 9  # exit status
AGAIN = 8  # after so many of the failures it is tried whether it works the next time


@pytest.fixture
def in_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    """Where flushing costs nothing."""
    directory = Path("/dev/shm", f"zm-{os.getpid()}-{os.urandom(3).hex()}")
    directory.mkdir()
    yield Stages(directory)
    shutil.rmtree(directory)


class Fault:
    """Lets call NUMBER that changes DIRECTORY fail, as an audit hook."""

    def __init__(self, number: int, directory: str) -> None:
        self.left = number
        self.directory = directory
        self.is_armed, self.has_come = True, False

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_armed or event not in (EVENTS | MORE_EVENTS) - {"subprocess.Popen"}:
            return
        if event == "open" and not (arguments[2] or 0) & WRITING:
            return
        if not any(self.directory in str(each) for each in arguments):
            return
        if self.left == 0:
            self.is_armed, self.has_come = False, True
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))
        self.left -= 1


def failed_at(number: int, act: Callable[[StageStorage], object], stages: Stages) -> bool:
    """Let call NUMBER of a swap that changes the disk, from 0, fail; return False if none did.

    The storage must be as it was, or as it is to be, in memory and on the disk.
    """

    def failing() -> None:
        storage = StageStorage(stages.settings())
        generation = storage.generation
        fault = Fault(number, str(stages.directory))
        sys.addaudithook(fault.hear)
        try:
            act(storage)
        except (StorageError, OSError):
            assert storage.generation == generation
        fault.is_armed = False
        assert storage.generations.current == storage.generation
        assert storage.loadBefore(z64, b"\x7f" * 8) is not None
        if number % AGAIN == 0:
            act(storage)  # works, now that there is room
        storage.close()
        again = StageStorage(stages.settings())
        assert again.generation == storage.generation
        assert again.floor == storage.floor
        again.close()
        os._exit(0 if fault.has_come else WRONG)

    def loud() -> None:
        try:
            failing()
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    status = run_in_child(loud)
    assert status in (0, WRONG), f"call {number}"
    return status == 0


@pytest.mark.parametrize("prepare", [CASES[0], CASES[1], CASES[3]], ids=lambda case: case.__name__)
def test_a_full_disk_at_any_call_leaves_disk_and_memory_agreeing(prepare: Any, in_memory: Stages):
    stages = in_memory
    stages.fill()
    prepare(stages)
    act: Callable[[StageStorage], object] = (
        StageStorage.undo_swap if "undo" in prepare.__name__ else StageStorage.swap
    )
    saved = stages.directory.with_name(f"{stages.directory.name}-saved")
    shutil.copytree(stages.directory, saved, symlinks=True)
    try:
        number = 0
        while failed_at(number, act, stages):
            number += 1
            restore(saved, stages.directory)
        assert number > 10
    finally:
        shutil.rmtree(saved)


@pytest.fixture
def small_disk(stages: Stages) -> Iterator[Stages]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    disk = stages.directory / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", disk], check=True)
    made = Stages(disk)
    try:
        yield made
        made.end()
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.parametrize("mode", ["link", "copy"])
def test_a_full_disk_while_a_generation_is_built(mode: str, small_disk: Stages):
    small_disk.fill()
    server = small_disk.server()
    client = small_disk.client(server)
    client.write({"a": "stage"})
    filler = small_disk.directory / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(4 << 20))
    names = {path.name for path in server.generations.iterdir()}
    with pytest.raises(ControlError) as refused:
        server.swap(mode=mode)
    assert refused.value.kind == "SwapRefused"
    assert {path.name for path in server.generations.iterdir()} - {"blobs"} == names
    assert client.read()["a"] == "stage"
    filler.unlink()
    client.write({"b": "stage"})
    server.swap(client, mode=mode)
    assert client.read()["a"] == "pub"


# what is wrong in the directory


def swapped(stages: Stages) -> Path:
    stages.fill()
    for _ in range(2):
        with stage(stages) as storage:
            storage.swap()
    return stages.directory / "stage" / "generations"


def test_foreign_files_in_the_directory_are_left_alone(stages: Stages):
    path = swapped(stages)
    (path / "gen-notes").mkdir()
    (path / "README").write_text("mine")
    (path / "gen-000001" / "notes.txt").write_text("mine")
    with stage(stages, keep=5) as storage:
        storage.swap()
    assert (path / "gen-notes").exists() and (path / "README").exists()
    assert (path / "gen-000001" / "notes.txt").exists()


def test_a_kept_generation_that_is_damaged_does_no_harm_to_swaps(stages: Stages):
    path = swapped(stages)
    (path / "gen-000001" / "meta.json").write_text("")
    server = stages.server("keep 2")
    assert server.call("status")["kept"][0]["base_tid"] == ""
    server.swap()
    with pytest.raises(ControlError):
        server.undo()
        server.undo()
        (path / "gen-000002" / "meta.json").write_text("")
        server.undo()
    assert stages.client(server).read()["a"] == "pub"


def test_an_undo_to_what_is_not_kept_any_more_is_refused(stages: Stages):
    stages.fill()
    with stage(stages, keep=0) as storage:
        storage.swap()
        storage.swap()
        with pytest.raises(BrokenGeneration, match="generation 1 is not kept any more"):
            storage.undo_swap()


def test_an_undo_without_a_swap_is_refused(stages: Stages):
    stages.fill()
    server = stages.server()
    with pytest.raises(ControlError, match="it was never swapped"):
        server.undo()


def test_a_generation_that_was_put_back_is_kept_before_a_newer_one(stages: Stages):
    stages.fill()
    with stage(stages) as storage:
        storage.swap()
        storage.swap()
        assert storage.undo_swap().number == 1
        storage.swap()
        assert [one.number for one in storage.generations.all()] == [1, 3]
        assert storage.undo_swap().number == 1


def test_no_two_processes_serve_a_stage(stages: Stages):
    stages.fill()
    server = stages.server()
    with pytest.raises(Exception, match="lock"):
        StageStorage(stages.settings())
    server.swap()


# the control socket


def as_nobody(function: Callable[[], object]) -> int:
    def changed() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        function()

    return run_in_child(changed)


@pytest.fixture
def control(stages: Stages) -> Path:
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")
    stages.fill()
    server = stages.server()
    for path in (server.control, *server.control.parents):
        if path.is_relative_to(stages.directory):
            path.chmod(0o777)
    return server.control


def test_another_user_is_refused(control: Path):
    def swap() -> None:
        try:
            call(control, {"call": "swap"})
        except ControlError as why:
            assert (why.kind, str(why)) == ("PermissionError", "user 65534 may not do this")
            os._exit(7)

    assert as_nobody(swap) == 7
    assert call(control, {"call": "status"})["generation"] == 0


def test_the_socket_is_the_servers_users_alone(stages: Stages):
    stages.fill()
    server = stages.server()
    assert server.control.stat().st_mode & 0o777 == 0o600
    assert server.control.stat().st_uid == os.geteuid()


def test_nothing_of_it_is_heard_over_zeo(stages: Stages):
    stages.fill()
    client = stages.client(stages.server())
    for name in ("swap", "undo_swap", "status", "_do", "pack_generations"):
        with pytest.raises(Exception, match=r"Closed|lost|method"):
            client.storage._call(name)
        wait_until(client.storage.is_connected, "it is back")


@pytest.mark.parametrize(
    "request_",
    [b"", b"\n", b"{", b"[1]\n", b'"swap"\n', b'{"call": "rm"}\n', b'{"call": 1}\n', b"\xff\n"],
)
def test_what_is_no_request_is_refused(request_: bytes, stages: Stages):
    stages.fill()
    server = stages.server()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(server.control))
        connection.sendall(request_)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").read()
    assert "error" in json.loads(answer)
    assert server.call("status")["generation"] == 0


def test_who_asks_and_goes_away_leaves_a_stage_that_can_be_swapped(stages: Stages):
    stages.fill()
    server = stages.server()
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(server.control))
            connection.sendall(b'{"call": "swap"}\n')
    wait_until(lambda: _swaps(server), "it can be swapped")
    assert "Traceback" not in server.log


def _swaps(server: Any) -> bool:
    try:
        server.swap()
    except ControlError as why:
        assert "try again" in str(why)
        return False
    return True
