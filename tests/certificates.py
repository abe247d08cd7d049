"""Certificates for tests of TLS, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

PASSPHRASE = "open sesame"


def make_certificates(directory: Path, *, hostname: str = "localhost") -> None:
    """Make ``server`` and ``client`` (.pem and .key) of HOSTNAME in DIRECTORY, both self-signed.

    The client's key has :data:`PASSPHRASE`. The extensions are what OpenSSL's
    strict verification asks of a self-signed certificate.
    """
    for name in ("server", "client"):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-days", "2"]
        command += ["-pkeyopt", "ec_paramgen_curve:P-256"]
        command += ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={hostname}"]
        for extension in (
            f"subjectAltName=DNS:{hostname}",
            "keyUsage=critical,digitalSignature,keyCertSign",
        ):
            command += ["-addext", extension]
        command += ["-passout", f"pass:{PASSPHRASE}"] if name == "client" else ["-nodes"]
        subprocess.run(command, cwd=directory, check=True, capture_output=True)
