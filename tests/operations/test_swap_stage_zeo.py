"""``zmount swap-stage`` with real ZEO servers, and with the files alone."""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import transaction
from persistent.mapping import PersistentMapping
from swapping import CONF, PRODUCTION, STAGING, Swaps, root_of
from ZODB import DB
from ZODB.blob import Blob
from ZODB.FileStorage import FileStorage
from ZODB.utils import load_current, p64

from zmount.effects.history import Search, entries, history_file
from zmount.effects.raw_records import RawDatabase
from zmount.effects.raw_storages import open_files
from zmount.effects.stage_files import changes_on, stage_state
from zmount.errors import Locked, SwapRefused, UnknownName
from zmount.operations.start_indexes import ready_indexes
from zmount.operations.swap_plan import SwapPlan
from zmount.operations.swap_stage import Event, Swapped, refuse_failures

TWO_SERVERS = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<zeo live>
  address var/live.sock
</zeo>
<storage pub/x.org>
  server live
</storage>
<site x.org>
  server zeo
</site>
"""
PLONE = Path(__file__).parents[1] / "data" / "plone-small.tar.xz"


def test_a_client_that_stays_up_sees_production(swaps: Swaps) -> None:
    staging = swaps.client(STAGING)
    assert "number" not in root_of(staging)

    done = swaps.swap()

    assert done.error is None
    assert done.done == "swapped"
    assert root_of(staging)["number"] == 1
    swaps.write(PRODUCTION, number=2)
    swaps.swap()
    assert root_of(staging)["number"] == 2
    assert done.state is not None and done.state.generation == 1


def test_what_production_gets_later_is_not_on_staging(swaps: Swaps) -> None:
    swaps.swap()
    staging = swaps.client(STAGING)

    swaps.write(PRODUCTION, number=7)

    assert root_of(staging)["number"] == 1


def test_a_dry_run_shows_the_plan_and_does_nothing(swaps: Swaps) -> None:
    events: list[Event] = []

    done = swaps.swap(is_dry_run=True, watch=events.append)

    assert done.done == "planned"
    (plan,) = (each for each in events if isinstance(each, SwapPlan))
    facts = plan.as_json()
    assert facts["way"] == "ZEO"
    assert facts["mode"] == "link"
    assert facts["production"]["last_written"] is not None
    assert facts["staging"]["changes"]["transactions"] == 0
    assert facts["needed_bytes"] < facts["free_bytes"]
    assert stage_state(swaps.staging).is_plain
    assert not entries(history_file(swaps.deployment.conf), Search(operation="swap-stage"))


def test_changes_are_never_dropped_unasked_and_kept_if_they_may_go(swaps: Swaps) -> None:
    swaps.swap()
    swaps.write(STAGING, user="/acl_users ann", draft=PersistentMapping())

    refused = swaps.swap()

    assert isinstance(refused.error, SwapRefused)
    assert "2 objects in 1 transaction" in str(refused.error)
    assert "by ann at 20" in str(refused.error)
    staging = swaps.client(STAGING)
    assert "draft" in root_of(staging)

    assert swaps.swap(drops_changes=True).done == "swapped"
    assert "draft" not in root_of(staging)
    assert swaps.swap(undoes=True).done == "undone"
    assert "draft" in root_of(staging)


def test_an_operator_is_asked_and_may_say_no(swaps: Swaps) -> None:
    swaps.write(STAGING, draft=1)
    asked: list[SwapPlan] = []

    def no(plan: SwapPlan) -> bool:
        asked.append(plan)
        return False

    assert swaps.swap(ask=no).done == "refused"
    assert [plan.drops.transactions for plan in asked] == [1]
    assert stage_state(swaps.staging).is_plain
    assert swaps.swap(ask=lambda plan: True).done == "swapped"


def test_what_is_changed_after_the_plan_was_shown_is_not_dropped(swaps: Swaps) -> None:
    swaps.swap()
    staging = swaps.client(STAGING)

    def write_meanwhile(event: Event) -> None:
        if isinstance(event, SwapPlan):
            swaps.write(STAGING, draft=1)

    refused = swaps.swap(watch=write_meanwhile)

    assert isinstance(refused.error, SwapRefused)
    assert "written to this very moment" in str(refused.error)
    assert root_of(staging)["draft"] == 1


def test_what_zmount_prepares_is_no_change(make: Callable[[str], Swaps]) -> None:
    swaps = make(CONF)
    swaps.write(PRODUCTION, number=1)
    database = DB(FileStorage(str(swaps.staging.data_fs), blob_dir=str(swaps.staging.blob_dir)))
    with database.transaction(note="zmount: prepare dev") as connection:
        connection.root()["Application"] = PersistentMapping()
    database.close()
    assert changes_on(swaps.staging).transactions == 0

    assert swaps.swap().done == "swapped"


def test_an_undo_of_an_undo_brings_production_again(swaps: Swaps) -> None:
    staging = swaps.client(STAGING)
    swaps.swap()

    for expected in ({}, {"number": 1}, {}):
        assert swaps.swap(undoes=True).done == "undone"
        assert root_of(staging) == expected


def test_an_undo_without_a_swap_is_refused(swaps: Swaps) -> None:
    done = swaps.swap(undoes=True)

    assert isinstance(done.error, SwapRefused)
    assert str(done.error) == "stage/x.org: it was never swapped"


def test_a_copy_is_a_file_of_its_own(swaps: Swaps) -> None:
    done = swaps.swap(mode="copy")

    assert done.error is None
    state = stage_state(swaps.staging)
    assert state.mode == "copy"
    production = swaps.deployment.topology.storage(PRODUCTION).data_fs
    assert production is not None
    assert not state.files[0].samefile(production)


def test_without_a_server_the_files_alone_are_swapped_and_undone(
    make: Callable[[str], Swaps],
) -> None:
    swaps = make(CONF)
    swaps.write(PRODUCTION, number=1)

    done = swaps.swap()

    assert done.error is None
    assert done.plan is not None and done.plan.seen.way == "files"
    swaps.start()
    assert root_of(swaps.client(STAGING))["number"] == 1
    swaps.stop()
    assert swaps.swap(undoes=True).error is None
    assert swaps.swap(undoes=True).error is None
    swaps.start()
    assert root_of(swaps.client(STAGING))["number"] == 1


def test_a_persistent_cache_does_not_lie_after_a_swap_of_the_files(
    make: Callable[[str], Swaps], tmp_path: Path
) -> None:
    swaps = make(CONF)
    swaps.write(PRODUCTION, number=1)
    swaps.write(STAGING, number="of staging")
    swaps.start()
    cache = {"client": "c", "var": str(tmp_path)}
    (tmp_path / "c-stage").mkdir()  # ZEO takes the storage's name for part of a path
    database = swaps.client(STAGING, **cache)
    assert root_of(database)["number"] == "of staging"
    swaps.databases.remove(database)
    database.close()
    swaps.stop()
    assert list(tmp_path.rglob("*.zec")), "the client has remembered it"

    swaps.swap(drops_changes=True)
    swaps.start()

    assert root_of(swaps.client(STAGING, **cache))["number"] == 1


@pytest.mark.parametrize("is_up", [True, False])
def test_production_may_have_another_server_or_none_that_runs(
    make: Callable[[str], Swaps], is_up: bool
) -> None:
    swaps = make(TWO_SERVERS)
    swaps.write(PRODUCTION, number=1)
    swaps.start("zeo")
    if is_up:
        swaps.start("live")
        swaps.write(PRODUCTION, number=2)
    staging = swaps.client(STAGING)

    done = swaps.swap()

    assert done.error is None
    assert root_of(staging)["number"] == (2 if is_up else 1)


def test_a_server_that_started_before_is_told_of(make: Callable[[str], Swaps]) -> None:
    swaps = make("stage-mode none\n" + CONF)
    swaps.write(PRODUCTION, number=1)
    swaps.start()
    swaps.deployment.rewrite(CONF)
    swaps.deployment.write_files()

    done = swaps.swap()

    assert isinstance(done.error, SwapRefused)
    assert "runs with an older zeo.conf" in str(done.error)
    assert done.error.hint == "zmount apply, zmount restart zeo"


def test_files_that_no_zeo_conf_serves_as_a_stage_are_left_alone(
    make: Callable[[str], Swaps],
) -> None:
    swaps = make("stage-mode none\n" + CONF)
    swaps.write(PRODUCTION, number=1)
    swaps.deployment.rewrite(CONF)  # and not applied: the server would serve the plain file

    done = swaps.swap()

    assert isinstance(done.error, SwapRefused)
    assert done.error.hint == "zmount apply"


def test_files_that_somebody_has_open_are_left_alone(make: Callable[[str], Swaps]) -> None:
    swaps = make(CONF)
    swaps.write(PRODUCTION, number=1)
    storage = FileStorage(str(swaps.staging.data_fs))
    try:
        done = swaps.swap()
    finally:
        storage.close()

    assert isinstance(done.error, Locked)
    assert "has it open, and no ZEO server answers for it" in str(done.error)


@pytest.mark.parametrize(
    ("site", "why"),
    [("y.org", "it has no staging storage"), ("z.org", "zmount.conf says stage-mode none")],
)
def test_a_site_that_cannot_be_swapped_says_why(swaps: Swaps, site: str, why: str) -> None:
    done = swaps.swap(site)

    assert isinstance(done.error, SwapRefused)
    assert str(done.error).endswith(why)
    with pytest.raises(SwapRefused):
        refuse_failures((done,))


def test_an_unknown_site_is_refused(swaps: Swaps) -> None:
    with pytest.raises(UnknownName, match=r"there is no site 'x\.or'"):
        swaps.swap("x.or")


def test_all_are_those_that_can_be(swaps: Swaps) -> None:
    assert [each.site.name for each in swaps.all(is_all=True)] == ["x.org"]


def test_an_empty_production_is_refused(make: Callable[[str], Swaps]) -> None:
    swaps = make(CONF)
    swaps.start()

    done = swaps.swap()

    assert str(done.error) == "stage/x.org: production, pub/x.org, is empty"


def test_of_two_swaps_at_once_one_is_refused_and_the_other_done(swaps: Swaps) -> None:
    results: list[Swapped] = []
    both = threading.Barrier(2)

    def swap() -> None:
        def wait(event: Event) -> None:
            if isinstance(event, SwapPlan):
                both.wait(10)

        results.append(swaps.swap(watch=wait))

    threads = [threading.Thread(target=swap) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    done = sorted(each.done for each in results)
    assert done in (["refused", "swapped"], ["swapped", "swapped"])  # one after the other
    assert root_of(swaps.client(STAGING))["number"] == 1


def test_history_remembers_who_dropped_what(swaps: Swaps) -> None:
    swaps.write(STAGING, draft=1)
    swaps.swap(drops_changes=True)
    swaps.swap(undoes=True)

    found = entries(history_file(swaps.deployment.conf), Search(operation="swap-stage"))
    first, second = [each.numbers for each in found]

    assert {each.subjects for each in found} == {("x.org", STAGING)}
    assert (first["result"], first["generation"], first["mode"]) == ("swapped", 1, "link")
    assert first["dropped_transactions"] == 1
    assert found[0].plan[0].startswith("drops 1 object of ")
    assert (second["result"], second["generation"], second["from_generation"]) == ("undone", 0, 1)


def test_status_and_show_tell_what_staging_shows(swaps: Swaps) -> None:
    swaps.swap()
    swaps.write(STAGING, draft=1)

    shown = json.loads(swaps.deployment.zmount("show", "x.org", "--json").stdout)["sites"][0]
    listed = swaps.deployment.zmount("show").stdout
    status = json.loads(swaps.deployment.zmount("status", "--json").stdout)

    facts = shown["staging_shows"]
    assert facts["generation"] == 1
    assert facts["changes"]["transactions"] == 1
    assert [kept["generation"] for kept in facts["kept"]] == [0]
    assert "; changed: 1 object in 1 transaction" in listed
    (stage,) = (each for each in status["storages"] if each["name"] == STAGING)
    assert stage["shows"]["production_tid"] == facts["production_tid"]


def test_a_stage_packs_its_changes_up_and_down_and_loses_nothing(swaps: Swaps) -> None:
    swaps.write(PRODUCTION, kept=PersistentMapping(of="production"))
    swaps.swap()
    for number in range(5):
        swaps.write(STAGING, draft=number)

    through = swaps.deployment.zmount("pack", "--days", "0", STAGING)
    assert through.returncode == 0, through.stderr
    staging = swaps.client(STAGING)
    assert root_of(staging)["draft"] == 4
    assert root_of(staging)["kept"]["of"] == "production"
    swaps.write(STAGING, draft=5)
    swaps.write(STAGING, draft=6)
    for database in swaps.databases:
        database.close()
    swaps.databases.clear()
    swaps.stop()
    done = swaps.deployment.zmount("pack", "--days", "0", "--json", STAGING)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["storages"][0]["result"] == "packed"
    swaps.start()
    found = root_of(swaps.client(STAGING))
    assert (found["draft"], found["kept"]["of"], found["number"]) == (6, "production", 1)


def test_verify_finds_nothing_wrong_with_changes_that_refer_to_their_base(swaps: Swaps) -> None:
    swaps.write(PRODUCTION, kept=PersistentMapping())
    swaps.swap()
    swaps.write(STAGING, draft=1)  # the root, which refers to what only the base holds

    done = swaps.deployment.zmount("verify", STAGING)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_script_is_refused_in_one_line_and_its_status(swaps: Swaps) -> None:
    swaps.write(STAGING, draft=1)

    done = swaps.deployment.zmount("swap-stage", "x.org")

    assert done.returncode == 18
    assert done.stderr.startswith("zmount: stage/x.org: 1 object in 1 transaction that production")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("mode", ["link", "copy"])
def test_a_plone_database_is_on_staging_to_the_last_object_and_blob(
    make: Callable[[str], Swaps], tmp_path: Path, mode: str
) -> None:
    swaps = make(CONF)
    with tarfile.open(PLONE) as archive:
        archive.extractall(tmp_path, filter="fully_trusted")  # it is ours
    production = swaps.deployment.topology.storage(PRODUCTION)
    shutil.copy(tmp_path / "filestorage" / "Prod.fs", str(production.data_fs))
    shutil.copytree(tmp_path / "blobs", str(production.blob_dir), dirs_exist_ok=True)
    swaps.start()
    staging = swaps.client(STAGING, blob_dir=str(tmp_path / "cache"))

    done = swaps.swap(mode=mode)

    assert done.error is None, done.error
    live = FileStorage(str(production.data_fs), read_only=True, blob_dir=str(production.blob_dir))
    client = staging.storage
    count = blobs = 0
    for oid in list(live._index):
        count += 1
        assert load_current(client, oid) == load_current(live, oid)
    for path in Path(str(production.blob_dir)).rglob("*.blob"):
        oid = p64(int("".join(part[2:] for part in path.parent.parts[-8:]), 16))
        serial = bytes.fromhex(path.stem[2:])
        assert Path(client.loadBlob(oid, serial)).read_bytes() == path.read_bytes()
        blobs += 1
    live.close()
    assert count > 8000
    assert blobs == 4


def test_production_on_another_volume_is_copied_and_that_is_said(
    make: Callable[[str], Swaps], tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        if Path(elsewhere).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("/dev/shm is no volume of its own here")
        swaps = make(f"<storage pub/x.org>\npath {elsewhere}/Data.fs\n</storage>\n{CONF}")
        swaps.write(PRODUCTION, number=1)
        swaps.start()

        done = swaps.swap()

        assert done.error is None
        assert done.plan is not None and done.plan.mode == "copy"
        assert done.plan.why_copied == f"{elsewhere}/Data.fs is on another volume"
        assert done.plan.needed_bytes is not None
        assert root_of(swaps.client(STAGING))["number"] == 1
        swaps.close()


def test_whoever_reads_files_reads_what_staging_shows(swaps: Swaps) -> None:
    swaps.swap()
    swaps.write(STAGING, draft=1)
    storage = open_files(swaps.staging)
    database = RawDatabase(storage, STAGING)

    root = database.root()

    assert root["number"] == 1
    assert root["draft"] == 1
    database.close()


def test_the_index_of_the_changes_is_made_ready_before_a_start(swaps: Swaps) -> None:
    swaps.swap()
    swaps.write(STAGING, draft=1)
    swaps.stop()
    changes = stage_state(swaps.staging).files[-1]
    production = swaps.deployment.topology.storage(PRODUCTION)
    shutil.copy(str(production.index), changes.with_name("changes.fs.index"))

    notes = ready_indexes(swaps.deployment.topology, swaps.deployment.process("zeo"))

    assert any("the index of stage/x.org" in note for note in notes), notes
    swaps.start()
    assert root_of(swaps.client(STAGING))["draft"] == 1


def test_blobs_are_productions_and_come_back(swaps: Swaps, tmp_path: Path) -> None:
    for number in range(2):
        database = swaps.client(PRODUCTION, blob_dir=str(tmp_path / "p"))
        with database.transaction() as connection:
            connection.root()["blob"] = blob = Blob()
            with blob.open("w") as file:
                file.write(b"%d" % number * 1000)
        swaps.swap()
    staging = swaps.client(STAGING, blob_dir=str(tmp_path / "s"))

    def content() -> bytes:
        manager = transaction.TransactionManager()
        connection = staging.open(manager)
        with connection.root()["blob"].open("r") as file:
            found = bytes(file.read())
        connection.close()
        return found

    assert content() == b"1" * 1000
    swaps.swap(undoes=True)
    assert content() == b"0" * 1000


def test_generations_that_cannot_be_read_are_no_traceback_and_a_swap_puts_them_right(
    swaps: Swaps,
) -> None:
    swaps.swap()
    generations = Path(str(swaps.staging.stage.generations))
    (generations / "current").unlink()
    (generations / "current").mkdir()  # so that even root cannot read where it leads

    for command in ("status", "show", "pack --dry-run", "verify", "swap-stage x.org"):
        done = swaps.deployment.zmount(*command.split())
        assert "Traceback" not in done.stderr, (command, done.stderr)
    assert done.returncode == 0, done.stderr
    assert not stage_state(swaps.staging).broken
