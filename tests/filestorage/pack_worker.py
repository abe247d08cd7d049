"""A process that packs one file after the other with the engine, and says what became of it.

Standard input: lines of JSON with ``path``, ``stop`` (a tid) and ``gc``. Standard
output: lines of JSON; ``error`` is the type and the text of what was raised,
else ``answer`` is what a pack's process would answer. The packed file is
PATH.pack. A file that needs too much memory or time ends the process.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from zmount.errors import ZMountError
from zmount.filestorage.cores import chosen
from zmount.filestorage.output import Output
from zmount.filestorage.packing import Job, Packing
from zmount.filestorage.source import open_source

MEMORY = 1 << 30  # bytes of address space: Python itself, two threads and buffers need half of it
TIME_S = 20


def main() -> None:
    chosen()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for line in sys.stdin:
        order = json.loads(line)
        signal.alarm(TIME_S)
        try:
            said = {"answer": packed(order), "error": ""}
        except ZMountError as why:
            said = {"answer": "error", "error": f"{type(why).__name__}: {why}"}
        signal.alarm(0)
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


def packed(order: dict[str, Any]) -> str:
    path = Path(order["path"])
    size = path.stat().st_size
    job = Job(path=path, end=size, stop=order["stop"], gc=order["gc"], wants_blobs=True)
    new = path.with_name(path.name + ".pack")
    with open_source(path, size) as source:
        packing = Packing(source, job, lambda phase, done, total: None)
        packing.survey()
        if packing.is_redundant:
            return "redundant"
        with Output(new, path) as output:
            if packing.frees_nothing(output):
                return "nothing"
            packing.write_rest(output)
            output.sync()
        list(packing.removed_blobs())
    return "packed"


if __name__ == "__main__":
    main()
