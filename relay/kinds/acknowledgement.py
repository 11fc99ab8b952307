"""An acknowledgement: a person has seen the alert. It goes down to the node that raised it."""

import enum
from typing import Annotated, Final

import msgspec

from relay.kinds.body import Count, Name, Salt, Sha256, Text, new_salt


class AnswerState(enum.IntEnum):
    """How far the people have got. Numbers are never used twice and say nothing of the order: ``furthest`` does.

    A node that does not know a number keeps that acknowledgement as unread, and what it was told before stands.
    """

    SEEN = 1
    """Acknowledged by a dispatcher."""
    DISPATCHED = 2
    """A unit is assigned, or has accepted."""
    ON_SCENE = 3
    CLOSED = 4
    EN_ROUTE = 5
    """A unit is on its way."""


_ORDER: Final = (
    AnswerState.SEEN, AnswerState.DISPATCHED, AnswerState.EN_ROUTE, AnswerState.ON_SCENE, AnswerState.CLOSED,
)  # fmt: skip


def furthest(one: AnswerState, other: AnswerState) -> AnswerState:
    """The one that comes later in the work. Acknowledgements overtake each other on the way down."""
    return max(one, other, key=_ORDER.index)


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The body of an acknowledgement."""

    salt: Salt = msgspec.field(default_factory=new_salt)
    alert_ids: Annotated[tuple[Sha256, ...], msgspec.Meta(min_length=1, max_length=256)]
    state: AnswerState
    role: Name
    """The person's role, e.g. ``dispatcher``; not the name: a camera has no need of it."""
    acted_at_wall_ms: Count
    note: Text = ""
