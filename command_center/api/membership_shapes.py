"""What the fleet's administrators give and take: machines that wait, invites, standing."""

from typing import Literal

from pydantic import Field

from command_center.api.shapes import Shape

MACHINE_NAME = Field(min_length=1, max_length=64)


class WaitingMachine(Shape):
    """A machine that proved an invite's secret and waits for a person."""

    name: str
    role: str
    site: str
    node: str
    """Its id: the machine shows the same one."""


class WaitingList(Shape):
    """All that wait, by name."""

    waiting: list[WaitingMachine]


class Approve(Shape):
    """Compare-and-set: the id that the person saw."""

    node: str = Field(pattern="^[0-9a-f]{16}$")


class Approved(Shape):
    """It is in."""

    id: str
    name: str
    serial: int
    """Of its passport."""


class InviteOrder(Shape):
    """A code, good once and for minutes."""

    name: str = MACHINE_NAME
    role: Literal["camera", "relay", "agency"]
    site: str = MACHINE_NAME
    minutes: int = Field(default=10, ge=1, le=10_080)
    is_preapproved: bool = False
    """It comes in at once: whoever has the code is trusted."""


class MadeInvite(Shape):
    """Shown this once."""

    code: str
    command: str
    """What is run on the machine."""
    expires_at_ms: int


class StandingOrder(Shape):
    """Compare-and-set: what is to be made of a node, why, and what the person saw."""

    standing: Literal["approved", "quarantined", "revoked"]
    was: Literal["approved", "quarantined"]
    reason: str = Field(min_length=3, max_length=300)


class StandbyState(Shape):
    """The second machine, if there is to be one."""

    address: str
    """Empty: none is configured."""
    is_in_step: bool
    why_not: str
    since_ms: int | None
    """Of this state; null while it is not known."""
