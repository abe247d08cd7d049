"""The multiplier of the hash by which the cores find an oid's place in a table of objects.

The oids of a file are not to be trusted: whoever knew the multiplier could make
some that all want the same place, and the time for a scan would grow with their
number squared. So each process has one of its own, which all cores share.
"""

from __future__ import annotations

import secrets

BITS = 64
WIDEST = 16  # the largest partial quotient of an even multiplier
LONGEST = 30  # bits of the number of consecutive oids that are to lie evenly


def _multiplier() -> int:
    """Return a random odd number whose multiples lie evenly, as those of the golden section do.

    The highest bits of the products are a universal hash (Dietzfelbinger et al., "A
    Reliable Randomized Algorithm for the Closest-Pair Problem", 1997). Multiples
    of most numbers crowd somewhere, though, and the oids of most files are
    consecutive: one number in five has no large partial quotient.
    """
    while True:
        number = secrets.randbits(BITS) | 1
        larger, smaller = 1 << BITS, number
        while smaller >> (BITS - LONGEST) and larger // smaller <= WIDEST:
            larger, smaller = smaller, larger % smaller
        if not smaller >> (BITS - LONGEST):
            return number


MULTIPLIER = _multiplier()
