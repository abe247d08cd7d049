"""What a copy keeps of its source, whatever is made of an object that was added.

Zope tells of each object that comes into a folder. Whoever is told may give it what must be
the site's own, a number say, or the first state of its workflow; but a copy is nothing that
was changed today, and whose it is was decided where it comes from.
"""

from copy import deepcopy

from zmount.agent.entries import base_of

_KEPT = (
    "__ac_local_roles__",
    "__ac_local_roles_block__",
    "_owner",
    "creation_date",
    "creators",
    "effective_date",
    "expiration_date",
    "modification_date",
)


class Kept:
    """The owners, local roles and dates of COPY and of all below it, to be put back."""

    def __init__(self, copy):
        self.objects = [(base_of(each), _attributes(each)) for each in all_below(copy)]

    def put_back(self):
        """Let each have again what it had."""
        for thing, before in self.objects:
            now = _attributes(thing)
            if any(now.get(name) != value for name, value in before.items()):
                vars(thing).update(before)
                thing._p_changed = True


def all_below(thing):
    """Yield THING and all objects that it and what is in it show as their own."""
    todo = [thing]
    while todo:
        here = todo.pop()
        yield here
        if hasattr(base_of(here), "objectValues"):
            todo += here.objectValues()


def _attributes(thing):
    found = vars(base_of(thing))
    return {name: deepcopy(found[name]) for name in _KEPT if name in found}
