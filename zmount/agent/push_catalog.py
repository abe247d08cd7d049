"""A site's catalog, asked to look again at what was replaced."""

import sys

from zmount.agent.entries import base_of
from zmount.agent.push_kept import all_below
from zmount.agent.push_places import held

NAMES = ("portal_catalog", "Catalog", "catalog")


def catalog_for(container):
    """Return the nearest catalog above what lies in CONTAINER, in its database; None: none."""
    from Acquisition import aq_inner, aq_parent

    here = container
    while here is not None and getattr(here, "_p_jar", None) is container._p_jar:
        for name in NAMES:
            found = held(here, name, name)
            if found is not None and hasattr(base_of(found), "uncatalog_object"):
                return found
        here = aq_parent(aq_inner(here))
    return None


def known_below(catalog, path):
    """Return the paths at PATH and below that CATALOG knows."""
    uids = catalog._catalog.uids
    below = uids.keys(min=path + "/", max=path + "0", excludemax=True)  # "0" follows "/"
    return [*([path] if path in uids else []), *below]


def classes_known(container, name, paths):
    """Return the classes of the objects at PATHS, which are below NAME in CONTAINER."""
    found = (_object(container, name, path) for path in paths)
    return {type(base_of(each)) for each in found if each is not None}


def look_again(catalog, container, name, known, classes):
    """Let CATALOG forget what it KNOWS and is gone, and look at the rest and what is new.

    An object is new to the catalog that can index itself, or is of CLASSES, those that
    were known. Returns how many were looked at, and how many forgotten.
    """
    _end_waiting()
    looked = forgotten = 0
    for path in known:
        thing = _object(container, name, path)
        if thing is None:
            if path in catalog._catalog.uids:
                catalog.uncatalog_object(path)
            forgotten += 1
        else:
            catalog.catalog_object(thing, path)
            looked += 1
    for thing in all_below(container._getOb(name)):
        path = "/".join(thing.getPhysicalPath())
        if path in catalog._catalog.uids:
            looked += path not in known
        elif hasattr(base_of(thing), "indexObject"):
            thing.indexObject()
            looked += 1
        elif type(base_of(thing)) in classes:
            catalog.catalog_object(thing, path)
            looked += 1
    _end_waiting()
    return looked, forgotten


def _end_waiting():
    """Let CMF index now what it would index when the transaction is committed.

    By then Zope works for no site any more, and no workflow, for one, would be found.
    """
    indexing = sys.modules.get("Products.CMFCore.indexing")
    if indexing is not None:
        indexing.processQueue()


def _object(container, name, path):
    """Return what is at PATH, below NAME in CONTAINER; None: nothing of its own."""
    here = container
    for each in [name, *path.split("/")[len(container.getPhysicalPath()) + 1 :]]:
        here = held(here, each, path)
        if here is None:
            return None
    return here
