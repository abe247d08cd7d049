"""Bring up the design document's deployment in a directory, and show that it works.

1. write:   a zmount.conf with the five sites, unless the directory has one.
2. apply:   the configurations, directories and mount points.
3. start:   the ZEO server, the development and the public Zope.
4. content: a front page in each site, through the public Zope.
5. prove:   what dev changes at /pub/SITE is what visitors see at /home/SITE, and
            a visitor's session survives a restart of the public Zope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zmount.effects.administrator_file import administrator_file, password
from zmount.effects.clock import Stopwatch
from zmount.effects.demo_directory import remove_directory, running_venv, write_new_conf
from zmount.effects.ports import free_ports
from zmount.effects.zope_http import ZopeClient
from zmount.errors import ProcessFailed, TopologyError
from zmount.operations.apply import Wish, apply
from zmount.operations.changes import refuse_failures
from zmount.operations.demo_content import create_content, prove_same_objects, visits
from zmount.operations.restart import restart
from zmount.operations.start import start
from zmount.operations.stop import stop
from zmount.render.demo_conf import demo_conf
from zmount.topology.hosts import Host
from zmount.topology.load import is_there, load
from zmount.topology.topology import Topology

Say = Callable[[str], None]
ANY_PORTS = (0, 0, 0, 0)  # whatever the system gives


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A demonstration that went well.

    ``is_running`` is False where it was torn down again.
    """

    conf: Path
    topology: Topology
    host: Host
    is_new: bool
    is_running: bool

    @property
    def password_file(self) -> Path:
        """Where the administrator's name and password are."""
        return administrator_file(self.host)


def demo(directory: Path, say: Say, *, ports: tuple[int, ...], tear_down: bool) -> Demo:
    """Bring the deployment up in DIRECTORY, prove it, and leave it running.

    A new one listens on PORTS, or others where those are taken. Each step is told
    to SAY with its time. With TEAR_DOWN, or where a step of a
    new demonstration fails, everything is stopped again; what this run made is
    removed if it went well.

    :raises EnvironmentMissing: zmount's own environment has no Zope
    :raises ApplyRefused: DIRECTORY holds something else
    :raises ProcessFailed: a server does not start, or a proof fails
    """
    conf, is_new = _conf(directory, say, ports)
    topology = load(conf)
    host = topology.hosts[0]
    try:
        _bring_up(topology, host, say)
        _prove(topology, host, say)
    except BaseException:
        if tear_down or is_new:
            _stop(topology, host, say)
        raise
    if tear_down:
        _stop(topology, host, say)
        if is_new:
            remove_directory(directory)
    return Demo(conf=conf, topology=topology, host=host, is_new=is_new, is_running=not tear_down)


def _conf(directory: Path, say: Say, ports: tuple[int, ...]) -> tuple[Path, bool]:
    conf = directory.absolute() / "zmount.conf"
    if is_there(conf):
        say(f"         {conf} is there already: going on with it")
        return conf, False
    with _timed(say, f"write {conf}: one ZEO server, three Zopes, five sites, sessions"):
        text = demo_conf(running_venv(), free_ports(ports))
        return write_new_conf(directory.absolute(), text), True


def _bring_up(topology: Topology, host: Host, say: Say) -> None:
    with _timed(say, "apply: configurations, directories, mount points, users"):
        apply(topology, host, Wish(), _quiet).refuse_incomplete()
    with _timed(say, "start: the ZEO server, then dev and pub, each when it answers"):
        refuse_failures(start(topology, host, (), _quiet))


def _prove(topology: Topology, host: Host, say: Say) -> None:
    administrator = topology.administrator
    if administrator is None or topology.session is None:
        raise TopologyError(
            f"{topology.file} has no administrator or no session: it is not a demonstration's",
            hint="zmount demo --directory NEW",
        )
    secret = password(administrator, host).reveal()
    public = topology.instance("pub").http_address
    editor = ZopeClient(public, user=administrator.name, password=secret)
    developer = ZopeClient(
        topology.instance("dev").http_address, user=administrator.name, password=secret
    )
    visitor = ZopeClient(public)
    with _timed(say, "create a front page in each site, through pub's /home/SITE"):
        create_content(topology, editor)
    with _timed(say, "change each site at dev's /pub/SITE, and see it at pub's /home/SITE"):
        prove_same_objects(topology, developer, visitor)
    with _timed(say, "count a visitor's session to 3, restart pub, count on to 4"):
        before = [visits(visitor) for _ in range(3)]
        refuse_failures(restart(topology, host, ("pub",), _quiet))
        after = visits(visitor)
        if [*before, after] != [1, 2, 3, 4]:
            raise ProcessFailed(f"the session was lost: it counted {before}, then {after}")


def _stop(topology: Topology, host: Host, say: Say) -> None:
    with _timed(say, "stop: Zopes first, then the ZEO server"):
        refuse_failures(stop(topology, host, (), _quiet))


@contextmanager
def _timed(say: Say, step: str) -> Iterator[None]:
    watch = Stopwatch()
    yield
    say(f"{watch.seconds:6.1f} s {step}")


def _quiet(_: object) -> None:
    """Take what a step says: the demonstration says it in its own words."""
