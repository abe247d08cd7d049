"""A stage whose directory is damaged: its ZEO server starts, and its clients hear why."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transaction
from crashing import FINISHED, run_in_child
from stages import Client, Server, Stages, fill
from test_stage_crash import content
from ZEO.ClientStorage import ClientStorage
from ZODB.Connection import TransactionMetaData
from ZODB.POSException import StorageError
from ZODB.utils import p64, z64

from zmount.server.control import ControlError
from zmount.server.stage import StageStorage

SOON_S = 8.0  # well below the half minute for which a client would try to connect
GOOD = {"a": "pub", "b": "pub", "c": "pub"}


def _no_current(path: Path) -> None:
    (path / "current").unlink()


def _current_nowhere(path: Path) -> None:
    (path / "current").unlink()
    (path / "current").symlink_to("gen-000099")


def _current_foreign(path: Path) -> None:
    (path / "current").unlink()
    (path / "current").symlink_to("/etc")


def _current_file(path: Path) -> None:
    (path / "current").unlink()
    (path / "current").write_text("gen-000002")


def _current_directory(path: Path) -> None:
    (path / "current").unlink()
    (path / "current").mkdir()
    (path / "current" / "mine").write_text("mine")


def _empty_meta(path: Path) -> None:
    (path / "gen-000002" / "meta.json").write_text("")


def _no_meta(path: Path) -> None:
    (path / "gen-000002" / "meta.json").unlink()


def _odd_meta(path: Path) -> None:
    (path / "gen-000002" / "meta.json").write_text("[1, 2]")


def _no_base(path: Path) -> None:
    (path / "gen-000002" / "base.fs").unlink()


def _foreign_base(path: Path) -> None:
    (path / "gen-000002" / "base.fs").unlink()
    (path / "gen-000002" / "base.fs").write_bytes(b"FS30" + bytes(5000))


def _other_base(path: Path) -> None:
    """Another FileStorage, of another past."""
    fill(path / "other" / "Data.fs", {"x": "other"}, {})
    (path / "gen-000002" / "base.fs").unlink()
    (path / "other" / "Data.fs").rename(path / "gen-000002" / "base.fs")
    shutil.rmtree(path / "other")


def _no_changes(path: Path) -> None:
    (path / "gen-000002" / "changes.fs").unlink()
    (path / "gen-000002" / "changes.fs.index").unlink(missing_ok=True)


def _foreign_changes(path: Path) -> None:
    (path / "gen-000002" / "changes.fs").write_bytes(b"no FileStorage")
    (path / "gen-000002" / "changes.fs.index").unlink(missing_ok=True)


WRONGS = [
    _no_current,
    _current_nowhere,
    _current_foreign,
    _current_file,
    _current_directory,
    _empty_meta,
    _no_meta,
    _odd_meta,
    _no_base,
    _foreign_base,
    _other_base,
    _no_changes,
    _foreign_changes,
]
each_wrong = pytest.mark.parametrize("spoil", WRONGS, ids=lambda each: each.__name__.strip("_"))
# what FileStorage makes and removes
PASSING = (".lock", ".tmp", "control", "lock", ".index")


def listing(directory: Path) -> set[str]:
    found = {str(path.relative_to(directory)) for path in directory.rglob("*")}
    return {name for name in found if not name.endswith(PASSING)}


@pytest.fixture
def server(stages: Stages) -> Server:
    """Of a stage that was swapped twice, and changed."""
    stages.fill()
    server = stages.server()
    client = stages.client(server)
    server.swap(client)
    client.write({"first": "stage"})
    server.swap(client)
    client.write({"second": "stage"})
    client.write_blob("one", b"stage")
    server.stop()
    return server


def refusal(work: Callable[[], object]) -> str:
    """Return what WORK is refused with, which comes soon."""
    start = time.monotonic()
    with pytest.raises(StorageError) as refused:
        work()
    assert time.monotonic() - start < SOON_S
    return str(refused.value)


def noticed(server: Server, *clients: Client) -> None:
    """Wait until CLIENTS have heard that the stage is another one now."""
    floor = facts(server)["floor"]
    for client in clients:
        client.wait_for(bytes.fromhex(floor))


def facts(server: Server) -> dict[str, Any]:
    """Return what a server says that has just been started, and may not quite be there yet."""
    while True:
        try:
            found: dict[str, Any] = server.call("facts")
            return found
        except ControlError as why:
            assert "serves it yet" in str(why)


def raw_client(server: Server) -> ClientStorage:
    return ClientStorage(str(server.socket), storage="stage", wait_timeout=10)


@each_wrong
def test_production_is_served_and_the_stages_clients_hear_why_they_get_nothing(
    spoil: Any, server: Server, stages: Stages
):
    spoil(server.generations)
    before = listing(server.generations)
    server.start()

    pub = stages.client(server, "pub")
    pub.write({"a": "later"})
    assert pub.read()["a"] == "later"

    why = server.call("status")["broken"]
    assert str(server.generations) in why and "\n" not in why
    said = f"stage is broken: {why}; zmount swap-stage SITE makes it anew"
    (line,) = (line for line in server.log.splitlines() if said in line)
    assert "CRITICAL" in line
    assert said in refusal(lambda: Client(server))  # the database does not make a root object
    raw = raw_client(server)
    try:
        assert said in refusal(lambda: raw.load(z64))
        assert said in refusal(lambda: raw.loadBefore(p64(1), b"\x7f" * 8))
        assert said in refusal(raw.new_oid)
        assert said in refusal(lambda: raw.history(z64))
        assert said in refusal(lambda: raw.undoLog(0, 10))
        assert said in refusal(lambda: raw.pack(time.time(), None))
        assert said in refusal(lambda: list(raw.iterator()))
        change = TransactionMetaData()
        raw.tpc_begin(change)
        raw.store(p64(1), z64, b"x", "", change)
        assert said in refusal(lambda: raw.tpc_vote(change))
        raw.tpc_abort(change)
    finally:
        raw.close()
    server.stop()
    assert before <= listing(server.generations)


@each_wrong
def test_a_swap_repairs_it_under_its_clients_and_removes_nothing(
    spoil: Any, server: Server, stages: Stages
):
    server.start()
    client = stages.client(server)
    assert client.read()["second"] == "stage"
    server.stop()
    spoil(server.generations)
    before = listing(server.generations)
    server.start()
    noticed(server, client)
    assert "stage is broken" in refusal(client.read)

    server.swap(client)

    assert client.read() == GOOD and client.read_blobs() == {"one": b"pub"}
    assert server.call("status")["broken"] == ""
    client.write({"third": "stage"})
    client.write_blob("two", b"stage")
    left = listing(server.generations)
    for name in sorted(before - left):  # out of keep, or it had the name of the link
        assert name.startswith(("gen-000001", "current")), name
    if spoil is _current_directory:
        assert (server.generations / "current.foreign-1" / "mine").exists()
    if spoil is _current_file:
        assert (server.generations / "current.foreign-1").read_text() == "gen-000002"
    server.stop()
    server.start()
    assert stages.client(server).read() == {**GOOD, "third": "stage"}
    assert "Traceback" not in server.log


@each_wrong
def test_an_undo_brings_back_what_can_still_be_opened(spoil: Any, server: Server, stages: Stages):
    server.start()
    client = stages.client(server)
    client.read()
    server.stop()
    spoil(server.generations)
    before = listing(server.generations)
    server.start()
    noticed(server, client)

    server.undo(client)

    of_links = (_no_current, _current_nowhere, _current_foreign, _current_file, _current_directory)
    last = "second" if spoil in of_links else "first"
    assert client.read() == {**GOOD, last: "stage"}
    client.write({"third": "stage"})
    left = listing(server.generations)
    assert all(name.startswith("current") for name in before - left)
    server.stop()
    server.start()
    client = stages.client(server)
    assert client.read() == {**GOOD, last: "stage", "third": "stage"}
    if spoil in of_links:
        server.undo(client)
        assert client.read() == {**GOOD, "first": "stage"}


@each_wrong
def test_without_a_server_it_is_broken_and_repaired_too(spoil: Any, server: Server, stages: Stages):
    spoil(server.generations)
    storage = StageStorage(stages.settings())
    assert "is broken" in refusal(lambda: storage.load(z64))
    storage.swap()
    storage.close()
    assert content(stages)[0] == GOOD


def test_a_stage_that_was_put_right_by_hand_shows_clients_nothing_old(
    server: Server, stages: Stages
):
    """They have heard of later transactions than any in it."""
    server.start()
    clients = [stages.client(server, cache="c"), stages.client(server)]
    for client in clients:
        client.read()
    server.stop()
    _no_current(server.generations)
    server.start()
    noticed(server, *clients)
    for client in clients:
        assert "is broken" in refusal(client.read)
    seen = facts(server)["floor"]
    server.stop()
    (server.generations / "current").symlink_to("gen-000001")

    server.start()

    assert facts(server)["floor"] >= seen
    for client in clients:
        client.wait_for(bytes.fromhex(seen))
        assert client.read() == {**GOOD, "first": "stage"}
    clients[0].write({"a": "stage"})


def test_oids_that_clients_had_in_stock_are_not_those_of_other_objects(
    server: Server, stages: Stages
):
    server.start()
    client = stages.client(server)
    stock = client.storage.new_oid()
    server.stop()
    _no_meta(server.generations)
    server.start()
    with pytest.raises(StorageError):
        client.read()
    server.swap(client)
    assert raw_client(server).new_oid()[:3] > stock[:3]


def test_a_transaction_that_was_open_when_it_broke_is_refused(server: Server, stages: Stages):
    server.start()
    client = stages.client(server)
    manager = transaction.TransactionManager()
    connection = client.db.open(manager)
    connection.root()["tree"]["a"]["value"] = "lost"
    server.stop()
    _no_base(server.generations)
    server.start()
    noticed(server, client)
    with pytest.raises(StorageError):
        manager.commit()
    manager.abort()
    connection.close()
    server.swap(client)
    assert client.read() == GOOD


@pytest.mark.parametrize("is_directory", [False, True])
def test_what_has_the_name_of_the_control_socket_is_kept(is_directory: bool, server: Server):
    if is_directory:
        (server.control / "mine").mkdir(parents=True)
    else:
        server.control.write_text("mine")
    server.start()
    server.swap()
    kept = server.generations / "control.foreign-1"
    assert (kept / "mine").is_dir() if is_directory else kept.read_text() == "mine"


def test_a_missing_file_of_a_stage_that_was_never_swapped_is_made(stages: Stages):
    stages.fill()
    shutil.rmtree(stages.directory / "stage")
    server = stages.server()
    with stages.client(server).root() as root:
        assert list(root) == []


def test_a_damaged_file_of_a_stage_that_was_never_swapped_is_repaired_and_kept(stages: Stages):
    stages.fill()
    plain = stages.directory / "stage" / "Data.fs"
    plain.write_bytes(b"no FileStorage")
    plain.with_name("Data.fs.index").unlink(missing_ok=True)
    server = stages.server()
    assert str(plain) in facts(server)["broken"]
    server.swap()
    assert stages.client(server).read() == GOOD
    assert plain.read_bytes() == b"no FileStorage"


def test_the_file_that_an_undo_put_back_and_that_is_gone_is_not_made_anew(stages: Stages):
    stages.fill()
    server = stages.server()
    server.swap()
    server.undo()
    server.stop()
    (stages.directory / "stage" / "Data.fs").unlink()
    server.start()
    assert "is not there any more" in facts(server)["broken"]
    assert not (stages.directory / "stage" / "Data.fs").exists()
    server.undo()
    assert stages.client(server).read() == GOOD


def test_an_undo_of_what_nothing_can_be_opened_from_before_is_refused(
    server: Server, stages: Stages
):
    for name in ("gen-000001", "gen-000002"):
        (server.generations / name / "base.fs").unlink()
    (stages.directory / "stage" / "Data.fs").unlink()
    server.start()
    with pytest.raises(ControlError, match=r"nothing from before can be opened: .*base\.fs"):
        server.undo()
    assert facts(server)["broken"]
    server.swap()
    assert stages.client(server).read() == GOOD


def test_a_generation_that_was_moved_away_finds_its_blobs_when_it_is_back(
    server: Server, stages: Stages
):
    away = stages.directory / "away"
    away.mkdir()
    for name in ("gen-000001", "gen-000002"):
        (server.generations / name).rename(away / name)
    before = listing(server.generations / "blobs")
    server.start()
    found = server.swap()
    assert found["generation"] == 3, "its name is free when it comes back"
    assert before <= listing(server.generations / "blobs")


def test_a_generation_that_may_not_be_read_keeps_nobody_from_starting(
    server: Server, stages: Stages
):
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")
    subprocess.run(["chown", "-R", "nobody", stages.directory], check=True)
    damaged = server.generations / "gen-000002"
    damaged.chmod(0)

    def open_it() -> None:
        os.setgroups([])
        os.setuid(pwd.getpwnam("nobody").pw_uid)
        storage = StageStorage(stages.settings())
        assert "Permission denied" in refusal(lambda: storage.load(z64))
        storage.undo_swap()
        storage.swap()
        assert storage.broken == ""
        storage.close()
        assert content(stages)[0] == GOOD

    assert run_in_child(open_it) == FINISHED
    assert damaged.exists()
