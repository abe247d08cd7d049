"""Who runs with a generated file: servers that nobody could stop cleanly without it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from zmount.effects.process_table import PROC, Owner, command_line

# the servers are also among the arguments of the zdaemon that keeps them alive
SERVERS = frozenset(("runzeo", "runwsgi", "supervisord"))


def readers(paths: Collection[PurePosixPath]) -> Iterator[tuple[PurePosixPath, Owner]]:
    """Yield each running server that was started with one of PATHS, and that path."""
    wanted = {str(path): path for path in paths}
    for entry in PROC.iterdir() if wanted and PROC.is_dir() else ():
        if not entry.name.isdigit():
            continue
        command = command_line(int(entry.name))
        if not any(Path(word).name in SERVERS for word in command):
            continue
        for word in command:
            if word in wanted:
                yield wanted[word], Owner(pid=int(entry.name), command=command)
