"""``Data.fs.referrers`` and the lists that it names, as a packer reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from deployments import Deployment
from topologies import files_of, topology_of

from zmount.filestorage.referrers import read_referrers
from zmount.render.files import generated_files

SITES = """
<zeo zeo/>
<site a.org/>
<site b.org/>
<session/>
<instance dev>
  kind development
  http-address 8081
</instance>
<instance pub/>
"""


def written(directory: Path, text: str) -> Deployment:
    directory.mkdir()
    deployment = Deployment(directory, text)
    deployment.write_files()
    for path in directory.rglob("*.referrers"):  # a file that is to come is no referrer
        path.with_suffix("").touch()
    return deployment


def test_a_storage_is_referred_to_by_all_that_its_instances_mount_beside_it(tmp_path: Path):
    deployment = written(tmp_path / "d", SITES)
    var = deployment.directory / "var"

    found = read_referrers(var / "pub/a.org/Data.fs")

    assert found.unreadable == ()
    assert found.names == {"pub/a.org"}
    assert set(found.files) == {
        var / "pub/b.org/Data.fs",
        var / "stage/a.org/Data.fs",
        var / "stage/b.org/Data.fs",
        deployment.directory / "dev_client/var/Data.fs",
        deployment.directory / "pub_client/var/Data.fs",
    }


def test_a_root_is_called_main_and_hears_of_its_own_instance_only(tmp_path: Path):
    deployment = written(tmp_path / "d", SITES)
    var = deployment.directory / "var"

    found = read_referrers(deployment.directory / "pub_client/var/Data.fs")

    assert found.names == {"main"}
    assert set(found.files) == {var / "pub/a.org/Data.fs", var / "pub/b.org/Data.fs"}


def test_what_another_host_has_cannot_be_read(tmp_path: Path):
    text = SITES.replace("<zeo zeo/>", "<host one/>\n<host two/>\n<zeo zeo>\nhost one\n</zeo>")
    text = text.replace("kind development", "kind development\nhost two")
    deployment = written(tmp_path / "d", text)

    found = read_referrers(deployment.directory / "var/pub/a.org/Data.fs")

    assert [str(each) for each in found.unreadable] == ["two:root/dev: its file is on another host"]


def test_a_storage_that_two_demostorages_share_hears_of_the_instances_of_both(tmp_path: Path):
    demo = (
        "<storage {0}>\n<demostorage>\n<filestorage base>\npath base.fs\n"
        "</filestorage>\n</demostorage>\n</storage>\n<instance {0}>\nhttp-address {1}\n"
        "<mount {0}>\nmount-point /x\n</mount>\n</instance>\n"
    )
    deployment = written(tmp_path / "d", demo.format("x", 8081) + demo.format("y", 8082))

    found = read_referrers(deployment.directory / "base.fs")

    assert found.names == {"x", "y"}
    roots = [deployment.directory / f"{name}_client/var/Data.fs" for name in "xy"]
    assert set(found.files) == set(roots)


@pytest.mark.parametrize(
    "said",
    [
        "path /usr/share/demo/Data.fs\nread-only on",
        "<demostorage>\n<filestorage base>\npath /usr/share/demo/Data.fs\nread-only on\n"
        "</filestorage>\n</demostorage>",
    ],
)
def test_nothing_is_written_beside_a_file_that_is_only_read(tmp_path: Path, said: str):
    text = f"<storage x>\n{said}\n</storage>\n<instance pub>\nroot x\n</instance>\n"

    assert [f for f in files_of(tmp_path, text) if f.path.is_relative_to("/usr/share")] == []


def test_a_storage_without_a_filestorage_needs_no_file(tmp_path: Path):
    text = (
        "<storage sql>\n<relstorage>\n<postgresql>\n</postgresql>\n</relstorage>\n</storage>\n"
        "<instance pub>\n<mount sql>\nmount-point /sql\n</mount>\n</instance>\n"
    )
    paths = [str(file.path) for file in files_of(tmp_path, text)]

    assert [path for path in paths if path.endswith(".referrers")] == [
        f"{tmp_path}/pub_client/var/Data.fs.referrers"
    ]


def test_they_grow_with_the_number_of_mounts_and_not_with_its_square(tmp_path: Path):
    def size(number: int) -> int:
        sites = "".join(f"<site s{n:04}.org/>\n" for n in range(number))
        topology = topology_of(tmp_path, SITES + sites)
        return sum(
            len(file.text)
            for file in generated_files(topology, topology.hosts[0])
            if file.path.name.endswith(".referrers") or file.path.parent.name == "databases"
        )

    assert size(200) < 2.5 * size(100)


def test_nobody_needs_a_restart_when_they_change(tmp_path: Path):
    referrers = [f for f in files_of(tmp_path, SITES) if f.path.name.endswith(".referrers")]

    assert referrers
    assert all(file.processes == () and file.mode == 0o644 for file in referrers)
