"""The ``<stage>`` section of a zeo.conf, as its own schema reads it."""

from __future__ import annotations

from pathlib import Path

from topologies import file_of, topology_of

from zmount.plan.directories import directories
from zmount.render.pack_conf import pack_conf
from zmount.server.section import settings_of

CONF = """
{top}
<zeo zeo/>
<storage stage/x.org>
  pack-gc off
  quota 1GB
  create false
</storage>
<site x.org>
  stage-keep 3
  stage-drain-timeout 5s
</site>
<instance pub/>
"""


def settings(directory: Path, top: str = ""):
    storage = topology_of(directory, CONF.format(top=top)).storage("stage/x.org")
    return settings_of(pack_conf(storage, gc=True, name=storage.zeo_name))


def test_it_says_where_both_storages_are_and_how_to_swap(tmp_path):
    found = settings(tmp_path)

    var = tmp_path / "var"
    assert found.name == "stage/x.org"
    assert found.path == var / "stage/x.org/Data.fs"
    assert found.blob_dir == var / "stage/x.org/blobs"
    assert found.generations == var / "stage/x.org/generations"
    assert found.source == "pub/x.org"
    assert found.source_path == var / "pub/x.org/Data.fs"
    assert found.source_blob_dir == var / "pub/x.org/blobs"
    assert (found.mode, found.keep, found.drain_timeout_s) == ("link", 3, 5)


def test_what_its_storage_says_holds_for_the_plain_file(tmp_path):
    options = dict(settings(tmp_path).options)

    assert options["pack_gc"] is False
    assert options["quota"] == 1024**3
    assert options["packer"].__module__ == "zmount.filestorage.packer"


def test_stock_is_filestorages_own_packer(tmp_path):
    assert dict(settings(tmp_path, "packer stock").options)["packer"] is None


def test_a_package_is_imported_once_however_many_stages_there_are(tmp_path):
    text = file_of(tmp_path, CONF.format(top="<site y.org/>"), "zeo").text

    assert text.count("%import zmount.server") == 1
    assert text.count("<stage ") == 2


def test_no_stage_imports_nothing(tmp_path):
    text = file_of(tmp_path, CONF.format(top="stage-mode none"), "zeo").text

    assert "%import" not in text
    assert "<filestorage stage/x.org>" in text


def test_its_directory_of_generations_is_made(tmp_path):
    topology = topology_of(tmp_path, CONF.format(top="user zope"))

    found = {each.path: each.user for each in directories(topology, topology.hosts[0])}

    assert found[topology.storage("stage/x.org").stage.generations] == "zope"
