"""supervisord.conf of a host: a program per process, ZEO servers first."""

from __future__ import annotations

import shlex

from zmount.errors import RenderError
from zmount.render.text import Text
from zmount.render.zdaemon_conf import RUNNER
from zmount.topology.hosts import Host
from zmount.topology.managers import supervisor_socket
from zmount.topology.processes import Process, processes
from zmount.topology.topology import Topology

_FOREVER = "1000000"  # retries; supervisor knows no "for ever"


def supervisor_conf(topology: Topology, host: Host) -> str:
    """Return the text of HOST's supervisord.conf.

    :raises RenderError: a value cannot be written so that supervisor reads it back
    """
    return str(supervisor_conf_text(topology, host))


def supervisor_conf_text(topology: Topology, host: Host) -> Text:
    """The same, knowing whether a secret stands in it."""
    text = Text()
    socket = _value(str(supervisor_socket(host)))
    text.add("[unix_http_server]", f"file = {socket}", "chmod = 0700", "")
    text.add(
        "[supervisord]",
        f"logfile = {_value(str(host.directory / 'log' / 'supervisord.log'))}",
        f"pidfile = {_value(str(host.directory / 'var' / 'supervisord.pid'))}",
        f"childlogdir = {_value(str(host.directory / 'log'))}",
        "",
    )
    text.add(
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
        "",
        "[supervisorctl]",
        f"serverurl = unix://{socket}",
    )
    for process in processes(topology, host):
        _program(text, process)
    return text


def _program(text: Text, process: Process) -> None:
    runner = process.runner.over(RUNNER)
    is_forever = runner.text("forever").lower() in ("true", "on", "yes")
    limit = runner.text("backoff-limit")
    text.add("", f"[program:{process.name}]")
    text.add("command = " + _value(shlex.join(process.program)))
    text.add(f"directory = {_value(str(process.directory))}")
    if process.user:
        text.add(f"user = {_value(process.user)}")
    text.add(f"umask = {runner.text('umask', '022')}")
    text.add(f"priority = {100 if process.is_zeo else 200}")
    text.add(f"autostart = {'true' if process.autostart else 'false'}")
    text.add("autorestart = unexpected", f"exitcodes = {runner.text('exit-codes')}")
    # a process that lives shorter counts as crashing, as with zdaemon
    text.add(f"startsecs = {limit}", f"startretries = {_FOREVER if is_forever else limit}")
    text.add(f"stopsignal = {process.stop_signal}")
    text.add(f"stopwaitsecs = {runner.text('stop-timeout')}")
    # supervisor expands this key, and this one only, twice
    transcript = _value(_value(str(process.transcript)))
    text.add("redirect_stderr = true", f"stdout_logfile = {transcript}")
    variables = ",".join(
        f"{name}={_quoted(text.reveal(values[-1]))}" for name, values in process.environment.items_
    )
    if variables:
        text.add(f"environment = {_value(variables)}")


def _quoted(value: str) -> str:
    """Return VALUE in quotes; supervisor strips them and knows no escape in them."""
    for quote in "\"'":
        if quote not in value:
            break
    if quote in value or value[:1] in ("'", '"') or value[-1:] in ("'", '"'):
        raise RenderError(
            "an environment variable has quotes that supervisor would lose",
            hint="write it otherwise, or use manager zdaemon or systemd",
        )
    return f"{quote}{value}{quote}"


def _value(text: str) -> str:
    """Return TEXT with ``%`` escaped; a blank and ``;`` or ``#`` would end it."""
    for comment in (" ;", " #", "\t;", "\t#"):
        if comment in text:
            raise RenderError(
                f"supervisor would read what follows {comment!r} as a comment",
                hint="leave it out, or use manager zdaemon or systemd",
            )
    return text.replace("%", "%%")
