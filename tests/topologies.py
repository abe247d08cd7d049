"""Small topologies for tests of what is generated."""

from __future__ import annotations

import sys
from pathlib import Path

from zmount.render.files import generated_files
from zmount.render.generated import GeneratedFile, Reader
from zmount.topology.load import load
from zmount.topology.topology import Topology


def topology_of(directory: Path, text: str) -> Topology:
    """Return the topology TEXT, of a deployment in DIRECTORY, in this Python's environment.

    TEXT may say otherwise; DIRECTORY/zmount.conf is written.
    """
    top = (
        "" if "\ndirectory " in f"\n{text}" else f"directory {str(directory).replace('$', '$$')}\n"
    )
    top += "" if "\nvenv " in f"\n{text}" else f"venv {sys.prefix}\n"
    conf = directory / "zmount.conf"
    conf.write_text(top + text)
    return load(conf)


def files_of(directory: Path, text: str) -> tuple[GeneratedFile, ...]:
    """Return all files of the first host of the topology TEXT."""
    topology = topology_of(directory, text)
    return generated_files(topology, topology.hosts[0])


def file_of(directory: Path, text: str, reader: Reader) -> GeneratedFile:
    """Return the first file that READER reads."""
    return next(file for file in files_of(directory, text) if file.reader == reader)
