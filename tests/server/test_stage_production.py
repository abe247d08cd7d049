"""Where production is, and what it does meanwhile: served here or elsewhere, down, packed."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import transaction
from stages import OURS, STOCK, Client, Stages, fill
from test_stage_in_flight import ByHand, InThread
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.utils import u64

from zmount.server.control import ControlError
from zmount.server.freezing import SwapRefused
from zmount.server.stage import StageStorage

VALUES = {f"k{number:03}": "pub" for number in range(300)}


class Writer(threading.Thread):
    """Commits to production all the time: every object and a blob get the next number."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.number = 0
        self.is_over = False
        self.start()

    def run(self) -> None:
        while not self.is_over:
            value = f"{self.number + 1:08}"
            with self.client.root() as root:
                for name in ("k000", "k150", "k299"):
                    root["tree"][name]["value"] = value
                with root["blobs"]["one"].open("w") as file:
                    file.write(value.encode())
            self.number += 1

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *arguments: object) -> None:
        self.is_over = True
        self.join(20)


def must_be_one_moment(client: Client, least: int, most: int) -> None:
    values, blobs = client.read(), client.read_blobs()
    seen = {values["k000"], values["k150"], values["k299"], blobs["one"].decode()}
    assert len(seen) == 1, seen
    assert least <= int(seen.pop()) <= most + 1


@pytest.mark.parametrize("where", ["here", "another server"])
@pytest.mark.parametrize("packer", [OURS, STOCK], ids=["ours", "stock"])
def test_swaps_while_production_is_written_to_and_packed(where: str, packer: str, stages: Stages):
    stages.fill(VALUES)
    if where == "here":
        server = stages.server(packer=packer)
        pub = stages.client(server, "pub")
    else:
        pub = stages.client(stages.plain_server("pub", packer=packer), "pub")
        server = stages.stage_server()
    stage = stages.client(server)
    is_over = threading.Event()
    packs: list[float] = []

    def pack() -> None:
        packer = stages.client(server if where == "here" else stages._servers[0], "pub")
        while not is_over.is_set():
            packer.storage.pack(time.time())
            packs.append(time.time())
            is_over.wait(2)

    with Writer(pub) as writer:
        while writer.number < 5:
            time.sleep(0.01)
        packing = threading.Thread(target=pack, daemon=True)
        packing.start()
        swapped = refused = 0
        end = time.monotonic() + 20
        while time.monotonic() < end and swapped < 5:
            least = writer.number
            try:
                server.swap(stage)
            except ControlError as why:
                assert "packed" in str(why) or "No such file" in str(why), why
                refused += 1
                continue
            must_be_one_moment(stage, least, writer.number)
            swapped += 1
        is_over.set()
        packing.join(30)
    assert swapped >= 4 and packs, (swapped, refused, packs)
    server.stop()
    server.start()
    must_be_one_moment(stages.client(server), 0, writer.number)


def test_production_may_be_down(stages: Stages):
    stages.fill()
    server = stages.stage_server()
    client = stages.client(server)
    fill(stages.directory / "pub2" / "Data.fs", {"x": "other"}, {"one": b"other"})
    server.swap(client)
    assert client.read() == {"a": "pub", "b": "pub", "c": "pub"}
    assert client.read_blobs() == {"one": b"pub"}


def test_production_is_not_there(stages: Stages):
    stages.fill()
    server = stages.stage_server()
    client = stages.client(server)
    shutil.rmtree(stages.directory / "pub")
    with pytest.raises(ControlError, match=r"pub/Data\.fs: No such file") as refused:
        server.swap()
    assert refused.value.kind == "SwapRefused"
    assert client.read()["a"] == "pub"
    (stages.directory / "pub" / "blobs").mkdir(parents=True)
    (stages.directory / "pub" / "Data.fs").write_bytes(b"not a FileStorage at all")
    with pytest.raises(ControlError, match=r"Data\.fs"):
        server.swap()
    fill_empty(stages.directory / "pub" / "Data.fs")
    with pytest.raises(ControlError, match="empty"):
        server.swap()
    with pytest.raises(ControlError, match="empty"):
        server.swap(mode="copy")
    with pytest.raises(ControlError, match="there is no mode 'symlink': link, copy"):
        server.swap(mode="symlink")
    names = {path.name for path in server.generations.iterdir()}
    assert names - {"blobs"} == {"control", "lock"}
    client.write({"a": "still"})


def fill_empty(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    FileStorage(str(path), blob_dir=str(path.parent / "blobs")).close()


def test_production_that_had_no_blobs_at_the_first_swap(stages: Stages):
    """And that has got them since."""
    stages.fill()
    directory = stages.directory
    with_none = stages.settings(source_blob_dir=None)
    storage = StageStorage(with_none)
    storage.swap()
    storage.close()
    storage = StageStorage(stages.settings())
    storage.swap()
    storage.close()
    assert show(stages)[1] == {"one": b"pub"}
    assert (directory / "stage" / "generations" / "blobs").exists()


def show(stages: Stages, **more: Any) -> tuple[dict[str, str], dict[str, bytes]]:
    database = DB(StageStorage(stages.settings(**more)))
    manager = transaction.TransactionManager()
    try:
        root = database.open(manager).root()
        values = {name: each["value"] for name, each in root["tree"].items()}
        blobs = {}
        for name, blob in root["blobs"].items():
            with blob.open() as file:
                blobs[name] = file.read()
        manager.abort()
        return values, blobs
    finally:
        database.close()


@pytest.mark.parametrize("how", ["asked for", "another volume"])
def test_a_copy_where_a_link_is_not_possible_or_not_wanted(how: str, stages: Stages):
    stages.fill(VALUES)
    if how == "another volume":
        elsewhere = Path("/dev/shm", f"zm-pub-{stages.directory.name}")
        shutil.move(stages.directory / "pub", elsewhere)
        (stages.directory / "pub").symlink_to(elsewhere)
    try:
        server = stages.server()
        pub, stage = stages.client(server, "pub"), stages.client(server)
        with Writer(pub) as writer:
            while writer.number < 5:
                time.sleep(0.01)
            for _ in range(2):
                least = writer.number
                found = server.swap(stage, mode="copy" if how == "asked for" else "")
                assert found["mode"] == "copy"
                assert how in found["why_copied"]
                must_be_one_moment(stage, least, writer.number)
        assert found["generation"] == 2
        stage.write({"k000": "stage"})
        stage.write_blob("one", b"stage")
        server.undo(stage)
        server.stop()
        server.start()
        client = stages.client(server)
        client.read(), client.read_blobs()
    finally:
        if how == "another volume":
            pub.close()
            server.stop(9)
            shutil.rmtree(elsewhere)


def test_a_clock_that_was_set_back(stages: Stages):
    """Staging has transactions of the future."""
    stages.fill()
    future = time.time() + 3600
    real = time.time
    time.time = lambda: future  # type: ignore[assignment]
    try:
        storage = StageStorage(stages.settings())
        storage.swap()
        floor = storage.floor
        storage.close()
    finally:
        time.time = real
    server = stages.server()
    client = stages.client(server, cache="c")
    client.write({"a": "stage"})
    assert client.storage.lastTransaction() > floor
    for _ in range(2):
        before = client.storage.lastTransaction()
        server.swap(client)
        assert client.storage.lastTransaction() > before
        assert client.read()["a"] == "pub"
        client.write({"a": "stage"})
    server.stop()
    server.start()
    assert stages.client(server).read()["a"] == "stage"
    server.undo()
    last = stages.client(server).storage.lastTransaction()
    server.stop(9)
    server.start()
    client = stages.client(server)
    assert client.storage.lastTransaction() == last
    client.write({"a": "later"})
    assert client.storage.lastTransaction() > last


def test_the_floor_of_the_plain_file_survives_its_pack_and_a_restart(stages: Stages):
    stages.fill()
    server = stages.server()
    client = stages.client(server, cache="c")
    client.write({"a": "stage"})
    server.swap(client)
    server.undo(client)
    floor = client.storage.lastTransaction()
    client.read()
    client.storage.pack(time.time())
    server.stop()
    server.start()
    client.wait_for(floor)
    assert client.read()["a"] == "stage"
    client.write({"a": "later"})
    assert u64(client.storage.lastTransaction()) > u64(floor)


def test_two_swaps_at_once(stages: Stages):
    stages.fill()
    server = stages.server("drain-timeout 3s")
    client = stages.client(server)
    commit = ByHand(client, "a")
    commit.begin()
    commit.vote()
    first = InThread(server.swap)
    time.sleep(1)
    for call in ("swap", "undo"):
        with pytest.raises(ControlError, match="it is being swapped; try again after that"):
            server.call(call)
    assert server.call("status")["generation"] == 0
    commit.finish()
    assert first.result()["generation"] == 1
    assert server.swap()["generation"] == 2


def test_a_stage_is_packed_and_swapped_at_the_same_time(stages: Stages):
    stages.fill(VALUES)
    server = stages.server("keep 1")
    pub, stage = stages.client(server, "pub"), stages.client(server)
    server.swap(stage)
    is_over = threading.Event()

    def pack() -> None:
        packer = stages.client(server)
        while not is_over.is_set():
            try:
                packer.storage.pack(time.time())
                is_over.wait(0.2)
            except Exception:
                if is_over.is_set():
                    return
                time.sleep(0.05)

    packing = threading.Thread(target=pack, daemon=True)
    packing.start()
    swapped = 0
    for number in range(40):
        stage.write({"k001": f"stage {number}", f"new{number}": "stage"})
        pub.write({"k000": str(number)})
        try:
            server.swap(stage)
        except ControlError as why:
            assert "it is being packed; try again after that" in str(why)
            continue
        assert stage.read() == pub.read()
        swapped += 1
        if swapped == 6:
            break
    is_over.set()
    assert swapped >= 3
    stage.write({"k001": "last"})
    server.stop()
    server.start()
    assert stages.client(server).read() == {**pub.read(), "k001": "last"}


def test_only_a_zeo_server_swaps_what_others_use(stages: Stages):
    stages.fill()
    database = DB(StageStorage(stages.settings()))
    with pytest.raises(SwapRefused, match="only a ZEO server can swap it"):
        database.storage.swap()
    database.close()
