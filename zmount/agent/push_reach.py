"""What an object leads to, read from the records of its own database.

An export takes all of it along: what hangs on the object, and whatever something in it
refers to. What cannot or must not be taken along is found before anything is written, for
an import that fails leaves the connection unusable until the next restart.
"""

from io import BytesIO
from pathlib import Path

from zmount.agent.paths import Refused
from zmount.agent.push_classes import Classes

SHOWN = 100_000  # objects that are counted of what would be dragged along
_LACKED = "which is not installed here"
MOUNTED = "Products.ZODBMountPoint.MountedObject.MountedObject"


class Reach:
    """What is reached from an object: how much of it there is.

    The objects ABOVE are neither followed nor counted. ``came`` tells of each object's oid
    from which one it was reached first. Blobs are weighed unless told otherwise: that
    brings those here that lie on another machine.
    """

    def __init__(self, jar, oid, above=(), *, weighs_blobs=True):
        self.jar, self.oid = jar, oid
        self.above, self.weighs_blobs = frozenset(above), weighs_blobs
        self.classes = Classes()
        self.came = {oid: None}
        self.record_bytes = self.blobs = self.blob_bytes = 0
        self.others = []  # (oid, what is wrong with the object or its reference)
        self.values = []  # the same, of classes that a reference may name as well
        self.lost = None  # (holder, oid)
        self.is_cut = False  # there is more

    def as_json(self):
        return {
            "objects": len(self.came),
            "is_cut": self.is_cut,
            "record_bytes": self.record_bytes,
            "blobs": self.blobs,
            "blob_bytes": self.blob_bytes,
        }

    def follow(self, most=None, unless=()):
        """Follow all references; of more than MOST objects only as many.

        With UNLESS only if one of these oids was reached by then.
        """
        todo = [self.oid]
        while todo:
            if most is not None and len(self.came) >= most:
                self.is_cut = not unless or any(oid in self.came for oid in unless)
                if self.is_cut:
                    break
            holder = todo.pop()
            record = self._load(holder)
            if record is None:
                self.lost = self.lost or (self.came[holder], holder)
                continue
            for reference in _references(record):
                oid = self._own(holder, reference)
                if oid is not None and oid not in self.came and oid not in self.above:
                    self.came[oid] = holder
                    todo.append(oid)
        return self

    def way(self, oid, start):
        """Return the path from START, this object's, to what OID is, as far as it has names."""
        chain = []
        while oid is not None and oid != self.oid:
            chain.append((self.came[oid], oid))
            oid = self.came[oid]
        return start + "".join(f"/{self._name(*link)}" for link in reversed(chain))

    def _name(self, holder, oid):
        from ZODB.POSException import POSError

        try:
            thing = self.jar.get(holder)
            thing._p_activate()
            items = getattr(thing, "__dict__", {}).items()
        except (POSError, KeyError, AttributeError, TypeError):  # its class or a reference is gone
            items = ()
        return next((k for k, v in items if getattr(v, "_p_oid", None) == oid), "...")

    def _load(self, oid):
        from ZODB.POSException import POSKeyError

        try:
            record, tid = self.jar._storage.load(oid)
        except POSKeyError:
            return None
        self.record_bytes += len(record)
        self._judge(oid, tid, record)
        return record

    def _judge(self, oid, tid, record):
        """Weigh a blob, and note what cannot be copied."""
        from ZODB.blob import Blob
        from ZODB.broken import Broken

        ghost = self.jar._reader.getGhost(record)
        name = f"{type(ghost).__module__}.{type(ghost).__name__}"
        if isinstance(ghost, Blob):
            self.blobs += 1
            if self.weighs_blobs:
                self.blob_bytes += Path(self.jar._storage.loadBlob(oid, tid)).stat().st_size
        elif isinstance(ghost, Broken):
            self.others.append((oid, f"is of the class {name}, {_LACKED}"))
        elif name == MOUNTED:
            self.others.append((oid, "is a mount point"))
        elif b"_zmount_offline" in record:
            self.others.append((oid, "stands in for a site that is off-line"))
        elif missing := self.classes.missing(record):
            self.values.append((oid, f"holds a value of the class {missing}, {_LACKED}"))

    def _own(self, holder, reference):
        """Return the oid if REFERENCE is into this database, and no weak one."""
        if isinstance(reference, tuple):
            return reference[0]
        if not isinstance(reference, list):
            return reference
        if reference[0] in ("m", "n"):
            where = f"refers into the database {reference[1][0]}"
        else:
            where = "holds a weak reference, which an export loses"
        self.others.append((holder, where))
        return None


def reached(jar, thing, path, above):
    """Return what THING at PATH leads to, which nothing may forbid to copy.

    ABOVE are the oids of what THING lies in.
    """
    reach = Reach(jar, thing._p_oid).follow(SHOWN, unless=above)
    for oid in above:
        if oid in reach.came:
            _refuse_drag(reach, path, oid, above)
    for oid, why in reach.others + reach.values:
        raise Refused(f"{reach.way(oid, path)} {why}")
    if reach.lost is not None:
        holder, oid = reach.lost
        said = reach.way(holder, path) if holder else path
        raise Refused(f"{said} refers to the object 0x{oid.hex().lstrip('0')}, which is lost")
    return reach


def _refuse_drag(reach, path, oid, above):
    """Say which object holds on to what lies above the one at PATH."""
    held = Reach(reach.jar, reach.oid, above).follow()
    first = next(each for each in above if reach.came.get(each) in held.came)
    holder = reach.came[first]
    least = "at least " if reach.is_cut else ""
    raise Refused(
        f"{reach.way(first, path)} refers to what {path} lies in, as a stored __parent__ does "
        f"(held by the object 0x{holder.hex().lstrip('0')}): instead of {held.record_bytes:,} "
        f"bytes {least}{reach.record_bytes:,} would be copied"
    )


def _references(record):
    from ZODB._compat import PersistentUnpickler

    found = []
    unpickler = PersistentUnpickler(None, found.append, BytesIO(record))
    unpickler.noload()
    unpickler.noload()
    return found
