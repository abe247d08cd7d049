"""Copying one object to another place, across mounted storages, in one transaction."""

from contextlib import contextmanager

from zmount.agent.entries import base_of
from zmount.agent.paths import Refused
from zmount.agent.push_catalog import catalog_for, classes_known, known_below, look_again
from zmount.agent.push_kept import Kept
from zmount.agent.push_places import in_own_root, place_at
from zmount.agent.push_reach import SHOWN, Reach, reached


def look_at_push(app, made, *, source, target, root, real):
    """Answer what of SOURCE would be copied to TARGET, and what would go there.

    TARGET is at REAL below ROOT in its own storage.
    """
    return _Push(app, source, target, root, real).told()


def push_object(app, made, *, source, target, root, real, **seen):
    """Copy SOURCE to TARGET, if both are still what was SEEN there (``oid``, ``replaces``).

    What is at TARGET is replaced, and nothing else: the copy has its id and its place, its
    own owner and local roles, and the site's catalog looks at it.
    """
    push = _Push(app, source, target, root, real)
    told = push.told()
    for key, what in (("oid", source), ("replaces", target)):
        if told[key] != seen[key]:
            raise Refused(f"{what} is another object now than when it was shown")
    return {**told, **push.carry_out()}


class _Push:
    def __init__(self, app, source, target, root, real):
        self.source, self.target = place_at(app, source), place_at(app, target)
        if self.source.there is None:
            raise Refused(f"there is no {source}")
        self._must_be_apart()
        self.thing = base_of(self.source.there)
        if getattr(self.thing, "_p_jar", None) is None:
            raise Refused(f"{source} is part of another object's record")
        self.reach = reached(self.source.jar, self.thing, source, self.source.above)
        self.container = in_own_root(self.target, root, real)
        self.catalog = catalog_for(self.container)
        self._must_take()

    def told(self):
        """Return what there is, as plain values."""
        there, old = self.target.there, None
        if there is not None:
            reach = Reach(
                self.target.jar, there._p_oid, self.target.above, weighs_blobs=False
            ).follow(SHOWN)
            old = {**reach.as_json(), "class": _class_name(there)}
        return {
            **self.reach.as_json(),
            "class": _class_name(self.thing),
            "oid": self.thing._p_oid.hex(),
            "from_database": self.source.jar.db().database_name,
            "to_database": self.target.jar.db().database_name,
            "replaces": None if there is None else there._p_oid.hex(),
            "replaced": old,
            "catalog": None if self.catalog is None else _path(self.catalog),
        }

    def carry_out(self):
        """Copy; return what came of it, as plain values."""
        container, name = self.container, self.target.name
        path = f"{_path(container)}/{name}"
        known, classes = [], set()
        if self.catalog is not None:
            known = known_below(self.catalog, path)
            classes = classes_known(container, name, known)
        with _working_for(container):
            copy = self._copied()
            kept, imported = Kept(copy), Reach(self.target.jar, copy._p_oid).follow()
            place = None
            if self.target.there is not None:
                place = _position(container, name)
                container._delObject(name)
            container._setObject(name, copy, set_owner=0)
            if place is not None:
                _move(container, name, place)
            kept.put_back()
            looked = forgotten = 0
            if self.catalog is not None:
                looked, forgotten = look_again(self.catalog, container, name, known, classes)
        return {
            "copy": copy._p_oid.hex(),
            **_named("imported", imported),
            **self._written(copy),
            "cataloged": looked,
            "uncataloged": forgotten,
        }

    def _copied(self):
        """Return a copy of the object in the target's database, with its id there."""
        from tempfile import TemporaryFile

        import transaction
        from Acquisition import aq_base

        transaction.savepoint(optimistic=True)
        try:
            with TemporaryFile() as file:
                self.source.jar.exportFile(self.thing._p_oid, file)
                file.seek(0)
                copy = aq_base(self.target.jar.importFile(file))
        finally:
            # where an import failed, a Connection would try it again in each later commit
            self.target.jar._import = None
        if self.source.name != self.target.name:
            copy._setId(self.target.name)
        return copy

    def _written(self, copy):
        import transaction

        transaction.savepoint(optimistic=True)
        return _named("written", Reach(self.target.jar, copy._p_oid).follow())

    def _must_be_apart(self):
        source, target = self.source, self.target
        if source.jar is not target.jar:
            return
        oid = source.there._p_oid
        old = None if target.there is None else target.there._p_oid
        if oid == old:
            raise Refused(f"{source.path} and {target.path} are one object")
        if oid in target.above:
            raise Refused(f"{target.path} is inside {source.path}")
        if old is not None and old in source.above:
            raise Refused(f"{source.path} is inside {target.path}")

    def _must_take(self):
        """Refuse what the target cannot take, before anything is written."""
        from zExceptions import BadRequest
        from ZODB.interfaces import IBlobStorage

        if self.reach.blobs and not IBlobStorage.providedBy(self.target.jar._storage):
            raise Refused(
                f"{self.source.path} has blobs, and {self.target.path} is in a storage without"
            )
        if self.target.there is None:
            try:
                self.container._checkId(self.target.name)
            except BadRequest as why:
                raise Refused(str(why)) from None


@contextmanager
def _working_for(container):
    """While it lasts, Zope works for the nearest site above CONTAINER, and as its system.

    In its own root a storage has users of its own, of whom the administrator who asked for
    the copy is none; what removes and adds objects there may ask who he is.
    """
    from AccessControl.SecurityManagement import (
        getSecurityManager,
        newSecurityManager,
        setSecurityManager,
    )
    from AccessControl.users import system
    from Acquisition import aq_chain
    from zope.component.hooks import getSite, setSite
    from zope.component.interfaces import ISite

    asked_by, site = getSecurityManager(), getSite()
    newSecurityManager(None, system)
    try:
        setSite(next((each for each in aq_chain(container) if ISite.providedBy(each)), site))
        yield
    finally:
        setSite(site)
        setSecurityManager(asked_by)


def _position(container, name):
    base = base_of(container)
    if hasattr(base, "moveObjectToPosition"):
        return container.getObjectPosition(name)
    if "_tree" in base.__dict__:
        return None
    return [each["id"] for each in base._objects].index(name)


def _move(container, name, position):
    base = base_of(container)
    if hasattr(base, "moveObjectToPosition"):
        container.moveObjectToPosition(name, position, suppress_events=True)
        return
    entries = [each for each in base._objects if each["id"] != name]
    own = [each for each in base._objects if each["id"] == name]
    base._objects = (*entries[:position], *own, *entries[position:])


def _named(prefix, reach):
    return {f"{prefix}_{key}": value for key, value in reach.as_json().items()}


def _path(thing):
    return "/".join(thing.getPhysicalPath())


def _class_name(thing):
    kind = type(base_of(thing))
    return f"{kind.__module__}.{kind.__name__}"
