"""What journal entries hold beside envelopes: one frozen struct for each kind of entry, msgpack arrays on disk.

Everything that a view needs to be rebuilt is in here; measurements (``timings``) and the last heartbeat are not.
"""

from typing import TypeVar

import msgspec

from command_center.errors import JournalDamaged

F = TypeVar("F", bound=msgspec.Struct)


class EnvelopeStored(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An envelope as it arrived: the exact bytes, and how it came."""

    wire: bytes
    via: bytes
    path: str
    received_wall_ms: int
    received_monotonic_ms: int
    is_quarantined: bool
    """Its node was quarantined or revoked at the time, or it forks the node's numbering: never annunciated."""
    is_fork: bool
    reason: str = ""
    """Why it could not be read, in entries of kind ``unreadable``."""
    quiet: str = ""
    """Why the incident that this alert opened was not annunciated: ``incidents.Quiet``."""


class ObjectStored(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The bytes of an exhibit are complete and have the hash that was signed; or not, and were refused."""

    sha256: bytes
    size_bytes: int
    media_type: str
    reason: str = ""


class IncidentAct(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A person acted on an incident."""

    incident: int
    version: int
    """The version that the person saw."""
    by: str
    role: str
    disposition: str = ""
    note: str = ""
    alert_ids: tuple[bytes, ...] = ()
    """What the acknowledgement covers: the alerts that were there before the press."""


class IncidentStep(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The center did something about an incident by itself: notified again, let an acknowledgement expire, annunciated."""

    incident: int
    level: int = 0
    reason: str = ""
    quiet: str = ""
    """What it is after that: ``incidents.Quiet``. Below FLASH, what sounds again waits for its turn like anything else."""


class Merger(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Incidents were merged, or taken apart again."""

    incident: int
    version: int
    into: int
    by: str
    role: str


class UnitAnswer(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A field unit said how far it is."""

    incident: int
    unit: str
    state: str
    note: str = ""


class Shelving(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A source was shelved, a second person agreed, or it came off the shelf."""

    shelf: int
    """The entry that shelved it; 0 in that entry itself."""
    by: str
    role: str
    node: bytes = b""
    camera: str = ""
    label: str = ""
    reason: str = ""
    until_ms: int = 0
    covers_flash: bool = False
    """Takes a second person: until one agrees, FLASH is annunciated as ever."""
    is_by_turns: bool = False
    """When it ends, what waits is handed to flood control; entries without this annunciated everything at once."""


class NodeChange(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A node was approved, quarantined, reinstated or revoked."""

    node: bytes
    status: str
    reason: str = ""
    passport: bytes = b""


class Remark(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Anything else worth keeping: sign-ins, denials, invites."""

    what: str
    detail: str = ""
    address: str = ""


def encode(fact: msgspec.Struct) -> bytes:
    """The payload of an entry."""
    return msgspec.msgpack.encode(fact)


def decode(payload: bytes, kind: type[F]) -> F:
    """The typed view of a payload.

    Raises:
        JournalDamaged: it is not one of this kind.
    """
    try:
        return msgspec.msgpack.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JournalDamaged(f"expected the payload of a {kind.__name__} entry: {error}") from error
