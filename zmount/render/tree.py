"""A topology as a listing for people: servers with storages, instances with mounts.

What no section of the file says, only implies, is dim and carries a mark. No text
is ever cut; in a file, lines are as long as they must be, to be searched and compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from rich.console import Console, ConsoleOptions
from rich.text import Text

from zmount.render.facts import Facts
from zmount.topology.addresses import Address
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance
from zmount.topology.mounts import Mount
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology
from zmount.topology.zeo import ZeoServer

IMPLIED = "·"
LEGEND = f"{IMPLIED} implied: no section of the file names it"
ROLE_STYLES = {
    "production": "green",
    "staging": "yellow",
    "session": "magenta",
    "root": "blue",
    "plain": "cyan",
}
_HANGING = " " * 8  # before what of a line is too long for the terminal
_ASCII = str.maketrans({"·": "*", "←": "<", "•": "*"})


@dataclass(frozen=True, slots=True)
class Listing:
    """Lines that print on any terminal, and on a file as they are."""

    lines: tuple[Text, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        for line in self.lines:
            if options.ascii_only:
                line = Text(line.plain.translate(_ASCII).encode("ascii", "replace").decode())
            if options.no_wrap or line.cell_len <= options.max_width:
                yield line
                continue
            first, *others = line.wrap(console, max(options.max_width - len(_HANGING), 20))
            yield first
            yield from (Text(_HANGING).append_text(other) for other in others)


def tree(topology: Topology, shows: Mapping[str, str] | None = None) -> Listing:
    """Return the listing of all of TOPOLOGY; SHOWS says of sites what their staging shows."""
    lines = list(_summary(topology))
    for host in topology.hosts:
        lines += [Text(), _head("host", host.name, str(host.directory), f"venv {host.venv}")]
    for server in topology.zeo_servers:
        lines += [Text(), _server_head(server, topology)]
        lines += _storages(topology.storages_of(server))
    unserved = [storage for storage in topology.storages if storage.server is None]
    if unserved:
        lines += [Text(), Text("storages without a ZEO server", style="bold")]
        lines += _storages(unserved, several_hosts=len(topology.hosts) > 1)
    for instance in topology.instances:
        lines += [Text(), _instance_head(instance, topology)]
        lines += _replicas(instance)
        lines += _mounts(instance.mounts)
    lines += _sites(topology, shows or {})
    lines += [Text(), Text(LEGEND, style="dim")]
    return Listing(tuple(lines))


def detail(kind: str, facts: Facts) -> Listing:
    """Return the listing of one noun from its FACTS; KIND is what it is."""
    head = Text.assemble((kind, "bold"), " ", (str(facts["name"]), "bold cyan"))
    rest = {key: value for key, value in facts.items() if key != "name"}
    return Listing((head, *_facts_lines(rest, 1)))


def _summary(topology: Topology) -> Iterator[Text]:
    mounts = sum(len(instance.mounts) for instance in topology.instances)
    counts = (
        _count(len(topology.hosts), "host"),
        _count(len(topology.zeo_servers), "ZEO server"),
        _count(len(topology.storages), "storage"),
        _count(len(topology.sites), "site"),
        _count(len(topology.instances), "instance"),
        _count(mounts, "mount"),
    )
    yield Text(topology.file, style="bold")
    yield Text(f"{', '.join(counts)}; processes are kept alive by {topology.manager}")
    administrator = topology.administrator
    if administrator is not None:
        password = "from the file" if administrator.password else "made up, in etc/administrator"
        yield Text(f"administrator {administrator.name} (password {password})")
    session = topology.session
    if session is not None:
        container = str(PurePosixPath(session.path) / session.container)
        yield Text(
            f"sessions in {container} of {session.storage.name}, "
            f"ended by {_count(session.timeout_minutes, 'minute')} of silence"
        )


def _server_head(server: ZeoServer, topology: Topology) -> Text:
    return _head(
        "ZEO server",
        server.name,
        str(server.address),
        _shorter(server.directory, server.host) + "/",
        f"host {server.host.name}" if len(topology.hosts) > 1 else "",
        "TLS" if server.tls is not None else "",
        "" if server.autostart else "started by name only",
    )


def _storages(storages: Sequence[Storage], *, several_hosts: bool = False) -> Iterator[Text]:
    rows = []
    for storage in storages:
        path = _shorter(storage.data_fs, storage.host) if storage.data_fs is not None else ""
        backend = f"<{storage.backend.type}>" if storage.backend is not None else ""
        rows.append(
            (
                _name(storage.name, storage.is_implied),
                Text(storage.role, style=ROLE_STYLES[storage.role]),
                Text(storage.site),
                Text(" ".join(filter(None, [backend, path])), style="dim"),
                Text(storage.host.name if several_hosts else ""),
            )
        )
    return _columns(rows)


def _instance_head(instance: Instance, topology: Topology) -> Text:
    host = instance.hosts[0]
    names = ", ".join(each.name for each in instance.hosts)
    return _head(
        "instance",
        instance.name,
        instance.kind,
        _url(instance.http_address),
        _shorter(instance.directory, host) + "/",
        f"host {names}" if len(topology.hosts) > 1 else "",
        _count(len(instance.replicas), "process") if instance.is_replicated else "",
        "" if instance.autostart else "started by name only",
    )


def _replicas(instance: Instance) -> Iterator[Text]:
    if instance.is_replicated:
        yield from _columns(
            (
                Text(f"  {replica.name}", style="bold"),
                Text(_url(replica.http_address)),
                Text(f"{_shorter(replica.directory, replica.host)}/ on {replica.host.name}"),
            )
            for replica in instance.replicas
        )


def _mounts(mounts: Iterable[Mount]) -> Iterator[Text]:
    return _columns(
        (
            _name(point.virtual, mount.is_implied),
            Text("←"),
            Text.assemble(
                (mount.storage.name, ROLE_STYLES[mount.storage.role]),
                (f":{point.real}" if point.real != point.virtual else "", "dim"),
            ),
            Text("" if mount.container_class == "" else f"new: {mount.container_class}"),
        )
        for mount in mounts
        for point in mount.points
    )


def _sites(topology: Topology, shows: Mapping[str, str]) -> Iterator[Text]:
    if not topology.sites:
        return
    yield Text()
    yield Text("sites", style="bold")
    yield from _columns(
        (
            Text(f"  {site.name}", style="bold"),
            Text(site.production.name, style=ROLE_STYLES["production"]),
            Text(
                "no staging" if site.staging is None else site.staging.name,
                style=ROLE_STYLES["staging"],
            ),
            Text(f"at {site.real_path} in both" if site.staging else f"at {site.real_path}"),
            Text(shows.get(site.name, ""), style="dim"),
        )
        for site in topology.sites
    )


def _facts_lines(facts: Facts, depth: int) -> Iterator[Text]:
    """Yield one line for each fact that says anything, what is in it below it."""
    indent = "  " * depth
    said = {key: value for key, value in facts.items() if _says_anything(value)}
    width = max((len(key) for key in said), default=0) + 2
    for key, value in said.items():
        words = key.replace("_", " ")
        if isinstance(value, dict):
            yield Text(f"{indent}{words}", style="dim")
            yield from _facts_lines(value, depth + 1)
        elif isinstance(value, list) and isinstance(value[0], dict):
            yield Text(f"{indent}{words}", style="dim")
            for each in value:
                first, *others = (item for item in each.items() if _says_anything(item[1]))
                yield Text(f"{indent}  {_one_line(first[1])}", style="bold")
                yield from _facts_lines(dict(others), depth + 2)
        else:
            yield Text.assemble((f"{indent}{words:{width}}", "dim"), _one_line(value))


def _says_anything(value: object) -> bool:
    if isinstance(value, dict):
        return any(_says_anything(each) for each in value.values())
    return value not in (None, "", [])


def _one_line(value: object) -> str:
    if isinstance(value, list):
        return "  ".join(_one_line(each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _head(kind: str, name: str, *facts: str) -> Text:
    line = Text.assemble((kind, "bold"), " ", (name, "bold cyan"))
    for fact in filter(None, facts):
        line.append(f"  {fact}")
    return line


def _name(name: str, is_implied: bool) -> Text:
    mark = f"{IMPLIED} " if is_implied else "  "
    return Text(mark + name, style="dim" if is_implied else "bold")


def _columns(rows: Iterable[tuple[Text, ...]]) -> Iterator[Text]:
    """Yield ROWS as lines, every column as wide as its widest cell."""
    table = list(rows)
    widths = [max(cell.cell_len for cell in column) for column in zip(*table, strict=True)]
    for row in table:
        line = Text("  ")
        for cell, width in zip(row, widths, strict=True):
            if width:
                line.append_text(cell)
                line.append(" " * (width - cell.cell_len + 2))
        line.rstrip()
        yield line


def _shorter(path: PurePosixPath, host: Host) -> str:
    """Return PATH as it is inside the host's directory, or all of it."""
    return (
        str(path.relative_to(host.directory)) if path.is_relative_to(host.directory) else str(path)
    )


def _url(address: Address) -> str:
    if address.socket is not None:
        return str(address)
    return f"http://*:{address.port}" if address.is_everywhere else f"http://{address}"


def _count(number: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number} {noun if number == 1 else plural}"
