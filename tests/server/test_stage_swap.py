"""A swap as clients see it who stay connected."""

from __future__ import annotations

from stages import Stages


def test_clients_that_stay_up_see_productions_content_after_a_swap(stages: Stages):
    stages.fill()
    server = stages.server()
    pub, stage = stages.client(server, "pub"), stages.client(server)
    stage.write({"a": "stage", "new": "stage"})
    stage.write_blob("one", b"stage")
    stage.read(), stage.read_blobs()
    pub.write({"b": "later"})
    pub.write_blob("two", b"later")

    server.swap(stage)

    assert stage.read() == {"a": "pub", "b": "later", "c": "pub"}
    assert stage.read_blobs() == {"one": b"pub", "two": b"later"}
    stage.write({"a": "stage 2"})
    stage.write_blob("one", b"stage 2")
    assert stages.client(server).read() == {"a": "stage 2", "b": "later", "c": "pub"}
    assert pub.read() == {"a": "pub", "b": "later", "c": "pub"}
    assert pub.read_blobs() == {"one": b"pub", "two": b"later"}


def test_an_undo_brings_back_what_was_there_before(stages: Stages):
    stages.fill()
    server = stages.server()
    pub, stage = stages.client(server, "pub"), stages.client(server)
    stage.write({"a": "stage"})
    stage.write_blob("one", b"stage")
    pub.write({"b": "later"})
    server.swap(stage)
    stage.write({"a": "after"})
    assert server.undo(stage)["generation"] == 0
    assert stage.read() == {"a": "stage", "b": "pub", "c": "pub"}
    assert stage.read_blobs() == {"one": b"stage"}

    assert server.undo(stage)["generation"] == 1  # the undo is undone

    assert stage.read() == {"a": "after", "b": "later", "c": "pub"}
    server.stop()
    server.start()
    assert stages.client(server).read() == {"a": "after", "b": "later", "c": "pub"}
