"""Whether the generated files load where they will be read, before they are written.

zdaemon's schema is read here. ZEO's, Zope's and what they ``%import`` are read
by the Python of the virtual environment that the servers run in: a script is
run there once, for all its files.
"""

from __future__ import annotations

import json
import os
import subprocess
import xml.sax
from collections.abc import Iterable, Iterator
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

from zmount.effects.in_zope import validate as in_zope
from zmount.effects.local_files import is_directory, is_executable, why_not_runnable
from zmount.errors import EnvironmentMissing, RenderError
from zmount.render.generated import GeneratedFile
from zmount.render.site_zcml import package_and_file
from zmount.render.storage_section import STAGE_PACKAGE
from zmount.topology.findings import Finding, error, warning
from zmount.topology.hosts import Host
from zmount.topology.instances import Replica
from zmount.topology.managers import boot_service
from zmount.topology.places import Place
from zmount.topology.processes import Process, processes
from zmount.topology.storages import PACKER, STOCK_PACKER
from zmount.topology.topology import Topology

ENVIRONMENT = "environment-missing"  # the rule of what is not installed
INVALID = "file-invalid"
TIMEOUT_S = 300


def validate(
    topology: Topology, host: Host, files: Iterable[GeneratedFile], *, is_elsewhere: bool = False
) -> tuple[Finding, ...]:
    """Return what is wrong with FILES of HOST, each with its line in the file.

    What the virtual environments lack is an error; where HOST is not this
    machine (IS_ELSEWHERE) a warning, and what cannot be judged is passed over.

    :raises RenderError: a schema's reader itself failed
    """
    files = tuple(files)
    findings = [*_programs(topology, host), *_at_boot(topology, host), *_here(files)]
    venvs: dict[PurePosixPath, list[Process]] = {}
    for process in processes(topology, host):
        venvs.setdefault(process.venv, []).append(process)
    for venv, inmates in venvs.items():
        findings.extend(_in_venv(venv, inmates, files))
    if is_elsewhere:
        findings = [_as_warning(finding) for finding in findings]
    return tuple(findings)


def demand_valid(findings: Iterable[Finding]) -> None:
    """Raise what stands against writing the files, all of it in one message.

    :raises EnvironmentMissing: a virtual environment, program or package is
        missing
    :raises RenderError: a file would not load
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    for rule, kind in ((ENVIRONMENT, EnvironmentMissing), (INVALID, RenderError)):
        lines = [_line(finding) for finding in errors if finding.rule == rule]
        if lines:
            raise kind("\n".join(lines))


def _line(finding: Finding) -> str:
    text = finding.what if finding.rule == ENVIRONMENT else f"{finding.place}: {finding.what}"
    if finding.why:
        text += f": {finding.why}"
    return f"{text}; {finding.hint}" if finding.hint else text


def _as_warning(finding: Finding) -> Finding:
    if finding.rule != ENVIRONMENT:
        return finding
    return warning(ENVIRONMENT, finding.place, finding.what, why=finding.why, hint=finding.hint)


def _programs(topology: Topology, host: Host) -> Iterator[Finding]:
    """Yield the programs that are not there, or not what they are run by."""
    users: dict[str, list[Process]] = {}
    for process in processes(topology, host):
        users.setdefault(process.program[0], []).append(process)
    for program, wanting in users.items():
        problem = why_not_runnable(program)
        if problem and is_executable(program):
            yield _missing(wanting, problem, f"make {wanting[0].venv} anew, with what it had")
        elif problem:
            package = "ZEO" if wanting[0].is_zeo else "'Zope[wsgi]'"
            yield _missing(
                wanting,
                f"{program} does not exist",
                f"{wanting[0].venv}/bin/pip install {package}"
                if is_directory(wanting[0].venv)
                else f"python3 -m venv {wanting[0].venv}, and pip install {package} there",
            )


def _at_boot(topology: Topology, host: Host) -> Iterator[Finding]:
    """Yield that the boot service's program is missing; everything else works without it."""
    names = {"zdaemon": "zmount", "supervisor": "supervisord"}
    if topology.manager in names:
        program = host.venv / "bin" / names[topology.manager]
        if is_directory(host.venv) and not os.access(program, os.X_OK):
            yield warning(
                ENVIRONMENT,
                topology.place,
                f"{program} does not exist",
                why=f"{boot_service(topology)} could not start the deployment at boot",
                hint=f"{host.venv}/bin/pip install {names[topology.manager].rstrip('d')}",
            )


def _missing(wanting: list[Process], what: str, hint: str, why: str = "{} cannot start") -> Finding:
    noun = wanting[0].noun
    place = noun.instance.place if isinstance(noun, Replica) else noun.place
    names = ", ".join(process.name for process in wanting)
    return error(ENVIRONMENT, place, what, why=why.format(names), hint=hint)


def _here(files: tuple[GeneratedFile, ...]) -> Iterator[Finding]:
    """Yield what can be judged without the servers' virtual environments."""
    yield from _findings(in_zope.verdict(_request(files, "zdaemon")))
    for file in files:
        if file.reader == "zcml":
            try:
                xml.sax.parse(StringIO(file.text), xml.sax.ContentHandler())
            except xml.sax.SAXParseException as why:
                place = Place(str(file.path), why.getLineNumber() or 0)
                yield error(INVALID, place, why.getMessage())


def _in_venv(
    venv: PurePosixPath, inmates: list[Process], files: tuple[GeneratedFile, ...]
) -> Iterator[Finding]:
    """Yield what the Python of VENV says of the files of its INMATES."""
    names = {process.name for process in inmates}
    theirs = tuple(file for file in files if names.intersection(file.processes))
    python = venv / "bin" / "python"
    if not is_executable(python):
        if not any(why_not_runnable(process.program[0]) for process in inmates):
            yield _missing(
                inmates,
                f"{python} does not exist",
                f"link it to the Python that runs {inmates[0].program[0]}",
                why="nobody could judge the files of {}, nor make their mount points",
            )
        # all that can be said is what our own ZEO says of files without %import
        plain = tuple(file for file in theirs if "\n%import " not in file.text)
        yield from _findings(in_zope.verdict(_request(plain, "zeo")))
        return
    has = {program for program in ("runzeo", "runwsgi") if (Path(venv) / "bin" / program).exists()}
    readers = (("zeo",) if "runzeo" in has else ()) + (("zope", "ini") if "runwsgi" in has else ())
    products, packers = _products(inmates), _packers(inmates, theirs)
    with_stages = _with_stages(inmates, theirs)
    answer = _ask(
        python,
        {
            **_request(theirs, *readers),
            "importable": [*products, *([STAGE_PACKAGE] if with_stages else [])],
            "packers": list(packers) if readers else [],  # else ZODB itself is missing
        },
        python_path=[process.environment.text("PYTHONPATH") for process in inmates],
    )
    # said below in better words
    unloadable = f"could not load package {STAGE_PACKAGE}:"
    yield from _findings([each for each in answer if not each["what"].startswith(unloadable)])
    for wrong in answer:
        name = wrong["what"]
        if wrong["path"]:
            continue
        if name == STAGE_PACKAGE:
            yield _no_stages(venv, with_stages)
        elif name in packers:
            yield _no_packer(venv, name, packers[name])
        else:
            package, _, file = name.partition(":")
            what = f"package {package}" + (f" with a file {file}" if file else "")
            hint = f"{venv}/bin/pip install {package}"
            yield _missing(products[name], f"{venv} has no {what}", hint)


def _products(inmates: list[Process]) -> dict[str, list[Process]]:
    """Return the packages that must be importable, or PACKAGE:FILE, and by whom."""
    wanted: dict[str, list[Process]] = {}
    for process in inmates:
        if isinstance(process.noun, Replica):
            instance = process.noun.instance
            zcml = (":".join(package_and_file(name)) for name in instance.zcml.packages)
            for name in dict.fromkeys((*instance.products, *zcml)):
                wanted.setdefault(name, []).append(process)
    return wanted


def _packers(inmates: list[Process], files: tuple[GeneratedFile, ...]) -> dict[str, list[Process]]:
    """Return the packers that FILES name, and who opens storages with them.

    ZODB looks for a packer when it opens the storage: no schema does.
    """
    wanted: dict[str, list[Process]] = {}
    for file in files:
        if file.reader not in ("zeo", "zope"):
            continue
        keys = (line.strip().partition(" ") for line in file.text.splitlines())
        values = (value for key, _, value in keys if key == "packer" and value != STOCK_PACKER)
        for name in dict.fromkeys(values):
            openers = [process for process in inmates if process.name in file.processes]
            wanted.setdefault(name, []).extend(openers)
    return wanted


def _with_stages(inmates: list[Process], files: tuple[GeneratedFile, ...]) -> list[Process]:
    """Return which INMATES' FILES have stages, which are zmount's."""
    names = {
        name
        for file in files
        if f"%import {STAGE_PACKAGE}" in file.text.splitlines()
        for name in file.processes
    }
    return [process for process in inmates if process.name in names]


def _no_stages(venv: PurePosixPath, wanting: list[Process]) -> Finding:
    return _missing(
        wanting,
        f"{venv} has no zmount, whose stages its staging storages are",
        f"{venv}/bin/pip install zmount; or stage-mode none, in zmount.conf",
    )


def _no_packer(venv: PurePosixPath, name: str, wanting: list[Process]) -> Finding:
    if name == PACKER:
        what = f"{venv} has no zmount, whose packer its storages have"
        hint = f"{venv}/bin/pip install zmount; or packer stock, in zmount.conf"
    else:
        what = f"{venv} has no {name}, which is the packer of its storages"
        hint = "install it there; or packer stock, in zmount.conf"
    return _missing(wanting, what, hint)


def _request(files: tuple[GeneratedFile, ...], *readers: str) -> dict[str, Any]:
    return {
        "files": [
            {"path": str(file.path), "reader": file.reader, "text": file.text}
            for file in files
            if file.reader in readers
        ]
    }


def _ask(
    python: PurePosixPath, request: dict[str, Any], python_path: list[str]
) -> list[dict[str, Any]]:
    extra = os.pathsep.join(path for path in python_path if path)
    try:
        done = subprocess.run(
            [str(python), str(Path(in_zope.__file__))],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": extra} if extra else None,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as why:
        raise RenderError(f"{python} did not judge the generated files: {why}") from why
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise RenderError(f"{python} could not judge the generated files: {said[-1]}")
    answer: list[dict[str, Any]] = json.loads(done.stdout)
    return answer


def _findings(answer: list[dict[str, Any]]) -> Iterator[Finding]:
    for wrong in answer:
        if wrong["path"]:
            yield error(INVALID, Place(wrong["path"], wrong["line"]), wrong["what"])
