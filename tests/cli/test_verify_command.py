"""``zmount verify`` as a person or cron meets it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import transaction
from click.testing import CliRunner
from deployments import ZEO_ONLY, Deployment
from persistent.mapping import PersistentMapping
from ZEO import ClientStorage
from ZODB.blob import Blob
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.utils import u64

from zmount.cli.app import main

TWO = ZEO_ONLY + "<storage more/>\n"
MOUNTED = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
<storage more/>
<instance pub>
  http-address {port}
  <mount content>
    mount-point /content
  </mount>
  <mount more>
    mount-point /more
  </mount>
</instance>
"""


def data_fs(deployment: Deployment, storage: str = "content") -> Path:
    path = deployment.topology.storage(storage).data_fs
    assert path is not None
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def fill(path: Path) -> int:
    """Write /home/page; return the oid of the page."""
    database = DB(FileStorage(str(path)))
    with database.transaction() as connection:
        application = connection.root()["Application"] = PersistentMapping()
        home = application["home"] = PersistentMapping()
        page = home["page"] = PersistentMapping()
        page["text"] = "The heart's text, by which it is found."
    oid = u64(page._p_oid)
    database.close()
    return oid


def damage(path: Path) -> int:
    """Let the pickle of the page be none; return where its record is."""
    content = bytearray(path.read_bytes())
    at = content.index(b"The heart's text")
    content[at - 5] = 0xFF
    path.write_bytes(content)
    return at


def test_a_sound_storage_is_a_line_and_status_0(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    fill(data_fs(deployment))

    done = deployment.zmount("verify", "content")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("content: sound; 4 objects, 5 records, ")


def test_a_damaged_object_is_told_with_its_way(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(TWO)
    oid = fill(data_fs(deployment))
    fill(data_fs(deployment, "more"))
    damage(data_fs(deployment))

    done = deployment.zmount("verify", "--all")
    said = json.loads(deployment.zmount("verify", "--all", "--json").stdout)

    assert (done.returncode, done.stderr) == (14, "")
    first, second, third, fourth = done.stdout.splitlines()
    assert first.startswith("content: damaged; 4 objects")
    assert second.startswith(
        f"    error: /['home']['page'] (oid {oid:#x}, persistent.mapping.PersistentMapping): "
        "its references cannot be read: "
    )
    assert second.endswith(" [record]")
    assert third == "    try: restore a backup beside it and compare"
    assert fourth.startswith("more: sound")
    content, more = said
    assert (content["result"], more["result"]) == ("damaged", "sound")
    assert content["counts"] == [{"severity": "error", "kind": "record", "number": 1}]
    (finding,) = content["findings"]
    assert (finding["oid"], finding["holder"]) == (f"{oid:#x}", None)
    assert finding["path"] == "/['home']['page']"
    assert finding["class"] == "persistent.mapping.PersistentMapping"


def test_warnings_alone_are_status_1(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    path = data_fs(deployment)
    fill(path)
    path.write_bytes(path.read_bytes() + b"torn")

    done = deployment.zmount("verify", "content")

    assert done.returncode == 1
    assert "content: doubtful; " in done.stdout
    assert "warning: its last 4 bytes are no transaction" in done.stdout
    assert "try: FileStorage cuts it off when it opens the file" in done.stdout


def test_a_storage_that_is_served_and_written_to_is_sound(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_ONLY)
    assert deployment.zmount("start").returncode == 0
    is_done = threading.Event()
    commits = 0

    database = DB(
        ClientStorage.ClientStorage(
            str(deployment.process("zeo").address),
            storage="content",
            blob_dir=str(deployment.directory / "cache"),
            wait_timeout=10,
        )
    )

    def write() -> None:
        nonlocal commits
        connection = database.open(transaction.TransactionManager())
        while not is_done.is_set():
            connection.root()[commits] = Blob(b"%d" % commits)
            connection.transaction_manager.commit()
            commits += 1
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(4):
            done = deployment.zmount("verify", "content")
            assert (done.returncode, done.stderr) == (0, ""), done.stdout
    finally:
        is_done.set()
        writer.join()
        database.close()
    assert commits > 10
    (said,) = json.loads(deployment.zmount("verify", "content", "--json").stdout)
    assert said["blobs"] >= commits
    assert deployment.zmount("stop").returncode == 0
    assert deployment.zmount("verify", "content").returncode == 0


def test_a_storage_that_is_not_there_yet(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(TWO)
    fill(data_fs(deployment))

    everything = deployment.zmount("verify", "--all")
    named = deployment.zmount("verify", "more")

    assert everything.returncode == 0
    assert everything.stdout.splitlines()[1] == "more: empty"
    assert named.returncode == 12
    assert named.stdout == ""
    assert "No such file" in named.stderr


def test_one_that_cannot_be_read_does_not_hide_the_others(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(TWO)
    fill(data_fs(deployment))
    data_fs(deployment, "more").write_text("This is a letter.")

    unreadable = deployment.zmount("verify", "--all")
    damage(data_fs(deployment))
    both = deployment.zmount("verify", "--all", "--json")

    assert unreadable.returncode == 12
    assert unreadable.stdout.startswith("content: sound")
    assert "does not begin as a FileStorage does" in unreadable.stderr
    assert both.returncode == 14
    assert [each["result"] for each in json.loads(both.stdout)] == ["damaged", "failed"]


def test_references_into_another_storage_are_looked_up(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(MOUNTED)
    other = fill(data_fs(deployment, "more"))
    databases: dict[str, DB] = {}
    for name in ("content", "more"):
        storage = FileStorage(str(data_fs(deployment, name)))
        databases[name] = DB(storage, database_name=name, databases=databases)
    with databases["content"].transaction() as connection:
        page = connection.get_connection("more").root()["Application"]["home"]["page"]
        connection.root()["link"] = page
    for database in databases.values():
        database.close()

    sound = deployment.zmount("verify", "content")
    shutil.copy(data_fs(deployment, "more"), data_fs(deployment, "more").with_name("kept"))
    data_fs(deployment, "more").unlink()
    FileStorage(str(data_fs(deployment, "more"))).close()
    damaged = deployment.zmount("verify", "content")

    assert (sound.returncode, "not looked up" in sound.stdout) == (0, False)
    assert damaged.returncode == 14
    assert f"it refers to oid {other:#x} of database more, not there" in damaged.stdout
    alone = subprocess.run(
        [sys.executable, "-m", "zmount", "verify", "--file", str(data_fs(deployment))],
        capture_output=True,
        text=True,
    )
    assert alone.returncode == 0
    assert "not looked up: 1 object of the database more" in alone.stdout


def test_any_data_file_with_the_blobs_beside_it(tmp_path: Path) -> None:
    def verify(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "zmount", "verify", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    storage = FileStorage(str(tmp_path / "Data.fs"), blob_dir=str(tmp_path / "blobs"))
    database = DB(storage)
    with database.transaction() as connection:
        connection.root()["blob"] = Blob(b"content")
    database.close()

    beside = verify("--file", "Data.fs")
    (blob,) = (tmp_path / "blobs").rglob("*.blob")
    blob.rename(blob.with_name("0x0000000000000001.blob"))
    missing = verify("--file", "Data.fs")
    (tmp_path / "blobs").rename(tmp_path / "elsewhere")
    unseen = verify("--file", "Data.fs")
    elsewhere = verify("--file", "Data.fs", "--blobs", "elsewhere")

    assert beside.returncode == 0
    assert "Data.fs: sound; 2 objects, 3 records, 1 blob" in beside.stdout
    assert (missing.returncode, elsewhere.returncode) == (14, 14)
    assert missing.stdout.count(" [blob]") == elsewhere.stdout.count(" [blob]") == 2
    assert (unseen.returncode, "blobs" in unseen.stdout) == (0, False)


def test_what_to_verify_must_be_said_once(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    for arguments in (
        (),
        ("content", "--all"),
        ("--all", "--file", "x"),
        ("--blobs", "x", "--all"),
    ):
        done = deployment.zmount("verify", *arguments)
        assert done.returncode == 2, arguments
        assert "Usage: zmount verify" in done.stderr
    assert deployment.zmount("verify", "nothing").returncode == 3


def test_the_topology_may_be_said_after_the_command(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    fill(data_fs(deployment))
    command = [sys.executable, "-m", "zmount", "verify", "content", "-f", str(deployment.conf)]

    assert subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize("path", ["", ".", "/"])
def test_what_has_no_name_is_a_directory_and_no_traceback(path: str):
    done = CliRunner().invoke(main, ["verify", "--file", path])

    assert done.exit_code == 12
    assert "this is a directory, not a FileStorage" in done.output
