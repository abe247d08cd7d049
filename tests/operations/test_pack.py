"""Storages are packed while they are served, from their files, and each for itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from certificates import make_certificates
from deployments import Deployment, wait_until
from fillings import OBJECTS, fill, garbage, numbers, opened, slow_packer
from persistent.mapping import PersistentMapping
from ZODB.Connection import TransactionMetaData

from zmount.effects.history import entries, history_file
from zmount.effects.serving import is_served
from zmount.errors import Locked, PackFailed, UnknownName
from zmount.operations.pack import Event, PackProgress, pack
from zmount.operations.pack_plan import PackJob, PackWish
from zmount.operations.packed import Packed, PackResult
from zmount.operations.show import show

THREE = """
{top}
<zeo zeo>
  address var/zeo.sock
  {zeo}
</zeo>
<storage a>
  {storage}
</storage>
<storage b/>
<storage c/>
"""
TLS = """
%define certificates {certificates}
<client>
  <ssl>
    certificate $certificates/client.pem
    key $certificates/client.key
    key-passphrase open sesame
    authenticate $certificates/server.pem
    server-hostname localhost
  </ssl>
</client>
<zeo zeo>
  address 127.0.0.1:{port2}
  <ssl>
    certificate $certificates/server.pem
    key $certificates/server.key
    authenticate $certificates/client.pem
  </ssl>
</zeo>
<storage a/>
<instance pub>
  http-address {port}
  <mount a>
    mount-point /a
  </mount>
</instance>
"""
SLOW = "<environment>\nPYTHONPATH {directory}\n</environment>"
Deploy = Callable[[str], Deployment]


@pytest.fixture
def running() -> Iterator[Callable[[Deployment], None]]:
    """A function that runs a deployment's ZEO server until the test ends."""
    children: list[subprocess.Popen[bytes]] = []

    def run(deployment: Deployment) -> None:
        process = deployment.process("zeo")
        children.append(subprocess.Popen(process.program, stderr=subprocess.DEVNULL))
        server = deployment.topology.zeo_server("zeo")
        wait_until(lambda: is_served(server, server.host), "the ZEO server answers")

    yield run
    for child in children:
        child.terminate()
        child.wait(10)


def three(top: str = "", zeo: str = "", storage: str = "") -> str:
    return THREE.replace("{top}", top).replace("{zeo}", zeo).replace("{storage}", storage)


def data_fs(deployment: Deployment, name: str) -> Path:
    return deployment.directory / "var" / name / "Data.fs"


def packs(
    deployment: Deployment,
    *names: str,
    watch: Callable[[Event], None] = lambda _: None,
    **wish: Any,
) -> PackResult:
    """Pack the storages NAMES of DEPLOYMENT, or all, keeping no history."""
    wish = {"days": 0, **wish}
    return pack(deployment.topology, deployment.host, PackWish(names=names, **wish), watch)


def only(result: PackResult) -> Packed:
    (found,) = result.storages
    return found


def surviving() -> set[object]:
    return {number for number in range(OBJECTS) if number % 3}


def test_a_storage_that_nobody_has_open_is_packed_from_its_file(deploy: Deploy):
    deployment = deploy(three())
    fill(data_fs(deployment, "a"))
    before = data_fs(deployment, "a").stat().st_size

    found = only(packs(deployment, "a"))

    assert (found.done, found.way, found.error) == ("packed", "file", None)
    assert found.size_before == before
    assert found.size_after == data_fs(deployment, "a").stat().st_size
    assert found.objects_dropped == OBJECTS // 3 + 1
    assert found.blobs_removed == 1
    assert numbers(data_fs(deployment, "a")) == surviving()
    assert garbage(data_fs(deployment, "a")) == 0


def test_a_storage_that_is_served_is_packed_by_its_server_which_goes_on(
    deploy: Deploy, running: Callable[[Deployment], None]
):
    deployment = deploy(three())
    fill(data_fs(deployment, "a"))
    running(deployment)

    found = only(packs(deployment, "a"))

    assert (found.done, found.way, found.error) == ("packed", "ZEO", None)
    assert found.objects_dropped == OBJECTS // 3 + 1
    assert found.commit_stall_s is not None and 0 < found.commit_stall_s < 5
    assert only(packs(deployment, "a")).done == "nothing to free"


def test_a_server_that_asks_for_certificates_packs_too(
    deploy: Deploy, running: Callable[[Deployment], None], tmp_path: Path
):
    make_certificates(tmp_path)
    deployment = deploy(TLS.replace("{certificates}", str(tmp_path)))
    fill(data_fs(deployment, "a"))
    running(deployment)

    found = only(packs(deployment, "a"))

    assert (found.done, found.way, found.error) == ("packed", "ZEO", None)


@pytest.mark.parametrize("is_up", [True, False])
def test_a_dry_run_says_what_the_pack_then_does_and_changes_nothing(
    deploy: Deploy, running: Callable[[Deployment], None], is_up: bool
):
    deployment = deploy(three())
    path = data_fs(deployment, "a")
    fill(path)
    if is_up:
        running(deployment)
    content = path.read_bytes()

    said = only(packs(deployment, "a", is_dry_run=True))

    assert path.read_bytes() == content
    assert not history_file(deployment.conf).exists()
    done = only(packs(deployment, "a"))
    assert (said.done, done.done) == ("would be packed", "packed")
    for figure in (
        "way size_before size_after freed_bytes objects_dropped revisions_dropped blobs_removed "
        "dangling dangling_count unknown_records gc days"
    ).split():
        assert getattr(said, figure) == getattr(done, figure), figure


def test_a_dry_run_where_nothing_can_be_freed_says_so(deploy: Deploy):
    deployment = deploy(three())
    fill(data_fs(deployment, "a"))
    packs(deployment, "a")

    assert only(packs(deployment, "a", is_dry_run=True)).done == "nothing to free"


@pytest.mark.parametrize("is_up", [True, False])
def test_garbage_stays_where_that_is_wished_and_no_request_is_left_behind(
    deploy: Deploy, running: Callable[[Deployment], None], is_up: bool
):
    deployment = deploy(three())
    path = data_fs(deployment, "a")
    fill(path)
    if is_up:
        running(deployment)

    found = only(packs(deployment, "a", keeps_garbage=True))

    assert (found.done, found.gc, found.objects_dropped) == ("packed", False, 0)
    assert found.revisions_dropped
    assert not path.with_name("Data.fs.pack-options").exists()
    assert found.size_after is not None and found.size_after > 20_000  # with the garbage


def test_the_policy_of_the_topology_keeps_history(deploy: Deploy):
    deployment = deploy(three(storage="pack-days 1"))
    fill(data_fs(deployment, "a"))

    assert only(packs(deployment, "a", days=None)).done == "nothing to free"


def test_with_the_stock_packer_sizes_are_known_and_no_more(deploy: Deploy):
    deployment = deploy(three(top="packer stock"))
    fill(data_fs(deployment, "a"))

    found = only(packs(deployment, "a"))

    assert (found.done, found.objects_dropped) == ("packed", None)
    assert found.freed_bytes is not None and found.freed_bytes > 0
    assert found.notes == ("its packer told no figures",)
    assert numbers(data_fs(deployment, "a")) == surviving()


def test_a_compressed_storage_is_packed_from_its_file(deploy: Deploy):
    section = (
        "<zlibstorage>\n<filestorage>\npath {directory}/var/a/Data.fs\n"
        "blob-dir {directory}/var/a/blobs\npacker zmount.filestorage.packer.pack\n"
        "</filestorage>\n</zlibstorage>"
    )
    deployment = deploy("%import zc.zlibstorage\n" + three(storage=section))
    fill(data_fs(deployment, "a"))

    found = only(packs(deployment, "a"))

    assert (found.done, found.objects_dropped) == ("packed", OBJECTS // 3 + 1)
    assert numbers(data_fs(deployment, "a")) == surviving()


def test_create_which_empties_a_file_at_each_start_does_not_at_a_pack(deploy: Deploy):
    deployment = deploy(three(storage="create on"))
    fill(data_fs(deployment, "a"))

    packs(deployment, "a")

    assert numbers(data_fs(deployment, "a")) == surviving()


def test_a_file_that_another_process_has_open_is_left_alone_naming_it(deploy: Deploy):
    deployment = deploy(three())
    path = data_fs(deployment, "a")
    fill(path)
    content = path.read_bytes()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from ZODB.FileStorage import FileStorage\n"
            "storage = FileStorage(sys.argv[1]); print(flush=True); sys.stdin.read()",
            str(path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        found = only(packs(deployment, "a"))
    finally:
        holder.communicate()

    assert found.done == "failed"
    assert f"pid {holder.pid} " in str(found.error)
    assert path.read_bytes() == content


def test_one_that_fails_does_not_keep_the_others_from_being_packed(deploy: Deploy):
    deployment = deploy(three())
    for name in "abc":
        fill(data_fs(deployment, name))
    damaged = bytearray(data_fs(deployment, "b").read_bytes())
    damaged[12:20] = b"\xff" * 8  # the length of the first transaction
    data_fs(deployment, "b").write_bytes(damaged)

    result = packs(deployment)

    assert [each.done for each in result.storages] == ["packed", "failed", "packed"]
    assert "damaged at byte" in str(result.storages[1].error)
    with pytest.raises(PackFailed, match="1 of 3 was not packed: b"):
        result.refuse_failures()
    assert data_fs(deployment, "b").read_bytes() == damaged
    assert numbers(data_fs(deployment, "c")) == surviving()


def test_what_another_database_may_refer_to_is_kept_and_what_cannot_be_read_forbids_gc(
    deploy: Deploy,
):
    other = "<host here>\naddress 127.0.0.1\n</host>\n<host there/>\n<zeo zeo>\nhost here\n"
    text = three().replace("<zeo zeo>", other) + (
        "<instance pub>\nhost there\n<mount a>\nmount-point /a\n</mount>\n</instance>\n"
    )
    deployment = deploy(text)
    fill(data_fs(deployment, "a"))
    content = data_fs(deployment, "a").read_bytes()

    found = only(packs(deployment, "a"))

    assert found.error is not None
    assert "there:root/pub: its file is on another host" in str(found.error)
    assert "--no-gc" in found.error.hint
    assert data_fs(deployment, "a").read_bytes() == content
    assert only(packs(deployment, "a", keeps_garbage=True)).done == "packed"


def test_an_object_that_only_another_database_refers_to_stays(deploy: Deploy):
    """Two databases of one instance; an object of ``a`` hangs on the instance's root alone."""
    deployment = deploy(
        "<storage a/>\n<instance pub>\nhttp-address {port}\n<mount a>\nmount-point /a\n"
        "</mount>\n</instance>\n"
    )
    from ZODB import DB
    from ZODB.FileStorage import FileStorage

    databases: dict[str, DB] = {}
    paths = {"a": data_fs(deployment, "a"), "main": deployment.directory / "pub_client/var/Data.fs"}
    for name, path in paths.items():
        DB(FileStorage(str(path)), database_name=name, databases=databases)
    with databases["main"].transaction() as connection:
        foreign = PersistentMapping(kept="yes")
        connection.get_connection("a").add(foreign)
        connection.get_connection("a").root()["for a moment"] = foreign
        connection.root()["foreign"] = foreign
    with databases["a"].transaction() as connection:
        del connection.root()["for a moment"]
    for database in databases.values():
        database.close()

    result = packs(deployment, "a", "root/pub")

    assert [each.error for each in result.storages] == [None, None]
    with opened(paths["a"]) as database:
        assert b"kept" in database.storage.load(foreign._p_oid)[0]


@pytest.mark.parametrize("is_dry_run", [True, False])
def test_a_reference_to_what_is_gone_is_told_with_who_holds_it(deploy: Deploy, is_dry_run: bool):
    deployment = deploy(three())
    fill(data_fs(deployment, "a"))
    with opened(data_fs(deployment, "a")) as database:
        with database.transaction() as connection:
            lost = connection.root()[1]
            lost._p_activate()
            oid, serial = lost._p_oid, lost._p_serial
        gone = TransactionMetaData()
        database.storage.tpc_begin(gone)
        database.storage.deleteObject(oid, serial, gone)
        database.storage.tpc_vote(gone)
        database.storage.tpc_finish(gone)

    found = only(packs(deployment, "a", is_dry_run=is_dry_run))

    assert found.error is None
    assert found.dangling_count == 1
    assert found.dangling == ((f"{int.from_bytes(oid, 'big'):#x}", "0x0"),)


def test_what_is_not_there_yet_is_not_made_by_packing_it(deploy: Deploy):
    deployment = deploy(three())

    result = packs(deployment)

    assert {each.done for each in result.storages} == {"skipped"}
    assert not data_fs(deployment, "a").exists()
    result.refuse_failures()


def test_an_empty_database_has_nothing_to_free(deploy: Deploy):
    deployment = deploy(three())
    with opened(data_fs(deployment, "a")):
        pass

    assert only(packs(deployment, "a")).done == "nothing to free"


def test_a_virtual_environment_that_is_gone_is_said(deploy: Deploy):
    deployment = deploy(three())
    fill(data_fs(deployment, "a"))
    deployment.rewrite("venv nowhere\n" + three())

    found = only(packs(deployment, "a"))

    assert f"{deployment.directory}/nowhere/bin/python is not there" in str(found.error)


def test_names_that_mean_nothing_or_something_elsewhere_are_refused(deploy: Deploy):
    deployment = deploy(three().replace("<zeo zeo>", "<host x/>\n<host y/>\n<zeo zeo>\nhost y"))

    with pytest.raises(UnknownName, match="no storage 'nope'"):
        packs(deployment, "nope")
    with pytest.raises(UnknownName, match="storage a is on host y, not on x"):
        packs(deployment, "a")


def test_every_pack_is_remembered_and_shown(deploy: Deploy):
    deployment = deploy(three())
    for name in "ab":
        fill(data_fs(deployment, name))
    packs(deployment)
    damaged = data_fs(deployment, "a")
    damaged.write_bytes(b"FS30" + b"\xff" * 200)
    packs(deployment, "a")

    found = entries(history_file(deployment.conf))
    assert [(each.subjects, each.result, each.exit_status) for each in found] == [
        (("a",), "done", 0),
        (("b",), "done", 0),
        (("a",), "failed", 17),
    ]
    last = show(deployment.topology, "b").facts["storages"][0]["last_pack"]
    assert last["result"] == "packed"
    assert last["freed_bytes"] == found[1].numbers["freed"] > 0
    assert show(deployment.topology, "c").facts["storages"][0]["last_pack"] is None


def test_a_history_that_cannot_be_written_is_one_line_and_stops_no_pack(
    deploy: Deploy, caplog: pytest.LogCaptureFixture
):
    deployment = deploy(three())
    for name in "ab":
        fill(data_fs(deployment, name))
    history_file(deployment.conf).mkdir()

    result = packs(deployment, "a", "b")

    assert [each.done for each in result.storages] == ["packed", "packed"]
    (said,) = caplog.messages
    assert "zmount.history cannot be written: it is a directory" in said


def test_two_packs_of_one_deployment_do_not_overlap(deploy: Deploy):
    deployment = deploy(three())
    fill(data_fs(deployment, "a"))
    refused: list[Locked] = []

    def watch(event: Event) -> None:
        if isinstance(event, Packed) and not refused:
            with pytest.raises(Locked) as caught:
                packs(deployment, "a")
            refused.append(caught.value)

    assert only(packs(deployment, "a", watch=watch)).done == "packed"
    assert "another zmount is at work here" in str(refused[0])


def test_who_watches_hears_of_the_beginning_the_phases_and_the_end(deploy: Deploy):
    deployment = deploy(three(zeo=SLOW, storage="packer slow:pack"))
    slow_packer(deployment.directory)
    fill(data_fs(deployment, "a"))
    heard: list[Event] = []

    def watch(event: Event) -> None:
        heard.append(event)
        if isinstance(event, PackProgress):
            (deployment.directory / "go").touch()

    packs(deployment, "a", watch=watch)

    assert isinstance(heard[0], PackJob)
    progress = next(each for each in heard if isinstance(each, PackProgress))
    assert (progress.phase, progress.done, progress.total) == ("slowly", 1, 2)
    assert isinstance(heard[-1], Packed)


@pytest.mark.parametrize("is_dry_run", [False, True])
def test_a_file_that_was_cut_short_is_not_packed_for_opening_it_would_cut_more(
    deploy: Deploy, is_dry_run: bool
):
    deployment = deploy(three())
    path = data_fs(deployment, "a")
    fill(path)
    content = path.read_bytes()[:-50]
    path.write_bytes(content)

    found = only(packs(deployment, "a", is_dry_run=is_dry_run))

    assert found.done == "failed"
    assert "bytes are no whole transaction; nothing was packed" in str(found.error)
    assert found.error is not None and "zmount verify" in found.error.hint
    assert path.read_bytes() == content
    assert not path.with_name("Data.fs.tr0").exists()


@pytest.mark.parametrize("is_dry_run", [False, True])
def test_what_is_no_filestorage_is_called_so_and_left_alone(deploy: Deploy, is_dry_run: bool):
    deployment = deploy(three())
    text, directory = data_fs(deployment, "a"), data_fs(deployment, "b")
    text.write_text("a letter")
    directory.mkdir()

    a, b = packs(deployment, "a", "b", is_dry_run=is_dry_run).storages

    assert str(a.error) == f"{text}: the file does not begin as a FileStorage does"
    assert str(b.error) == f"{directory}: this is a directory, not a FileStorage"
    assert text.read_text() == "a letter"


def test_what_failed_in_the_server_is_said_without_its_class(
    deploy: Deploy, running: Callable[[Deployment], None], monkeypatch: pytest.MonkeyPatch
):
    deployment = deploy(three(storage="packer failing:pack"))
    monkeypatch.setenv("PYTHONPATH", str(deployment.directory))
    (deployment.directory / "failing.py").write_text(
        "def pack(*args):\n    raise OSError(28, 'No space left on device')\n"
    )
    deployment.write_files()
    fill(data_fs(deployment, "a"))
    running(deployment)

    found = only(packs(deployment, "a"))

    assert str(found.error) == "the ZEO server says: No space left on device"
