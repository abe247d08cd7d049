"""Which jobs cron and systemd begin on this machine, whoever told them to.

What cannot be read begins nothing that we know of: these are facts to warn of, not to rely on.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_SYSTEM_CRON = Path("/etc/cron.d")
_SYSTEM_UNITS = Path("/etc/systemd/system")
_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CronJob:
    """The job NAME of the host HOST ("": of the only one), as the file WHERE begins it.

    ``where`` "" is the crontab of whoever runs zmount.
    """

    name: str
    host: str
    where: str = ""


def jobs_of_cron(topology_file: str) -> tuple[CronJob, ...]:
    """Return the jobs of TOPOLOGY_FILE that cron begins: in our crontab, and the system's."""
    return tuple(
        CronJob(name=job[0], host=job[1], where=where)
        for where, text in _crontabs()
        for line in text.splitlines()
        if (job := _job(line, topology_file)) is not None
    )


def units_of_systemd(directory: PurePosixPath, prefix: str) -> dict[str, tuple[str, ...]]:
    """Return the units by job that systemd knows from DIRECTORY, of jobs that it begins.

    PREFIX is that of their names. Also units whose file was removed: systemd forgets them
    at the next boot, or when it is told to.
    """
    units: dict[str, set[str]] = {}
    begun: set[str] = set()
    for link in _links():
        job = link.stem.removeprefix(prefix)
        if job == link.stem or PurePosixPath(link.readlink()).parent != directory:
            continue
        units.setdefault(job, set()).add(link.name)
        if link.parent.suffix == ".wants":
            begun.add(job)
    return {job: tuple(sorted(names)) for job, names in units.items() if job in begun}


def _job(line: str, topology_file: str) -> tuple[str, str] | None:
    """Return the names of the job of TOPOLOGY_FILE that LINE begins, and of its host."""
    if line.startswith("#") or topology_file.replace("%", "\\%") not in line:
        return None
    try:
        words = shlex.split(line.replace("\\%", "%"))
        if words[words.index("-f") + 1] != topology_file:
            return None
        after = words[words.index("run") + 1 :]
        host = words[words.index("--host") + 1] if "--host" in words else ""
        return next(word for word in after if not word.startswith("-")), host
    except (ValueError, IndexError, StopIteration):
        return None  # somebody's own line


def _crontabs() -> Iterator[tuple[str, str]]:
    """Yield where each crontab is that we may read, and its text."""
    try:
        listed = subprocess.run(
            ["crontab", "-l"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
        )
        yield "", listed.stdout.decode(errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        pass  # a machine without cron
    for path in _entries(_SYSTEM_CRON):
        try:
            yield str(path), path.read_text(errors="replace")
        except OSError:
            continue


def _links() -> Iterator[Path]:
    """Yield the links to units where systemd looks for them: the system's, and our user's."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    for directory in (_SYSTEM_UNITS, Path(home) / "systemd" / "user"):
        for entry in _entries(directory):
            if entry.suffix == ".wants":
                yield from (link for link in _entries(entry) if link.is_symlink())
            elif entry.is_symlink():
                yield entry


def _entries(directory: Path) -> tuple[Path, ...]:
    try:
        return tuple(sorted(directory.iterdir()))
    except OSError:
        return ()
