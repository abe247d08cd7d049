"""ZODB's own tests of FileStorage, run with our packer in the place of ZODB's.

All of testFileStorage (basics, undo, packing with and without garbage
collection, revisions, history, iteration, recovery, conflicts, corruption,
threads, each also with blobs and with transformed records), of
ZODB.FileStorage.tests, testblob and testRecover. ``NOT_RUN`` names the others.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from packers import IS_STOCK, packer_here
from ZODB.FileStorage import FileStorage
from ZODB.FileStorage.fspack import FileStoragePacker
from zodb_cases import Case, cases

CASES = cases(
    "ZODB.tests.testFileStorage",
    "ZODB.FileStorage.tests",
    "ZODB.tests.testblob",
    "ZODB.tests.testRecover",
)
NOT_RUN = {
    "*.testCorruptionInPack": "asserts the class and the words of stock's error;"
    " test_pack_hostile.py has the same damage",
    "FileStorage.tests.pack_disk_full_*": "patches methods of stock's packer, which does not run;"
    " test_pack_full_disk.py fills a real disk",
    "*.test[247]*Storage*Thread*": "stores from threads, never packs, and sleeps 4 s each time",
}
NOT_RUN_BY_ROOT = {
    "*.blob_transaction_txt*": "wants to be refused when it opens a read-only file for writing",
}
if os.geteuid() == 0:
    NOT_RUN |= NOT_RUN_BY_ROOT


def is_run(case: Case) -> bool:
    return not any(fnmatchcase(case.name, pattern) for pattern in NOT_RUN)


@pytest.fixture(autouse=True)
def only_our_packer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A FileStorage that names no packer has ours, and stock's refuses to run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(FileStorage, "packer", staticmethod(packer_here))
    if not IS_STOCK:
        monkeypatch.setattr(FileStoragePacker, "__init__", _refuse)
    # what earlier tests did to the log is not what these expect
    logging.disable(logging.NOTSET)
    yield


def _refuse(*arguments: object, **options: object) -> None:
    raise AssertionError("stock's packer was called")


@pytest.mark.parametrize("case", list(filter(is_run, CASES)), ids=lambda case: case.name)
def test_zodb(case: Case) -> None:
    case.run()


@pytest.mark.parametrize("pattern", NOT_RUN)
def test_what_is_not_run_is_there(pattern: str) -> None:
    assert any(fnmatchcase(case.name, pattern) for case in CASES)
