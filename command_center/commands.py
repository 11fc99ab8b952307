"""What an administrator may ask of a centre: one struct a command, sent as JSON through ``admin_door``, or performed directly."""

from typing import Literal

import msgspec

from command_center.evidence.steps import EvidenceExport


class UserAdd(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Make an account. The password is hashed before it comes here."""

    name: str
    role: Literal["dispatcher", "supervisor", "administrator", "auditor"]
    password_hash: str


class UserList(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Show the accounts."""


class UserDisable(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """End an account and its sessions."""

    name: str


class NodeInvite(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Make a one-time enrolment code."""

    name: str
    role: Literal["camera", "relay"]
    site: str
    minutes: float = 10.0
    is_preapproved: bool = False
    url: str = ""


class NodeApprove(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Let a machine that asked come in."""

    name: str


class NodeList(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Show the fleet."""


class NodeStanding(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Quarantine, reinstate or revoke a node."""

    name: str
    standing: Literal["approved", "quarantined", "revoked"]
    reason: str = ""


class CallbackAdd(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Tell somebody from now on."""

    name: str
    url: str
    secret: bytes | None = None
    only_flash: bool = False
    may_be_inside: bool = False


class CallbackList(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Show who is told, and the key that they check with."""


class CallbackRemove(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Tell somebody no more."""

    name: str


class CallbackDead(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Show what could not be told; with ``resend``, try all of it again."""

    resend: bool = False


class Status(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """How the centre is."""


CallbackCommand = CallbackAdd | CallbackList | CallbackRemove | CallbackDead
OwnCommand = (
    UserAdd | UserList | UserDisable | NodeInvite | NodeApprove | NodeList | NodeStanding | Status | EvidenceExport
)
Command = OwnCommand | CallbackCommand


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a command: lines for people, JSON for programs."""

    lines: tuple[str, ...] = ()
    data: msgspec.Raw = msgspec.Raw(b"{}")


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why it was not done."""

    error: str
    exit_code: int
