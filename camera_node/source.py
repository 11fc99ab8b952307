"""Where a camera's pictures come from, told apart by how the source is written. Opens nothing."""

import enum
import re
from dataclasses import dataclass
from pathlib import Path

from camera_node.errors import redacted


class SourceKind(enum.Enum):
    """The ways of getting pictures."""

    FILE = "file"
    RTSP = "rtsp"
    DEVICE = "device"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A parsed source. ``address`` may hold a password: it is never printed, ``name`` is."""

    kind: SourceKind
    address: str
    name: str

    def __repr__(self) -> str:
        return f"Source({self.kind.value}, {self.name})"


def parse_source(text: str) -> Source:
    """Tell a file, an RTSP address and a device apart.

    Raises:
        ValueError: an address of a kind that we don't read.
    """
    if re.match(r"(?i)rtsps?://", text):
        return Source(kind=SourceKind.RTSP, address=text, name=redacted(text))
    if "://" in text:
        raise ValueError(
            f"expected a file, rtsp://…, rtsps://… or /dev/videoN, found {redacted(text)}: other protocols are not read"
        )
    if re.fullmatch(r"/dev/(video\d+|v4l/.+)", text):
        return Source(kind=SourceKind.DEVICE, address=text, name=text)
    return Source(kind=SourceKind.FILE, address=str(Path(text).expanduser()), name=text)
