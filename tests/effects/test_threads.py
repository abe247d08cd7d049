"""What is seen of the threads of another process, without its help or with it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from deployments import wait_until

from zmount.effects.queue_depth import queue_depth
from zmount.effects.threads import Frame, catches, parse_stacks, thread_times

SPIN = """
import signal, threading
signal.signal(signal.SIGUSR1, lambda *_: None)
threading.Thread(target=lambda: [0 for _ in iter(int, 1)], daemon=True).start()
threading.Event().wait()
"""
STACKS = """Current thread 0x00007f823e4ea6c0 (most recent call first):
  File "Script (Python):/home/x.org/a "b", line 7", line 12 in <lambda>
  File "/lib/threading.py", line 982 in run

Thread 0x0000000000000abc [waitress-3] (most recent call first):
  <no Python frame>

Extension modules: BTrees.OOBTree (total: 1)
"""


def test_the_thread_that_computes_is_known_by_its_time():
    with subprocess.Popen([sys.executable, "-c", SPIN]) as child:
        try:
            wait_until(lambda: len(thread_times(child.pid)) > 1, "it has threads")
            before = thread_times(child.pid)

            def grown() -> list[int]:
                after = thread_times(child.pid)
                return [each for each in after if after[each] - before.get(each, 0.0) > 0.1]

            wait_until(grown, "one computes")
            assert child.pid not in grown()  # the first thread waits
            assert catches(child.pid, signal.SIGUSR1)
            assert not catches(child.pid, signal.SIGUSR2)
        finally:
            child.kill()


def test_of_a_process_that_is_not_there_nothing_is_known():
    with subprocess.Popen(["true"]) as child:
        child.wait()

    assert thread_times(child.pid) == {}
    assert not catches(child.pid, signal.SIGUSR1)


def test_stacks_are_read_by_thread_with_the_innermost_first():
    assert parse_stacks(STACKS) == {
        0x7F823E4EA6C0: (
            Frame(file='Script (Python):/home/x.org/a "b", line 7', line=12, function="<lambda>"),
            Frame(file="/lib/threading.py", line=982, function="run"),
        ),
        0xABC: (),
    }
    assert parse_stacks("") == {}


def test_only_what_waited_lately_counts(tmp_path):
    log = tmp_path / "event.log"
    at = time.time()

    def line(ago_s: float, depth: int) -> str:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at - ago_s))
        return f"{moment} WARNING [waitress.queue:113][MainThread] Task queue depth is {depth}\n"

    assert queue_depth(log, at, since=0) is None
    log.write_text(line(3600, 9))
    assert queue_depth(log, at, since=0) is None
    log.write_text(line(3600, 9) + line(30, 1) + line(20, 2) + "something else\n")
    assert queue_depth(log, at, since=0) == 2
    assert queue_depth(log, at, since=at - 5) is None  # of the process before
    assert queue_depth(None, at, since=0) is None
