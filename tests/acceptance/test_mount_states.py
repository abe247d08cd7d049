"""Every way to break a mount, done over HTTP; what Zope and ``zmount mounts`` say of it.

Then each is put right as ``zmount mounts`` advises.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mount_states import EveryState, Seen


@pytest.fixture(scope="module")
def every() -> Iterator[EveryState]:
    directory = Path(tempfile.mkdtemp(prefix="zm-"))
    every = EveryState(directory)
    try:
        every.run()
        yield every
    finally:
        every.deployment.end_all()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def seen(every: EveryState) -> Seen:
    """What was seen while all was broken."""
    return every.broken


def states(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what ``zmount mounts --json`` says of each path."""
    return [
        (mount["path"], mount["state"]) for each in facts["instances"] for mount in each["mounts"]
    ]


def test_all_is_right_before(every: EveryState) -> None:
    before = every.before

    assert {state for _, state in states(before.facts)} == {"ok"}
    assert before.status == before.facts["exit_status"] == 0
    assert len(states(before.facts)) > 20
    texts = {answer[1] for found in before.marks.values() for answer in found.values()}
    assert len(texts) >= 18  # each storage has its own


def test_what_is_fine_stays_ok(seen: Seen) -> None:
    assert seen.mount("dev", "/home/fine.org")["state"] == "ok"
    assert seen.mount("pub", "/home/fine.org")["state"] == "ok"
    assert seen.zope["dev"]["/home/fine.org"] == seen.zope["pub"]["/home/fine.org"] == "Ok"
    assert seen.pages["/home/fine.org"] == 200


def test_a_deleted_mount_is_missing(seen: Seen) -> None:
    (problem,) = seen.problems("dev", "/home/deleted.org")

    assert problem["state"] == "missing"
    assert problem["is_repairable"]
    assert problem["advice"] == "zmount remount dev /home/deleted.org"
    assert seen.zope["dev"]["/home/deleted.org"] == "Ready to create"
    assert seen.pages["/home/deleted.org"] == 404


def test_a_folder_of_its_name_shadows_a_mount(seen: Seen) -> None:
    for instance, path, said in (
        ("dev", "/home/folder.org", seen.zope["dev"]),
        ("pub", "/home/deleted.org", seen.zope["pub"]),
    ):
        (problem,) = seen.problems(instance, path)
        assert problem["state"] == "shadowed"
        assert problem["detail"] == "by an object of OFS.Folder.Folder"
        assert problem["lying"]["objects"] == 1
        assert said[path] == "** Something is in the way **"


def test_a_pasted_site_shadows_its_mount_and_its_bytes_are_what_the_root_grew_by(
    every: EveryState,
) -> None:
    seen = every.broken
    (problem,) = seen.problems("dev", "/home/pasted.org")

    assert problem["state"] == "shadowed"
    assert problem["lying"]["storage"] == "root/dev"
    assert problem["lying"]["objects"] == 7  # the site, five documents and its mark
    lying = problem["lying"]["record_bytes"]
    assert lying > 1_500_000
    # besides there are the folder's new record, and the headers of two transactions
    assert 0 < every.grown_bytes - lying < 3000
    assert seen.zope["dev"]["/home/pasted.org"] == "** Something is in the way **"
    assert "7 objects, 1.5 MB lie in the storage root/dev" in seen.text


def test_a_renamed_mount_is_missing_and_leaves_a_harmless_reference(seen: Seen) -> None:
    missing, other_id = seen.problems("dev", "/home/renamed.org")
    (problem,) = seen.problems("dev", "/home/other.org")

    assert missing["state"] == "missing"
    assert other_id["state"] == "other id"
    assert seen.zope["dev"]["/home/renamed.org"] == "Ready to create"
    assert seen.pages["/home/renamed.org"] == 404
    assert problem["state"] == "cross-database reference"
    assert problem["reference"]["database"] == "stage/renamed.org"
    assert problem["reference"]["class"] == "OFS.Folder.Folder"
    assert problem["reference"]["mounted_at"] == "/home/renamed.org"
    assert problem["reference"]["is_harmless"]
    assert problem["is_repairable"]


def test_a_mount_that_was_cut_and_pasted_elsewhere_is_found_by_a_deep_look(seen: Seen) -> None:
    assert [each["state"] for each in seen.problems("dev", "/home/cut.org")] == ["missing"]
    assert seen.zope["dev"]["/home/cut.org"] == "Ready to create"
    found = seen.mount("dev", "/elsewhere/cut.org", is_deep=True)

    (problem,) = found["problems"]
    assert problem["state"] == "cross-database reference"
    assert problem["reference"]["is_harmless"]
    assert not found["is_configured"]


def test_a_mount_point_in_a_folder_that_was_renamed_has_the_wrong_path(seen: Seen) -> None:
    (problem,) = seen.problems("dev", "/two/x")

    assert problem["state"] == "wrong path"
    assert problem["detail"] == "the mount point there was made for /one/x"
    assert seen.zope["dev"]["/two/x"] == "** Set to wrong path: '/one/x' **"
    (problem,) = seen.problems("dev", "/one/x")
    assert problem["state"] == "parent missing"
    assert problem["detail"] == "/one is not there, where it should lie"
    assert seen.zope["dev"]["/one/x"] == "Ready to create"


def test_a_storage_without_the_real_path_says_what_it_holds(seen: Seen) -> None:
    (problem,) = seen.problems("dev", "/three/y")

    assert problem["state"] == "real path missing"
    assert problem["detail"] == "two has no /home/y: no 'y', it holds x, mark, moved"
    assert not problem["is_repairable"]
    assert "KeyError" in seen.zope["dev"]["/three/y"]


def test_a_storage_that_was_emptied_is_told(seen: Seen) -> None:
    for instance, path, said in (
        ("dev", "/pub/emptied.org", seen.zope["dev"]),
        ("pub", "/home/emptied.org", seen.zope["pub"]),
    ):
        (problem,) = seen.problems(instance, path)
        assert problem["state"] == "empty storage"
        assert not problem["is_repairable"]
        assert "KeyError" in said[path]


def test_a_server_that_is_stopped_is_no_connection(seen: Seen) -> None:
    for instance, path in (("dev", "/pub/down.org"), ("pub", "/home/down.org")):
        (problem,) = seen.problems(instance, path)
        assert problem["state"] == "no connection"
        assert problem["advice"] == "zmount start zeo3 on host localhost"


def test_a_mount_that_zmount_conf_does_not_name_any_more_is_found(seen: Seen) -> None:
    found = seen.mount("dev", "/home/gone")

    assert not found["is_configured"]
    assert [problem["state"] for problem in found["problems"]] == ["not configured"]
    assert "/home/gone" not in seen.zope["dev"]
    assert seen.pages["/home/gone"] == 200  # with the root's own page, which it acquires


def test_the_exit_status_is_that_of_the_worst(seen: Seen) -> None:
    assert seen.status == seen.facts["exit_status"] == 2


def test_the_table_names_each_state_and_what_to_do(seen: Seen) -> None:
    for text in (
        "> zmount remount dev /home/deleted.org",
        "> zmount start zeo3 on host localhost",
        "shadowed",
        "not configured",
        "empty storage",
    ):
        assert text in seen.text


def test_after_what_was_advised_each_mount_is_right_in_the_records(every: EveryState) -> None:
    repaired = every.repaired

    assert {each for each in states(repaired.facts) if each[1] != "ok"} == set()
    assert {each for each in states(repaired.deep) if each[1] != "ok"} == set()
    assert repaired.status == 0
    assert {path for path, _ in states(repaired.facts)} == {
        path for path, _ in states(every.before.facts)
    }


def test_after_it_zope_says_so_in_both_instances(every: EveryState) -> None:
    for name, said in every.repaired.zope.items():
        assert set(said.values()) == {"Ok"}, said
        assert set(said) == set(every.before.zope[name])


def test_after_it_visitors_of_both_instances_get_what_they_got_before(every: EveryState) -> None:
    before, broken = every.before.marks, every.broken.marks

    assert every.repaired.marks == before
    assert {answer[0] for found in before.values() for answer in found.values()} == {200}
    for instance, path in (
        ("dev", "/home/deleted.org"),
        ("dev", "/home/folder.org"),
        ("dev", "/home/renamed.org"),
        ("dev", "/home/cut.org"),
        ("dev", "/one/x"),
        ("dev", "/three/y"),
        ("dev", "/pub/emptied.org"),
        ("pub", "/home/deleted.org"),
        ("pub", "/home/emptied.org"),
    ):
        assert broken[instance][path] != before[instance][path], path


def test_the_repair_told_of_each_root_and_repeated_it_does_nothing(every: EveryState) -> None:
    first, elsewhere, again = every.said

    for text in (
        "dev: make the mount point /home/deleted.org\n",
        "dev: make the mount point /one/x\n",
        "dev: set the mount point at /two/x to its path\n",
        "dev: remove the reference at /home/other.org to what /home/renamed.org shows\n",
        "pub: move what is at /home/deleted.org to the attic and make the mount point there",
        "dev: seen to be right by dev\n",
        "the object calls itself 'other.org', not 'renamed.org'",
    ):
        assert text in first.stdout
    assert "remove the reference at /elsewhere/cut.org" in elsewhere.stdout
    assert [each.returncode for each in every.said] == [0, 0, 0], first.stderr
    assert again.stdout == "nothing to repair: every mount point is in its place\n"
    assert every.sizes[0] == every.sizes[1]
