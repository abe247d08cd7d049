"""Rules about files and directories: one user each, and where they may be."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import PurePosixPath

from zmount.topology.checks.claims import Claim, Use, claims, normal, noun_place
from zmount.topology.findings import Finding, error, warning
from zmount.topology.processes import processes
from zmount.topology.topology import Topology

# use: (its name, what happens to two users of one)
_USES: dict[Use, tuple[str, str]] = {
    "directory": ("directory", "each would overwrite the other's configuration"),
    "clienthome": ("clienthome", "each would overwrite the other's files"),
    "data-fs": ("Data.fs", "two storages writing one file destroy it"),
    "blob-dir": ("blob directory", "a pack of one storage removes the other's blobs"),
    "generations": ("directory of generations", "each would remove the other's contents"),
    "client-cache": ("client cache", "ZEO locks the file: the second client cannot start"),
    "blob-cache": (
        "blob cache",
        "two storages may have the same oid and tid: one gets the other's blob",
    ),
    "socket": ("socket", "the second process takes it from the first"),
    "pid-file": ("pid file", "the second process overwrites the first one's id"),
    "log": ("log file", "lines of both mix, and rotating one loses lines of the other"),
}


def paths_with_two_users(topology: Topology) -> Iterator[Finding]:
    """Yield every path that two storages, clients or processes would use."""
    first: dict[tuple[str, str], Claim] = {}
    shared: set[tuple[str, str]] = set()  # directories of two processes
    for claim in claims(topology):
        where = (claim.machine, claim.path)
        other = first.setdefault(where, claim)
        if other is claim or _may_share(claim, other):
            continue
        if any((claim.machine, str(up)) in shared for up in PurePosixPath(claim.path).parents):
            continue  # goes without saying
        if claim.use == "directory":
            shared.add(where)
        yield _two_users(claim, other)


def _may_share(claim: Claim, other: Claim) -> bool:
    uses = {claim.use, other.use}
    if uses == {"blob-cache"}:
        return claim.storage == other.storage
    return claim.owner == other.owner and uses <= {"directory", "clienthome"}


def _two_users(claim: Claim, other: Claim) -> Finding:
    say = warning if claim.use == other.use == "log" else error
    whose = "itself" if claim.owner == other.owner else other.owner
    if {claim.use, other.use} == {"blob-cache", "blob-dir"}:
        return error(
            "blob-cache-is-blob-dir",
            claim.place,
            f"{claim.owner}: its blob cache is the blob directory of {other.owner}, {claim.path}",
            why="the client would clean up its cache there: the server's blobs",
            # a stage's blobs cannot be shared: see clients.shared_blobs_of_stages
            hint="another blob-dir"
            if claim.is_of_stage or other.is_of_stage
            else "shared-blob-dir on, or another blob-dir",
        )
    if claim.use != other.use:
        name = f"{_USES[claim.use][0]} is the {_USES[other.use][0]} of {whose}"
        rule, why = "path-twice", ""
    else:
        name = f"{_USES[claim.use][0]} is also that of {whose}"
        rule, why = f"{claim.use}-twice", _USES[claim.use][1]
    at = f"line {other.place.line}" if other.place.line else "the first"
    hint = f"another path here, or in {at}"
    return say(rule, claim.place, f"{claim.owner}: its {name}: {claim.path}", why=why, hint=hint)


def files_inside_blob_directories(topology: Topology) -> Iterator[Finding]:
    """Yield each Data.fs or blob directory that lies in a storage's blob directory."""
    of_storages = [claim for claim in claims(topology) if claim.use in ("data-fs", "blob-dir")]
    owners = {
        (claim.machine, claim.path): claim.owner for claim in of_storages if claim.use == "blob-dir"
    }
    for claim in of_storages:
        for up in PurePosixPath(claim.path).parents:
            owner = owners.get((claim.machine, str(up)))
            if owner is not None:
                yield warning(
                    "inside-blob-dir",
                    claim.place,
                    f"{claim.owner}: {claim.path} lies in the blob directory of {owner}",
                    why="what copies, moves or removes that directory takes this along",
                    hint="directories beside each other",
                )
                break


def paths_that_escape(topology: Topology) -> Iterator[Finding]:
    """Yield paths that ``..`` leads out of the deployment's directory."""
    said: dict[str, set[str]] = {}  # by owner, the directories that were reported
    for claim in claims(topology):
        if ".." not in claim.said or ".." not in claim.said.split("/"):
            continue
        base = normal(claim.host.directory)
        if (claim.path + "/").startswith(base.rstrip("/") + "/"):
            continue
        reported = said.setdefault(claim.owner, set())
        if any(claim.said.startswith(directory + "/") for directory in reported):
            continue  # it is there because the other one is
        is_directory = claim.use in ("directory", "clienthome")
        reported.add(claim.said if is_directory else posixpath.dirname(claim.said))
        yield error(
            "path-escapes",
            claim.place,
            f"{claim.owner}: its {_USES[claim.use][0]} leaves {base}: {claim.said}",
            why="nobody who reads the path expects the file there",
            hint=f"{claim.path}, if that is meant",
        )


def programs_with_blanks(topology: Topology) -> Iterator[Finding]:
    """Yield the processes whose command line zdaemon would cut in the wrong places."""
    if topology.manager != "zdaemon":
        return
    for process in processes(topology):
        for word in process.program:
            if any(char.isspace() for char in word):
                yield error(
                    "blank-in-path",
                    noun_place(process),
                    f"{process.name}: there is a blank in {word}",
                    why="zdaemon splits command lines at blanks and knows no quotes",
                    hint="a directory and a venv without blanks in their names",
                )
                break


RULES = (
    paths_with_two_users,
    files_inside_blob_directories,
    paths_that_escape,
    programs_with_blanks,
)
