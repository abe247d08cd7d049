"""ZODB's own tests of storages, run against an overlay, over an empty and a full base."""

from __future__ import annotations

import unittest
from pathlib import Path

from overlays import FromTheSwapOn, frozen, make_base
from ZODB.tests import (
    BasicStorage,
    ConflictResolution,
    HistoryStorage,
    IteratorStorage,
    MTStorage,
    PackableStorage,
    PersistentStorage,
    RevisionStorage,
    StorageTestBase,
    Synchronization,
    TransactionalUndoStorage,
)

NOT_RUN = {
    "testBasics": "wants a storage without any transaction",
    "testPackAllRevisions": "wants garbage collection, of an object without references to it",
    "testPackUndoLog": "a pack that frees nothing leaves the file alone, and its undo log",
    "testTransactionalUndoIterator": "writes transactions of the tids 1, 2 ..., before the base",
    "test_race_load_vs_external_invalidate": "wants a storage that two processes share",
    "test_race_external_invalidate_vs_disconnect": "wants a storage that two processes share",
}
NOT_RUN_OVER_FULL = {
    "testLen": "wants no objects",
    "testPackAfterUndoDeletion": "wants an empty root",
    "testPackJustOldRevisions": "creates the root",
    "testPackOnlyOneObject": "creates the root",
    "testPackWithMultiDatabaseReferences": "wants no objects",
    "testIndicesInUndoInfo": "counts the root's creation",
    "testIndicesInUndoLog": "counts the root's creation",
    "testTransactionalUndoAfterPack": "creates object 0",
    "testTransactionalUndoAfterPackWithObjectUnlinkFromRoot": "counts the root's creation",
    "testUndoLogMetadata": "counts the root's creation",
    "test_tid_ordering_w_commit": "creates object 0",
    "test2StorageThreads": "is run over the empty base",
    "test7StorageThreads": "is run over the empty base",
    "test4ExtStorageThread": "is run over the empty base",
    "testPackAfterUndoManyTimes": "is run over the empty base",
}


def not_run(*names: str) -> dict[str, None]:
    """What a class says of tests that it is not to inherit."""
    return dict.fromkeys(names)


class Overlays(
    StorageTestBase.StorageTestBase,
    BasicStorage.BasicStorage,
    TransactionalUndoStorage.TransactionalUndoStorage,
    RevisionStorage.RevisionStorage,
    PackableStorage.PackableStorageWithOptionalGC,
    PackableStorage.PackableUndoStorage,
    Synchronization.SynchronizedStorage,
    ConflictResolution.ConflictResolvingStorage,
    ConflictResolution.ConflictResolvingTransUndoStorage,
    HistoryStorage.HistoryStorage,
    IteratorStorage.IteratorStorage,
    IteratorStorage.ExtendedIteratorStorage,
    PersistentStorage.PersistentStorage,
    MTStorage.MTStorage,
):
    """Whatever is below."""

    __test__ = False

    use_extension_bytes = True
    is_full = False

    def setUp(self) -> None:
        super().setUp()
        self.open()

    def open(self, **options: object) -> None:
        base = Path("base", "Data.fs")
        if not base.exists():
            make_base(base, is_full=self.is_full)
        self._storage = FromTheSwapOn(Path("changes.fs"), frozen(base), blob_dir=Path("blobs"))


OverEmptyBase = type("OverEmptyBase", (Overlays,), {"__test__": True, **not_run(*NOT_RUN)})
OverFullBase = type(
    "OverFullBase",
    (Overlays,),
    {"__test__": True, "is_full": True, **not_run(*NOT_RUN, *NOT_RUN_OVER_FULL)},
)


def test_what_is_not_run_is_there():
    names = unittest.TestLoader().getTestCaseNames(Overlays)
    assert set(NOT_RUN) | set(NOT_RUN_OVER_FULL) <= set(names)
