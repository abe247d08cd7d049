"""Which storages are packed how, judged by what was seen of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from topologies import topology_of

from zmount.effects.process_table import Owner
from zmount.operations.pack_plan import Left, PackJob, PackWish, Seen, plan_pack
from zmount.topology.storages import Storage

MAPPING = "<mappingstorage>\n</mappingstorage>"
DEMO = "<demostorage>\n<filestorage base>\npath b.fs\n</filestorage>\n</demostorage>"
SQL = "<relstorage>\n<postgresql>\ndsn x\n</postgresql>\n</relstorage>"
ZLIB = "<zlibstorage>\n<filestorage>\npath z.fs\n{}\n</filestorage>\n</zlibstorage>"
CRYPT = "<cryptstorage>\n<filestorage>\npath c.fs\n</filestorage>\n</cryptstorage>"
OURS = "packer zmount.filestorage.packer.pack"
SOMEBODY = Owner(pid=123, command=("runzeo",))
ALL = PackWish()


@pytest.fixture
def storage(tmp_path: Path) -> Callable[..., Storage]:
    """A function: the storage of a ZEO server, said by a text; ``content`` if nothing is."""

    def storage(said: str = "", name: str = "content") -> Storage:
        topology = topology_of(tmp_path, f"<zeo zeo/>\n<storage {name}>\n{said}\n</storage>\n")
        return topology.storage(name)

    return storage


def job(seen: Seen, wish: PackWish = ALL) -> PackJob:
    plan = plan_pack([seen], wish)
    assert plan.left == ()
    return plan.lanes[0][0]


def left(seen: Seen, wish: PackWish = ALL) -> Left:
    plan = plan_pack([seen], wish)
    assert plan.lanes == ()
    return plan.left[0]


def test_a_storage_that_is_served_is_packed_by_its_server_whoever_holds_the_lock(storage):
    found = job(Seen(storage=storage(), size_bytes=1, is_served=True, writer=SOMEBODY))

    assert found.way == "ZEO"


def test_one_that_nobody_has_open_is_packed_from_its_file(storage):
    assert job(Seen(storage=storage(), size_bytes=1)).way == "file"


def test_one_that_somebody_else_has_open_is_refused_naming_him(storage):
    found = left(Seen(storage=storage(), size_bytes=1, writer=SOMEBODY))

    assert found.why == "pid 123 (runzeo) has it open, and no server answers for it"
    assert found.hint == "zmount status zeo"
    assert found.is_failure


def test_a_running_instance_packs_its_own_root_if_its_administrator_is_known(storage):
    seen = Seen(
        storage=storage("server none"),
        size_bytes=1,
        writer=SOMEBODY,
        zope="pub",
        is_known_there=True,
    )

    assert job(seen).way == "Zope"


def test_the_root_of_a_running_instance_without_one_is_not_packed_and_that_is_a_failure(storage):
    seen = Seen(storage=storage("server none"), size_bytes=1, writer=SOMEBODY, zope="pub")

    assert "instance pub has it open" in left(seen).why
    assert "say administrator in zmount.conf" in left(seen).hint
    assert left(seen).is_failure  # cron must not be told that all is packed


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (MAPPING, "in memory only"),
        (DEMO, "DemoStorage can stop its whole server"),
        (SQL, "<relstorage> has no Data.fs to pack"),
        ("read-only on", "read-only"),
    ],
)
def test_what_is_nothing_to_pack_is_skipped_and_is_a_failure_only_if_named(storage, said, why):
    seen = Seen(storage=storage(said), size_bytes=1)

    assert why in left(seen).why
    assert not left(seen).is_failure
    assert left(seen, PackWish(names=("content",))).is_failure


def test_a_storage_without_a_file_yet_is_skipped(storage):
    assert left(Seen(storage=storage())).why == "it has no Data.fs yet"


def test_a_relstorage_is_packed_by_the_server_that_serves_it(storage):
    found = job(Seen(storage=storage(SQL), is_served=True))

    assert (found.way, found.data_fs) == ("ZEO", None)


def test_a_file_that_may_not_be_looked_at_is_a_failure(storage):
    found = left(Seen(storage=storage(), unseen="/x: Permission denied"))

    assert found.is_failure
    assert found.why == "/x: Permission denied"


def test_a_compressed_storage_is_packed_as_any_other(storage):
    assert job(Seen(storage=storage(ZLIB.format("")), size_bytes=1)).way == "file"


def test_what_only_its_server_understands_is_packed_by_it_alone(storage):
    seen = Seen(storage=storage(CRYPT), size_bytes=1)

    assert "<cryptstorage> can be packed by its running server only" in left(seen).why
    served = Seen(storage=storage(CRYPT), size_bytes=1, is_served=True)
    assert job(served).way == "ZEO"


def test_how_much_history_stays_the_storage_says_unless_the_operator_does(storage):
    seen = Seen(storage=storage("pack-days 7"), size_bytes=1)

    assert job(seen).days == 7
    assert job(seen, PackWish(days=0)).days == 0


@pytest.mark.parametrize("said", ["pack-gc off", ""])
def test_garbage_stays_if_the_storage_or_the_operator_says_so(storage, said):
    seen = Seen(storage=storage(said), size_bytes=1)

    assert job(seen).gc == (said == "")
    assert not job(seen, PackWish(keeps_garbage=True)).gc


def test_a_running_server_with_zmounts_packer_is_asked_to_keep_garbage(storage):
    seen = Seen(storage=storage(), size_bytes=1, is_served=True)

    assert job(seen, PackWish(keeps_garbage=True)).asks_to_keep
    assert not job(seen).asks_to_keep


def test_one_with_another_packer_cannot_be_asked_and_is_not_called(storage):
    seen = Seen(storage=storage("packer stock"), size_bytes=1, is_served=True)

    found = left(seen, PackWish(keeps_garbage=True))
    assert "only if it has zmount's packer" in found.why
    assert found.is_failure
    assert job(seen).gc
    on_file = Seen(storage=storage("packer stock"), size_bytes=1)
    assert not job(on_file, PackWish(keeps_garbage=True)).gc


def test_a_packer_inside_a_section_counts(storage):
    wish = PackWish(keeps_garbage=True)
    ours = Seen(storage=storage(ZLIB.format(OURS)), size_bytes=1, is_served=True)
    other = Seen(storage=storage(ZLIB.format("")), size_bytes=1, is_served=True)

    assert job(ours, wish).asks_to_keep
    assert left(other, wish).is_failure


def test_a_server_that_has_not_read_its_files_is_not_trusted_to_keep_garbage(storage):
    seen = Seen(storage=storage("pack-gc off"), size_bytes=1, is_served=True, outdated="zeo")

    assert "zeo has not read its files since they changed" in left(seen).why
    assert left(seen).hint == "zmount restart zeo"


def test_that_a_server_has_not_read_its_files_is_said_where_it_does_no_harm(storage):
    seen = Seen(storage=storage(), size_bytes=1, is_served=True, outdated="zeo")

    assert job(seen).notes == ("zeo has not read its files since they changed",)


def test_each_disk_is_a_lane_with_its_small_storages_first(storage):
    seen = [
        Seen(storage=storage(name="a"), size_bytes=30, disk=1),
        Seen(storage=storage(name="b"), size_bytes=20, disk=2),
        Seen(storage=storage(name="c"), size_bytes=10, disk=1),
    ]

    plan = plan_pack(seen, ALL)

    assert [[each.storage.name for each in lane] for lane in plan.lanes] == [["c", "a"], ["b"]]
