"""What a stage says of itself, and what that costs."""

from __future__ import annotations

import shutil
from pathlib import Path

from stages import Server, Stages
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage

LARGE = 400  # transactions of 50 kB


def bytes_read(server: Server) -> int:
    assert server.process is not None
    lines = Path(f"/proc/{server.process.pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def last_change(server: Server) -> str:
    tid: str = server.call("status")["last_changes"][-1]["tid"]
    return tid


def test_of_a_file_that_was_never_swapped_only_the_end_is_read(stages: Stages):
    stages.fill()
    path = stages.directory / "stage" / "Data.fs"
    database = DB(FileStorage(str(path), blob_dir=str(path.parent / "blobs")))
    for number in range(LARGE):
        with database.transaction(note=f"edit {number}") as connection:
            connection.root()["large"] = f"{number}" * 25_000
    database.close()
    server = stages.server()
    server.call("status")
    before = bytes_read(server)

    status = server.call("status")

    assert path.stat().st_size > LARGE * 25_000
    assert bytes_read(server) - before < 100_000
    assert [each["description"] for each in status["last_changes"]] == [
        f"edit {number}" for number in range(LARGE - 20, LARGE)
    ]
    assert {each["objects"] for each in status["last_changes"]} == {1}
    assert status["changed_objects"] == len(stages.client(server).storage)
    assert status["changed_transactions"] is None  # or all would have to be read


def test_what_was_written_this_moment_is_told(stages: Stages):
    stages.fill()
    server = stages.server()
    client = stages.client(server)
    client.write({"a": "stage"})
    assert (
        server.call("status")["last_changes"][-1]["tid"] == client.storage.lastTransaction().hex()
    )
    client.db.pack()
    client.write({"b": "stage"})
    assert (
        server.call("status")["last_changes"][-1]["tid"] == client.storage.lastTransaction().hex()
    )


def test_of_an_empty_file_nothing_is_told(stages: Stages):
    stages.fill()
    shutil.rmtree(stages.directory / "stage")
    status = stages.server().call("status")
    assert (status["changed_objects"], status["last_changes"]) == (0, [])


def test_after_an_undo_the_plain_file_tells_its_end_without_the_mark(stages: Stages):
    stages.fill()
    server = stages.server()
    client = stages.client(server)
    client.write({"a": "stage"})
    last = client.storage.lastTransaction().hex()
    server.swap(client)
    server.undo(client)
    status = server.call("status")
    assert status["last_changes"][-1]["tid"] == last
    assert status["floor"] > last and status["generation"] == 0
