"""Twenty people at one camera, and a camera that speaks H.265 only: what a browser gets, and what it costs the node."""

import contextlib
from pathlib import Path

import av
import pytest

pytest.importorskip("aiortc", reason="the extra `video` is not installed")

from tests.camera_node.film import pictures, write_film
from tests.camera_node.live_scene import live_scene
from tests.camera_node.test_recorder import scene as recording
from tests.camera_node.viewer import viewer
from tests.camera_node.waiting import until

VIEWERS = 20


@pytest.mark.slow
async def test_twenty_viewers_at_once_see_one_camera_whose_stream_is_not_encoded_again(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        scene = await stack.enter_async_context(
            live_scene(tmp_path, most_viewers=VIEWERS, most_viewers_of_camera=VIEWERS)
        )
        eyes = [await stack.enter_async_context(viewer()) for _ in range(VIEWERS)]
        sessions = [await scene.ask(await one.offer()) for one in eyes]
        for one, session in zip(eyes, sessions, strict=True):
            await one.accept(await scene.opened(session))
        await until(lambda: all(len(one.frames) >= 10 for one in eyes), within_s=120, what="all twenty see pictures")
        report = scene.node.live.report  # the process that shows tells once a second, and pictures come sooner
        await until(lambda: len(report().viewings) == VIEWERS, what="the report of all twenty")
        assert report().encodings == 0
        for one in eyes:
            one.frames.clear()
        await scene.close(sessions[0], "enough")
        await scene.ended(sessions[0])
        await until(lambda: all(len(one.frames) >= 10 for one in eyes[1:]), within_s=120, what="nineteen see on")
        await until(lambda: len(report().viewings) == VIEWERS - 1, what="the report of nineteen")


@pytest.mark.skipif("libx265" not in av.codecs_available, reason="this PyAV has no H.265 encoder to make a film with")
async def test_camera_that_speaks_h265_only_is_shown_and_said_to_be_encoded_anew(tmp_path: Path) -> None:
    film = write_film(tmp_path / "h265.mp4", codec="libx265")
    async with live_scene(tmp_path, camera={"source": str(film)}) as scene, viewer() as eyes:
        session = await scene.ask(await eyes.offer())
        await eyes.accept(await scene.opened(session))
        await until(lambda: len(eyes.frames) > 10 and bool(eyes.lines), within_s=60, what="pictures come")
        assert "hevc" in eyes.lines[-1]["encoded"].lower(), eyes.lines[-1]
        assert scene.node.live.report().encodings == 1


@pytest.mark.skipif("libx265" not in av.codecs_available, reason="this PyAV has no H.265 encoder to make a film with")
def test_clip_of_a_camera_that_speaks_h265_only_is_its_own_packets(tmp_path: Path) -> None:
    film = write_film(tmp_path / "h265.mp4", codec="libx265")
    with recording(tmp_path, film) as camera:
        camera.wait(lambda: camera.recorder.ring.reach_ms > 600)
        name, _ = camera.see()
        camera.wait(lambda: camera.ended(name), within_s=30)
        assert camera.segments(name)[0].codec == "hevc"
    assert len(pictures((camera.folder / name).read_bytes())) > 8
