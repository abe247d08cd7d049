"""The access rules of a root, read from its records.

Of the Application and all that lies below it in the root's own storage: what mount
points show belongs to sites and is not read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from zmount.effects.raw_folders import entry, is_tree, tree_items
from zmount.effects.raw_records import RawDatabase, Record, Reference, Stub, mapping_state
from zmount.effects.raw_roots import MOUNTED_OBJECT, USER_FOLDERS
from zmount.plan.access_rules import (
    Caller,
    Key,
    Other,
    Owner,
    Roles,
    RootRules,
    Rule,
    Setting,
    User,
)
from zmount.topology.options import Secret

# AuthEncoding's, and those that products add. A password in plain text may begin
# with a brace: what is not one of these is never shown.
_SCHEMES: Final = frozenset(
    "SSHA SHA SHA256 SSHA256 SHA512 SSHA512 BCRYPT CRYPT MYSQL PBKDF2 ARGON2 MD5 SMD5".split()
)
_SCHEME = re.compile(r"\{([A-Za-z0-9-]+)\}")
_PERMISSION = re.compile(r"_(.+)_Permission")
_NAME_CALLER = "ZPublisher.BeforeTraverse.NameCaller"
_ROLES: Final = {"__ac_roles__": "roles", "_proxy_roles": "proxy roles"}


def root_rules(instance: str, database: RawDatabase, ignored: Collection[str]) -> RootRules:
    """Return the rules in the root of INSTANCE, whose storage DATABASE is.

    IGNORED are paths that are not looked at, nor what is below them.

    :raises StorageUnreadable: a record is damaged
    """
    objects: dict[str, Mapping[Key, Rule]] = {}
    unreadable: dict[str, str] = {}
    for path, record in _objects(database, frozenset(ignored)):
        rules = dict(_rules(database, record))
        if record.class_name in USER_FOLDERS:
            rules.update(_users(database, record))
        elif path.endswith("/acl_users"):
            unreadable[path] = record.class_name
            rules[Key("user folder")] = Other(text=record.class_name)
        objects[path] = rules
    return RootRules(instance=instance, objects=objects, unreadable=unreadable)


def _objects(database: RawDatabase, ignored: frozenset[str]) -> Iterator[tuple[str, Record]]:
    """Yield the path and record of each object; one that is in two places only once."""
    top = database.referred(database.root().get("Application"))
    waiting = [] if top is None else [("", top)]
    seen: set[bytes] = set()
    while waiting:
        path, record = waiting.pop()
        if record.oid in seen or record.class_name == MOUNTED_OBJECT:
            continue
        seen.add(record.oid)
        yield path or "/", record
        for name in _names(database, record):
            below = f"{path}/{name}"
            found = None if below in ignored else database.referred(entry(database, record, name))
            if found is not None:
                waiting.append((below, found))


def _names(database: RawDatabase, folder: Record) -> Iterator[str]:
    listed = folder.attributes.get("_objects", ())
    if isinstance(listed, tuple | list):
        yield from (str(each["id"]) for each in listed if isinstance(each, dict) and "id" in each)
    if is_tree(folder):
        items = tree_items(database, folder.attributes["_tree"])
        yield from (key for key, _ in items if isinstance(key, str))


def _rules(database: RawDatabase, record: Record) -> Iterator[tuple[Key, Rule]]:
    attributes = record.attributes
    for name, value in attributes.items():
        if permission := _PERMISSION.fullmatch(str(name)):
            yield Key("permission", permission[1]), _setting(value)
        elif (what := _ROLES.get(name)) is not None and (roles := _roles(value)) is not None:
            yield Key("roles" if what == "roles" else "proxy roles"), roles
    if "_owner" in attributes:
        yield Key("owner"), _owner(attributes["_owner"])
    for user, roles_of in _items(database, attributes.get("__ac_local_roles__")):
        yield Key("local roles", str(user)), _roles(roles_of) or Other(text=_shown(roles_of))
    if attributes.get("__ac_local_roles_block__"):
        yield Key("local roles block"), Other(text="those from above do not count")
    for hook, called in _items(database, attributes.get("__before_traverse__")):
        yield Key("access rule", _hook_name(hook)), _hook(called)
    groups = database.referred(attributes.get("__allow_groups__"))
    if groups is not None:
        yield Key("user folder"), Other(text=groups.class_name)


def _items(database: RawDatabase, value: object) -> Iterator[tuple[object, object]]:
    record = database.referred(value)
    found = value if record is None else mapping_state(record)
    if isinstance(found, Mapping):
        yield from found.items()


def _setting(value: object) -> Rule:
    roles = _texts(value)
    if roles is None:
        return Other(text=_shown(value))
    return Setting(roles=roles, is_acquired=isinstance(value, list))


def _roles(value: object) -> Roles | None:
    names = _texts(value)
    return None if names is None else Roles(names=names)


def _owner(value: object) -> Rule:
    if isinstance(value, tuple) and len(value) == 2:
        folder = value[0]
        if isinstance(value[1], str) and isinstance(folder, list | tuple):
            return Owner(user=value[1], folder=tuple(map(str, folder)))
    return Other(text="nobody" if value is None else _shown(value))


def _hook_name(hook: object) -> str:
    """Return ``NAME PRIORITY`` of a hook's key."""
    if isinstance(hook, tuple) and len(hook) == 2:
        return f"{hook[1]} {hook[0]}"
    return _shown(hook)


def _hook(called: object) -> Rule:
    if isinstance(called, Stub) and called.class_name == _NAME_CALLER:
        state = called.state
        if isinstance(state, dict) and isinstance(state.get("name"), str):
            return Caller(called=state["name"])
    return Other(text=_shown(called))


def _users(database: RawDatabase, folder: Record) -> Iterator[tuple[Key, Rule]]:
    for name, value in _items(database, folder.attributes.get("data")):
        record = database.referred(value)
        state = value.state if isinstance(value, Stub) else record and record.attributes
        if isinstance(state, Mapping):
            scheme, password = _password(state.get("__"))
            yield (
                Key("user", str(name)),
                User(
                    roles=_texts(state.get("roles")) or (),
                    domains=_texts(state.get("domains")) or (),
                    scheme=scheme,
                    password=password,
                    is_bytes=isinstance(state.get("__"), bytes),
                ),
            )


def _password(value: object) -> tuple[str, Secret | None]:
    """Return the kind of a stored password, and what is stored."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return "none", None
    scheme = _SCHEME.match(value)
    if scheme is not None and scheme[1].upper() in _SCHEMES:
        return scheme[1].upper(), Secret(value)
    return "plain text, or of an unknown scheme", Secret(value)


def _texts(value: object) -> tuple[str, ...] | None:
    """Return the texts in VALUE in order, each once; None: it is something else."""
    if isinstance(value, list | tuple | set | frozenset) and all(
        isinstance(each, str) for each in value
    ):
        return tuple(sorted(set(value)))
    return None


def _shown(value: object) -> str:
    """Return what VALUE looks like: its class and state, without an oid."""
    if isinstance(value, Reference):
        return f"an object of {value.class_name or 'an unknown class'}"
    if isinstance(value, Stub):
        state = value.state
        if isinstance(state, dict):
            values = ", ".join(f"{key}={_shown(state[key])}" for key in sorted(state, key=str))
            return f"{value.class_name}({values})"
        return value.class_name
    return repr(value)[:200]
