"""What apply and undo came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zmount.errors import PrepareFailed, ZMountError
from zmount.operations.left_behind import LeftBehind
from zmount.operations.prepared import Prepared
from zmount.operations.recorded import Record
from zmount.plan.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was done, or would be where ``is_dry_run``.

    ``recovered`` says what an interrupted run had left and was done about it.
    ``outdated`` are the running processes that have not read what changed.
    ``prepared`` is what was done in the roots of instances: None where that was
    not asked for, or failed because of ``prepare_error``. ``activation`` is the
    command that lets cron or systemd know of schedules that changed; "": none did.
    ``left_behind`` are the jobs that are begun still, though zmount.conf has them no more.
    """

    plan: Plan
    is_dry_run: bool
    recovered: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    prepared: Prepared | None = None
    prepare_error: ZMountError | None = None
    activation: str = ""
    left_behind: tuple[LeftBehind, ...] = ()

    def refuse_incomplete(self) -> None:
        """Raise what is missing in the roots, if anything is.

        :raises PrepareFailed: the files are as they should be, a root is not
        """
        if self.prepare_error is not None:
            error = self.prepare_error
            raise PrepareFailed(
                f"the files are as they should be, but the roots are not: {error}", hint=error.hint
            )
        if self.prepared is not None and not self.prepared.is_complete:
            refused = [
                f"{root.instance}: {refusal.what}"
                for root in self.prepared.roots
                for refusal in root.refused
            ]
            hints = (refusal.hint for root in self.prepared.roots for refusal in root.refused)
            raise PrepareFailed(
                "\n".join(["the files are as they should be, but the roots are not:", *refused]),
                hint="; ".join(dict.fromkeys(hints)),
            )

    def as_json(self) -> dict[str, Any]:
        """Return this for ``--json``; no secret is in it."""
        return {
            **self.plan.as_json(),
            "dry_run": self.is_dry_run,
            "recovered": list(self.recovered),
            "outdated": list(self.outdated),
            "activation": self.activation,
            "left_behind": [job.as_json() for job in self.left_behind],
            "prepared": self.prepared.as_json() if self.prepared is not None else None,
            "prepare_error": str(self.prepare_error) if self.prepare_error is not None else None,
        }


def record_applied(record: Record, done: Applied) -> None:
    """Tell RECORD what was DONE, and what is not as it should be all the same."""
    record.plan(done.plan.all_steps)
    if done.prepared is not None:
        record.plan(
            f"{root.instance}: {step}" for root in done.prepared.roots for step in root.made
        )
    record.numbers(files=len(done.plan.file_steps))
    if not record.entry.plan:
        record.nothing_to_do()
    record.judged_by(done.refuse_incomplete)
