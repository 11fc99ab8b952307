"""What ``camera-node status`` says of clips, of a running node and from the database of a stopped one."""

import sqlite3
from collections.abc import Mapping
from typing import Final

import msgspec

from camera_node import clip_book
from camera_node.clip_book import Clip, ClipState
from camera_node.messages import Recording

_REPORTED: Final = 100


class CameraRecording(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a camera's clips are possible."""

    camera: str
    codec: str
    why_not: str


class ClipsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The clips of a node."""

    total_bytes: int
    tallies: dict[str, int]
    cameras: tuple[CameraRecording, ...]
    newest: tuple[Clip, ...]


def describe(connection: sqlite3.Connection, recordings: Mapping[str, Recording]) -> ClipsReport:
    """How it stands with clips; ``recordings`` is what the eyes say of their streams."""
    cameras = tuple(CameraRecording(camera=name, codec=said.codec, why_not=said.why_not)
                    for name, said in sorted(recordings.items()))  # fmt: skip
    return ClipsReport(total_bytes=clip_book.total_bytes(connection), tallies=clip_book.tallies(connection),
                       cameras=cameras, newest=tuple(clip_book.newest(connection, _REPORTED)))  # fmt: skip


def lines(report: ClipsReport, *, at_most: int = 10) -> list[str]:
    """The same in words."""
    counts = [
        f"{count} {name.removeprefix('clips_').replace('_', ' ')}" for name, count in sorted(report.tallies.items())
    ]
    told = [f"clips ({report.total_bytes / 1e6:.1f} MB): {', '.join(counts) or 'none yet'}"]
    told += [f"  no clips of {camera.camera}: {camera.why_not}" for camera in report.cameras if camera.why_not]
    return told + [f"  {_line(clip)}" for clip in report.newest[:at_most]]


def _line(clip: Clip) -> str:
    state = clip.state.value
    if clip.state is ClipState.WAITING and clip.size_bytes:
        state += f", {100 * clip.next_offset_bytes // clip.size_bytes} % handed to the spool"
    what = f"{clip.duration_ms / 1000:.1f} s, {clip.size_bytes / 1e6:.2f} MB, {clip.codec} {clip.width_px}x{clip.height_px}"
    return f"{clip.camera} {clip.file} {what}, {state}" + (f": {clip.why}" if clip.why else "")
