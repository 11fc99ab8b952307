"""What custody's journal entries hold."""

import msgspec


class Hold(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An incident was put on legal hold, or came off it."""

    incident: int
    by: str
    role: str
    reason: str


class Erasure(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A tombstone: a picture's or a clip's bytes were deleted. What nodes signed about it stays."""

    sha256: bytes
    size_bytes: int
    media_type: str
    incidents: tuple[int, ...]
    reason: str


class Redaction(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a picture must not show when it is given away; or that it is not given away at all. The original stays."""

    sha256: bytes
    mode: str
    """``black``, ``blur`` or ``withhold``; empty: given away as it is again."""
    regions_px: tuple[tuple[int, int, int, int], ...]
    """left, top, width, height."""
    by: str
    reason: str
