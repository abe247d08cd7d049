"""Say whether storages are sound: structure, records, references, blobs and index.

1. choose: what is named, or all of this host, or any data file.
2. verify: each in turn, from its files, while it may be in use; nothing is written.
   References to other databases are looked up in the storages that the instances
   mount beside it, as far as their files are here. A stage that shows production's
   content is verified with that, over which its own changes lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from zmount.effects.local_files import is_directory
from zmount.effects.pack_look import look_at
from zmount.effects.stage_layers import BrokenStage, layers_of
from zmount.errors import CorruptFile, StorageUnreadable, ZMountError
from zmount.filestorage.foreign_check import Other
from zmount.filestorage.layered_verify import verify_layers
from zmount.filestorage.layers import Layers
from zmount.filestorage.verification import Finding, Kind, Verification
from zmount.filestorage.verify import verify
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.pack_look import chosen
from zmount.operations.recorded import Record, recorded
from zmount.operations.storage_files import files_of
from zmount.topology.hosts import Host
from zmount.topology.references import instances_by_storage
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology

Result = Literal["sound", "doubtful", "damaged", "empty", "failed"]
LOOKS = 3  # at a stage that is swapped meanwhile
BESIDE = "blobs"  # a directory of this name beside a data file has its blobs

# what to do about a finding; {name} is the storage
HINTS: dict[Kind, str] = {
    "structure": "restore a backup beside it and compare, or read ZODB's fsrecover",
    "record": "restore a backup beside it and compare",
    "back pointer": "restore a backup beside it and compare",
    "order": "restore a backup beside it and compare",
    "root": "restore a backup beside it and compare",
    "history": "a pack writes all histories anew; older moments may be wrong until then",
    "dangling": "look at the object in Zope: what it refers to is gone",
    "foreign": "look at the object in Zope: what it refers to is gone from the other database",
    "blob": "restore the files from a backup of the blobs",
    "index": "zmount index {name}, while nobody has it open",
    "tail": "FileStorage cuts it off when it opens the file",
    "files": "zmount swap-stage makes another generation, or brings back the one before (--undo)",
    "packed": "verify it again when no pack or swap runs",
}

Watcher = Callable[[str, str, int, int], None]
"""Is told of a storage by name: a phase, the bytes done and all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What became of one check: the ``verification``, or the ``error`` why there is none.

    ``name`` is the storage's, or the path of the data file. Where both are
    None, there is no data file yet.
    """

    name: str
    verification: Verification | None = None
    error: ZMountError | None = None

    @property
    def result(self) -> Result:
        """How it is, in a word."""
        found = self.verification
        if found is None:
            return "failed" if self.error is not None else "empty"
        if not found.is_sound:
            return "damaged"
        return "doubtful" if found.count("warning") else "sound"

    @property
    def hints(self) -> tuple[str, ...]:
        """What to do about what was found, the worst first."""
        if self.verification is None:
            return ()
        kinds = dict.fromkeys(each.kind for each in self.verification.findings)
        return tuple(dict.fromkeys(HINTS[kind].format(name=self.name) for kind in kinds))

    def as_json(self) -> dict[str, Any]:
        """Return plain values; sizes are in bytes, oids hexadecimal."""
        found = self.verification
        facts: dict[str, Any] = {"name": self.name, "result": self.result}
        if found is not None:
            facts |= {
                "path": str(found.path),
                "base": str(found.base) if found.base is not None else None,
                "end": found.end,
                "transactions": found.transactions,
                "records": found.records,
                "objects": found.objects,
                "blobs": found.blobs,
                "odd_records": found.odd_records,
                "unchecked": dict(found.unchecked),
                "counts": [
                    {"severity": severity, "kind": kind, "number": number}
                    for severity, kind, number in found.counts
                ],
                "findings": [_finding(each) for each in found.findings],
                "seconds": round(found.seconds, 3),
            }
        facts["hints"] = list(self.hints)
        facts["error"] = str(self.error) if self.error is not None else None
        facts["hint"] = self.error.hint if self.error is not None else None
        return facts


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity,
        "kind": finding.kind,
        "reason": finding.reason,
        "file": str(finding.file) if finding.file is not None else None,
        "offset": finding.offset,
        "oid": _oid(finding.oid),
        "holder": _oid(finding.holder),
        "path": finding.path or None,
        "class": finding.class_name or None,
    }


def _oid(oid: int | None) -> str | None:
    return f"{oid:#x}" if oid is not None else None


def verify_storages(
    topology: Topology, host: Host, names: Sequence[str], watch: Watcher
) -> tuple[Verified, ...]:
    """Verify the storages NAMES on HOST, or all; what fails is in the result, not raised.

    :raises UnknownName: there is no such storage on HOST
    """
    local = LocalProcesses(topology=topology, host=host)
    return tuple(
        _recorded(storage, local, watch, is_named=bool(names)) for storage in chosen(local, names)
    )


def verify_file(path: Path, blob_dir: Path | None, watch: Watcher) -> Verified:
    """Verify the data file PATH, and its blobs in BLOB_DIR or in ``blobs`` beside it."""
    if blob_dir is None and is_directory(path.parent / BESIDE):
        blob_dir = path.parent / BESIDE
    return _verified(str(path), path, blob_dir, {}, watch)


def exit_status(verified: Sequence[Verified]) -> int:
    """Return 0 if all are sound, 1 with warnings; CorruptFile's code where one is damaged.

    Without damage it is the code of what made a check impossible.
    """
    results = {each.result for each in verified}
    if "damaged" in results:
        return CorruptFile.exit_code
    if "failed" in results:
        return max(each.error.exit_code for each in verified if each.error is not None)
    return 1 if "doubtful" in results else 0


def _recorded(
    storage: Storage, local: LocalProcesses, watch: Watcher, *, is_named: bool
) -> Verified:
    """Verify STORAGE; that it was, and what was found, is in the history."""
    file, host = local.topology.file, local.host.name
    with recorded(file, host, "verify", subjects=[storage.name]) as record:
        verified = _verified_storage(storage, local.topology, watch, is_named=is_named)
        record.numbers(result=verified.result)
        record.failed(verified.error)
        found = verified.verification
        if found is not None:
            _tell(record, found)
        elif verified.error is None:
            record.nothing_to_do()
    return verified


def _tell(record: Record, found: Verification) -> None:
    """Tell RECORD what was FOUND; the first error is the entry's."""
    errors, warnings = found.count("error"), found.count("warning")
    record.numbers(size=found.end, objects=found.objects, errors=errors, warnings=warnings)
    for first in [each for each in found.findings if each.severity == "error"][:1]:
        reason = f"{first.reason} ({errors} errors in all)"
        record.failed(CorruptFile(found.path, first.offset or 0, reason))


def _verified_storage(
    storage: Storage, topology: Topology, watch: Watcher, *, is_named: bool
) -> Verified:
    """Verify STORAGE; begin again where a swap has let it show something else meanwhile."""
    others = _others(storage, topology)
    try:
        layers = layers_of(storage)
        for _ in range(LOOKS):
            found = _look(storage, layers, others, watch, is_named=is_named)
            before, layers = layers, layers_of(storage)
            if layers == before:
                return found
    except StorageUnreadable as error:
        return Verified(name=storage.name, error=error)
    return _swapped_meanwhile(found)


def _look(
    storage: Storage,
    layers: Layers | BrokenStage | None,
    others: Mapping[str, Other],
    watch: Watcher,
    *,
    is_named: bool,
) -> Verified:
    name = storage.name
    if isinstance(layers, BrokenStage):
        return Verified(name=name, verification=_broken(layers))
    if layers is not None:
        return _checked(
            name, lambda tell: verify_layers(layers, others=others, progress=tell), watch
        )
    try:
        files = files_of(storage)
    except StorageUnreadable as error:
        # of those that nobody named, one without a Data.fs has nothing to verify
        return Verified(name=name, error=error if is_named else None)
    seen = look_at(files.data_fs)
    if seen.size_bytes is None and not seen.unseen and not is_named:
        return Verified(name=name)
    blob_dir = files.blob_dir
    if blob_dir is not None and not is_directory(blob_dir) and not seen.size_bytes:
        blob_dir = None
    return _verified(name, files.data_fs, blob_dir, others, watch)


def _broken(stage: BrokenStage) -> Verification:
    finding = Finding(severity="error", kind="files", reason=f"{stage.path}: {stage.reason}")
    return Verification(path=stage.path, findings=(finding,), counts=(("error", "files", 1),))


def _swapped_meanwhile(found: Verified) -> Verified:
    """Return what was FOUND, with the note that it may be of before."""
    verification = found.verification
    if verification is None:
        return found
    reason = f"it was swapped {LOOKS} times meanwhile: this is of what it showed before"
    finding = Finding(severity="warning", kind="packed", reason=reason)
    return replace(
        found,
        verification=replace(
            verification,
            findings=(*verification.findings, finding),
            counts=(*verification.counts, ("warning", "packed", 1)),
        ),
    )


def _verified(
    name: str, path: Path, blob_dir: Path | None, others: Mapping[str, Other], watch: Watcher
) -> Verified:
    return _checked(
        name,
        lambda tell: verify(path, blob_dir=blob_dir, others=others, progress=tell),
        watch,
    )


def _checked(
    name: str, check: Callable[[Callable[[str, int, int], None]], Verification], watch: Watcher
) -> Verified:
    try:
        found = check(lambda phase, done, total: watch(name, phase, done, total))
    except ZMountError as error:
        return Verified(name=name, error=error)
    return Verified(name=name, verification=found)


def _others(storage: Storage, topology: Topology) -> dict[str, Other]:
    """Return the files of what STORAGE may refer to, by the names of the databases.

    A name that means several storages, in several instances, means none here.
    """
    found: dict[str, set[Other]] = {}
    for instance, own_name in instances_by_storage(topology).get(storage.name, ()):
        for mount in instance.mounts:
            if mount.name == own_name or mount.storage.host.name != storage.host.name:
                continue
            try:
                layers = layers_of(mount.storage)
                if isinstance(layers, BrokenStage):
                    continue  # a check of that one tells
                other = layers or files_of(mount.storage).data_fs
            except StorageUnreadable:
                continue
            found.setdefault(mount.name, set()).add(other)
    return {name: others.pop() for name, others in found.items() if len(others) == 1}
