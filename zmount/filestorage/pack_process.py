"""The child process of a pack, seen from the storage's process."""

from __future__ import annotations

import json
import subprocess
import tempfile
from base64 import b64decode
from collections.abc import Callable
from typing import Any

from ZODB.FileStorage.FileStorage import FileStorageError

from zmount.filestorage.child import command, environment
from zmount.filestorage.pickles import REFUSED


class PackProcess:
    """Starts ``pack_child.main``, which ends with this process at the latest.

    REFERENCESF is asked for what nobody else can read.
    """

    def __init__(self, referencesf: Callable[[bytes], list[bytes]]) -> None:
        self._referencesf = referencesf
        # not a pipe: nobody reads it while the child works
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (until end())
        self._process = subprocess.Popen(
            command("zmount.filestorage.pack_child", "main"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(),
        )

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Give ORDER and return the answer.

        :raises FileStorageError: the child says that it cannot, or is gone
        """
        assert self._process.stdin is not None
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
            raise FileStorageError(f"the pack's process ended: {self._last_words()}")
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
        status = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip()
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        return f"{how}: {said.splitlines()[-1]}" if said else how
