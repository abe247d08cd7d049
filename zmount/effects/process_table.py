"""What the kernel knows of processes: who listens where, since when, how large.

All of it comes from /proc; where there is none (macOS), nothing is known and
every function says so with None.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zmount.topology.addresses import Address

PROC = Path("/proc")
_KEEPER = re.compile(r"(^|/)supervisord$|\bzdrun(\.py)?$")
_TCP_ESTABLISHED = "01"
_TCP_LISTENS = "0A"
_UNIX_LISTENS = 0x10000  # __SO_ACCEPTON
_DELETED = " (deleted)"  # fs/d_path.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process that has something: a port, a lock.

    ``pid`` is None where the kernel does not tell, because it is another user's.
    """

    pid: int | None
    command: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.pid is None:
            return "a process of another user"
        command = " ".join(self.command)
        return f"pid {self.pid}" + (f" ({command})" if command else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFile:
    """A file that a process has open as ``descriptor``, by the file's ``device`` and ``inode``.

    ``path`` is its name as the kernel knows it; one that ``is_deleted`` has none any more.
    ``is_written`` to may be what was opened for that.
    """

    descriptor: int
    device: int
    inode: int
    path: str
    is_deleted: bool = False
    is_written: bool = False


def is_alive(pid: int) -> bool:
    """True if a process PID exists and is more than its parent's memory of it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    fields = _stat(pid)
    return fields is None or fields[0] not in ("Z", "X")


def command_line(pid: int) -> tuple[str, ...]:
    """Return the command line of process PID; empty if it is not to be known."""
    try:
        text = (PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0")
    except OSError:
        return ()
    return tuple(os.fsdecode(part) for part in text.split(b"\0")) if text else ()


def started_at(pid: int) -> float | None:
    """Return when process PID started, in seconds since the epoch."""
    fields = _stat(pid)
    if fields is None:
        return None
    # not from btime of /proc/stat: the kernel tells that in whole seconds
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - age_s


def identity(pid: int) -> str | None:
    """Return what tells process PID from any later one of its number; None if it is not known."""
    fields = _stat(pid)
    if fields is None or fields[0] in ("Z", "X"):
        return None
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    return f"{boot} {pid} {fields[19]}"


def memory_bytes(pid: int) -> int | None:
    """Return how much real memory process PID holds (its resident set)."""
    try:
        pages = (PROC / str(pid) / "statm").read_text().split()[1]
    except (OSError, IndexError):
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def owner(pid: int) -> Owner:
    """Return process PID with its command line."""
    return Owner(pid=pid, command=command_line(pid))


def keeper(pid: int) -> Owner | None:
    """Return the supervisord or zdaemon that keeps process PID alive; None if neither does."""
    fields = _stat(pid)
    by = owner(int(fields[1])) if fields is not None else None  # its parent
    if by is None or not any(_KEEPER.search(word) for word in by.command):
        return None
    return by


def listener(address: Address) -> Owner | None:
    """Return who listens at ADDRESS, one of this machine's; None if nobody does."""
    inodes = set(
        _tcp_inodes(address) if address.socket is None else _unix_inodes(str(address.socket))
    )
    if not inodes:
        return None
    pid = _holder({f"socket:[{inode}]" for inode in inodes})
    return Owner(pid=None) if pid is None else owner(pid)


def busy_connections(address: Address) -> int:
    """Return how many TCP connections to the server at ADDRESS have bytes on the way."""
    found = 0
    for table in ("tcp", "tcp6"):
        for fields in _table(table):
            sent, _, received = fields[4].partition(":")
            is_ours = int(fields[1].partition(":")[2], 16) == address.port
            if is_ours and fields[3] == _TCP_ESTABLISHED and int(sent, 16) + int(received, 16):
                found += 1
    return found


def opener(path: str | os.PathLike[str]) -> Owner | None:
    """Return a process that has the file PATH open; None if nobody has, as far as we may see."""
    pid = _holder({os.path.realpath(path)})
    return None if pid is None else owner(pid)


def open_files(pid: int) -> tuple[OpenFile, ...] | None:
    """Return what process PID has open; None if that is not for us to see."""
    try:
        with os.scandir(PROC / str(pid) / "fd") as entries:
            return tuple(found for each in entries if (found := _open_file(each)) is not None)
    except OSError:
        return None


def _open_file(entry: os.DirEntry[str]) -> OpenFile | None:
    try:
        name = os.readlink(entry.path)  # noqa: PTH115 - there are thousands
        state, mode = entry.stat(), entry.stat(follow_symlinks=False).st_mode
    except OSError:
        return None  # it was closed meanwhile
    return OpenFile(
        descriptor=int(entry.name),
        device=state.st_dev,
        inode=state.st_ino,
        path=name.removesuffix(_DELETED),
        is_deleted=name.endswith(_DELETED),
        is_written=bool(mode & stat.S_IWUSR),  # fs/proc/fd.c: as it was opened
    )


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the program's name: state, ppid, ..."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()  # a program's name may hold blanks and brackets


def _tcp_inodes(address: Address) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        for fields in _table(table):
            host, _, port = fields[1].partition(":")
            if fields[3] != _TCP_LISTENS or int(port, 16) != address.port:
                continue
            if _is_same(address, _ip(host)):
                yield fields[9]


def _is_same(address: Address, ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """True if a server at IP is in the way of one at ADDRESS."""
    if address.is_everywhere or ip.is_unspecified:
        return True
    if address.host == "localhost":
        return ip.is_loopback
    try:
        return ip == ipaddress.ip_address(address.host)
    except ValueError:
        return True  # a name: the port alone decides


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address that /proc/net writes as 32-bit words in this machine's order."""
    words = [bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8)]
    return ipaddress.ip_address(b"".join(words))


def _unix_inodes(path: str) -> Iterator[str]:
    for fields in _table("unix"):
        if len(fields) > 7 and fields[7] == path and int(fields[3], 16) & _UNIX_LISTENS:
            yield fields[6]


def _table(name: str) -> Iterator[list[str]]:
    try:
        lines = (PROC / "net" / name).read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        yield line.split(maxsplit=7 if name == "unix" else -1)


def _holder(links: set[str]) -> int | None:
    """Return the process that has one of LINKS open."""
    with os.scandir(PROC) as entries:
        for entry in entries:
            if entry.name.isdigit() and _has_open(entry.path, links):
                return int(entry.name)
    return None


def _has_open(process: str, links: set[str]) -> bool:
    """True if the process of the directory PROCESS has one of LINKS open, as far as is known."""
    try:
        # os and no Path: a machine has ten thousand files open, and each takes its time
        names = os.listdir(f"{process}/fd")  # noqa: PTH208
    except OSError:
        return False  # another user's process, or it is gone
    for name in names:
        try:
            if os.readlink(f"{process}/fd/{name}") in links:  # noqa: PTH115
                return True
        except OSError:
            continue  # it was closed meanwhile
    return False
