"""What ``zmount spin`` says of threads; ``tests/operations/test_spin.py`` has real ones."""

from __future__ import annotations

from zmount.cli.spin import told
from zmount.effects.threads import Frame
from zmount.operations.spinning import BusyThread, ProcessLook

SEARCH = (Frame(file="search", line=2, function="search"),)
OTHER = (Frame(file="other", line=7, function="other"),)


def busy(number: int, frames: tuple[Frame, ...], site: str = "x.org") -> BusyThread:
    return BusyThread(
        native_id=number,
        kind="spins",
        share=0.25,
        seconds=8.0,
        method="GET",
        path=f"/home/{site}/{number}",
        mount_point=f"/home/{site}",
        storage=f"pub/{site}",
        site=site,
        side="production",
        frames=frames,
    )


def lines(*threads: BusyThread, waiting: int | None = None) -> list[str]:
    look = ProcessLook(
        process="pub",
        instance="pub",
        pid=7,
        is_answering=True,
        detail="HTTP 200 OK",
        threads=threads,
        known_threads=4,
        waiting=waiting,
    )
    found = list(told(look))
    return found[: found.index("  to take it off-line:")]


def test_threads_at_the_same_line_of_one_site_share_its_stack() -> None:
    assert lines(busy(1, SEARCH), busy(2, OTHER), busy(3, SEARCH), busy(4, SEARCH, "y.org")) == [
        "pub: pid 7 answers (HTTP 200 OK), 4 of 4 threads do not come back",
        "  thread 1 spins for 8 s (25 % of a processor): GET /home/x.org/1",
        "  thread 3 spins for 8 s (25 % of a processor): GET /home/x.org/3",
        "    /home/x.org in pub: storage pub/x.org, production of x.org",
        "    search:2 in search",
        "  thread 2 spins for 8 s (25 % of a processor): GET /home/x.org/2",
        "    /home/x.org in pub: storage pub/x.org, production of x.org",
        "    other:7 in other",
        "  thread 4 spins for 8 s (25 % of a processor): GET /home/y.org/4",
        "    /home/y.org in pub: storage pub/y.org, production of y.org",
        "    search:2 in search",
    ]


def test_one_is_said_as_one() -> None:
    said = lines(busy(1, SEARCH), waiting=1)

    assert said[0].endswith("1 of 4 threads does not come back")
    assert said[1] == "  1 request waited for a thread in the last minute"
