"""The history outlives concurrent writers, crashes, damage and its own size."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from zmount.effects import history as history_module
from zmount.effects import history_file as file_module
from zmount.effects.history import (
    ENDED,
    Entry,
    Search,
    amend,
    append,
    entries,
    forget,
    history_file,
    last,
    last_of_each,
)
from zmount.errors import HistoryUnreadable


def entry(operation: str = "pack", *subjects: str, **said: object) -> Entry:
    facts = {"began": time.time(), "result": "done", "duration_s": 0.1, **said}
    return Entry(operation=operation, who="anna", host="h", subjects=subjects, **facts)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return history_file(tmp_path / "zmount.conf")


def test_it_stands_beside_the_topology_under_its_name(tmp_path: Path):
    assert history_file(tmp_path / "zmount.conf") == tmp_path / "zmount.history"
    assert history_file(tmp_path / "site.2026") == tmp_path / "site.2026.history"


def test_without_a_file_there_is_no_history_and_none_is_made(path: Path):
    assert entries(path) == ()
    assert last(path, "pack", "a") is None
    assert last_of_each(path, "pack") == {}
    assert not path.exists()


def test_an_entry_comes_back_as_it_was_written(path: Path):
    written = append(
        path,
        entry(
            "pack",
            "a",
            "b",
            arguments={"days": 0.5},
            plan=("one", "two"),
            exit_status=17,
            sentence="no room",
            hint="make some",
            numbers={"freed": 2**40, "way": "ZEO"},
            uid=7,
            job="nightly",
        ),
    )

    assert entries(path) == (written,)


def test_what_no_database_takes_as_text_is_written_all_the_same(path: Path):
    append(path, entry("clone", "\udcff", plan=("\udc80",), numbers={"to": "\udcfe"}))

    (found,) = entries(path)
    assert found.subjects == (r"\udcff",)
    assert found.numbers == {"to": r"\udcfe"}


def test_a_plan_without_end_is_cut(path: Path):
    append(path, entry(plan=("x" * 10_000,) * 1000))

    (found,) = entries(path)
    assert found.plan[-1] == "and 800 more"
    assert path.stat().st_size < 1_000_000


def test_an_entry_is_amended_and_forgotten(path: Path):
    begun = append(path, entry("pack", "a", result="running", duration_s=None))
    assert entries(path)[0].result == "running"
    amend(path, entry("pack", "b", number=begun.number, began=begun.began))
    assert [(each.subjects, each.result) for each in entries(path)] == [(("b",), "done")]
    assert last(path, "pack", "a") is None

    forget(path, begun)

    assert entries(path) == ()


def test_an_end_whose_beginning_was_moved_away_is_an_entry_of_its_own(path: Path):
    begun = append(path, entry("pack", "a", result="running", duration_s=None))
    path.rename(path.with_name("elsewhere"))
    append(path, entry("verify", "z"))

    amend(path, entry("pack", "a", number=begun.number, began=begun.began))

    assert [each.operation for each in entries(path)] == ["verify", "pack"]


def test_entries_are_searched(path: Path):
    for number, operation in enumerate(("pack", "verify", "pack", "start")):
        result = "failed" if number == 2 else "done"
        append(path, entry(operation, f"s{number % 2}", "all", began=number, result=result))
    append(path, entry("pack", "s1", began=9, job="nightly"))

    def found(**search: object) -> list[float]:
        return [each.began for each in entries(path, Search(**search))]  # type: ignore[arg-type]

    assert found() == [0, 1, 2, 3, 9]
    assert found(names=("s0",)) == [0, 2]
    assert found(names=("s0", "s1")) == [0, 1, 2, 3, 9]
    assert found(operation="pack") == [0, 2, 9]
    assert found(since=2) == [2, 3, 9]
    assert found(newest=2) == [3, 9]
    assert found(failed=True) == [2]
    assert found(failed=True, newest=1) == [2]
    assert found(job="nightly") == [9]


def test_the_last_of_an_operation_on_a_thing_is_found(path: Path):
    for number, result in enumerate(("done", "failed", "done", "failed", "running")):
        duration_s = None if result == "running" else 1.0
        append(
            path,
            entry("pack", "ab"[number % 2], began=number, result=result, duration_s=duration_s),
        )

    def began(**said: object) -> float | None:
        found = last(path, "pack", "a", **said)  # type: ignore[arg-type]
        return None if found is None else found.began

    assert began() == 4
    assert began(results=ENDED) == 2
    assert began(results=("failed",)) is None
    newest = last_of_each(path, "pack", "verify")
    assert {key: each.began for key, each in newest.items()} == {("pack", "a"): 4, ("pack", "b"): 3}


WRITER = """
import sys, threading
from pathlib import Path
from zmount.effects.history import Entry, append, amend
from dataclasses import replace
path, name = Path(sys.argv[1]), sys.argv[2]
def write(thread):
    for number in range(20):
        subject = f"{name}.{thread}.{number}"
        begun = Entry(operation="pack", began=1.0, who="", host="", subjects=(subject,))
        begun = append(path, begun)
        amend(path, replace(begun, result="done", duration_s=1.0))
threads = [threading.Thread(target=write, args=[each]) for each in range(3)]
for each in threads: each.start()
for each in threads: each.join()
"""


def test_many_processes_and_threads_write_at_once_and_nothing_is_lost(path: Path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(each)], stderr=subprocess.PIPE, text=True
        )
        for each in range(6)
    ]
    seen = 0
    while any(each.poll() is None for each in writers):
        now = len(entries(path))
        assert now >= seen
        seen = now
        time.sleep(0.05)

    assert [each.communicate()[1] for each in writers] == [""] * 6
    found = entries(path)
    assert len(found) == 6 * 3 * 20
    assert {each.result for each in found} == {"done"}
    assert len({each.subjects for each in found}) == len(found)


KILLED = """
import sys
from pathlib import Path
from zmount.effects.history import Entry, append
path = Path(sys.argv[1])
for number in range(10**6):
    append(path, Entry(operation="pack", began=1.0, who="", host="", subjects=(str(number),)))
    print(number, flush=True)
"""


def test_a_writer_that_is_killed_harms_nothing_and_is_known_not_to_have_ended(path: Path):
    told = 0
    for _ in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.05)
        writer.kill()
        told += 1 + len(writer.stdout.read().splitlines())
        writer.wait()

    found = entries(path)
    assert told <= len(found) <= told + 4
    assert {each.result for each in found} == {"did not end"}
    append(path, entry("start"))
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_what_a_killed_writer_left_half_written_is_rolled_back_by_a_reader(path: Path):
    append(path, entry("verify", "z"))
    code = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1'); c.execute('BEGIN IMMEDIATE')\n"
        "many = lambda o: [(o, str(n), n) for n in range(2000)]\n"
        "c.executemany('INSERT INTO subjects VALUES (?, ?, ?)', many('o'))\n"
        "c.execute(\"UPDATE entries SET operation = 'half'\")\n"
        "c.executemany('INSERT INTO subjects VALUES (?, ?, ?)', many('p'))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)])
    assert path.with_name("zmount.history-journal").exists(), "the journal is hot"

    assert [each.operation for each in entries(path)] == ["verify"]


def test_one_at_work_is_running_and_one_of_another_machine_is_not_judged(path: Path):
    code = KILLED.replace("10**6", "1") + "sys.stdin.read()\n"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert entries(path)[0].result == "running"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert entries(path)[0].result == "did not end"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entries SET machine = 'elsewhere'")

    assert entries(path)[0].result == "begun"


def test_a_pid_that_another_process_has_by_now_is_not_the_one_that_began(path: Path):
    append(path, entry(result="running", duration_s=None))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entries SET process = process || '0'")

    assert entries(path)[0].result == "did not end"


def test_the_oldest_go_but_never_the_last_of_an_operation_on_a_thing(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(history_module, "KEPT", 20)
    monkeypatch.setattr(history_module, "_SWEEP", 10)
    append(path, entry("verify", "rare"))
    for _ in range(60):
        append(path, entry("start", "pub"))

    found = entries(path)
    assert found[0].operation == "verify"
    assert 20 <= len(found) <= 31
    assert last(path, "verify", "rare") is not None
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM subjects").fetchone()[0] == len(found)


DAMAGES = {
    "text": lambda whole: b"once upon a time " * 400,
    "half a page": lambda whole: whole[:2000],
    "truncated": lambda whole: whole[: len(whole) // 2],
    "a header only": lambda whole: whole[:100],
    "zeros": lambda whole: bytes(len(whole)),
    "pages of rubbish": lambda whole: whole[:4096] + b"\xa5" * (len(whole) - 4096),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_kept_under_another_name_and_a_new_one_begun(path: Path, damage: str):
    append(path, entry("pack", "a"))
    damaged = DAMAGES[damage](path.read_bytes())
    path.write_bytes(damaged)

    with pytest.raises(HistoryUnreadable, match=r"zmount\.history cannot be read"):
        entries(path)
    assert path.read_bytes() == damaged, "who only reads moves nothing"
    append(path, entry("verify", "b"))
    append(path, entry("verify", "c"))

    assert [each.subjects for each in entries(path)] == [("b",), ("c",)]
    (aside,) = path.parent.glob("zmount.history.damaged-*")
    assert aside.read_bytes() == damaged


def test_of_many_that_find_it_damaged_only_one_moves_it(path: Path):
    path.write_bytes(b"rubbish " * 1000)
    threads = [
        threading.Thread(target=append, args=(path, entry("pack", str(each)))) for each in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(list(path.parent.glob("zmount.history.damaged-*"))) == 1
    assert len(entries(path)) == 8


def test_another_programs_database_is_left_alone(path: Path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (it)")

    for act in (lambda: append(path, entry()), lambda: entries(path)):
        with pytest.raises(HistoryUnreadable, match="another program's database"):
            act()

    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_what_a_newer_zmount_wrote_is_left_alone(path: Path):
    append(path, entry())
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 2")

    with pytest.raises(HistoryUnreadable, match="newer zmount"):
        append(path, entry())
    with pytest.raises(HistoryUnreadable, match="newer zmount"):
        entries(path)


def test_values_that_no_zmount_writes_are_an_error_and_no_traceback(path: Path):
    append(path, entry())
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entries SET numbers = '{'")

    with pytest.raises(HistoryUnreadable, match="what no zmount writes"):
        entries(path)


def test_a_lock_that_never_ends_is_waited_for_and_told(path: Path, monkeypatch: pytest.MonkeyPatch):
    append(path, entry())
    monkeypatch.setattr(file_module, "BUSY_S", 0.2)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")

    with pytest.raises(HistoryUnreadable, match="another process has locked it"):
        append(path, entry())
    holder.close()

    append(path, entry())
    assert len(entries(path)) == 2


def test_all_may_read_it_and_its_group_writes_it_if_that_may_write_the_directory(tmp_path: Path):
    umask = os.umask(0o077)
    try:
        for mode, wanted in ((0o755, 0o644), (0o775, 0o664)):
            directory = tmp_path / f"{mode:o}"
            directory.mkdir()
            directory.chmod(mode)
            append(directory / "h.history", entry())
            assert (directory / "h.history").stat().st_mode & 0o777 == wanted
    finally:
        os.umask(umask)
