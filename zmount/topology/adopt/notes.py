"""What could not be carried over into zmount.conf, line by line."""

from __future__ import annotations

from dataclasses import dataclass, field

from zmount.topology.dead import dead_option
from zmount.topology.findings import Finding, warning
from zmount.topology.places import Place


@dataclass(slots=True)
class Notes:
    """The findings of one adoption, in the order of coming upon them."""

    findings: list[Finding] = field(default_factory=list)

    def say(self, rule: str, place: Place, what: str, *, why: str = "", hint: str = "") -> None:
        """Note a fact that the operator must know of the result."""
        self.findings.append(warning(rule, place, what, why=why, hint=hint))

    def dropped(self, place: Place, what: str, *, within: str) -> None:
        """Note a key or section that has no place in zmount.conf.

        WHAT is ``key`` or ``<section>``, without its value: that may be a secret.
        """
        dead = dead_option(what.strip("<>").split()[0])
        if dead is not None:
            hint = "" if dead.instead == "nothing" else f"today: {dead.instead}"
            self.say("dead-option", place, f"{what} is not carried over", why=dead.why, hint=hint)
        else:
            self.say(
                "unknown",
                place,
                f"{what} is not carried over",
                why=f"{within} of today knows no such thing",
            )

    def became(self, place: Place, what: str, now: str, *, why: str = "") -> None:
        """Note an old setting that goes on under another name."""
        self.say("became", place, f"{what} is carried over as {now}", why=why)
