"""The checks of ``zmount health``: what each looks at, and what to do when it fires.

``docs/reference/health-checks.md`` is made of it by ``scripts/docs``.
"""

from __future__ import annotations

from dataclasses import dataclass

from zmount.errors import UnknownName
from zmount.topology.topology import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check: its name, what it looks at, when it fires, and what to do then.

    ``limit`` is the key of <health> that sets its limits, "" where it has none.
    """

    name: str
    looks: str
    fires: str
    do: str
    limit: str = ""


CHECKS: tuple[Check, ...] = (
    Check(
        name="process",
        looks="each process of this host, as its manager knows it",
        fires="warning if it was started again after a death, or nothing keeps it alive; critical "
        "if it does not run, or does not answer long after its start",
        do="`zmount status NAME` tells more, `zmount logs NAME --errors` why it died; "
        "`zmount start NAME`",
    ),
    Check(
        name="zeo",
        looks="each ZEO server: connects, and asks how it is (ZEO's `ruok`); the time it takes",
        fires="critical if it does not answer in `timeout`",
        do="`zmount status NAME`; a server that hangs writes nothing to its log: "
        "`zmount restart NAME`",
        limit="round-trip",
    ),
    Check(
        name="storage",
        looks="each storage of each ZEO server: takes it as a client does, loads its root, and "
        "compares its size with that of its Data.fs",
        fires="critical if the server does not serve it, if its root cannot be read, or if the "
        "file on the disk is shorter than the server says",
        do="not served: `zmount diff-config`, `zmount apply`, `zmount restart SERVER`. Shorter: "
        "stop writing, and `zmount verify STORAGE`",
    ),
    Check(
        name="last-transaction",
        looks="when the last commit of each storage was",
        fires="by `last-transaction`; also warns if it lies in the future: the clock of its "
        "server was set back",
        do="in the future: set the clock right; until then ZODB numbers its commits from there on",
        limit="last-transaction",
    ),
    Check(
        name="clients",
        looks="how many clients each storage has",
        fires="by `clients`",
        do="`zmount status`; who connects is told in the server's log",
        limit="clients",
    ),
    Check(
        name="conflicts",
        looks="how many commits in a hundred failed by a conflict since the last look",
        fires="by `conflicts`, from 20 commits on",
        do="the server's clients log which objects: counters and catalogs are the usual ones",
        limit="conflicts",
    ),
    Check(
        name="commit-lock",
        looks="how long a transaction has held the commit lock of each storage",
        fires="by `commit-lock`; critical if the thread that ends such transactions is dead",
        do="a client hangs between vote and finish: `zmount spin` finds it; without "
        "`transaction-timeout` in <zeo> only its end, or its restart, frees the lock",
        limit="commit-lock",
    ),
    Check(
        name="waiting",
        looks="how many transactions wait for the commit lock of each storage",
        fires="by `waiting`",
        do="see commit-lock; else the disk is slow: look at what else writes to it",
        limit="waiting",
    ),
    Check(
        name="lock-holder",
        looks="who holds the lock of each Data.fs of this host",
        fires="critical if it is not the process that should have it open",
        do="two servers on one file destroy it: find out what the holder is, and stop it",
    ),
    Check(
        name="data-file",
        looks="whether the file that a process writes to is the Data.fs on the disk",
        fires="critical if it was replaced, moved away or deleted under its server: what is "
        "committed is written to a file without its name, and lost when the server ends. "
        "Critical, too, if it is gone while nobody has it open, and its index is still there",
        do="do NOT restart the server. Stop its instances, so that nobody commits; keep what it "
        "writes: `cp /proc/PID/fd/N Data.fs.saved`, as the sentence tells; verify that with "
        "`zmount verify --file`. Only then stop the server, and put the file in place",
    ),
    Check(
        name="index",
        looks="how much of each Data.fs its saved index does not know",
        fires="by `index`: that is what the next start of its server reads before it serves",
        do="a pack, a clean stop or `zmount index` (of a storage that is down) saves it",
        limit="index",
    ),
    Check(
        name="free-space",
        looks="each volume that holds storages of this host",
        fires="by `free-space`; a warning if a pack of its largest storage might not fit",
        do="`zmount pack` the small storages first, remove what `Data.fs.old` and old "
        "generations of stages (`zmount show`) hold, or enlarge the volume",
        limit="free-space",
    ),
    Check(
        name="blobs",
        looks="the blob directory of each storage of this host",
        fires="critical if it is missing, or its layout is unknown",
        do="mount or restore it before anybody commits; `zmount verify STORAGE` finds lost blobs",
    ),
    Check(
        name="stage",
        looks="each staging storage of this host",
        fires="critical if its content is damaged and it shows nothing",
        do="`zmount swap-stage SITE` makes it anew from production",
    ),
    Check(
        name="last-pack",
        looks="when each storage was packed, by the history",
        fires="by `last-pack`, for storages that are older than that",
        do="`zmount pack STORAGE`; let a schedule do it",
        limit="last-pack",
    ),
    Check(
        name="last-verify",
        looks="when each storage was verified, by the history",
        fires="by `last-verify`; critical if the last verification found damage",
        do="`zmount verify STORAGE`",
        limit="last-verify",
    ),
    Check(
        name="last-swap",
        looks="when each site's staging took production's content",
        fires="by `last-swap`",
        do="`zmount swap-stage SITE`",
        limit="last-swap",
    ),
    Check(
        name="write",
        looks="only with --write: each storage that is no production's: begins a transaction, "
        "stores an object, votes, and aborts. Nothing is committed",
        fires="critical if the server refuses, or does not answer in `timeout`",
        do="the sentence tells what the server said: no space, read-only, or a commit lock that "
        "somebody holds",
    ),
    Check(
        name="http",
        looks="each instance: the time to answer its liveness page, which needs a free thread",
        fires="by `answer-time`; critical if it does not answer in `timeout`",
        do="`zmount spin INSTANCE` finds threads that do not come back; `zmount restart INSTANCE`",
        limit="answer-time",
    ),
    Check(
        name="queue",
        looks="how many requests waited for a thread of each instance in the last minute, as "
        "waitress logs it",
        fires="by `queue`",
        do="`zmount spin INSTANCE`; else more threads or replicas",
        limit="queue",
    ),
    Check(
        name="threads",
        looks="what each thread of each instance works on, and since when",
        fires="by `request-time` of the longest request; a warning if no thread is free",
        do="`zmount spin INSTANCE` shows the stack and names the site, and how to take it off-line",
        limit="request-time",
    ),
    Check(
        name="memory",
        looks="the memory of each process of this host",
        fires="by `memory`",
        do="`zmount restart NAME`; a smaller `cache-size` in <database>, or `pool-size`",
        limit="memory",
    ),
    Check(
        name="client-cache",
        looks="the persistent ZEO caches of each instance of this host",
        fires="a warning if one is much larger than its `cache-size`, or is no cache",
        do="stop the instance, remove the file, start it again",
    ),
    Check(
        name="mounts",
        looks="every mount of each instance, as `zmount mounts` does",
        fires="critical if one is not right",
        do="`zmount mounts INSTANCE` tells which and why, `zmount remount INSTANCE` repairs it",
    ),
    Check(
        name="config",
        looks="the generated files of this host",
        fires="a warning if one is not as zmount.conf says, or was changed by hand",
        do="`zmount diff-config` shows the difference; `zmount apply`",
    ),
    Check(
        name="schedule",
        looks="each schedule of this host: its last run, by the history; and what cron or "
        "systemd begins of it",
        fires="a warning if it was missed, failed, is not applied, takes until it is due again, or "
        "is begun though zmount.conf has it no more",
        do="`zmount schedule NAME` tells more; `zmount run NAME` makes up for it; what is no more "
        "is ended by the command that is told",
    ),
    Check(
        name="clock",
        looks="the clocks of the hosts of instances elsewhere, by what HTTP tells",
        fires="by `clock`",
        do="let ntp keep the clocks: ZODB orders transactions by them",
        limit="clock",
    ),
)
BY_NAME = {check.name: check for check in CHECKS}


def known(names: tuple[str, ...]) -> frozenset[str]:
    """Return NAMES of checks.

    :raises UnknownName: there is no such check
    """
    for name in names:
        if name not in BY_NAME:
            raise UnknownName(
                f"there is no check {name!r}",
                hint=nearest(name, BY_NAME) or f"one of {', '.join(BY_NAME)}",
            )
    return frozenset(names)
