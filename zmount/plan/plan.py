"""A plan: what shall be done, what it took for granted, what stands against it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from zmount.plan.steps import (
    DirectoryStep,
    FileStep,
    MakeDirectory,
    RemoveDirectory,
    Step,
    WriteFile,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Why the plan must not be applied as it is.

    ``step`` is what would lose a person's work, and is taken only if that was
    asked for; None where no asking helps.
    """

    path: PurePosixPath
    what: str
    hint: str = ""
    step: WriteFile | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What was at PATH when the plan was made: a file's checksum, "" for none."""

    path: PurePosixPath
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps that bring HOST from what was seen to what the topology says.

    ``record`` keeps zmount's list of the files that it generated; it is written
    together with the steps, but is no change that an operator looks for.
    ``undoes`` is the number of the journal that this plan takes back, or 0.
    """

    title: str
    host: str
    steps: tuple[Step, ...]
    record: WriteFile | None = None
    conflicts: tuple[Conflict, ...] = ()
    warnings: tuple[str, ...] = ()
    undoes: int = 0

    @property
    def changes_anything(self) -> bool:
        """True if there is a step to take."""
        return bool(self.steps)

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """The steps and zmount's own record."""
        return self.steps if self.record is None else (*self.steps, self.record)

    @property
    def file_steps(self) -> tuple[FileStep, ...]:
        """The steps that concern files."""
        return tuple(
            step for step in self.steps if not isinstance(step, MakeDirectory | RemoveDirectory)
        )

    @property
    def directory_steps(self) -> tuple[DirectoryStep, ...]:
        """The steps that concern directories."""
        return tuple(
            step for step in self.steps if isinstance(step, MakeDirectory | RemoveDirectory)
        )

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        """What this plan took for granted; apply looks again."""
        files = (
            step for step in self.all_steps if not isinstance(step, MakeDirectory | RemoveDirectory)
        )
        return tuple(
            Expectation(path=step.path, checksum=step.old.checksum if step.old else "")
            for step in files
        )

    @property
    def processes(self) -> tuple[str, ...]:
        """The processes that read a file which this plan changes, by name."""
        named = (name for step in self.file_steps for name in step.processes)
        return tuple(dict.fromkeys(named))

    def __str__(self) -> str:
        return "\n".join([self.title, *(f"  {step}" for step in self.steps)])

    def as_json(self) -> dict[str, Any]:
        """Return the plan for ``--json``: no text of any file is in it."""
        return {
            "title": self.title,
            "host": self.host,
            "steps": [step_as_json(step) for step in self.steps],
            "conflicts": [
                {"path": str(c.path), "what": c.what, "can_overwrite": c.step is not None}
                for c in self.conflicts
            ],
            "warnings": list(self.warnings),
        }


ACTIONS = {
    "WriteFile": "write",
    "RemoveFile": "remove",
    "SetMode": "set-mode",
    "MakeDirectory": "make-directory",
    "RemoveDirectory": "remove-directory",
}


def step_as_json(step: Step) -> dict[str, Any]:
    """Return STEP for ``--json``, without the text of its file."""
    found: dict[str, Any] = {"action": ACTIONS[type(step).__name__], "path": str(step.path)}
    if isinstance(step, MakeDirectory):
        found["mode"] = f"{step.mode:04o}"
    elif not isinstance(step, RemoveDirectory):
        if step.processes:
            found["processes"] = list(step.processes)
        if isinstance(step, WriteFile):
            found["is_new"] = step.old is None
            found["mode"] = f"{step.new.mode:04o}"
    return found
