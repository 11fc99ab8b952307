"""A heartbeat: how a node is, what waits in its spool, and which numbers it gave up."""

import enum
from typing import Annotated

import msgspec

from relay import limits
from relay.kinds.body import Count, Name, Salt, Text, new_salt

Range = tuple[Count, Count]


class CameraState(enum.IntEnum):
    """What a camera delivers."""

    STARTING = 0
    SEEING = 1
    LOST = 2
    """No frames: unplugged, unreachable, refused."""
    FAULTY = 3
    """Frames come, but they are black, frozen or repeated."""


class Room(enum.IntEnum):
    """What the node's spool still takes."""

    FREE = 0
    ALERTS_ONLY = 1
    """What may be used is used up: the reserve still takes alerts, and no picture finds room."""
    DISK_FULL = 2
    """Something filled the disk: what was kept free for alerts is in use."""
    NONE = 3
    """The reserve is used up, too: new alerts are lost to everything but the node's own siren."""


class CameraHealth(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """One camera of this node."""

    camera: Name
    state: CameraState
    frames_per_s: Annotated[float, msgspec.Meta(ge=0, le=1000)]
    """Processed by the detector, over the last interval."""
    last_frame_age_ms: Count
    reconnects: Count
    detail: Text = ""
    """Why it is not seeing, in words."""


class PathHealth(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """One of this node's paths."""

    path: Name
    is_up: bool
    rtt_ms: Annotated[float, msgspec.Meta(ge=0)]
    """Smoothed; 0 when unknown."""
    bytes_sent: Count
    last_heard_age_ms: Count


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The body of a heartbeat."""

    salt: Salt = msgspec.field(default_factory=new_salt)
    release: Name
    uptime_s: Count
    interval_s: Count
    """When the next one is due: later than twice this, the node is late."""
    backlog: Annotated[tuple[int, ...], msgspec.Meta(min_length=5, max_length=5)]
    """Envelopes without a receipt, by precedence."""
    oldest_waiting_s: Count
    """Age of the oldest alert without a receipt; 0 if there is none."""
    spool_bytes: Count
    disk_free_bytes: Count
    refused: Count
    """Everything refused since the process started, summed; named in the node's own status."""
    forgone: Annotated[tuple[Range, ...], msgspec.Meta(max_length=limits.MAX_FORGONE_RANGES)]
    """Sequence numbers of this series that were evicted or expired and will never come."""
    cameras: Annotated[tuple[CameraHealth, ...], msgspec.Meta(max_length=64)] = ()
    paths: Annotated[tuple[PathHealth, ...], msgspec.Meta(max_length=16)] = ()
    model: Name = ""
    """Name and version of the active model."""
    model_sha256: bytes = b""
    room: Room = Room.FREE
    refusals: Annotated[tuple[tuple[Name, Count], ...], msgspec.Meta(max_length=limits.MAX_REFUSALS_TOLD)] = ()
    """``refused`` by name, what was refused most first."""
