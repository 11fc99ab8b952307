"""What a camera's child process (an eye) and the node say to each other over their socket pair.

Each message is a big-endian 4-byte length and one msgpack array, tagged with its kind. The child is not trusted more
than its decoder deserves: every field has its bounds, and a message over them ends the child.
"""

import socket
import struct
from typing import Annotated, Final

import msgspec

from camera_node.config import CameraConfig, DetectorName
from camera_node.suppression import LOOK_BYTES, Suppression
from relay import limits
from relay.kinds.heartbeat import CameraState

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
LENGTH: Final = struct.Struct(">I")

Tag = Annotated[str, msgspec.Meta(max_length=limits.MAX_TAG_BYTES)]
Millis = Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_CLOCK_MS)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Prose = Annotated[str, msgspec.Meta(max_length=2000)]
ClipName = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z-]{1,60}\.mp4$")]
"""A file in the camera's own folder: no separators, no dots but the one."""


class ModelOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Which weights to load. The child reads them once, checks the SHA-256, and runs what it read."""

    name: str
    weights_file: str
    sha256: bytes
    detector: DetectorName
    least_confidence: float
    threads: int
    labels: tuple[str, ...]


class SecondStageOrder(msgspec.Struct, frozen=True, kw_only=True):
    """How a weapon is looked at once more before it becomes an alert."""

    model: ModelOrder | None
    """None: the first stage's own weights, on the crop at its full resolution."""
    look_alikes: tuple[str, ...]
    least_confidence: float
    margin: float
    is_on_gateway: bool = False
    """Its model runs in the shared detector."""


class DetectorOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Node to the shared detector, first and once."""

    models: tuple[ModelOrder, ...]
    """The first stage, and the second where it is to run there, too."""
    state_dir: str
    """Where its socket is."""


class RecordingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how clips are recorded."""

    folder: str
    """The camera's own; the eye writes nowhere else."""
    pre_roll_ms: int
    post_roll_ms: int
    longest_ms: int
    segment_ms: int
    ring_bytes: int
    most_bytes: int
    """For one clip."""
    reserve_bytes: int
    """Of the disk, what clips leave free."""


class Assignment(msgspec.Struct, frozen=True, kw_only=True, tag="assignment"):
    """Node to eye, first and once: what to look at, with what, for what. May hold the camera's password."""

    camera: CameraConfig
    model: ModelOrder
    recording: RecordingOrder | None = None
    """None: no clips of this camera."""
    second_stage: SecondStageOrder | None = None
    """None: what the detector says is taken as it is."""
    suppressions: tuple[Suppression, ...] = ()
    keeps_originals: bool = False
    """Whether the unmasked pictures are wanted, too, to be sealed."""
    shared_detector_dir: str = ""
    """Where the shared detector's socket is; empty: the eye loads the weights itself."""
    tap_file: str = ""
    """Where its packets are lent to whoever shows them live; empty: nowhere."""


class SuppressionsInForce(msgspec.Struct, frozen=True, kw_only=True, tag="suppressions"):
    """Node to eye, whenever they change: all that are in force on this camera now."""

    suppressions: tuple[Suppression, ...]


class FramePace(msgspec.Struct, frozen=True, kw_only=True, tag="pace"):
    """Node to eye: look at this many frames a second from now on."""

    frames_per_s: Annotated[float, msgspec.Meta(gt=0, le=120)]


class Sighting(msgspec.Struct, frozen=True, kw_only=True, tag="sighting"):
    """Eye to node: raise an alert."""

    number: Count
    """Counts this eye's sightings; its picture names it."""
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    rule: Annotated[int, msgspec.Meta(ge=0, le=255)]
    zone: Tag
    precedence: Annotated[int, msgspec.Meta(ge=0, le=1)]
    confidence: Share
    box_xyxy: tuple[Share, Share, Share, Share]
    track: Count
    captured_monotonic_ms: Millis
    """CLOCK_BOOTTIME, which both processes share."""
    captured_wall_ms: Millis
    clip_time_ms: Count
    """Place within the clip, when the camera is a file."""
    clip: Annotated[str, msgspec.Meta(pattern=r"^([0-9A-Za-z-]{1,60}\.mp4)?$")] = ""
    """The clip that shows it; empty: none is recorded."""
    look: Annotated[bytes, msgspec.Meta(max_length=LOOK_BYTES)] = b""
    """What it looks like, in case a person calls it a false alarm and wants it suppressed; empty: nothing can be learned."""


class TakenBack(msgspec.Struct, frozen=True, kw_only=True, tag="taken-back"):
    """Eye to node: later frames contradict an earlier sighting; its alert is to be retracted."""

    sighting: Count
    ground: Annotated[int, msgspec.Meta(ge=1, le=4)]
    """``relay.kinds.retraction.Ground``."""
    note: Annotated[str, msgspec.Meta(max_length=200)]


class Picture(msgspec.Struct, frozen=True, kw_only=True, tag="picture"):
    """Eye to node: the snapshot of a sighting, masked. Comes after it, so that encoding never delays an alert."""

    sighting: Count
    jpeg: Annotated[bytes, msgspec.Meta(min_length=1, max_length=2 * 1024 * 1024)]
    width_px: Count
    height_px: Count
    captured_monotonic_ms: Millis
    captured_wall_ms: Millis
    original: Annotated[bytes, msgspec.Meta(max_length=2 * 1024 * 1024)] = b""
    """The same without masks, where there are any and originals are kept: to be sealed, and never to be sent."""


class Health(msgspec.Struct, frozen=True, kw_only=True, tag="health"):
    """Eye to node, every second from the loop that looks at frames: its silence means that it hangs."""

    state: CameraState
    fault: Annotated[str, msgspec.Meta(max_length=40)] = ""
    detail: Prose = ""
    frames_per_s: Annotated[float, msgspec.Meta(ge=0, le=1000)]
    """Frames through the detector."""
    frames: Count
    last_frame_age_ms: Count
    reconnects: Count
    inference_ms: Annotated[float, msgspec.Meta(ge=0)]
    """Mean over the last interval, detection to rules."""
    memory_bytes: Count = 0
    grade: Annotated[str, msgspec.Meta(max_length=20)] = "unknown"
    """``connection_grade.Grade``."""
    delivered_per_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Frames that the camera gave, over the last minute."""
    provider: Annotated[str, msgspec.Meta(max_length=40)] = ""
    """What the detector runs on."""
    skipped: Count = 0
    """Frames that the motion gate kept from the detector, since the eye's start."""
    stopped: dict[str, Count] = {}
    """Findings that the second look stopped since the eye's start, by stage."""
    held_back: dict[str, Count] = {}
    """How often each suppression hid something since the eye's start, by its id."""


class Recording(msgspec.Struct, frozen=True, kw_only=True, tag="recording"):
    """Eye to node, whenever it changes: whether clips of this camera are possible."""

    codec: Annotated[str, msgspec.Meta(max_length=40)]
    why_not: Prose = ""
    """Empty: they are."""


class ClipSegment(msgspec.Struct, frozen=True, kw_only=True, tag="segment"):
    """Eye to node: a segment of a clip is complete and fsynced."""

    clip: ClipName
    number: Annotated[int, msgspec.Meta(ge=1, lt=1 << 31)]
    offset_bytes: Count
    size_bytes: Count
    sha256: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    started_monotonic_ms: Millis
    started_wall_ms: Millis
    duration_ms: Count
    codec: Annotated[str, msgspec.Meta(max_length=40)]
    width_px: Count
    height_px: Count


class ClipEnded(msgspec.Struct, frozen=True, kw_only=True, tag="clip-ended"):
    """Eye to node: nothing comes to this clip any more."""

    clip: ClipName
    why: Prose = ""
    """Empty: it has its whole post-roll."""
    lost_packets: Count = 0
    """Left out because the disk could not follow."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="refusal"):
    """Eye to node, last: it can't start, and trying again won't help."""

    message: Prose
    is_of_camera: bool = False
    """Only this camera is set up wrongly: the others are not stopped for it."""


ClipReport = Recording | ClipSegment | ClipEnded
Report = Sighting | TakenBack | Picture | Health | Refusal | ClipReport
Order = Assignment | SuppressionsInForce | FramePace

_report_decoder: Final = msgspec.msgpack.Decoder(Report)
_order_decoder: Final = msgspec.msgpack.Decoder(Order)


def frame_message(message: Order | Report | DetectorOrder) -> bytes:
    """Length and bytes of a message."""
    data = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(data)) + data


def receive_message(connection: socket.socket) -> bytes:
    """The next message's bytes, for a child that may block.

    Raises:
        EOFError: the node closed the connection, or announces too much.
    """
    (length,) = LENGTH.unpack(_receive(connection, LENGTH.size))
    if length > MAX_MESSAGE_BYTES:
        raise EOFError(f"expected a message of at most {MAX_MESSAGE_BYTES} bytes, found {length}")
    return _receive(connection, length)


def _receive(connection: socket.socket, size_bytes: int) -> bytes:
    data = b""
    while len(data) < size_bytes:
        part = connection.recv(size_bytes - len(data))
        if not part:
            raise EOFError("the node closed the connection")
        data += part
    return data


def decode_report(data: bytes) -> Report:
    """A report's typed view.

    Raises:
        msgspec.DecodeError: not a report, or outside its bounds.
    """
    report: Report = _report_decoder.decode(data)
    return report


def decode_order(data: bytes) -> Order:
    """An order's typed view.

    Raises:
        msgspec.DecodeError: not an order.
    """
    order: Order = _order_decoder.decode(data)
    return order
