"""What swaps leave behind and what they cost: descriptors, threads, blobs, time."""

from __future__ import annotations

import shutil
import statistics
import threading
import time
from pathlib import Path

from deployments import wait_until
from stages import Server, Stages, fill
from test_stage_production import show
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.serialize import referencesf

from zmount.filestorage.packer import pack
from zmount.server.stage import StageStorage

SWAPS = 50


def resources(server: Server) -> dict[str, int]:
    assert server.process is not None
    proc = Path("/proc", str(server.process.pid))
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    return {
        "descriptors": len(list((proc / "fd").iterdir())),
        "threads": int(status["Threads"]),
        "mappings": len((proc / "maps").read_text().splitlines()),
        "kB": int(status["VmRSS"].split()[0]),
    }


def test_fifty_swaps_leave_no_descriptors_threads_mappings_or_memory(stages: Stages):
    stages.fill({f"k{number}": "x" * 200 for number in range(2000)})
    server = stages.server()
    clients = [stages.client(server) for _ in range(3)]
    before: dict[str, int] = {}
    for number in range(SWAPS):
        for each, client in enumerate(clients):
            client.write({f"k{each}": "stage"})
        if number % 5 == 4:
            server.undo(*clients)
        else:
            server.swap(*clients)
        if number == 9:
            before = resources(server)

    def is_as_before() -> bool:
        now = resources(server)
        return (
            now["descriptors"] <= before["descriptors"]
            and now["threads"] <= before["threads"]
            and now["mappings"] <= before["mappings"] + 20
            and now["kB"] <= before["kB"] + 6000
        )

    wait_until(is_as_before, f"{before}, then {resources(server)}")
    assert "Traceback" not in server.log


def test_old_generations_are_kept_as_told(stages: Stages):
    stages.fill()
    server = stages.server("keep 2")
    for _ in range(5):
        server.swap()
    wait_until(lambda: names(server) == ["gen-000003", "gen-000004", "gen-000005"], "they are gone")
    status = server.call("status")
    assert [each["generation"] for each in status["kept"]] == [3, 4]


def names(server: Server) -> list[str]:
    return sorted(path.name for path in server.generations.glob("gen-*"))


def blob_files(directory: Path) -> set[str]:
    return {path.name for path in directory.rglob("*.blob")}


class Production:
    """Production's FileStorage, opened and closed for each thing that is done to it."""

    def __init__(self, stages: Stages) -> None:
        self.path = stages.directory / "pub" / "Data.fs"

    def write_blob(self, name: str, content: bytes) -> None:
        from ZODB.blob import Blob

        database = self._database()
        with database.transaction() as connection:
            blob = connection.root()["blobs"].setdefault(name, Blob())
            with blob.open("w") as file:
                file.write(content)
        database.close()

    def pack(self) -> None:
        database = self._database()
        database.storage.pack(time.time(), referencesf)
        database.close()

    def _database(self) -> DB:
        blobs = str(self.path.parent / "blobs")
        return DB(FileStorage(str(self.path), blob_dir=blobs, packer=pack, pack_keep_old=False))


def swap(stages: Stages, keep: int = 1) -> int:
    """Swap without a server; return how many blobs were linked."""
    storage = StageStorage(stages.settings(keep=keep))
    taken = storage.swap().blobs_taken
    storage.close()
    return taken


def test_blobs_that_production_dropped_stay_for_older_generations_and_go_with_them(stages: Stages):
    stages.fill()
    production = Production(stages)
    pool = stages.directory / "stage" / "generations" / "blobs"
    assert swap(stages) == 1
    first = blob_files(pool)
    production.write_blob("one", b"second")
    production.pack()  # the first one is dropped
    assert swap(stages) == 1
    assert blob_files(pool) > first
    storage = StageStorage(stages.settings())
    storage.undo_swap()
    storage.close()
    assert show(stages)[1] == {"one": b"pub"}
    storage = StageStorage(stages.settings())
    storage.undo_swap()
    storage.close()
    assert show(stages)[1] == {"one": b"second"}
    swap(stages)  # the first generation goes
    assert blob_files(pool) & first == set()
    assert show(stages)[1] == {"one": b"second"}


def test_from_the_second_swap_on_only_new_blobs_are_linked(stages: Stages):
    stages.fill(blobs={f"b{number}": b"x" for number in range(200)})
    production = Production(stages)
    assert swap(stages) == 200
    assert swap(stages) == 0
    production.write_blob("b1", b"y")
    production.write_blob("new", b"z")
    assert swap(stages) == 2
    production.pack()
    production.write_blob("b2", b"y")
    assert swap(stages) == 1
    assert {name: show(stages)[1][name] for name in ("b1", "b2", "new", "b3")} == {
        "b1": b"y",
        "b2": b"y",
        "new": b"z",
        "b3": b"x",
    }


def test_a_blob_that_is_dropped_right_after_the_swap_stays_for_its_generation(stages: Stages):
    """The list of what is dropped is made when the swap is done."""
    stages.fill()
    production = Production(stages)
    storage = StageStorage(stages.settings(keep=0))
    storage._clean_up = lambda: None  # type: ignore[method-assign]
    storage.swap()
    production.write_blob("one", b"second")
    production.pack()
    StageStorage._clean_up(storage)
    storage.close()
    assert show(stages)[1] == {"one": b"pub"}


def test_blobs_whose_directory_was_restored_are_not_taken_for_dropped(stages: Stages):
    """All links of the pool are the only ones then."""
    stages.fill(blobs={"one": b"1", "two": b"2"})
    blobs = stages.directory / "pub" / "blobs"
    swap(stages)
    shutil.copytree(blobs, blobs.with_name("copied"))
    shutil.rmtree(blobs)
    blobs.with_name("copied").rename(blobs)
    for _ in range(3):
        swap(stages, keep=0)
        assert show(stages)[1] == {"one": b"1", "two": b"2"}


def test_production_from_a_backup_has_all_its_blobs(stages: Stages):
    stages.fill(blobs={"one": b"1"})
    production = Production(stages)
    production.write_blob("old", b"old")
    pub = stages.directory / "pub"
    shutil.copytree(pub, pub.with_name("backup"))
    database = production._database()
    with database.transaction() as connection:
        del connection.root()["blobs"]["old"]
    database.close()
    production.pack()
    production.write_blob("one", b"2")
    swap(stages, keep=0)
    shutil.rmtree(pub)
    pub.with_name("backup").rename(pub)
    production.write_blob("after", b"after")
    swap(stages, keep=0)
    swap(stages, keep=0)
    assert show(stages)[1] == {"one": b"1", "old": b"old", "after": b"after"}


def test_a_blob_that_an_undo_brought_back_in_production_is_linked(stages: Stages):
    from base64 import encodebytes

    from ZODB.Connection import TransactionMetaData

    stages.fill()
    production = Production(stages)
    production.write_blob("one", b"second")
    swap(stages)
    database = production._database()
    transaction = TransactionMetaData()
    storage = database.storage
    storage.tpc_begin(transaction)
    storage.undo(encodebytes(storage.lastTransaction()).rstrip(), transaction)
    storage.tpc_vote(transaction)
    storage.tpc_finish(transaction)
    database.close()
    assert swap(stages) == 1
    assert show(stages)[1] == {"one": b"pub"}


def test_a_swap_blocks_the_event_loop_and_production_only_for_moments(stages: Stages):
    """Pings of a client of production meanwhile; the machine may be busy with other things."""
    fill(
        stages.directory / "pub" / "Data.fs",
        {f"k{number:06}": "x" * 100 for number in range(30_000)},
        {},
    )
    fill(stages.directory / "stage" / "Data.fs", {}, {})
    server = stages.server()
    pub, stage = stages.client(server, "pub"), stages.client(server)
    is_over = threading.Event()
    gaps: list[float] = []

    def ping() -> None:
        while not is_over.is_set():
            start = time.perf_counter()
            pub.storage._call("ping")
            gaps.append(time.perf_counter() - start)

    pinging = threading.Thread(target=ping, daemon=True)
    pinging.start()
    locked = []
    for _ in range(5):
        locked.append(server.swap(stage)["production_locked_s"])
    is_over.set()
    pinging.join(10)
    assert statistics.median(locked) < 0.010
    slow = sorted(gaps)[-20:]
    assert slow[-6] < 0.1, slow  # a generous bound: the machine is shared


def test_the_blobs_of_a_generation_whose_meta_is_damaged_stay(stages: Stages):
    stages.fill()
    production = Production(stages)
    swap(stages)
    production.write_blob("one", b"second")
    production.pack()
    generations = stages.directory / "stage" / "generations"
    meta = generations / "gen-000001" / "meta.json"
    good = meta.read_text()
    (generations / "current").unlink()
    (generations / "current").symlink_to("plain")
    meta.write_text("")
    swap(stages)
    assert show(stages)[1] == {"one": b"second"}
    meta.write_text(good)
    (generations / "current").unlink()
    (generations / "current").symlink_to("gen-000001")
    assert show(stages)[1] == {"one": b"pub"}
