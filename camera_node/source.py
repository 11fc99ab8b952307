"""Where a camera's pictures come from, told apart by how the source is written. Opens nothing."""

import enum
import re
import urllib.parse
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


def _require_address(text: str) -> None:
    """A sign in a password that ends the host's part of an address leaves a port that is no number."""
    if not re.match(r"(?i)(rtsp|http)s?://", text):
        return
    try:
        parts = urllib.parse.urlsplit(text)
        is_whole = bool(parts.hostname) and parts.port != 0 and "@" not in parts.path + parts.fragment
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ValueError(
            f"expected an address like rtsp://user:password@host:554/stream, found {redacted(text)}: "
            "in user and password write %2F for /, %3A for :, %40 for @, %23 for #, %3F for ?, and %25 for %"
        )


def parse_source(text: str) -> Source:
    """Tell a file, an address, a device and a pipeline apart.

    Raises:
        ValueError: an address of a kind that we don't read, or one that can't be taken apart.
    """
    _require_address(text)
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
