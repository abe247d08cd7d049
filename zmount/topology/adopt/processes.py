"""How processes run and log: ``<runner>`` and ``<eventlog>`` sections."""

from __future__ import annotations

from pathlib import PurePosixPath

from zmount.topology.adopt.conf_files import keys_of, plain, sections_of
from zmount.topology.adopt.found import Logging, Running
from zmount.topology.adopt.notes import Notes
from zmount.topology.build_servers import RUNNER_KEYS
from zmount.topology.options import Options
from zmount.topology.sections import RawSection

# What zmount's <runner> means where it says nothing (schema.xml).
_RUNNER_DEFAULTS = {
    "backoff-limit": ("10",),
    "forever": ("true", "on", "yes"),
    "exit-codes": ("0,2",),
    "start-timeout": ("60",),
    "stop-timeout": ("30",),
    "umask": ("022", "22"),
    "hang-around": ("false", "off", "no"),
    "default-to-interactive": ("false", "off", "no"),
    "daemon": ("true", "on", "yes"),
}
_ELSEWHERE = ("program", "user", "directory")
_LOGFILE_KEYS = {
    "format": "format",
    "dateformat": "date-format",
    "max-size": "max-size",
    "old-files": "old-files",
    "when": "when",
    "interval": "interval",
}


def running(section: RawSection | None, home: PurePosixPath, notes: Notes) -> Running:
    """Return what the ``<runner>`` section of the process that lives in HOME says."""
    if section is None:
        return Running()
    keys = keys_of(section)
    for key in keys:
        if key not in RUNNER_KEYS and key not in _ELSEWHERE:
            notes.dropped(section.place.of(key), key, within="zdaemon's <runner>")
    for inner in section.sections:
        if inner.type != "environment":
            notes.say(
                "runner-log",
                inner.place,
                f"<{inner.type}> in <runner> is not carried over",
                why="zmount keeps the output of processes in log/transcript.log",
            )
    environment = next(iter(sections_of(section, "environment")), None)
    return Running(
        venv=_venv(keys.text("program"), home),
        user=keys.text("user"),
        options=Options(
            tuple(
                (key, values)
                for key, values in keys.only(RUNNER_KEYS).items_
                if plain(values[-1]).lower() not in _RUNNER_DEFAULTS.get(key, ())
            )
        ),
        environment=keys_of(environment) if environment is not None else Options(),
        environment_place=environment.place if environment is not None else section.place,
    )


def eventlog(section: RawSection | None) -> Logging:
    """Return what an ``<eventlog>`` of ZConfig's logger component says.

    Anything but one plain log file stays as it is written.
    """
    if section is None:
        return Logging()
    keys = keys_of(section)
    if len(section.sections) != 1 or section.sections[0].type != "logfile" or set(keys) - {"level"}:
        return Logging(raw=section)
    logfile = keys_of(section.sections[0])
    path = logfile.text("path")
    level = keys.text("level")
    is_filtered = logfile.text("level", level or "info").lower() != (level or "info").lower()
    known = {"path", "level", *_LOGFILE_KEYS}
    if set(logfile) - known or is_filtered or not path.startswith("/"):
        return Logging(raw=section)
    return Logging(
        path=path,
        options=Options(
            ((("level", (level,)),) if level and level.lower() != "info" else ())
            + tuple(
                (_LOGFILE_KEYS[key], values)
                for key, values in logfile.items_
                if key in _LOGFILE_KEYS
            )
        ),
    )


def _venv(program: str, home: PurePosixPath) -> str:
    """Return the virtual environment of the command line PROGRAM, or "".

    What is in HOME's own bin/ is a script that an instance was made with.
    """
    words = program.split()
    if not words or not words[0].startswith("/"):
        return ""
    directory = PurePosixPath(words[0]).parent
    is_venv = directory.name == "bin" and directory.parent != home
    return str(directory.parent) if is_venv else ""
