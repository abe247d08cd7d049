"""DOT and Mermaid: Graphviz itself reads what we write."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from zmount.render.dot import dot
from zmount.render.graph import edges, storage_groups
from zmount.render.mermaid import mermaid
from zmount.topology.load import load
from zmount.topology.topology import Topology

VSA = Path(__file__).parent.parent.parent / "configs" / "vsa" / "zmount.conf"
NASTY = ['a"b', "back\\slash", "\\N", "<b>&amp;", "a]|(b){c}", "`x`", "#35;", "%%", "ünï", "end"]


def graphviz(text: str) -> dict:
    """Return what Graphviz understood of TEXT."""
    done = subprocess.run(
        ["dot", "-Tjson"], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def with_names(names: list[str]) -> Topology:
    """The design document's topology with other names for its first storages."""
    topology = load(VSA)
    storages = topology.storages
    renamed = {old.name: replace(old, name=new) for old, new in zip(storages, names, strict=False)}
    return replace(
        topology,
        storages=tuple(renamed.get(each.name, each) for each in storages),
        instances=tuple(
            replace(
                instance,
                mounts=tuple(
                    replace(mount, storage=renamed.get(mount.storage.name, mount.storage))
                    for mount in instance.mounts
                ),
            )
            for instance in topology.instances
        ),
    )


def test_graphviz_draws_the_design_documents_topology():
    drawn = subprocess.run(
        ["dot", "-Tsvg"],
        input=dot(load(VSA)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "/pub/vs_sites:/home/vs_sites" in drawn.stdout
    assert drawn.stderr == ""


def test_graphviz_finds_every_instance_storage_and_mount():
    topology = load(VSA)

    found = graphviz(dot(topology))

    nodes = {each["name"] for each in found["objects"] if not each["name"].startswith("cluster")}
    assert nodes == {f"instance {each.name}" for each in topology.instances} | {
        f"storage {each.name}" for each in topology.storages
    }
    assert sorted(each["label"] for each in found["edges"]) == sorted(
        str(each.point) for each in edges(topology)
    )


def test_no_name_can_break_out_of_a_dot_string():
    topology = with_names(NASTY)

    found = graphviz(dot(topology))

    names = {each["name"] for each in found["objects"]}
    # Graphviz keeps a name's doubled backslashes; it undoes them where it draws
    expected = {"storage " + name.replace("\\", "\\\\") for name in NASTY}
    assert expected <= names


@pytest.mark.parametrize("name", NASTY)
def test_no_name_can_break_a_mermaid_line(name):
    lines = mermaid(with_names([name])).splitlines()

    (line,) = (line for line in lines if line.startswith("    s0["))
    inside = line.removeprefix('    s0[("').removesuffix('<br/>production")]')
    assert not set(inside) & set('"`|[]{}()<>&%\\')


def test_mermaid_has_a_node_for_each_noun_and_a_line_for_each_mount():
    topology = load(VSA)

    text = mermaid(topology)

    assert text.startswith("flowchart LR\n")
    assert text.count("[(") == len(topology.storages)
    assert text.count("-->|") + text.count("-.->|") == len(list(edges(topology)))


def test_an_instance_started_by_name_only_is_dashed_everywhere():
    topology = load(VSA)

    (adm,) = (each for each in graphviz(dot(topology))["objects"] if each["name"] == "instance adm")
    assert "dashed" in adm["style"]
    assert mermaid(topology).count("-.->") == 1


def test_every_storage_is_in_exactly_one_group():
    topology = load(VSA)

    grouped = [storage.name for group in storage_groups(topology) for storage in group.storages]

    assert sorted(grouped) == sorted(storage.name for storage in topology.storages)


def test_a_storage_that_nobody_mounts_is_drawn_too(tmp_path):
    path = tmp_path / "zmount.conf"
    path.write_text("<storage lonely>\n server none\n</storage>")

    (group,) = storage_groups(load(path))

    assert group.title == "not mounted"
    assert "storage lonely" in {each["name"] for each in graphviz(dot(load(path)))["objects"]}
