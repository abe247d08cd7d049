"""What became of a pack, from the packer's report or without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from topologies import topology_of

from zmount.errors import PackFailed, ZMountError
from zmount.operations.pack_plan import Left, PackJob
from zmount.operations.packed import Packed, PackResult, left_out, packed, would_be

REPORT = {
    "result": "packed",
    "reason": "",
    "gc": True,
    "started": 100.0,
    "duration_s": 2.5,
    "size_before": 1000,
    "size_after": 400,
    "objects_before": 20,
    "objects_dropped": 7,
    "revisions_dropped": 9,
    "commit_stall_s": 0.02,
    "blobs_removed": 1,
    "unknown_records": 3,
    "dangling_count": 40,
    "dangling": [{"oid": f"{n:#x}", "holder": None if n == 0 else "0x1"} for n in range(40)],
}


@pytest.fixture
def job(tmp_path: Path) -> PackJob:
    storage = topology_of(tmp_path, "<zeo zeo/>\n<storage s/>\n").storage("s")
    return PackJob(storage=storage, way="ZEO", days=1, gc=True, size_bytes=1000, disk=0)


def result(
    job: PackJob,
    report: dict[str, Any],
    *,
    size_after: int | None = 400,
    error: ZMountError | None = None,
) -> Packed:
    return packed(job, report, at=100.0, seconds=3.0, size_after=size_after, error=error)


def test_the_report_has_the_figures(job: PackJob):
    found = result(job, REPORT)

    assert (found.done, found.freed_bytes, found.error) == ("packed", 600, None)
    assert (found.objects_dropped, found.revisions_dropped, found.blobs_removed) == (7, 9, 1)
    assert (found.commit_stall_s, found.unknown_records, found.dangling_count) == (0.02, 3, 40)
    assert found.dangling[:2] == (("0x0", None), ("0x1", "0x1"))
    assert len(found.dangling) == 20
    assert found.seconds == 3.0  # of the whole call


def test_its_reason_is_the_error_whatever_came_through_the_server(job: PackJob):
    report = {**REPORT, "result": "failed", "reason": "no room: 3 GB are needed"}

    found = result(job, report, error=PackFailed("the ZEO server says: FileStorageError"))

    assert found.done == "failed"
    assert str(found.error) == "no room: 3 GB are needed"
    assert str(result(job, report).error) == "no room: 3 GB are needed"


def test_what_is_packed_counts_as_packed_though_something_was_left_to_do(job: PackJob):
    reason = "/d/Data.fs: it is packed, but not all was done: /d/blobs/.removed: No space left"

    found = result(job, {**REPORT, "reason": reason}, error=PackFailed("FileStorageError"))

    assert (found.done, found.freed_bytes, str(found.error)) == ("packed", 600, reason)
    assert (found.as_json()["result"], found.as_json()["error"]) == ("packed", reason)


def test_refused_garbage_collection_hints_at_the_way_without(job: PackJob):
    report = {"result": "failed", "reason": "nothing was packed: no garbage collection: two:x"}

    error = result(job, report).error
    assert error is not None and "--no-gc" in error.hint


@pytest.mark.parametrize(
    ("size_after", "done"), [(400, "packed"), (1000, "nothing to free"), (None, "packed")]
)
def test_without_a_report_the_sizes_say_what_they_can(job: PackJob, size_after, done):
    found = result(job, {}, size_after=size_after)

    assert (found.done, found.size_before, found.size_after) == (done, 1000, size_after)
    assert found.objects_dropped is None
    assert found.notes == (("its packer told no figures",) if done == "packed" else ())


def test_an_error_without_a_report_is_what_the_call_raised(job: PackJob):
    found = result(job, {}, error=PackFailed("why"))

    assert (found.done, str(found.error), found.notes) == ("failed", "why", ())


def test_a_report_of_another_mind_is_no_traceback(job: PackJob):
    found = result(job, {"result": "packed", "size_after": "many", "dangling": None})

    assert (found.done, found.size_after, found.dangling) == ("packed", None, ())


def test_a_preview_says_what_would_be(job: PackJob):
    found = would_be(job, REPORT, seconds=1.0)

    assert (found.done, found.freed_bytes, found.at) == ("would be packed", 600, 0.0)
    assert would_be(job, {**REPORT, "result": "nothing to free"}, seconds=1.0).done == (
        "nothing to free"
    )


def test_failures_are_named_and_everything_else_is_no_error(job: PackJob):
    well = result(job, REPORT)
    skipped = left_out(Left(storage=job.storage, why="it is in memory only"))
    wrong = left_out(Left(storage=job.storage, why="busy", hint="wait", is_failure=True))

    PackResult(host="h", is_dry_run=False, storages=(well, skipped)).refuse_failures()
    with pytest.raises(PackFailed, match="2 of 3 were not packed: s, s") as caught:
        PackResult(host="h", is_dry_run=False, storages=(wrong, well, wrong)).refuse_failures()
    assert caught.value.hint == "wait"
    assert caught.value.exit_code == 17


def test_what_is_packed_in_part_is_not_called_not_packed(job: PackJob):
    well = result(job, REPORT)
    partly = result(job, {**REPORT, "reason": "it is packed, but"}, error=PackFailed("it"))
    wrong = left_out(Left(storage=job.storage, why="busy", hint="wait", is_failure=True))

    with pytest.raises(PackFailed, match=r"^1 of 2 was packed, but not all was done: s$"):
        PackResult(host="h", is_dry_run=False, storages=(well, partly)).refuse_failures()
    both = r"^1 of 2 was not packed: s; 1 of 2 was packed, but not all was done: s$"
    with pytest.raises(PackFailed, match=both):
        PackResult(host="h", is_dry_run=False, storages=(wrong, partly)).refuse_failures()


def test_json_has_plain_values_of_all(job: PackJob):
    said = result(job, REPORT).as_json()

    assert said["dangling"][0] == {"oid": "0x0", "holder": None}
    assert (said["storage"], said["result"], said["freed"], said["error"]) == (
        "s",
        "packed",
        600,
        None,
    )
