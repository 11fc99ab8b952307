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
    HTTP = "http"
    """Motion JPEG, or anything else that FFmpeg reads over HTTP."""
    DEVICE = "device"
    GSTREAMER = "gstreamer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A parsed source. ``address`` may hold a password: it is never printed, ``name`` is."""

    kind: SourceKind
    address: str
    name: str

    def __repr__(self) -> str:
        return f"Source({self.kind.value}, {self.name})"


def parse_source(text: str) -> Source:
    """Tell a file, an address, a device and a pipeline apart.

    Raises:
        ValueError: an address of a kind that we don't read.
    """
    if re.match(r"(?i)rtsps?://", text):
        return Source(kind=SourceKind.RTSP, address=text, name=redacted(text))
    if re.match(r"(?i)https?://", text):
        return Source(kind=SourceKind.HTTP, address=text, name=redacted(text))
    if text.startswith("gst:"):
        return Source(kind=SourceKind.GSTREAMER, address=text.removeprefix("gst:"), name=redacted(text)[:80])
    if text.startswith("csi:"):
        return Source(kind=SourceKind.GSTREAMER, address=text, name=text)
    if "://" in text:
        raise ValueError(
            f"expected a file, rtsp://…, rtsps://…, http://…, https://…, /dev/videoN, csi:N or gst:PIPELINE, found "
            f"{redacted(text)}: other protocols are not read"
        )
    if re.fullmatch(r"/dev/(video\d+|v4l/.+)", text):
        return Source(kind=SourceKind.DEVICE, address=text, name=text)
    return Source(kind=SourceKind.FILE, address=str(Path(text).expanduser()), name=text)
