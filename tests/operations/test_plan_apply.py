"""What apply decides, judging only by what was seen."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from zmount.operations.plan_apply import Wanted, plan_apply
from zmount.plan.directories import Directory
from zmount.plan.manifest import MANIFEST, Entry, manifest_text
from zmount.plan.plan import Plan
from zmount.plan.seen import Seen
from zmount.plan.steps import (
    FileState,
    MakeDirectory,
    Owner,
    RemoveFile,
    SetMode,
    WriteFile,
    checksum,
)
from zmount.render.generated import GeneratedFile, Reader, sign
from zmount.topology.hosts import Host

TOP = PurePosixPath("/opt/vsa")
HOST = Host(name="here", address="127.0.0.1", directory=TOP, venv=PurePosixPath("/venv"))
CONF, OLD_CONF = TOP / "etc" / "zope.conf", TOP / "etc" / "old.conf"
ZOPE, ROOT = Owner(uid=100, gid=101), Owner(uid=0, gid=0)


def signed(text: str) -> str:
    return sign(text, source="zmount.conf")


def a_file(
    text: str = "new\n", mode: int = 0o644, user: str = "", reader: Reader = "zope"
) -> GeneratedFile:
    return GeneratedFile(
        host="here",
        path=CONF,
        text=signed(text),
        mode=mode,
        user=user,
        reader=reader,
        processes=("dev",),
    )


def state(text: str, mode: int = 0o644, owner: Owner | None = None) -> FileState:
    return FileState(text=text, mode=mode, owner=owner)


def plan(
    *nouns: GeneratedFile | Directory,
    files: dict[PurePosixPath, FileState] | None = None,
    there: dict[PurePosixPath, Owner] | None = None,
    obstacles: dict[PurePosixPath, str] | None = None,
    is_root: bool = False,
    overwrite: bool = False,
) -> Plan:
    wanted = Wanted(
        host=HOST,
        files=tuple(noun for noun in nouns if isinstance(noun, GeneratedFile)),
        directories=tuple(noun for noun in nouns if isinstance(noun, Directory)),
    )
    seen = Seen(
        files=files or {},
        directories=there or {},
        obstacles=obstacles or {},
        users={"zope": ZOPE},
        user="root" if is_root else "zope",
        is_root=is_root,
    )
    return plan_apply(wanted, seen, overwrite=overwrite)


def manifest(*entries: Entry) -> dict[PurePosixPath, FileState]:
    return {TOP / MANIFEST: state(manifest_text(entries), 0o600)}


def entry(path: PurePosixPath, text: str) -> Entry:
    return Entry(path=path, checksum=checksum(text), processes=("old",))


def test_a_missing_file_is_written() -> None:
    file = a_file()
    assert plan(file).steps == (
        WriteFile(path=CONF, new=state(file.text), old=None, processes=("dev",)),
    )


def test_a_file_that_is_right_needs_no_step() -> None:
    file = a_file()
    found = plan(file, files={CONF: state(file.text)})
    assert found.steps == ()
    assert found.record is not None, "zmount's own list was not there yet"


def test_nothing_at_all_is_to_be_done_the_second_time() -> None:
    file = a_file()
    listed = manifest(Entry(path=CONF, checksum=checksum(file.text), processes=("dev",)))
    assert plan(file, files={CONF: state(file.text), **listed}).all_steps == ()


def test_a_file_that_zmount_wrote_before_is_replaced() -> None:
    found = plan(a_file(), files={CONF: state(signed("old\n"))})
    assert [type(step) for step in found.steps] == [WriteFile]
    assert found.conflicts == ()


def test_a_file_that_a_person_changed_is_not_replaced() -> None:
    found = plan(a_file(), files={CONF: state(signed("old\n") + "mine\n")})
    assert found.steps == ()
    assert [conflict.what for conflict in found.conflicts] == [
        "a person changed it since zmount wrote it"
    ]


def test_a_file_that_zmount_never_wrote_is_not_replaced() -> None:
    found = plan(a_file(), files={CONF: state("mine\n")})
    assert found.steps == ()
    assert [conflict.what for conflict in found.conflicts] == ["zmount did not write this file"]


@pytest.mark.parametrize("text", ["mine\n", signed("old\n") + "mine\n"])
def test_overwriting_keeps_the_text_of_before_for_undo(text: str) -> None:
    found = plan(a_file(), files={CONF: state(text)}, overwrite=True)
    (step,) = found.steps
    assert isinstance(step, WriteFile)
    assert step.old == state(text)
    assert found.conflicts == ()


def test_a_file_without_a_signature_is_known_by_zmounts_own_list() -> None:
    listed = manifest(entry(CONF, "passphrase\n"))
    found = plan(a_file(), files={CONF: state("passphrase\n"), **listed})
    assert found.conflicts == ()
    assert [type(step) for step in found.steps] == [WriteFile]


def test_what_is_no_longer_needed_is_removed() -> None:
    text = signed("old\n")
    listed = manifest(entry(OLD_CONF, text))
    found = plan(files={OLD_CONF: state(text), **listed})
    assert found.steps == (RemoveFile(path=OLD_CONF, old=state(text), processes=("old",)),)


def test_what_is_no_longer_needed_but_changed_by_a_person_stays_with_a_warning() -> None:
    text = signed("old\n")
    listed = manifest(entry(OLD_CONF, text))
    found = plan(files={OLD_CONF: state(text + "mine\n"), **listed}, overwrite=True)
    assert found.steps == ()
    assert len(found.warnings) == 1
    assert "a person changed it: it stays" in found.warnings[0]
    assert found.record is None, "it is still remembered"


def test_what_a_person_removed_already_is_forgotten() -> None:
    found = plan(files=manifest(entry(OLD_CONF, "a")))
    assert found.steps == ()
    assert found.warnings == ()
    assert found.record is not None


def test_a_damaged_list_of_files_is_a_warning_and_written_anew() -> None:
    found = plan(a_file(), files={TOP / MANIFEST: state("[garbage")})
    assert any("damaged" in warning for warning in found.warnings)
    assert found.record is not None
    assert found.record.old == state("[garbage")


def test_a_link_in_the_place_of_a_file_is_refused_even_with_overwrite() -> None:
    found = plan(a_file(), obstacles={CONF: "it is a symbolic link"}, overwrite=True)
    assert found.steps == ()
    assert [str(conflict) for conflict in found.conflicts] == [f"{CONF}: it is a symbolic link"]


def test_a_file_with_a_secret_that_others_can_read_is_closed() -> None:
    file = a_file(mode=0o600)
    (step,) = plan(file, files={CONF: state(file.text, 0o644)}).steps
    assert isinstance(step, SetMode)
    assert step.new.mode == 0o600


def test_a_file_with_a_secret_belongs_to_the_user_whose_process_reads_it() -> None:
    (step,) = plan(a_file(mode=0o600, user="zope"), is_root=True).steps
    assert isinstance(step, WriteFile)
    assert step.new.owner == ZOPE


@pytest.mark.parametrize("reader", ["zdaemon", "systemd", "supervisor", "logrotate"])
def test_what_roots_programs_read_never_belongs_to_a_processes_user(reader: Reader) -> None:
    (step,) = plan(a_file(mode=0o600, user="zope", reader=reader), is_root=True).steps
    assert isinstance(step, WriteFile)
    assert step.new.owner is None


def test_a_public_file_stays_its_owners() -> None:
    before = state(signed("old\n"), owner=ZOPE)
    (step,) = plan(a_file(), files={CONF: before}, is_root=True).steps
    assert isinstance(step, WriteFile)
    assert step.new.owner == ZOPE


def test_missing_directories_are_made_for_their_users() -> None:
    wanted = Directory(path=TOP / "blobs", mode=0o700, user="zope")
    assert plan(wanted, is_root=True).steps == (
        MakeDirectory(path=TOP / "blobs", mode=0o700, owner=ZOPE),
    )


def test_a_directory_that_is_there_stays_as_it_is() -> None:
    found = plan(Directory(path=TOP), there={TOP: ZOPE})
    assert found.steps == ()
    assert found.warnings == ()


def test_directories_of_another_user_are_a_warning_with_the_command() -> None:
    wanted = [Directory(path=TOP / name, user="zope") for name in ("log", "var")]
    there = {directory.path: ROOT for directory in wanted}
    (warning,) = plan(*wanted, there=there, is_root=True).warnings
    assert "nor do 1 more directories" in warning
    assert f"chown -R zope {TOP}/log" in warning


def test_root_refuses_a_user_that_does_not_exist() -> None:
    found = plan(Directory(path=TOP, user="zopo"), is_root=True)
    (conflict,) = found.conflicts
    assert "there is no such user" in conflict.what
    assert "useradd --system zopo" in conflict.hint


def test_who_is_not_root_cannot_act_for_another_user() -> None:
    found = plan(Directory(path=TOP, user="plone"))
    (conflict,) = found.conflicts
    assert "zope cannot act for plone" in conflict.what
    assert plan(Directory(path=TOP, user="zope")).conflicts == ()


def test_another_deployments_unit_in_a_shared_directory_is_not_overwritten():
    unit = PurePosixPath("/etc/systemd/system/zmount-zeo.service")
    ours = GeneratedFile(host="here", path=unit, text=signed("ours\n"), reader="systemd")
    theirs = state(sign("theirs\n", source="/srv/other/zmount.conf"))

    (conflict,) = plan(ours, files={unit: theirs}).conflicts

    assert "another deployment's, of /srv/other/zmount.conf" in conflict.what
    assert "unit-prefix" in conflict.what


def test_a_persons_change_that_zmount_conf_says_now_is_no_conflict():
    by_hand = signed("old\n").replace("old\n", "new\n")

    done = plan(a_file("new\n"), files={CONF: state(by_hand)})

    assert done.conflicts == ()
    assert [step.path for step in done.file_steps] == [CONF]
