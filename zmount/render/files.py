"""Every file that zmount generates for a host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from zmount.render.crontab import crontab_text
from zmount.render.generated import PRIVATE, PUBLIC, GeneratedFile, Reader, sign
from zmount.render.logrotate import logrotate_conf_text
from zmount.render.referrers import referrers_texts
from zmount.render.site_zcml import site_zcml
from zmount.render.supervisor import supervisor_conf_text
from zmount.render.systemd import secret_environment, units
from zmount.render.text import Text
from zmount.render.timers import timers
from zmount.render.zdaemon_conf import zdaemon_conf_text
from zmount.render.zeo_conf import zeo_conf_text
from zmount.render.zope_conf import zope_conf_text
from zmount.render.zope_ini import zope_ini_text
from zmount.topology.hosts import Host
from zmount.topology.managers import crontab, environment_file, supervisor_conf, unit_directory
from zmount.topology.options import Secret
from zmount.topology.processes import Process, passphrase_file, processes
from zmount.topology.topology import Topology
from zmount.topology.zeo import ZeoServer


def generated_files(topology: Topology, host: Host) -> tuple[GeneratedFile, ...]:
    """Return the files that HOST needs, signed, in the order of its processes.

    :raises RenderError: a file cannot hold what the topology says
    """
    made: list[GeneratedFile] = []
    there = processes(topology, host)
    for process in there:
        made.extend(_process_files(topology, process))
    if there:
        made.extend(_host_files(topology, host))
    made.extend(schedule_files(topology, host))
    return tuple(made)


def schedule_files(topology: Topology, host: Host) -> Iterator[GeneratedFile]:
    """Yield what begins the jobs of HOST, a crontab or systemd's timers."""
    jobs = [each for each in topology.schedules if each.is_on(host)]
    texts: list[tuple[PurePosixPath, Reader, Text]] = []
    if jobs and topology.scheduler == "crontab":
        texts.append((crontab(topology, host), "cron", crontab_text(topology, host)))
    elif jobs:
        directory = unit_directory(topology, host)
        texts += [(directory / name, "systemd", unit) for name, unit in timers(topology, host)]
    for path, reader, text in texts:
        signed = sign(str(text), source=topology.file)
        yield GeneratedFile(host=host.name, path=path, text=signed, reader=reader)


def _host_files(topology: Topology, host: Host) -> Iterator[GeneratedFile]:
    """Yield what belongs to no one process: the process manager's, logrotate's, packers'."""

    def file(path: PurePosixPath, reader: Reader, text: Text) -> GeneratedFile:
        return GeneratedFile(
            host=host.name,
            path=path,
            text=sign(str(text), source=topology.file),
            mode=PRIVATE if text.holds_secret else PUBLIC,
            reader=reader,
        )

    for name, unit in units(topology, host):
        yield file(unit_directory(topology, host) / name, "systemd", unit)
    if topology.manager == "supervisor":
        yield file(supervisor_conf(host), "supervisor", supervisor_conf_text(topology, host))
    yield file(host.etc / "logrotate.conf", "logrotate", logrotate_conf_text(topology, host))
    for path, text in referrers_texts(topology, host):
        yield file(path, "", text)


def _process_files(topology: Topology, process: Process) -> Iterator[GeneratedFile]:
    def file(path: PurePosixPath, reader: Reader, text: Text) -> GeneratedFile:
        return GeneratedFile(
            host=process.host.name,
            path=path,
            text=sign(str(text), source=topology.file),
            mode=PRIVATE if text.holds_secret else PUBLIC,
            user=process.user if text.holds_secret else "",
            reader=reader,
            processes=(process.name,),
        )

    noun = process.noun
    if isinstance(noun, ZeoServer):
        yield file(noun.conf, "zeo", zeo_conf_text(noun, topology.storages_of(noun)))
    else:
        yield file(noun.zope_conf, "zope", zope_conf_text(noun))
        yield file(noun.zope_ini, "ini", zope_ini_text(noun))
        yield GeneratedFile(
            host=process.host.name,
            path=noun.site_zcml,
            text=sign(site_zcml(noun), source=topology.file, is_xml=True),
            reader="zcml",
            processes=(process.name,),
        )
    passphrase = _passphrase(process)
    if passphrase is not None:
        text = Text()
        text.add(text.reveal(passphrase))
        yield file(passphrase_file(process.directory), "", text)
    secrets = secret_environment(process) if topology.manager == "systemd" else None
    if secrets is not None:
        yield file(environment_file(process), "", secrets)
    if topology.manager == "zdaemon":
        yield file(process.zdaemon_conf, "zdaemon", zdaemon_conf_text(process))


def _passphrase(process: Process) -> Secret | None:
    """Return the passphrase of the TLS key that PROCESS opens, if there is one."""
    noun = process.noun
    mounts = () if isinstance(noun, ZeoServer) else noun.instance.mounts
    sides = (noun.tls,) if isinstance(noun, ZeoServer) else (mount.tls for mount in mounts)
    return next((tls.passphrase for tls in sides if tls is not None and tls.passphrase), None)
