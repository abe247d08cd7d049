"""ZODB's own tests of storages with blobs, run against an overlay over a base without objects."""

from __future__ import annotations

import os
import threading
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from overlays import FromTheSwapOn, frozen, make_base
from ZODB.tests import testblob


def make(name: str, blob_dir: str) -> FromTheSwapOn:
    base = Path(f"{name}-base", "Data.fs")
    if not base.exists():
        make_base(base, is_full=False)
    return FromTheSwapOn(Path(f"{name}.fs"), frozen(base), blob_dir=Path(blob_dir))


SUITE = testblob.storage_reusable_suite("Overlay", make, test_blob_storage_recovery=True)


def cases(suite: Any) -> Iterator[unittest.TestCase]:
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from cases(each)
        else:
            yield each


# root is never refused when it opens a read-only file for writing
NOT_RUN_BY_ROOT = ("blob_transaction_txt",) if os.geteuid() == 0 else ()
CASES = [
    pytest.param(each, id=each.id())
    for each in cases(SUITE)
    if not each.id().endswith(NOT_RUN_BY_ROOT)
]


@pytest.mark.parametrize("case", CASES)
def test_zodb(case: unittest.TestCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    result: Any = unittest.TestResult()
    SUITE.layer.testSetUp()
    try:
        thread = threading.Thread(target=case.run, args=(result,))
        thread.start()
        thread.join()
    finally:
        SUITE.layer.testTearDown()
    said = [text for _, text in result.errors + result.failures]
    assert result.testsRun == 1 and not said, "\n".join(said)
