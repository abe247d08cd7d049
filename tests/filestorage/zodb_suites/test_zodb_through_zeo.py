"""ZODB's tests of packing, run by a client of a real ZEO server that has our packer."""

from __future__ import annotations

import threading
import unittest
from pathlib import Path
from typing import Any

import pytest
from packers import IS_STOCK
from ZEO.tests import testZEO

PACKER = "" if IS_STOCK else "packer zmount.filestorage.packer.pack"


# ZEO has put checkPackUndoLog in the place of the second
PACKS_NOTHING = ("testPackEmptyStorage", "testPackUndoLog")


class ThroughZEO(testZEO.FileStorageTests):
    """A FileStorage with blobs behind a ZEO server, in the words of its configuration."""

    __test__ = False  # not as it is: some of its tests do not pack

    def getConfig(self) -> str:
        return f"<filestorage 1>\npath Data.fs\nblob-dir blobs\n{PACKER}\n</filestorage>\n"

    def tearDown(self) -> None:
        no_pack = self._testMethodName in PACKS_NOTHING or IS_STOCK
        assert no_pack or Path("Data.fs.pack-report").exists(), "another packer ran"
        super().tearDown()


NAMES = sorted(name for name in dir(ThroughZEO) if "Pack" in name and name[:4] in ("test", "chec"))


@pytest.mark.parametrize("name", NAMES)
def test_zeo(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result: Any = unittest.TestResult()
    thread = threading.Thread(target=ThroughZEO(name).run, args=(result,))
    thread.start()
    thread.join()
    said = [text for _, text in result.errors + result.failures]
    assert result.testsRun == 1 and not said, "\n".join(said)
