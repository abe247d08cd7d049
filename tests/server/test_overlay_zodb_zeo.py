"""ZODB's and ZEO's tests of a storage behind a ZEO server, run against a stage that was swapped."""

from __future__ import annotations

import threading
import unittest
from pathlib import Path
from typing import Any

import pytest
from overlays import make_base
from ZEO.tests import testZEO

from zmount.server.settings import StageSettings
from zmount.server.stage import StageStorage

CONF = """
%import zmount.server
<stage 1>
  path stage.fs
  blob-dir stage-blobs
  generations {place}/generations
  source-path pub/Data.fs
  source-blob-dir pub/Data.fs.blobs
</stage>
"""
# one or two of each of their mixins: each starts a server
NAMES = """
    testSerialIsNoneForInitialRevision testConflicts testWriteAfterAbort testLen testNote
    test_checkCurrentSerialInTransaction testPackWhileWriting testRedundantPack
    checkResolve testUnresolvable testUndoConflictResolution testBuggyResolve1
    testLoadSerial testLoadBefore testLoadBeforeUndo
    testSimpleTransactionalUndo testCreationUndoneGetTid testTwoObjectUndo testUndoZombie
    testUndoMultipleConflictResolution
    testIterationIntraTransaction checkIteratorGCStorageDisconnect
    testUndoUnresolvable testUndoCreationBranch1 testUndoCreationBranch2 testTwoObjectUndoAtOnce
    testPackNowWhileWriting testPackYesterday testAbortAfterVote checkDisconnectedOnThread2Close
    test_race_load_vs_external_invalidate
    checkZEOInvalidation checkUndoInvalidation checkLargeUpdate checkCommitLockVoteClose
    checkMTStores
""".split()


class SwappedStage(testZEO.FileStorageTests):
    """A stage in its first generation, over a base without objects, behind a server."""

    __test__ = False
    place: Path  # their own ends removing links to directories as if they were some

    def getConfig(self) -> str:
        base = Path("pub", "Data.fs")
        make_base(base, is_full=False)
        here = Path.cwd()
        stage = StageStorage(
            StageSettings(
                name="1",
                path=here / "stage.fs",
                blob_dir=here / "stage-blobs",
                generations=self.place / "generations",
                source="",
                source_path=here / base,
                source_blob_dir=here / "pub" / "Data.fs.blobs",
            )
        )
        stage.swap()
        assert stage.generation is not None
        stage.close()
        return CONF.format(place=self.place)


@pytest.mark.parametrize("name", NAMES)
def test_zeo(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SwappedStage, "place", tmp_path, raising=False)
    result: Any = unittest.TestResult()
    thread = threading.Thread(target=SwappedStage(name).run, args=(result,))
    thread.start()
    thread.join()
    said = [text for _, text in result.errors + result.failures]
    assert result.testsRun == 1 and not said, "\n".join(said)
