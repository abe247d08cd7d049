"""The passphrase of a TLS key, for ZEO's ``password-function``."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "ZMOUNT_TLS_PASSPHRASE_FILE"


def tls_passphrase() -> str:
    """Return the passphrase in the file that the environment names.

    The file's first line is zmount's signature, the second the passphrase.

    :raises RuntimeError: the variable is not set, or the file is not to be read;
        ZEO or Zope then does not start, and shows this message
    """
    name = os.environ.get(VARIABLE)
    if not name:
        raise RuntimeError(
            f"the TLS key has a passphrase, but {VARIABLE} is not set: "
            "start this process through zmount or its process manager"
        )
    try:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
    except OSError as why:
        raise RuntimeError(
            f"the TLS key's passphrase cannot be read from {name}: {why.strerror}; "
            "zmount apply writes it"
        ) from why
    if len(lines) < 2 or not lines[1]:
        raise RuntimeError(f"{name} holds no passphrase; zmount apply writes it")
    return lines[1]
