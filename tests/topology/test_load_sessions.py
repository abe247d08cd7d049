"""How much history of sessions is kept."""

from __future__ import annotations

import pytest

TOPOLOGY = """
directory /srv/zope
{top}
<zeo zeo/>
<site a.org/>
<session/>
{own}
<instance pub/>
"""


@pytest.mark.parametrize(
    ("top", "own", "days"),
    [
        ("", "", {"pub/session": 0.0, "pub/a.org": 1.0}),
        ("pack-days 7", "", {"pub/session": 0.0, "pub/a.org": 7.0}),
        (
            "pack-days 7",
            "<storage pub/session>\npack-days 2\n</storage>",
            {"pub/session": 2.0, "pub/a.org": 7.0},
        ),
    ],
)
def test_sessions_have_no_history_unless_their_own_section_says_so(topology, top, own, days):
    found = topology(TOPOLOGY.format(top=top, own=own))

    assert {name: found.storage(name).pack.days for name in days} == days
