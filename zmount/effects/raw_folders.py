"""What folders hold, read from records: Zope's plain ones and those with a tree."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from zmount.effects.raw_records import RawDatabase, Record, Reference

SHOWN_IDS = 10  # how many ids tell a person what a folder is about


def entry(database: RawDatabase, folder: Record, name: str) -> object | None:
    """Return what FOLDER itself has under NAME, never what it would acquire.

    A :class:`Reference` for a persistent object, any other value for an
    attribute, None where there is nothing.
    """
    value = folder.attributes.get(name)
    if value is not None or not is_tree(folder):
        return value
    return tree_value(database, folder.attributes["_tree"], name)


def is_tree(folder: Record) -> bool:
    """True for a folder that keeps its objects in a BTree."""
    return isinstance(folder.attributes.get("_tree"), Reference)


def is_listed(folder: Record, name: str) -> bool:
    """True if NAME is among the objects that FOLDER shows."""
    return is_tree(folder) or name in _object_ids(folder)


def listed_ids(folder: Record) -> frozenset[str] | None:
    """Return the ids of all objects that FOLDER shows; None: all that its tree holds."""
    return None if is_tree(folder) else frozenset(_object_ids(folder))


def references_by_name(database: RawDatabase, folder: Record) -> Iterator[tuple[str, Reference]]:
    """Yield the name and the reference of each persistent object that FOLDER holds itself."""
    for name, value in folder.attributes.items():
        if isinstance(value, Reference):
            yield name, value
    if is_tree(folder):
        for key, value in tree_items(database, folder.attributes["_tree"]):
            if isinstance(value, Reference):
                yield str(key), value


def ids(database: RawDatabase, folder: Record) -> tuple[str, ...]:
    """Return the first ids of what FOLDER holds."""
    found = _object_ids(folder)
    if is_tree(folder):
        keys = (key for key, _ in tree_items(database, folder.attributes["_tree"]))
        found += tuple(str(key) for key in islice(keys, SHOWN_IDS))
    return found[:SHOWN_IDS]


def tree_value(database: RawDatabase, tree: object, key: str) -> object | None:
    """Return what the BTree that TREE refers to has under KEY, or None."""
    record = database.referred(tree)
    while record is not None:
        state = record.state
        if not isinstance(state, tuple) or not state:
            return None
        if not _is_inner(state):
            return dict(_bucket_items(state)).get(key)
        record = database.referred(_branch(state[0], key))
    return None


def tree_items(database: RawDatabase, tree: object) -> Iterator[tuple[object, object]]:
    """Yield the keys and values of the BTree that TREE refers to, in order.

    Source: the ``__getstate__`` of BTrees: None for an empty tree, a tuple of
    one for a tree that has its only bucket inside, else the children with the
    keys between them and the first bucket; buckets are chained.
    """
    record = database.referred(tree)
    if record is not None and isinstance(record.state, tuple) and _is_inner(record.state):
        record = database.referred(record.state[1])
    seen: set[bytes] = set()
    while record is not None and record.oid not in seen and isinstance(record.state, tuple):
        seen.add(record.oid)
        yield from _bucket_items(record.state)
        record = database.referred(record.state[1]) if len(record.state) > 1 else None


def _object_ids(folder: Record) -> tuple[str, ...]:
    objects = folder.attributes.get("_objects", ())
    if not isinstance(objects, tuple | list):
        return ()
    return tuple(str(each.get("id")) for each in objects if isinstance(each, dict))


def _is_inner(state: tuple[object, ...]) -> bool:
    """True for a tree of several buckets: children and keys, then the first bucket."""
    children = state[0]
    return len(state) == 2 and isinstance(children, tuple) and isinstance(children[0], Reference)


def _bucket_items(state: tuple[object, ...]) -> Iterator[tuple[object, object]]:
    flat = state[0]
    # a tree with one bucket inside wraps the bucket's state twice
    while isinstance(flat, tuple) and len(flat) == 1 and isinstance(flat[0], tuple):
        flat = flat[0]
    if isinstance(flat, tuple):
        yield from zip(flat[::2], flat[1::2], strict=False)


def _branch(children: object, key: str) -> object:
    """Return the child whose keys KEY lies among: child, key, child, key, child."""
    assert isinstance(children, tuple)
    chosen = children[0]
    for smallest, child in zip(children[1::2], children[2::2], strict=False):
        if not isinstance(smallest, str) or key < smallest:
            break
        chosen = child
    return chosen
