"""Which indexes are looked at before which process, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deployments import ZEO_AND_ZOPE, ZOPE_ALONE, Deployment
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.utils import p64, z64

from zmount.filestorage.pack_files import PackFiles
from zmount.operations.start_indexes import ready_indexes
from zmount.topology.references import data_files

IN_A_WRAPPER = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content>
  <zlibstorage>
    <filestorage>
      path var/compressed.fs
    </filestorage>
  </zlibstorage>
</storage>
"""


def data_fs(deployment: Deployment, storage: str) -> Path:
    (path,) = data_files(deployment.topology.storage(storage))
    return Path(path)


def write(path: Path, *sizes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    storage = FileStorage(str(path))
    for oid, size in enumerate(sizes):
        transaction = TransactionMetaData()
        storage.tpc_begin(transaction)
        storage.store(p64(oid), z64, b"cA\nB\n.N." + b"x" * size, "", transaction)
        storage.tpc_vote(transaction)
        storage.tpc_finish(transaction)
    storage.close()


def with_a_foreign_index(path: Path) -> bytes:
    """Let PATH have another file's index; return what is right."""
    index = path.with_name(path.name + ".index")
    write(path, 100, 200, 300)
    right = index.read_bytes()
    other = path.with_name("other.fs")
    write(other, 100, 300, 200)
    index.write_bytes(other.with_name("other.fs.index").read_bytes())
    return right


def test_an_instance_opens_its_root_and_a_zeo_server_what_it_serves(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_AND_ZOPE)
    topology = deployment.topology
    root = with_a_foreign_index(data_fs(deployment, "root/pub"))
    content = with_a_foreign_index(data_fs(deployment, "content"))

    (of_zope,) = ready_indexes(topology, deployment.process("pub"))
    assert of_zope.startswith("the index of root/pub built in 0.")
    assert data_fs(deployment, "root/pub").with_name("Data.fs.index").read_bytes() == root
    assert data_fs(deployment, "content").with_name("Data.fs.index").read_bytes() != content

    (of_zeo,) = ready_indexes(topology, deployment.process("zeo"))
    assert of_zeo.startswith("the index of content built in 0.")
    assert data_fs(deployment, "content").with_name("Data.fs.index").read_bytes() == content


def test_a_file_in_another_section_is_found(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(IN_A_WRAPPER)
    with_a_foreign_index(data_fs(deployment, "content"))
    (said,) = ready_indexes(deployment.topology, deployment.process("zeo"))
    assert said.startswith("the index of content built in 0.")


def test_what_is_not_there_yet_or_open_is_left_alone(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZOPE_ALONE)
    path = data_fs(deployment, "root/pub")
    assert ready_indexes(deployment.topology, deployment.process("pub")) == ()
    assert not path.exists()
    with_a_foreign_index(path)
    storage = FileStorage(str(path))
    assert ready_indexes(deployment.topology, deployment.process("pub")) == ()
    storage.close()


def test_a_directory_that_cannot_be_written_is_no_reason_not_to_start(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZOPE_ALONE)
    path = data_fs(deployment, "root/pub")
    with_a_foreign_index(path)
    (path.parent / "Data.fs.index.new").mkdir()
    (said,) = ready_indexes(deployment.topology, deployment.process("pub"))
    assert said.startswith("the index of root/pub could not be made ready: ")
    assert not path.with_name("Data.fs.index").exists()


def test_what_a_pack_left_that_was_killed_is_put_right_before_the_index(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZOPE_ALONE)
    path = data_fs(deployment, "root/pub")
    right = with_a_foreign_index(path)
    files = PackFiles(path)
    files.index.rename(files.new_index)
    files.new_index.write_bytes(right)
    files.new.hardlink_to(path)  # so that the note names the inode of the data file
    files.note_switch()
    files.new.unlink()

    (said,) = ready_indexes(deployment.topology, deployment.process("pub"))

    assert said == f"{path}: it is packed: the pack was interrupted after that"
    assert files.index.read_bytes() == right
    assert not list(path.parent.glob("Data.fs.pack*"))


def test_leftovers_that_cannot_be_removed_are_no_reason_not_to_start(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZOPE_ALONE)
    path = data_fs(deployment, "root/pub")
    write(path, 100)
    PackFiles(path).progress.mkdir()

    (said,) = ready_indexes(deployment.topology, deployment.process("pub"))

    assert said.startswith(f"what an interrupted pack left of root/pub stays: {path}.pack-progress")


def test_what_filestorage_will_cut_off_is_said_before(deploy: Callable[[str], Deployment]):
    deployment = deploy(ZEO_AND_ZOPE)
    path = data_fs(deployment, "content")
    write(path, 100, 200, 300)
    whole = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(whole - 10)

    *_, said = ready_indexes(deployment.topology, deployment.process("zeo"))

    last = whole // 3
    assert "bytes are no whole transaction; FileStorage cuts them off, into Data.fs.tr0" in said
    assert str(path) in said and "zmount verify content" in said
    cut = int(said.partition("its last ")[2].split()[0].replace(",", ""))
    assert last < cut < whole
    FileStorage(str(path)).close()
    assert path.with_name("Data.fs.tr0").stat().st_size == cut
    assert not [
        note
        for note in ready_indexes(deployment.topology, deployment.process("zeo"))
        if "whole" in note
    ]
