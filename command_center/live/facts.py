"""What the journal holds of live video: one struct for each kind of entry, written before the first picture and at the end."""

import msgspec

OPENED = "live-opened"
ENDED = "live-ended"


class LiveOpened(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Somebody was let watch. In the transaction that puts the order for the node, so there is no viewing without it."""

    session: bytes
    node: bytes
    camera: str
    by: str
    role: str
    reason: str
    incident: int
    """0: none."""
    way: str
    """``webrtc``, or ``stills`` through the relay."""
    address: str


class LiveEnded(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """It is over, or never began."""

    session: bytes
    reason: str
    shown_ms: int
    """By the node's own word; 0 where it said none."""
    sent_bytes: int
