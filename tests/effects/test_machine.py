"""Which addresses are this machine's."""

from __future__ import annotations

import pytest

from zmount.effects.machine import is_own_address


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",  # every machine's
        "::1",
        "192.0.2.1",  # RFC 5737: nobody's
        "2001:db8::1",  # RFC 3849: nobody's
        "0.0.0.0",
        "zope1.example.org",
    ],
)
def test_what_is_not_this_machines_alone_is_not_its_own(address):
    assert not is_own_address(address)
