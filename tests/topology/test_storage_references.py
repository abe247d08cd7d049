"""Which storages may refer to others, and whether they can be read."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from zmount.topology.references import data_files, files_to_pack, referrers

ZLIB = "<zlibstorage>\n<filestorage>\npath z.fs\n</filestorage>\n</zlibstorage>"
DEMO = (
    "<demostorage>\n<filestorage base>\npath base.fs\n</filestorage>\n"
    "<filestorage changes>\npath changes.fs\n</filestorage>\n</demostorage>"
)
ENCRYPTED = "<encryptingstorage>\n<filestorage>\npath e.fs\n</filestorage>\n</encryptingstorage>"


@pytest.fixture
def pub(topology):
    """A function: the instance pub, which mounts a storage ``s`` described by a text."""

    def pub(storage: str, top: str = ""):
        return topology(
            f"directory /srv\n{top}\n<storage s>\n{storage}\n</storage>\n<zeo zeo/>\n<session/>\n"
            "<instance pub>\n<mount s>\nmount-point /s\n</mount>\n</instance>\n"
        ).instance("pub")

    return pub


def names(instance) -> list[str]:
    return [each.storage.name for each in referrers(instance, instance.hosts[0])]


def files(instance) -> list[str]:
    found = referrers(instance, instance.hosts[0])
    return [str(path) for each in found for path in each.files if each.storage.name == "s"]


def test_every_storage_of_an_instance_may_refer_but_that_of_sessions(pub):
    assert names(pub("")) == ["root/pub", "s"]


def test_who_says_any_has_the_sessions_read_too(pub):
    assert names(pub("", top="references any")) == ["root/pub", "pub/session", "s"]


def test_a_storage_that_is_vouched_for_is_not_read(pub):
    assert names(pub("references none")) == ["root/pub"]
    assert names(pub("references any", top="references none")) == ["s"]


def test_a_compressed_filestorage_is_read_as_any_other(pub):
    assert files(pub(ZLIB)) == ["/srv/z.fs"]


def test_both_files_of_a_demostorage_are_read(pub):
    assert files(pub(DEMO)) == ["/srv/base.fs", "/srv/changes.fs"]


def test_a_storage_in_memory_refers_to_nothing_that_outlives_it(pub):
    assert names(pub("<mappingstorage>\n</mappingstorage>")) == ["root/pub"]


def test_records_that_only_another_program_understands_are_not_read(pub):
    instance = pub(ENCRYPTED)
    found = {each.storage.name: each for each in referrers(instance, instance.hosts[0])}

    assert found["s"].files == ()
    assert found["s"].unreadable == "the records of <encryptingstorage> cannot be read"


def test_a_file_on_another_host_is_not_read(topology):
    found = topology(
        "directory /srv\n<host a/>\n<host b/>\n<zeo zeo>\nhost a\n</zeo>\n<storage s/>\n"
        "<instance pub>\nhost b\n<mount s>\nmount-point /s\n</mount>\n</instance>\n"
    )
    seen = {each.storage.name: each for each in referrers(found.instance("pub"), found.host("b"))}

    assert seen["s"].unreadable == "its file is on another host"
    assert seen["root/pub"].files == (PurePosixPath("/srv/pub_client/var/Data.fs"),)


def test_a_storage_without_a_backend_has_one_file(topology):
    root = topology("directory /srv\n<instance pub/>\n").storage("root/pub")
    assert data_files(root) == (root.data_fs,)


def test_a_file_that_is_only_read_is_none_to_pack(topology):
    text = "directory /srv\n<storage s>\n{}\n</storage>\n<instance pub/>\n"
    demo = DEMO.replace("path base.fs", "path base.fs\nread-only on")

    assert files_to_pack(topology(text.format("read-only on")).storage("s")) == ()
    assert files_to_pack(topology(text.format(demo)).storage("s")) == (
        PurePosixPath("/srv/changes.fs"),
    )
