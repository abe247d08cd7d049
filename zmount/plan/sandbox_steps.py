"""What is done about sandboxes in the root of a development instance."""

from __future__ import annotations

from dataclasses import dataclass

from zmount.plan.root_steps import RootStep


@dataclass(frozen=True, slots=True, kw_only=True)
class AddSandbox(RootStep):
    """Let ``user`` have folders for ``sites``; a password is added where the user is made.

    ``owner_may`` are permissions of whoever owns a sandbox in what is his, ``role_may``
    those that all developers, who have ``role`` at ``path``, have in all of them.
    """

    name = "add_sandbox"
    path: str
    user: str
    sites: tuple[str, ...]
    role: str
    owner_may: tuple[str, ...]
    role_may: tuple[str, ...]

    def __str__(self) -> str:
        below = f" with {', '.join(self.sites)}" if self.sites else ""
        return f"make the sandbox {self.path}/{self.user}{below}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSandboxes(RootStep):
    """Let ``user``, who has no sandbox any more, look at others' in ``path`` no more."""

    name = "end_sandboxes"
    path: str
    user: str

    def __str__(self) -> str:
        return f"let {self.user} look at other sandboxes in {self.path} no more"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveSandboxUser(RootStep):
    """Remove ``user``, who has no roles in the root."""

    name = "remove_sandbox_user"
    user: str

    def __str__(self) -> str:
        return f"remove the user {self.user}"
