"""A server whose data file was taken from it is not ended: its commits would go with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from checkups import client, data_fs, fill
from deployments import ZEO_ONLY, Deployment
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage

from zmount.effects.process_table import is_alive
from zmount.operations.restart import restart
from zmount.operations.start import start
from zmount.operations.stop import stop


def ignore(_: object) -> None:
    pass


def replaced(path: Path) -> None:
    """Put a copy in the file's place, as a restore does."""
    copy = path.with_name("restored")
    shutil.copy(path, copy)
    copy.replace(path)


def moved(path: Path) -> None:
    path.rename(path.with_name("Data.fs.before"))


LOSSES = pytest.mark.parametrize("lose", [replaced, Path.unlink, moved])


@LOSSES
def test_a_server_whose_file_was_lost_goes_on_until_that_is_saved(
    deploy: Callable[[str], Deployment], lose: Callable[[Path], None]
) -> None:
    deployment = deploy(ZEO_ONLY)
    topology, host = deployment.topology, deployment.host
    fill(deployment, "content", number=1)
    (change,) = start(topology, host, [], ignore)
    path = data_fs(deployment, "content")
    database = DB(client(deployment, "content"))
    with database.transaction() as connection:  # read before: the server reads by name
        connection.root()["number"] = 2
        lose(path)
    database.close()

    refused = [stop(topology, host, ["zeo"], ignore), restart(topology, host, ["zeo"], ignore)]

    assert change.pid is not None
    assert is_alive(change.pid)
    for changes in refused:
        told = changes[0].error
        assert told is not None
        assert str(path) in str(told)
        assert "zmount stop zeo --force" in told.hint
        assert [each.done for each in changes] == ["failed"]

    saved = path.with_name("saved")
    place = next(
        each
        for each in Path(f"/proc/{change.pid}/fd").iterdir()
        if str(each.readlink()).split(" ")[0].endswith(("Data.fs", "Data.fs.before"))
    )
    shutil.copy(place, saved)  # what it was kept alive for
    with DB(FileStorage(str(saved), read_only=True)).transaction() as connection:
        assert connection.root()["number"] == 2

    (ended,) = stop(topology, host, ["zeo"], ignore, force=True)
    assert ended.done == "stopped"
    assert not is_alive(change.pid)
