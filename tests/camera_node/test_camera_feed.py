"""What a viewer's track gets, from real captures and taps: the camera's own small stream where there is one that plays."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import av
import pytest

pytest.importorskip("aiortc", reason="the extra `video` is not installed")

from camera_node.capture import Capture
from camera_node.live.camera_feed import CameraFeed
from camera_node.live.ladder import Rung
from camera_node.live.orders import LiveCamera
from camera_node.live.packet_track import PacketTrack
from camera_node.packet_tap import PacketTap, sub_tap_file
from camera_node.source import parse_source
from camera_node.sub_stream import SubStream
from relay.clock import SystemClock
from tests.camera_node.film import write_film

LARGE, SMALL = (160, 120), (96, 64)


@asynccontextmanager
async def feed_of(
    folder: Path, *, sub_options: dict[str, str] | None = None, has_sub: bool = True
) -> AsyncIterator[CameraFeed]:
    """A camera with two streams as the eye lends them, and the stage's side of it."""
    clock, tap_file = SystemClock(), folder / "gate.sock"
    tap = PacketTap(tap_file)
    capture = Capture(parse_source(str(write_film(folder / "main.mp4"))), clock=clock, loop=True, sink=tap)
    small = write_film(folder / "sub.mp4", size=SMALL, options=sub_options)
    sub = SubStream(str(small), Path(sub_tap_file(str(tap_file))), clock=clock, loop=True)
    tap.start()
    capture.start()
    sub.start()
    camera = LiveCamera(name="gate", tap_file=str(tap_file), privacy_masks=(),
                        sub_tap_file=sub_tap_file(str(tap_file)) if has_sub else "")  # fmt: skip
    feed = CameraFeed(camera, main_kbps=500, sub_kbps=100, clock=clock)
    try:
        async with feed.watching():
            assert await feed.described(20) is not None
            yield feed
    finally:
        for part in (capture, sub, tap):
            await asyncio.to_thread(part.close)


async def size_shown(track: PacketTrack) -> tuple[int, int]:
    """The size of the first picture that decodes from what the track gives now."""
    decoder = av.CodecContext.create("h264", "r")
    async with asyncio.timeout(30):
        while True:
            packet = await track.recv()
            assert isinstance(packet, av.Packet)
            for picture in decoder.decode(av.Packet(bytes(packet))):
                assert isinstance(picture, av.VideoFrame)
                return picture.width, picture.height


async def test_thin_line_gets_the_cameras_own_small_stream_and_nothing_is_encoded(tmp_path: Path) -> None:
    async with feed_of(tmp_path) as feed:
        track = PacketTrack(on_wanted=lambda: None)
        feed.place(track, Rung.MAIN)
        assert await size_shown(track) == LARGE
        assert feed._sub is not None
        assert await feed._sub.described(20) is not None
        feed.place(track, Rung.SUB)
        assert await size_shown(track) == SMALL
        assert feed.encodings == 0
        feed.place(track, Rung.MAIN)
        assert await size_shown(track) == LARGE
        feed.leave(track)


@pytest.mark.parametrize("why", ["no second stream", "one with B-frames"])
async def test_small_stream_is_made_where_the_camera_has_none_that_plays(tmp_path: Path, why: str) -> None:
    reordered = {"preset": "medium", "bf": "2"}
    async with feed_of(tmp_path, has_sub=why != "no second stream", sub_options=reordered) as feed:
        if feed._sub is not None:
            assert await feed._sub.described(20) is not None
            assert "B-frames" in feed._sub.why_encoded
        track = PacketTrack(on_wanted=lambda: None)
        feed.place(track, Rung.SUB)
        assert await size_shown(track) == LARGE, "480 pixels at most, and this camera has 160"
        assert feed.encodings == 1
        feed.leave(track)
        assert feed.encodings == 0
