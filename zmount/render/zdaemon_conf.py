"""zdaemon's configuration of one process, ZEO or Zope alike."""

from __future__ import annotations

from zmount.errors import RenderError
from zmount.render.text import ZConfigText
from zmount.topology.options import Options, options
from zmount.topology.processes import Process

# What zmount says where the administrator says nothing; zdaemon's own
# defaults are to give up on a crashing process and to wait five minutes.
RUNNER = options(
    backoff_limit="10",
    forever="true",
    exit_codes="0,2",
    start_timeout="60",
    stop_timeout="30",
    default_to_interactive="false",
)


def zdaemon_conf(process: Process) -> str:
    """Return the text of PROCESS's zdaemon.conf.

    :raises RenderError: the program has a blank in its path, which zdaemon
        cannot be told
    """
    return str(zdaemon_conf_text(process))


def zdaemon_conf_text(process: Process) -> ZConfigText:
    """The same, knowing whether a secret stands in it."""
    text = ZConfigText()
    text.comment(f"zdaemon: keeps {process.name} alive on {process.host.name}")
    with text.section("runner"):
        text.key("program", " ".join(_words(process)))
        text.key("directory", process.directory)
        text.key("socket-name", process.zdaemon_socket)
        text.key("transcript", process.transcript)
        if "logfile" in process.runner:
            text.key("logfile", process.directory / process.runner.text("logfile"))
        elif process.log.path is not None:
            text.key("logfile", process.log.path)
        if process.user:
            text.key("user", process.user)
        text.options(_runner(process))
    if process.environment:
        text.add("")
        with text.section("environment"):
            text.options(process.environment)
    text.add("")
    with text.section("eventlog"), text.section("logfile"):
        text.key("path", process.zdaemon_log)
    return text


def _runner(process: Process) -> Options:
    return process.runner.over(RUNNER).without("socket-name", "transcript", "logfile")


def _words(process: Process) -> tuple[str, ...]:
    for word in process.program:
        if len(word.split()) != 1:
            raise RenderError(
                f"{process.name}: {word} has a blank, at which zdaemon splits its program",
                hint="a directory and venv without blanks, or manager systemd or supervisor",
            )
    return process.program
