"""Why a server did not start, read off what servers really wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from topologies import topology_of

from zmount.effects.diagnosis import diagnose
from zmount.effects.process_manager import Written
from zmount.topology.processes import Process, processes

DISCONNECTED = """\
Traceback (most recent call last):
  File "/opt/zope/venv/lib/python3.11/site-packages/ZEO/asyncio/client.py", line 1127, in call
    return self.result.result(self.timeout)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
TimeoutError

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/opt/zope/venv/bin/runwsgi", line 8, in <module>
    sys.exit(main())
             ^^^^^^
  File "/opt/zope/venv/lib/python3.11/site-packages/ZEO/asyncio/client.py", line 705, in await_op
    raise ClientDisconnected("timed out waiting for connection")
ZEO.Exceptions.ClientDisconnected: timed out waiting for connection
"""
INTERRUPTED = """\
Traceback (most recent call last):
  File "/opt/zope/venv/bin/runwsgi", line 5, in <module>
    from Zope2.Startup.serve import main
  File "<frozen importlib._bootstrap_external>", line 1131, in get_data
KeyboardInterrupt
"""
CONFIGURATION = """\
Traceback (most recent call last):
  File "/opt/zope/venv/bin/runwsgi", line 8, in <module>
    sys.exit(main())
ZConfig.ConfigurationSyntaxError: malformed section header
(line 9 in file:///srv/zope/pub_client/etc/zope.conf)
"""
RUNZEO = """\
Error: unclosed sections not allowed
(line 1 in file:///srv/zope/zeo/etc/zeo.conf)
For help, use /opt/zope/venv/bin/runzeo -h
"""


@pytest.fixture
def process(tmp_path: Path) -> Process:
    """A Zope that has written no log."""
    return processes(topology_of(tmp_path, "<instance pub/>\n"))[0]


@pytest.mark.parametrize(
    ("printed", "reason", "lines"),
    [
        (
            DISCONNECTED,
            "ZEO.Exceptions.ClientDisconnected: timed out waiting for connection",
            (),
        ),
        (
            CONFIGURATION,
            "ZConfig.ConfigurationSyntaxError: malformed section header",
            ("(line 9 in file:///srv/zope/pub_client/etc/zope.conf)",),
        ),
        (
            RUNZEO,
            "Error: unclosed sections not allowed",
            ("(line 1 in file:///srv/zope/zeo/etc/zeo.conf)",),
        ),
        ("the moon is full\nsegmentation fault\n", "", ("the moon is full", "segmentation fault")),
        (INTERRUPTED, "KeyboardInterrupt", ()),
    ],
)
def test_the_reason_is_what_ended_the_last_traceback(process, printed, reason, lines):
    assert diagnose(process, printed, Written(at=0, transcript=0, log=0)) == (reason, lines)


@pytest.mark.parametrize("printed", [DISCONNECTED, CONFIGURATION])
def test_the_end_of_one_that_was_started_again_meanwhile_hides_no_reason(process, printed):
    """zdaemon starts what died at once again; zmount ends that by a SIGINT while it imports."""
    written = Written(at=0, transcript=0, log=0)

    both = diagnose(process, printed + INTERRUPTED, written)

    assert both == diagnose(process, printed, written)
