"""Large topologies: time in proportion to their size, whatever is wrong with them."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from zmount.operations.check import check_file

HEAD = """
directory /srv/zope
<zeo zeo/>
<session/>
<instance dev>
kind development
http-address 8081
</instance>
<instance pub>
</instance>
<instance adm>
kind admin
sites all
http-address 8082
</instance>
"""


def clean(number: int) -> str:
    return f"<site s{number}.org/>\n"


def wrong_sites(number: int) -> str:
    """Names, paths and storages are all wrong, and all sites share one."""
    return (
        f"<site -s{number}>\nproduction Shared\ncontainer /x/../y\n</site>\n"
        f"<storage t{number}>\npath ../../Data.fs\nblob-dir /blobs\n</storage>\n"
        f"<storage u{number}>\nserver zoe\n</storage>\n<sit s{number}/>\n"
    )


def wrong_mounts(number: int) -> str:
    """Mounts of nothing, at one place, inside of each other."""
    return (
        f"<storage t{number}/>\n<instance i{number}>\nroot nothing-{number}\n"
        f"<mount t{number}>\nmount-point /a\nmount-point /a/b/\nmount-point /a/t{number}\n"
        f"</mount>\n<mount s{number}>\nmount-point /s\n</mount>\n</instance>\n"
    )


def seconds(write: Callable[[str], object], text: str, *, rounds: int = 1) -> float:
    """Return the CPU seconds that the check of TEXT takes, the least of ROUNDS."""
    path = write(text)
    times = []
    for _ in range(rounds):
        start = time.process_time()
        check_file(path)
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize(
    ("kind", "small", "large"),
    [(clean, 500, 4000), (wrong_sites, 60, 240), (wrong_mounts, 100, 400)],
)
def test_the_time_for_each_site_does_not_grow(write, kind, small, large):
    """A rule that compares all with all would take eight times as long for each."""

    def text(sites: int) -> str:
        return HEAD + "".join(map(kind, range(sites)))

    few = seconds(write, text(small), rounds=3) / small
    many = seconds(write, text(large)) / large
    assert many < 3 * few


def test_a_thousand_sites_are_checked_in_three_seconds(write):
    assert seconds(write, HEAD + "".join(map(clean, range(1000))), rounds=2) < 3
