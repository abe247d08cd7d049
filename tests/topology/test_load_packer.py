"""Which packer a FileStorage gets."""

from __future__ import annotations

import pytest

from zmount.topology.storages import PACKER

STORAGES = """
directory /srv/zope
{top}
<zeo zeo/>
<site a.org/>
<storage content>
  {own}
</storage>
<storage z>
  <zlibstorage>
    <filestorage>
      path z.fs
    </filestorage>
  </zlibstorage>
</storage>
<instance pub/>
"""


def packers(topology, *, top: str = "", own: str = "") -> dict[str, str]:
    found = topology(STORAGES.format(top=top, own=own))
    return {each.name: each.options.text("packer") for each in found.storages}


def test_every_filestorage_has_zmounts_packer_roots_and_implied_ones_too(topology):
    found = packers(topology)

    assert found.pop("z") == ""  # written as it stands
    assert found == dict.fromkeys(("root/pub", "pub/a.org", "stage/a.org", "content"), PACKER)


def test_stock_is_filestorages_own(topology):
    assert set(packers(topology, top="packer stock").values()) == {""}


@pytest.mark.parametrize(
    ("top", "own", "expected"),
    [
        ("", "packer stock", ""),
        ("packer stock", "packer zc.FileStorage:packer", "zc.FileStorage:packer"),
        ("packer zc.FileStorage:packer", "", "zc.FileStorage:packer"),
        ("packer zc.FileStorage:packer", "packer stock", ""),
    ],
)
def test_what_a_storage_says_comes_before_what_the_top_says(topology, top, own, expected):
    assert packers(topology, top=top, own=own)["content"] == expected
