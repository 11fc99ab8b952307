"""What the node and the process that shows live pictures say to each other over their socket pair.

Length and msgpack, as between the node and its eyes. The process is trusted with no key and no more than its decoder
deserves; what it says upwards is an answer's word (``relay.kinds.answer``) or its health.
"""

import struct
from typing import Annotated, Final

import msgspec

from relay.kinds.answer import Still, StreamEnded, StreamOpened, StreamRefused, StreamRung
from relay.kinds.body import Count
from relay.kinds.instruction import CloseStream, OpenStream, SessionId

LENGTH: Final = struct.Struct(">I")
MAX_ORDER_BYTES: Final = 1024 * 1024
Polygon = tuple[tuple[float, float], ...]


class LiveCamera(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A camera that may be shown."""

    name: str
    tap_file: str
    privacy_masks: tuple[Polygon, ...]
    sub_tap_file: str = ""
    """Of the camera's own second stream; empty: it has none."""


class Setup(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=100):
    """Node to stage, first and once."""

    cameras: tuple[LiveCamera, ...]
    most_viewers: int
    most_viewers_of_camera: int
    main_kbps: int
    sub_kbps: int
    addresses: tuple[str, ...]
    """Of this machine, that viewers may be offered; empty: every one."""
    still_every_ms: int


class MoreStills(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=101):
    """Node to stage: the center has the viewing's last still, the next one may come."""

    session: SessionId


class Viewing(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One viewer, as the node's status shows it."""

    session: SessionId
    camera: str
    rung: str
    kbps: float
    loss: float
    rtt_ms: Annotated[float, msgspec.Meta(ge=0)]
    """0: not known."""


class StageHealth(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=102):
    """Stage to node, every second: its silence means that it hangs."""

    viewings: tuple[Viewing, ...]
    memory_bytes: Count
    encodings: Count
    """Encoders at work now, shared or not."""


ToStage = Setup | OpenStream | CloseStream | MoreStills
FromStage = StreamOpened | StreamRefused | StreamEnded | StreamRung | Still | StageHealth

_to_stage: Final = msgspec.msgpack.Decoder(ToStage)
_from_stage: Final = msgspec.msgpack.Decoder(FromStage)


def framed(message: ToStage | FromStage) -> bytes:
    """Length and bytes of a message."""
    data = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(data)) + data


def decode_to_stage(data: bytes) -> ToStage:
    """A message to the stage.

    Raises:
        msgspec.DecodeError: it is none.
    """
    message: ToStage = _to_stage.decode(data)
    return message


def decode_from_stage(data: bytes) -> FromStage:
    """A message of the stage.

    Raises:
        msgspec.DecodeError: it is none, or outside its bounds.
    """
    message: FromStage = _from_stage.decode(data)
    return message
