"""Whether all that a record is made of can be imported here.

An object's own class may be gone: Zope shows a broken object. A value in its record, which
is no object of its own, has a class as well; where that is gone a copy of the record cannot
be written, and Zope cannot load the object either.
"""

import re
from io import BytesIO
from pickletools import genops

# A class in a pickle as ZODB writes it, or a text that looks like one.
_NAMED = re.compile(rb"c([A-Za-z_][\w.]*)\n(\w+)\n")


class Classes:
    """Remembers which classes are there, so that a record costs one search."""

    def __init__(self):
        from ZODB._compat import Unpickler

        self.find = Unpickler(BytesIO()).find_class
        self.there = set()

    def missing(self, record):
        """Return the dotted name of a class that RECORD needs and is not here; None: none."""
        if self.there.issuperset(_NAMED.findall(record)):
            return None
        for module, name in _classes_in(record):
            named = module.encode(), name.encode()
            if named in self.there:
                continue
            try:
                self.find(module, name)
            except (ImportError, AttributeError, SyntaxError):
                return f"{module}.{name}"
            self.there.add(named)
        return None


def _classes_in(record):
    """Yield module and name of each class in the two pickles of RECORD."""
    pickles = BytesIO(record)
    for _ in range(2):
        for operation, argument, _ in genops(pickles):
            if operation.name == "GLOBAL":
                yield tuple(argument.split(" ", 1))
