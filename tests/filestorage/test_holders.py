"""The way to an object, told from records alone: no class in them is imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fs_bytes import Record, Transaction, file_of
from plone import Plone
from ZODB.utils import p64

from zmount.filestorage.holders import Holders, said
from zmount.filestorage.objects import scan
from zmount.filestorage.source import open_source
from zmount.filestorage.stubs import Ref, load
from zmount.filestorage.verify import verify

WAYS = {
    0: "root",
    1: "/",
    0x2: "",  # nothing leads there any more
    0xCD: "/home/srichinmoyraces.org/portal_transforms._mtmap['image/svg+xml']",
    0xEFF: "/home/srichinmoyraces.org/portal_workflow/plone_workflow/scripts",
    0x217B: "/home/srichinmoyraces.org/portal_catalog._catalog.indexes['SearchableText']"
    ".index._wordinfo",
    0x1082: "/home/srichinmoyraces.org._components.utilities._adapters[IViewletSettingsStorage]",
}


def test_ways_are_told_as_zope_goes_them(plone_small: Plone) -> None:
    imported = set(sys.modules)
    with open_source(plone_small.data_fs) as source:
        holders = Holders(source, scan(source, source.end).table)
        ways = {oid: holders.where(oid)[0] for oid in WAYS}
        classes = holders.where(0x217B)[1], holders.where(0x2)[1]

    assert ways == WAYS
    assert classes == ("BTrees.IOBTree.IOBucket", "OFS.userfolder.UserFolder")
    assert not {
        name for name in set(sys.modules) - imported if name.startswith(("OFS", "Products"))
    }


@pytest.mark.parametrize(
    ("steps", "way"),
    [
        ((), "root"),
        (("/",), "/"),
        (("/", "/home", "/site"), "/home/site"),
        (("/", "/home", "._tree", "['page']", "/text"), "/home/page/text"),
        (("/", "/home", "._tree", "['a/b']"), "/home._tree['a/b']"),
        (("/", "/home", ".kept", "['x']", "/text"), "/home.kept['x'].text"),
        (("root['other']", ".kept"), "root['other'].kept"),
        (("...", "/page"), "....page"),
    ],
)
def test_steps_make_a_way(steps: tuple[str, ...], way: str) -> None:
    assert said(iter(steps)) == way


def test_nothing_that_a_record_says_is_run(tmp_path: Path) -> None:
    """Neither when references are looked for nor when a way is told."""
    mark = tmp_path / "it-was-run"
    run = b"cos\nsystem\n(S'touch %s'\ntR" % str(mark).encode()
    refers = b"(C\x08" + p64(99) + b"Qt0"
    records = (
        Record(oid=0, data=run + b"." + b"(" + b"C\x08" + p64(1) + b"Q" + run + b"t."),
        Record(oid=1, data=b"cantigravity\nFlight\n." + refers + run + b"}b."),
    )
    path = tmp_path / "Data.fs"
    path.write_bytes(file_of(Transaction(tid=1, records=records)))

    found = verify(path)

    assert [(each.kind, each.oid, each.holder) for each in found.findings] == [("dangling", 99, 1)]
    assert found.findings[0].class_name == "antigravity.Flight"
    assert not mark.exists()
    assert "antigravity" not in sys.modules


def test_a_record_gives_what_can_be_read_of_it() -> None:
    state = b"}X\x02\x00\x00\x00idX\x04\x00\x00\x00pagesX\x01\x00\x00\x00rC\x08" + p64(7) + b"Qs."
    whole = load(b"ca\nB\n." + state)
    half = load(b"ca\nB\n.}X\x02\x00\x00\x00id")
    args = load(b"(ca\nB\n(K\x01tt.N.")
    old = load(b"(X\x01\x00\x00\x00aX\x01\x00\x00\x00Bt.N.")

    assert (whole.class_name, whole.own_name) == ("a.B", "page")
    assert whole.state == {"id": "page", "r": Ref(7)}
    assert (half.class_name, half.state) == ("a.B", None)
    assert (args.class_name, old.class_name) == ("a.B", "a.B")
    assert load(b"").class_name == load(b"nonsense").class_name == ""
    assert load(b"N.NNr\xff\xff\xff\x7f.").state is None
