"""A pulse: a heartbeat for paths on which a frame takes seconds or costs money. It fits one LoRa-class frame.

It says that its node is there, and what has changed about it since its last full heartbeat: cameras and paths by their place in that,
without names.
"""

from typing import Annotated, Final

import msgspec

from relay.kinds.body import Salt, new_salt
from relay.kinds.heartbeat import Room

MOST_CAMERAS: Final = 24
MOST_PATHS: Final = 16

Seconds = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]


class Pulse(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The body of a pulse."""

    salt: Salt = msgspec.field(default_factory=new_salt)
    interval_s: Seconds
    """When the next one is due: later than twice this, the node is late."""
    is_narrow: bool
    """Only paths for small frames are up at this node: no full heartbeat is to be expected."""
    alerts_waiting: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    """FLASH and IMMEDIATE without a receipt."""
    oldest_waiting_s: Seconds
    """Age of the oldest of these; 0 if there is none."""
    room: Room
    cameras: Annotated[bytes, msgspec.Meta(max_length=MOST_CAMERAS)]
    """One ``CameraState`` each, in the order of the full heartbeat."""
    paths_up: Annotated[int, msgspec.Meta(ge=0, lt=1 << MOST_PATHS)]
    """Bit 0: the first path of the full heartbeat is up."""
