"""A retraction: the node takes one of its own alerts back, because later frames contradict it. It changes no history."""

import enum

import msgspec

from relay.kinds.body import Salt, Sha256, Text, new_salt


class Ground(enum.IntEnum):
    """Why it is taken back."""

    CONTRADICTED = 1
    """Later frames show something else."""
    SECOND_STAGE = 2
    """A closer look at the picture says something else."""
    TAMPERED = 3
    """The camera was moved or covered at the time."""
    OPERATOR = 4
    """A person at the gateway, or another program, said so."""


class Retraction(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The body of a retraction."""

    salt: Salt = msgspec.field(default_factory=new_salt)
    alert_id: Sha256
    ground: Ground
    note: Text = ""
