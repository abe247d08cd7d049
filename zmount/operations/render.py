"""Write every generated file under a directory, for review or for other tools.

1. render:   each host's files, from the topology alone.
2. write:    under DIR/HOST, in place of what an earlier rendering left there.
3. validate: if asked, in the real schemas, as far as their programs are here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zmount.effects.rendered_directory import rendered_path, write_rendered
from zmount.effects.validate import demand_valid, validate
from zmount.render.files import generated_files
from zmount.render.generated import GeneratedFile
from zmount.topology.findings import Finding
from zmount.topology.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What was written under ``directory``; ``warnings`` is what could not be judged."""

    directory: Path
    files: tuple[GeneratedFile, ...]
    warnings: tuple[Finding, ...] = ()

    def path(self, file: GeneratedFile) -> Path:
        """Return where FILE was written."""
        return rendered_path(self.directory, file)

    def as_json(self) -> dict[str, object]:
        """Return plain values; no file's text, as there may be secrets in it."""
        return {
            "directory": str(self.directory),
            "files": [
                {
                    "host": file.host,
                    "path": str(file.path),
                    "rendered": str(self.path(file)),
                    "mode": f"{file.mode:04o}",
                    "user": file.user,
                    "reader": file.reader,
                    "processes": list(file.processes),
                }
                for file in self.files
            ],
            "warnings": [str(finding) for finding in self.warnings],
        }


def render(
    topology: Topology, directory: Path, *, host: str | None = None, is_judged: bool = False
) -> Rendered:
    """Write the files of HOST, or of all hosts, under DIRECTORY and nowhere else.

    With IS_JUDGED they are validated too, after they were written: the errors
    name lines that one can then look at.

    :raises UnknownName: there is no such host
    :raises ApplyRefused: DIRECTORY holds something else
    :raises RenderError: a file cannot be made, or would not load
    """
    hosts = topology.hosts if host is None else (topology.host(host),)
    files = {each.name: generated_files(topology, each) for each in hosts}
    made = tuple(file for of_host in files.values() for file in of_host)
    write_rendered(directory, files, made)
    findings: tuple[Finding, ...] = ()
    if is_judged:
        findings = tuple(
            finding
            for each in hosts
            for finding in validate(topology, each, files[each.name], is_elsewhere=True)
        )
        demand_valid(findings)
    return Rendered(directory=directory, files=made, warnings=findings)
