"""What must be done so that a host holds what the topology says.

Pure: judges only by what was seen. A file that zmount did not write, or that a
person changed since, is never overwritten unasked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from zmount.plan.directories import Directory
from zmount.plan.manifest import MANIFEST, Entry, manifest_text, parse_manifest
from zmount.plan.plan import Conflict, Plan
from zmount.plan.seen import Seen, way_past
from zmount.plan.steps import (
    FileState,
    MakeDirectory,
    Owner,
    RemoveFile,
    SetMode,
    Step,
    WriteFile,
    checksum,
)
from zmount.render.generated import PRIVATE, GeneratedFile, body, is_signed, is_untouched, source
from zmount.topology.hosts import Host

# who reads these runs as root, so the processes' user must not be able to write them
ROOTS_READERS = frozenset(("zdaemon", "systemd", "supervisor", "logrotate"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a host shall hold."""

    host: Host
    files: tuple[GeneratedFile, ...]
    directories: tuple[Directory, ...]

    @property
    def users(self) -> frozenset[str]:
        """The users whose files and directories these are."""
        nouns: Sequence[GeneratedFile | Directory] = (*self.files, *self.directories)
        return frozenset(noun.user for noun in nouns if noun.user)


def plan_apply(wanted: Wanted, seen: Seen, *, overwrite: bool = False) -> Plan:
    """Return the steps that turn what was SEEN into what is WANTED.

    With OVERWRITE also files that a person wrote or changed are replaced.
    """
    planner = _Planner(wanted=wanted, seen=seen, overwrite=overwrite)
    planner.plan_users()
    planner.plan_directories()
    for file in wanted.files:
        planner.plan_file(file)
    planner.plan_removals()
    return Plan(
        title=f"apply {wanted.host.name}'s part of the topology",
        host=wanted.host.name,
        steps=tuple(planner.steps),
        record=planner.record(),
        conflicts=tuple(planner.conflicts),
        warnings=tuple(planner.warnings),
    )


def known_files(host: Host, seen: Mapping[PurePosixPath, FileState]) -> dict[PurePosixPath, Entry]:
    """Return the files that zmount's own list on HOST names; none if it is lost."""
    state = seen.get(host.directory / MANIFEST)
    if state is None:
        return {}
    try:
        return parse_manifest(state.text)
    except ValueError:
        return {}


@dataclass(slots=True, kw_only=True)
class _Planner:
    wanted: Wanted
    seen: Seen
    overwrite: bool
    steps: list[Step] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    kept: list[Entry] = field(default_factory=list)
    known: dict[PurePosixPath, Entry] = field(default_factory=dict)
    obstructed: set[PurePosixPath] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.known = known_files(self.wanted.host, self.seen.files)
        manifest = self.wanted.host.directory / MANIFEST
        if manifest in self.seen.obstacles:
            self._conflict(
                manifest,
                self.seen.obstacles[manifest],
                hint="act as the user who applied before",
            )
        if manifest in self.seen.files and not self.known:
            try:
                parse_manifest(self.seen.files[manifest].text)
            except ValueError:
                self.warnings.append(
                    f"{manifest} is damaged and is written anew: files that it named and that "
                    "nothing needs any more stay where they are"
                )

    def plan_users(self) -> None:
        """Refuse users that are not there, or that this user cannot act for."""
        for user in sorted(self.wanted.users):
            if self.seen.is_root and user not in self.seen.users:
                self._conflict(
                    self.wanted.host.directory,
                    f"processes shall run as {user}, and there is no such user on this machine",
                    hint=f"useradd --system {user}, or another user in the topology",
                )
            elif not self.seen.is_root and user != self.seen.user:
                self._conflict(
                    self.wanted.host.directory,
                    f"processes shall run as {user}, and {self.seen.user} cannot act for {user}",
                    hint="apply as root, or leave user out of the topology",
                )

    def plan_directories(self) -> None:
        """Make what is missing; leave what is there as it is."""
        foreign = []
        for directory in self.wanted.directories:
            obstacle = self.seen.obstacles.get(directory.path)
            if obstacle is not None:
                self._obstructed(directory.path, obstacle)
                continue
            owner = self._owner(directory.user)
            found = self.seen.directories.get(directory.path)
            if found is None:
                self.steps.append(
                    MakeDirectory(path=directory.path, mode=directory.mode, owner=owner)
                )
            elif owner is not None and owner.uid != found.uid:
                foreign.append(directory)
        if foreign:
            first = foreign[0]
            self.warnings.append(
                f"{first.path} does not belong to {first.user}, whose processes write there"
                + (f"; nor do {len(foreign) - 1} more directories" if len(foreign) > 1 else "")
                + f": chown -R {first.user} {first.path}"
            )

    def plan_file(self, file: GeneratedFile) -> None:
        """Write FILE, if it is not there as it should be and nobody else's."""
        self.kept.append(
            Entry(path=file.path, checksum=checksum(file.text), processes=file.processes)
        )
        obstacle = self.seen.obstacles.get(file.path)
        if obstacle is not None:
            self._obstructed(file.path, obstacle)
            return
        old = self.seen.files.get(file.path)
        new = self._new_state(file, old)
        if old is None or old.text != file.text:
            step = WriteFile(path=file.path, new=new, old=old, processes=file.processes)
            if self._may_replace(file, old):
                self.steps.append(step)
            else:
                self.conflicts.append(Conflict(path=file.path, what=self._whose(step), step=step))
        elif old.mode != new.mode or (new.owner is not None and old.owner != new.owner):
            self.steps.append(SetMode(path=file.path, new=new, old=old, processes=()))

    def plan_removals(self) -> None:
        """Remove what zmount wrote and nothing needs any more."""
        needed = {file.path for file in self.wanted.files}
        for path, entry in sorted(self.known.items()):
            old = self.seen.files.get(path)
            if path in needed or (old is None and path not in self.seen.obstacles):
                continue
            if old is not None and self._is_ours(path, old):
                self.steps.append(RemoveFile(path=path, old=old, processes=entry.processes))
                continue
            self.kept.append(entry)
            self.warnings.append(
                f"{path} is not needed any more, but a person changed it: it stays; remove it "
                "when you have what you want of it"
            )

    def record(self) -> WriteFile | None:
        """Return the step that writes zmount's own list, unless it is right."""
        path = self.wanted.host.directory / MANIFEST
        old = self.seen.files.get(path)
        text = manifest_text(self.kept)
        if old is not None and old.text == text:
            return None
        return WriteFile(path=path, new=FileState(text=text, mode=PRIVATE), old=old)

    def _may_replace(self, file: GeneratedFile, old: FileState | None) -> bool:
        if old is None or self.overwrite or self._is_ours(file.path, old):
            return True
        # what a person changed is in zmount.conf now: nothing would be lost
        return is_signed(old.text) and body(old.text) == body(file.text)

    def _whose(self, step: WriteFile) -> str:
        wrote = step.path in self.known or (step.old is not None and is_signed(step.old.text))
        if step.old is not None and self._is_of_others(step.path, step.old):
            other = source(step.old.text)
            return f"it is another deployment's, of {other}: give this one a unit-prefix"
        if wrote:
            return "a person changed it since zmount wrote it"
        return "zmount did not write this file"

    def _is_ours(self, path: PurePosixPath, old: FileState) -> bool:
        known = self.known.get(path)
        if known is not None and known.checksum == old.checksum:
            return True
        return is_untouched(old.text) and not self._is_of_others(path, old)

    def _is_of_others(self, path: PurePosixPath, old: FileState) -> bool:
        """True for a file that another deployment put where both put theirs (systemd)."""
        is_shared = not path.is_relative_to(self.wanted.host.directory)
        return is_shared and path not in self.known and is_signed(old.text)

    def _new_state(self, file: GeneratedFile, old: FileState | None) -> FileState:
        user = "" if file.reader in ROOTS_READERS else file.user
        owner = self._owner(user)
        if owner is None and self.seen.is_root and old is not None and file.mode != PRIVATE:
            owner = old.owner  # a public file stays its owner's
        return FileState(text=file.text, mode=file.mode, owner=owner)

    def _owner(self, user: str) -> Owner | None:
        return self.seen.users.get(user) if user and self.seen.is_root else None

    def _obstructed(self, path: PurePosixPath, obstacle: str) -> None:
        """Note OBSTACLE at PATH, unless it is below another one."""
        if not self.obstructed.intersection(path.parents):
            self._conflict(path, obstacle, hint=way_past(obstacle, path))
        self.obstructed.add(path)

    def _conflict(self, path: PurePosixPath, what: str, *, hint: str) -> None:
        self.conflicts.append(Conflict(path=path, what=what, hint=hint))


def wanted_paths(wanted: Wanted) -> Iterator[PurePosixPath]:
    """Yield the files to look at before planning: those wanted, and zmount's own list."""
    yield wanted.host.directory / MANIFEST
    for file in wanted.files:
        yield file.path
