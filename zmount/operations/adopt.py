"""Write the zmount.conf of a deployment that runs from files of its own.

1. read:  its zeo.conf and zope.conf files, and the ini files and zdaemon.conf
          that stand beside them.
2. adopt: say the same in zmount's words (``topology.adopt``).
3. write: the file, readable by its owner alone if a password stands in it.
4. check: the result, like any other zmount.conf.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from zmount.effects.deployed_files import (
    ini_beside,
    scratch_file,
    site_zcml_of,
    text_of_configuration,
    venv_near,
    write_configuration,
    zdaemon_conf_beside,
)
from zmount.operations.check import Verdict, check_file
from zmount.topology.adopt.adopt import Source
from zmount.topology.adopt.adopt import adopt as adopted_from
from zmount.topology.adopt.conf_files import ConfFile, keys_of, sections_of
from zmount.topology.adopt.ini_files import IniFile, parse_ini
from zmount.topology.adopt.notes import Notes
from zmount.topology.adopt.reading import read_conf
from zmount.topology.adopt.servers import zeo_directory
from zmount.topology.adopt.zopes import zope_directory
from zmount.topology.findings import Finding
from zmount.topology.places import Place
from zmount.topology.sections import RawSection

PRIVATE, PUBLIC = 0o600, 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """The zmount.conf of an existing deployment.

    ``findings`` say what it does not hold of the files it was made from,
    ``verdict`` is what ``zmount check`` says of it. ``output`` is where it was
    written, None for nowhere.
    """

    text: str
    holds_secret: bool
    findings: tuple[Finding, ...]
    verdict: Verdict
    output: Path | None

    def as_json(self) -> dict[str, object]:
        """Return the adoption for machines; the text only if no secret is in it."""
        notes = Verdict(file="", findings=self.findings).as_json()["findings"]
        return {
            "output": str(self.output) if self.output is not None else None,
            "holds_secret": self.holds_secret,
            "text": None if self.holds_secret else self.text,
            "notes": notes,
            "check": self.verdict.as_json(),
        }


def adopt(paths: Sequence[str], *, output: Path | None = None, overwrite: bool = False) -> Adoption:
    """Return the zmount.conf for what the files PATHS configure; write it to OUTPUT.

    :raises AdoptError: a file cannot be read, or is no such configuration
    :raises ApplyRefused: OUTPUT exists, and OVERWRITE is False
    :raises ApplyFailed: OUTPUT cannot be written
    """
    notes = Notes()
    made = adopted_from(tuple(_sources(paths, notes)), notes)
    if output is not None:
        mode = PRIVATE if made.holds_secret else PUBLIC
        write_configuration(output, made.text, mode=mode, overwrite=overwrite)
        verdict = check_file(output)
    else:
        with scratch_file(made.text) as scratch:
            verdict = _as_of(check_file(scratch), "zmount.conf")
    return Adoption(
        text=made.text,
        holds_secret=made.holds_secret,
        findings=made.findings,
        verdict=verdict,
        output=output,
    )


def _sources(paths: Sequence[str], notes: Notes) -> list[Source]:
    """Return the zeo.conf and zope.conf files among PATHS, each with what runs it."""
    confs: list[ConfFile] = []
    inis: list[IniFile] = []
    for path in dict.fromkeys(str(Path(path).absolute()) for path in paths):
        if path.endswith(".ini"):
            inis.append(parse_ini(text_of_configuration(path), path))
        else:
            confs.append(read_conf(path, notes))
    runners = [conf for conf in confs if conf.kind == "zdaemon"]
    return [_source(conf, inis, runners, notes) for conf in confs if conf.kind != "zdaemon"]


def _source(conf: ConfFile, inis: list[IniFile], runners: list[ConfFile], notes: Notes) -> Source:
    is_zeo = conf.kind == "zeo"
    home = zeo_directory(conf) if is_zeo else zope_directory(conf)
    ini = None if is_zeo else _ini(conf, home, inis)
    site_zcml = None if is_zeo else site_zcml_of(home)
    if site_zcml is not None:
        notes.say(
            "site-zcml",
            Place(site_zcml),
            "it is not carried over",
            why="zmount writes a site.zcml of its own in its place, which loads all products "
            "and etc/package-includes",
            hint="keep it under another name and say site-zcml FILE, if it loads more",
        )
    return Source(
        conf=conf,
        ini=ini,
        runner=_runner(conf, ini, runners),
        venv=venv_near(home, "runzeo" if is_zeo else "runwsgi"),
    )


def _ini(conf: ConfFile, home: PurePosixPath, inis: Iterable[IniFile]) -> IniFile | None:
    for ini in inis:
        if Path(ini.zope_conf) == Path(conf.file):
            return ini
    found = ini_beside(conf.file, home)
    return parse_ini(text_of_configuration(found), found) if found is not None else None


def _runner(conf: ConfFile, ini: IniFile | None, runners: list[ConfFile]) -> RawSection | None:
    """Return the <runner> whose program names CONF or INI, or that stands beside CONF."""
    names = [conf.file, *([ini.file] if ini is not None else [])]
    beside = zdaemon_conf_beside(conf.file)
    known = list(runners)
    if beside is not None and all(runner.file != beside for runner in runners):
        known.append(read_conf(beside, Notes()))
    for each in known:
        for runner in sections_of(each.top, "runner"):
            words = keys_of(runner).text("program").split()
            if each.file == beside or any(name in words for name in names):
                # zdaemon has the process' environment beside <runner>
                environment = sections_of(each.top, "environment")
                return replace(runner, sections=(*runner.sections, *environment))
    return None


def _as_of(verdict: Verdict, file: str) -> Verdict:
    """Return VERDICT on a scratch file as one on FILE."""
    findings = tuple(
        replace(found, place=replace(found.place, file=file))
        if found.place.file == verdict.file
        else found
        for found in verdict.findings
    )
    return Verdict(file=file, findings=findings)
