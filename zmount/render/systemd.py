"""systemd units: a service per process and the target that groups them.

For zdaemon and supervisor one service starts the manager at boot. Units whose
processes name a user belong to the system's manager; without one they suit
``systemctl --user``, which can do no more than the user can.
"""

from __future__ import annotations

from zmount.render.text import Text
from zmount.render.writable import writable_directories
from zmount.render.zdaemon_conf import RUNNER
from zmount.topology.hosts import Host
from zmount.topology.managers import (
    boot_service,
    environment_file,
    supervisor_conf,
    target,
    unit_name,
)
from zmount.topology.options import Secret
from zmount.topology.processes import Process, processes
from zmount.topology.topology import Topology

_TMP = ("/tmp", "/var/tmp")
# What a server that opens files and sockets never needs. Not here:
# MemoryDenyWriteExecute, which breaks cffi.
_HARDENING = (
    "NoNewPrivileges=yes",
    "PrivateDevices=yes",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
)


def units(topology: Topology, host: Host) -> tuple[tuple[str, Text], ...]:
    """Return HOST's units by name: for manager systemd one per process and a target."""
    there = processes(topology, host)
    if not there:
        return ()
    if topology.manager == "systemd":
        services = tuple((unit_name(process), _service(topology, process)) for process in there)
        return (*services, (target(topology), _target(topology, there)))
    boot = _zdaemon_at_boot if topology.manager == "zdaemon" else _supervisor_at_boot
    return ((boot_service(topology), boot(topology, host, there)),)


def _service(topology: Topology, process: Process) -> Text:
    text = Text()
    servers = [
        unit_name(other)
        for other in processes(topology, process.host)
        if other.name in process.after
    ]
    kind = "ZEO server" if process.is_zeo else "Zope"
    text.add("[Unit]", f"Description={kind} {plain(process.name)}", f"PartOf={target(topology)}")
    # Wants, not Requires: a Zope survives a restart of its ZEO server
    text.add(" ".join(("Wants=network-online.target", *servers)))
    text.add(" ".join(("After=network-online.target", *servers)))
    text.add(*_start_limit(process), "", "[Service]", "Type=exec")
    text.add("ExecStart=" + " ".join(unit_word(word) for word in process.program))
    text.add(f"WorkingDirectory={plain(str(process.directory))}")
    if process.user:
        text.add(f"User={process.user}")
    text.add(f"UMask={process.runner.text('umask', '022')}")
    text.add("LimitNOFILE=65536")  # a ZEO server has several files open for each storage
    _environment(text, process)
    text.add(*_stopping(process))
    if "transcript" in process.runner:
        text.add(f"StandardOutput=append:{plain(str(process.transcript))}")
        text.add("StandardError=inherit")
    text.add("", *_hardening(topology, process))
    if process.autostart:
        text.add("", "[Install]", f"WantedBy={target(topology)}")
    return text


def _start_limit(process: Process) -> tuple[str, ...]:
    runner = process.runner.over(RUNNER)
    if runner.text("forever").lower() in ("true", "on", "yes"):
        return ("StartLimitIntervalSec=0",)
    limit = int(runner.text("backoff-limit"))
    return (f"StartLimitIntervalSec={limit * 10}", f"StartLimitBurst={limit}")


def _stopping(process: Process) -> tuple[str, ...]:
    runner = process.runner.over(RUNNER)
    codes = runner.text("exit-codes").replace(",", " ").split()
    final = " ".join(code for code in codes if code != "0")
    return (
        f"Restart={'on-failure' if '0' in codes else 'always'}",
        "RestartSec=1",
        *((f"RestartPreventExitStatus={final}",) if final else ()),
        f"KillSignal=SIG{process.stop_signal}",
        "KillMode=mixed",
        f"TimeoutStartSec={runner.text('start-timeout')}",
        f"TimeoutStopSec={runner.text('stop-timeout')}",
    )


def _environment(text: Text, process: Process) -> None:
    has_secret = False
    for name, values in process.environment.items_:
        if isinstance(values[-1], Secret):
            has_secret = True
        else:
            text.add(
                f"Environment={unit_word(f'{name}={text.reveal(values[-1])}', is_command=False)}"
            )
    if has_secret:
        text.add(f"EnvironmentFile={plain(str(environment_file(process)))}")


def secret_environment(process: Process) -> Text | None:
    """Return the EnvironmentFile of PROCESS, or None if it needs none."""
    text = Text()
    for name, values in process.environment.items_:
        if isinstance(values[-1], Secret):
            value = text.reveal(values[-1])
            for mark in '\\"$`':
                value = value.replace(mark, "\\" + mark)
            text.add(f'{name}="{value}"')
    return text if text.lines else None


def _hardening(topology: Topology, process: Process) -> tuple[str, ...]:
    if not process.user:
        return ("NoNewPrivileges=yes",)
    places = [str(path) for path in writable_directories(topology, process)]
    # its own /tmp would hide what others reach there, or it needs there
    needed = [*places, str(process.directory), process.program[0]]
    if any(path.startswith(tuple(f"{tmp}/" for tmp in _TMP)) for path in needed):
        places += _TMP
        private: tuple[str, ...] = ()
    else:
        private = ("PrivateTmp=yes",)
    may_bind = "CAP_NET_BIND_SERVICE" if 0 < process.address.port < 1024 else ""
    return (
        *_HARDENING,
        *private,
        f"CapabilityBoundingSet={may_bind}",
        *((f"AmbientCapabilities={may_bind}",) if may_bind else ()),
        "# for more, systemctl edit " + unit_name(process),
        *(f"ReadWritePaths={unit_word('-' + path, is_command=False)}" for path in places),
    )


def _target(topology: Topology, there: tuple[Process, ...]) -> Text:
    text = Text()
    started = " ".join(unit_name(process) for process in there if process.autostart)
    text.add("[Unit]", f"Description=zmount deployment of {plain(topology.file)}")
    if started:
        text.add(f"Wants={started}")
    text.add("", "[Install]", f"WantedBy={_boot_target(there)}")
    return text


def _zdaemon_at_boot(topology: Topology, host: Host, there: tuple[Process, ...]) -> Text:
    zmount = [str(host.venv / "bin" / "zmount"), "-f", topology.file, "--host", host.name]
    timeout = sum(int(process.runner.over(RUNNER).text("stop-timeout")) for process in there)
    return _boot_service(
        topology,
        there,
        "Type=oneshot",
        "RemainAfterExit=yes",
        # "-": where one process cannot start, systemd would end those that did
        "ExecStart=-" + " ".join(unit_word(word) for word in (*zmount, "start")),
        "ExecStop=" + " ".join(unit_word(word) for word in (*zmount, "stop")),
        "TimeoutStartSec=infinity",
        f"TimeoutStopSec={timeout + 30}",
    )


def _supervisor_at_boot(topology: Topology, host: Host, there: tuple[Process, ...]) -> Text:
    conf = str(supervisor_conf(host))
    supervisord = (str(host.venv / "bin" / "supervisord"), "--nodaemon", "-c", conf)
    update = (str(host.venv / "bin" / "supervisorctl"), "-c", conf, "update")
    timeout = sum(int(process.runner.over(RUNNER).text("stop-timeout")) for process in there)
    return _boot_service(
        topology,
        there,
        "Type=exec",
        "ExecStart=" + " ".join(unit_word(word) for word in supervisord),
        "ExecReload=" + " ".join(unit_word(word) for word in update),
        "KillMode=mixed",
        "Restart=on-failure",
        f"TimeoutStopSec={timeout + 30}",
    )


def _boot_service(topology: Topology, there: tuple[Process, ...], *service: str) -> Text:
    text = Text()
    text.add(
        "[Unit]",
        f"Description=zmount deployment of {plain(topology.file)}",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        *service,
        "",
        "[Install]",
        f"WantedBy={_boot_target(there)}",
    )
    return text


def _boot_target(there: tuple[Process, ...]) -> str:
    """Return what is reached at boot: a user's own manager knows only the second."""
    return "multi-user.target" if any(process.user for process in there) else "default.target"


def plain(text: str) -> str:
    """Return TEXT as it stands in a unit file, where % begins a specifier."""
    return text.replace("%", "%%")


def unit_word(text: str, *, is_command: bool = True) -> str:
    """Return TEXT as one word of a unit file's value."""
    text = plain(text).replace("\\", "\\\\").replace('"', '\\"')
    if is_command:
        text = text.replace("$", "$$")
    return f'"{text}"' if any(mark in text for mark in " \t'\"\\;") else text
