"""Who is behind a request: a person, or a program with a person's token."""

import enum
from dataclasses import dataclass

from command_center.accounts.permissions import Permission, UserRole


class Stage(enum.Enum):
    """How far a sign-in has got; anything but ``FULL`` may only go on with the sign-in."""

    FULL = "full"
    SECOND_FACTOR = "second_factor"
    """The password was right; the code is missing."""
    ENROLLMENT = "enrollment"
    """This role needs a second factor, and there is none yet."""
    PASSWORD = "password"  # noqa: S105  the name of a stage
    """The password was chosen by somebody else: another must be chosen now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A person behind a request."""

    username: str
    role: UserRole
    csrf: str
    token_sha256: bytes
    permissions: frozenset[Permission] = frozenset()
    """Of the role; fewer for an API token, none before the sign-in is complete."""
    unit: str = ""
    """The field unit that they speak for."""
    stage: Stage = Stage.FULL
    token_name: str = ""
    """Of the API token; empty for a person at a browser."""

    def may(self, permission: Permission) -> bool:
        """Whether they may do this."""
        return permission in self.permissions
