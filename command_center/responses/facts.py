"""What journal entries say about response plans, handovers and mutual aid. Every row of those views follows from these."""

import msgspec


class PlanStep(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One thing that a plan wants done."""

    kind: str
    """tell (a receiver), or what the node is to do: send_clip, hold_clip, act (``target`` names it)."""
    target: str
    is_automatic: bool
    for_s: int = 0
    """How long the node is to act; 0: as its configuration says."""


class PlanMatched(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A response plan fits an incident. What it said at that moment is kept here: the file may change."""

    incident: int
    plan: str
    file_sha256: bytes
    instructions: str
    units: int
    capabilities: tuple[str, ...]
    steps: tuple[PlanStep, ...]


class PlanStepSettled(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A step was done or declined: by a person, or by the plan itself where it may."""

    incident: int
    number: int
    state: str
    by: str
    role: str
    kind: str
    target: str
    note: str = ""
    instruction_id: bytes = b""
    """The envelope that orders it from the node, whose answer names it; empty where nothing is ordered."""


class HandoverGiven(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A shift says what it leaves behind."""

    by: str
    role: str
    note: str
    summary: bytes
    """JSON, exactly as it was shown."""


class HandoverTaken(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The next shift has read it and takes over."""

    handover: int
    by: str
    role: str
    note: str = ""


class Shared(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One incident is shown to another agency for a while. Only the link's hash is here."""

    incident: int
    agency: str
    reason: str
    by: str
    role: str
    until_ms: int
    token_sha256: bytes


class ShareOpened(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The first browser that opened a share; no other may, so that the link can't be handed on."""

    share: int
    seat_sha256: bytes
    address: str


class ShareEnded(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A share was revoked, or its time was over."""

    share: int
    incident: int
    by: str
    reason: str


class Suppressed(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A node is told not to tell a false alarm again; or, with ``until_ms`` 0, to tell it again."""

    incident: int
    alert_id: bytes
    node: bytes
    camera: str
    label: str
    by: str
    role: str
    reason: str
    until_ms: int
    """The center's clock; 0 in the entry that ends it."""
    instruction_id: bytes
    """Empty: its node can't be told any more."""
