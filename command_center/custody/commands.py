"""What an administrator may ask of custody; through the running center's door, or on the database while nothing runs."""

import msgspec


class HoldPlace(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Put incidents on legal hold."""

    incidents: tuple[str, ...]
    reason: str


class HoldRelease(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Let incidents go."""

    incidents: tuple[str, ...]
    reason: str


class HoldList(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Show what is on hold."""


class Retain(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Delete pictures and clips whose time is over; with ``is_dry_run`` only say which."""

    days: float
    is_dry_run: bool = False


class ObjectErase(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Delete one picture or clip before its time, because a court or the law says so."""

    sha256: str
    reason: str


class RedactionSet(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Say how a picture or clip is given away; with an empty mode as it is again."""

    sha256: str
    mode: str
    regions_px: tuple[tuple[int, int, int, int], ...] = ()
    reason: str = ""


class RedactionList(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Show them."""


class FetchBegin(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Have nodes asked for the clips that these incidents lack."""

    incidents: tuple[int, ...]


class FetchLook(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """How far they are."""

    alerts: tuple[str, ...]


class CheckpointGive(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Give the newest signed checkpoint to somebody outside; bags prove from then on that history begins with it."""

    to: str


class WitnessList(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Show who has our checkpoints, and whose we keep."""


class WitnessedNote(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Give another agency's checkpoint that is kept here."""

    origin: str


CustodyCommand = (
    HoldPlace
    | HoldRelease
    | HoldList
    | Retain
    | ObjectErase
    | RedactionSet
    | RedactionList
    | FetchBegin
    | FetchLook
    | CheckpointGive
    | WitnessList
    | WitnessedNote
)
