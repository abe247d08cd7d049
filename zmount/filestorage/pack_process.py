"""The child process of a pack, seen from the storage's process."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ZODB.FileStorage.FileStorage import FileStorageError

from zmount.filestorage.child import command, environment
from zmount.filestorage.pickles import REFUSED


class PackProcess:
    """Starts ``pack_child.main``, which ends with this process at the latest.

    It reads PATH. REFERENCESF is asked for what nobody else can read.

    :raises FileStorageError: no process can be started
    """

    def __init__(self, path: Path, referencesf: Callable[[bytes], list[bytes]]) -> None:
        self._path = path
        self._end = 0
        self._referencesf = referencesf
        try:
            # not a pipe: nobody reads it while the child works
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (until end())
            self._process = subprocess.Popen(
                command("zmount.filestorage.pack_child", "main"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment(),
            )
        except OSError as why:
            raise FileStorageError(
                f"nothing was packed: no process can be started for it: {why}"
            ) from None

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Give ORDER and return the answer.

        :raises FileStorageError: the child says that it cannot, or is gone
        """
        assert self._process.stdin is not None
        self._end = order.get("end", self._end)
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # why, the answer will tell
        return self.wait()

    def wait(self) -> dict[str, Any]:
        """Return the next answer.

        :raises FileStorageError: as for :meth:`ask`
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise FileStorageError(f"nothing was packed: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if answer["answer"] == "references?":
            return self.ask({"order": "references", "oids": self._references(answer["record"])})
        if answer["answer"] == "error":
            raise FileStorageError(f"nothing was packed: {answer['message']}")
        return answer

    def _references(self, record: str) -> list[str] | str:
        """Return the oids that a record refers to, or why it cannot be known.

        A storage that encrypts, for one, brings a ``referencesf`` that decrypts.
        """
        try:
            return [oid.hex() for oid in self._referencesf(b64decode(record))]
        except REFUSED as why:
            return str(why) or type(why).__name__

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                pass  # an order that it did not live to read
        self._process.wait()
        self._errors.close()

    def _last_words(self) -> str:
        """Return how the process ended, which nobody asked it to."""
        status = self._process.wait()
        size = self._path.stat().st_size
        if size < self._end:
            cut = f"from {self._end} bytes or more to {size}"
            return f"{self._path}: it was truncated while it was read, {cut}"
        if -status == signal.SIGBUS:  # the kernel cannot bring a part of a file into memory
            return (
                f"{self._path}: a part of it, or of a file in {self._path.name}.referrers, "
                "cannot be read: the disk failed (the kernel's log says more), or it was truncated"
            )
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip()
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        last = f": {said.splitlines()[-1]}" if said else ""
        return f"its process ended, {how}{last}"
