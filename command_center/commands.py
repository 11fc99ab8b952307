"""What an administrator may ask of a center: one struct a command, sent as JSON through ``admin_door``, or performed directly."""

from typing import Literal

import msgspec

from command_center.callbacks.kinds import Options
from command_center.config import RoleName
from command_center.custody.commands import CustodyCommand
from command_center.evidence.steps import EvidenceExport
from command_center.units.commands import UnitCommand
from command_center.unsealing import Unseal


class UserAdd(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Make an account. The password is hashed before it comes here."""

    name: str
    role: RoleName
    password_hash: str
    unit: str = ""
    must_change: bool = False


class UserList(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Show the accounts."""


class UserDisable(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """End an account, its sessions and its tokens."""

    name: str


class UserEnable(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Let a disabled account in again."""

    name: str


class UserSetRole(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Change what somebody may do, and which unit they speak for."""

    name: str
    role: RoleName
    unit: str = ""


class UserSetPassword(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Replace a password; it was hashed before it came here."""

    name: str
    password_hash: str
    must_change: bool


class UserResetSecondFactor(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """For a lost phone."""

    name: str


class UserSignOut(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """End every session of an account."""

    name: str


class TokenAdd(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Make an API token for a program."""

    account: str
    name: str
    scopes: tuple[str, ...]
    days: float = 90.0


class TokenList(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Show the API tokens."""


class TokenRevoke(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """End an API token."""

    id: str


class NodeInvite(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Make a one-time enrollment code."""

    name: str
    role: Literal["camera", "relay", "agency"]
    site: str
    minutes: float = 10.0
    is_preapproved: bool = False
    url: str = ""
    is_again: bool = False
    """For the machine that has the name already: its passport is renewed."""


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
    only_called: bool = False
    options: Options = Options()


class CallbackList(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Show who is told, and the key that they check with."""


class CallbackRemove(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Tell somebody no more."""

    name: str


class CallbackDead(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Show what could not be told; with ``resend``, try all of it again."""

    resend: bool = False


class Status(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """How the center is."""


CallbackCommand = CallbackAdd | CallbackList | CallbackRemove | CallbackDead
AccountCommand = (
    UserAdd
    | UserList
    | UserDisable
    | UserEnable
    | UserSetRole
    | UserSetPassword
    | UserResetSecondFactor
    | UserSignOut
    | TokenAdd
    | TokenList
    | TokenRevoke
)
OwnCommand = NodeInvite | NodeApprove | NodeList | NodeStanding | Status | EvidenceExport | Unseal
Command = OwnCommand | CallbackCommand | AccountCommand | CustodyCommand | UnitCommand


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a command: lines for people, JSON for programs."""

    lines: tuple[str, ...] = ()
    data: msgspec.Raw = msgspec.Raw(b"{}")


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why it was not done."""

    error: str
    exit_code: int
