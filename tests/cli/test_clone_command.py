"""``zmount clone`` as a person or cron meets it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import transaction
from deployments import ZEO_ONLY, Deployment
from test_index_command import data_fs, fill
from ZEO import ClientStorage
from ZODB.blob import Blob
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage


def test_a_served_storage_is_cloned_with_its_blobs(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    assert deployment.zmount("start").returncode == 0
    address = str(deployment.process("zeo").address)
    client = ClientStorage.ClientStorage(
        address, storage="content", blob_dir=str(deployment.directory / "cache"), wait_timeout=10
    )
    database = DB(client)
    connection = database.open()
    blob = Blob()
    with blob.open("w") as file:
        file.write(b"content")
    connection.root()["blob"] = blob
    transaction.commit()

    target = deployment.directory / "clone"
    done = deployment.zmount("clone", "content", str(target))
    connection.root()["later"] = 1
    transaction.commit()
    connection.close()
    database.close()

    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.startswith("content: 2 objects, ")
    assert f" to {target}/" in first
    assert second == f"blobs in {target}/blobs: 1 linked, 0 copied"
    path = target / data_fs(deployment).name
    storage = FileStorage(str(path), blob_dir=str(target / "blobs"))
    assert storage._used_index == 0 or path.stat().st_size > 100
    opened = DB(storage)
    with opened.transaction() as copy:
        assert copy.root()["blob"].open().read() == b"content"
        assert "later" not in copy.root()
    opened.close()


def test_as_json_it_has_numbers(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    path = data_fs(deployment)
    fill(path, sizes=(100, 200))
    target = deployment.directory / "clone"

    said = json.loads(deployment.zmount("clone", "content", str(target), "--json").stdout)

    assert said["storage"] == "content"
    assert said["size"] == path.stat().st_size
    assert said["objects"] == 2
    assert said["last_tid"].startswith("0x0")
    assert Path(said["data_fs"]).read_bytes() == path.read_bytes()


def test_a_relative_directory_is_where_one_stands(
    deploy: Callable[[str], Deployment], tmp_path: Path
) -> None:
    deployment = deploy(ZEO_ONLY)
    fill(data_fs(deployment))
    done = subprocess.run(
        [sys.executable, "-m", "zmount", "-f", str(deployment.conf), "clone", "content", "here"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here" / data_fs(deployment).name).exists()


def test_nothing_is_overwritten(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    fill(data_fs(deployment))

    done = deployment.zmount("clone", "content", str(deployment.directory))

    assert (done.returncode, done.stdout) == (5, "")
    assert "is not empty: there is" in done.stderr
    assert "try: name a directory that is empty or not there yet" in done.stderr


def test_what_cannot_be_cloned_is_said_in_a_line(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    path = data_fs(deployment)
    target = deployment.directory / "clone"
    missing = deployment.zmount("clone", "content", str(target))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"text")
    text = deployment.zmount("clone", "content", str(target))
    unknown = deployment.zmount("clone", "contents", str(target))
    nowhere = deployment.zmount("clone", "content", str(target / "a" / "b"))

    assert [each.returncode for each in (missing, text, unknown, nowhere)] == [12, 12, 3, 12]
    assert "No such file" in missing.stderr
    assert "does not begin as a FileStorage does" in text.stderr
    assert not target.exists()
    assert "Traceback" not in missing.stderr + text.stderr + unknown.stderr + nowhere.stderr


def test_a_clone_that_is_ended_leaves_nothing(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    fill(data_fs(deployment), sizes=(1 << 20,) * 100)
    target = deployment.directory / "clone"
    command = [sys.executable, "-m", "zmount", "-f", str(deployment.conf), "clone", "content"]
    with subprocess.Popen([*command, str(target)], stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not target.exists():
            pass
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode in (0, 130), said
    if process.returncode == 130:
        assert not target.exists() or not list(target.glob("Data.fs*"))
    assert deployment.zmount("clone", "content", str(target)).returncode in (0, 5)
