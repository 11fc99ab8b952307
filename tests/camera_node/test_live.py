"""Live video from a whole node: real eye, real stage, real WebRTC; the offer comes as an envelope, the answer goes as one."""

import asyncio
import io
import os
import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("aiortc", reason="the extra `video` is not installed")

from PIL import Image

from camera_node.live.showing import MAX_CHANNEL_MESSAGE_CHARACTERS
from relay.header import Kind
from relay.kinds.answer import MAX_STILL_BYTES, Still, StreamOpened, StreamRefused
from relay.precedence import Precedence
from tests.camera_node.live_scene import live_scene
from tests.camera_node.viewer import viewer
from tests.camera_node.waiting import until

LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


async def test_viewer_sees_the_camera_as_it_encodes_and_the_node_says_how_it_ended(tmp_path: Path) -> None:
    async with live_scene(tmp_path) as scene, viewer() as eyes:
        session = await scene.ask(await eyes.offer())
        await eyes.accept(await scene.opened(session))
        await until(lambda: len(eyes.frames) > 15, within_s=30, what="pictures come")
        assert (eyes.frames[0].width, eyes.frames[0].height) == (160, 120)
        await until(lambda: eyes.rung == "main", within_s=10)
        assert eyes.lines[-1]["encoded"] == "", "the camera's own packets, not encoded again"
        report = scene.node.live.report()
        assert [(v.camera, v.rung) for v in report.viewings] == [("gate", "main")]
        assert report.encodings == 0
        arrivals = scene.inbox.of(Kind.ANSWER)
        assert {arrival.envelope.header.precedence for arrival in arrivals} == {Precedence.IMMEDIATE}
        await scene.close(session, "the session was revoked")
        ended = await scene.ended(session)
        assert ended.reason == "the session was revoked"
        assert ended.sent_bytes > 0
        await until(lambda: "closed" in eyes.states, within_s=20, what="the viewer is cut off")


async def test_masked_camera_is_never_shown_as_it_encodes(tmp_path: Path) -> None:
    async with live_scene(tmp_path, camera={"privacy_masks": (LEFT_HALF,)}) as scene, viewer() as eyes:
        session = await scene.ask(await eyes.offer())
        await eyes.accept(await scene.opened(session))
        await until(lambda: len(eyes.frames) > 12 and bool(eyes.lines), within_s=30, what="pictures come")
        assert eyes.lines[-1]["encoded"] == "it has privacy masks"
        assert scene.node.live.report().encodings == 1
        for frame in list(eyes.frames):
            picture = frame.to_ndarray(format="rgb24")
            assert picture[:, : frame.width // 2 - 12].max() < 60, "what lies under the mask is black in every picture"
        assert max(frame.to_ndarray(format="rgb24")[:, frame.width // 2 + 12 :].max() for frame in eyes.frames) > 120
        by_relay = await scene.ask("", session=b"s" * 16)
        await until(lambda: bool(scene.of(by_relay, Still)), within_s=30, what="a still comes")
        still = np.asarray(Image.open(io.BytesIO(scene.of(by_relay, Still)[0].jpeg)))
        assert still[:, : still.shape[1] // 2 - 8].max() < 60


@pytest.mark.parametrize(
    ("options", "why"),
    [({"preset": "medium", "bf": "2"}, "B-frames"), ({"g": "40"}, "key frames are")],
    ids=["reordered", "key frames far apart"],
)
async def test_stream_that_browsers_cannot_play_is_encoded_once_for_all(
    tmp_path: Path, options: dict[str, str], why: str
) -> None:
    async with live_scene(tmp_path, film_options=options) as scene, viewer() as first, viewer() as second:
        for eyes in (first, second):
            await eyes.accept(await scene.opened(await scene.ask(await eyes.offer())))

        def both_see() -> bool:
            return all(
                bool(eyes.lines) and why in eyes.lines[-1]["encoded"] and len(eyes.frames) > 10
                for eyes in (first, second)
            )

        await until(both_see, within_s=40, what="both see pictures of an encoding")
        await until(lambda: scene.node.live.report().encodings == 1, what="one encoder for both")


async def test_stills_come_through_the_relay_one_after_the_other_was_heard(tmp_path: Path) -> None:
    async with live_scene(tmp_path, still_every_s=0.2) as scene:
        session = await scene.ask("")
        assert await scene.opened(session) == ""
        await until(lambda: len(scene.of(session, Still)) >= 3, within_s=30, what="stills come")
        stills = scene.of(session, Still)
        assert [still.number for still in stills] == list(range(1, len(stills) + 1))
        assert all(Image.open(io.BytesIO(still.jpeg)).size == (160, 120) for still in stills)
        assert max(len(still.jpeg) for still in stills) <= MAX_STILL_BYTES
        assert stills[0].age_ms < 5000
        headers = [a.envelope.header for a in scene.inbox.of(Kind.ANSWER)]
        assert {h.ttl_s for h in headers if h.precedence is Precedence.PRIORITY} == {10}, (
            "an old still is worth nothing"
        )
        await scene.close(session)
        await scene.ended(session)
        count = len(scene.of(session, Still))
        await asyncio.sleep(0.6)
        assert len(scene.of(session, Still)) == count


async def test_limit_of_viewers_is_kept_and_said(tmp_path: Path) -> None:
    async with live_scene(tmp_path, most_viewers_of_camera=3, still_every_s=5) as scene:
        sessions = [await scene.ask("") for _ in range(20)]
        await until(lambda: all(scene.words(s) for s in sessions), within_s=30, what="everybody has an answer")
        opened = [s for s in sessions if scene.of(s, StreamOpened)]
        refusals = [scene.of(s, StreamRefused)[0] for s in sessions if scene.of(s, StreamRefused)]
        assert (len(opened), len(refusals)) == (3, 17)
        assert {(r.reason, r.is_busy) for r in refusals} == {("3 people watch this camera already, its limit", True)}
        await scene.close(opened[0])
        await scene.ended(opened[0])
        await scene.opened(await scene.ask(""))


HOSTILE = {
    "nothing of it": "hello",
    "binary": "v=0\r\n\x00\x01\x02",
    "too long a line": "v=0\r\na=" + "x" * 3000,
    "two videos": "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n",
    "no keys": "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=recvonly\r\na=rtpmap:96 H264/90000\r\n",
    "nonsense that looks right": (
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 99999999 UDP/TLS/RTP/SAVPF x y z\r\nc=IN\r\na=recvonly\r\n"
        "a=rtpmap:96 H264/90000\r\na=ice-ufrag:a\r\na=ice-pwd:b\r\na=fingerprint:sha-256 00\r\na=fmtp:96 a=b=c\r\na=mid:\r\n"
    ),
}


async def test_hostile_offers_are_refused_in_words_and_the_stage_stands(tmp_path: Path) -> None:
    async with live_scene(tmp_path) as scene, viewer() as eyes:
        pid = scene.node.live.report().pid
        for what, offer in HOSTILE.items():
            refusal = await scene.refused(await scene.ask(offer))
            assert refusal.reason, what
            assert not refusal.is_busy
        good = await eyes.offer()
        codec_gone = good.replace("H264", "H265")
        assert "H.264" in (await scene.refused(await scene.ask(codec_gone))).reason
        multicast = good.replace("a=candidate", "a=candidate:1 1 udp 1 224.0.0.1 9 typ host\r\na=candidate", 1)
        assert "one machine" in (await scene.refused(await scene.ask(multicast))).reason
        assert "there is no camera 'yard'" in (await scene.refused(await scene.ask(good, camera="yard"))).reason
        # Each of these leaves half a connection behind in the library, and most of them an error of its own making.
        for line in ("a=mid:0", "a=setup:actpass", "a=rtcp-mux", "a=rtpmap:98 rtx/90000"):
            assert f"{line}\r\n" in good
            assert (await scene.refused(await scene.ask(good.replace(f"{line}\r\n", "")))).reason
        await scene.opened(await scene.ask(good))
        assert scene.node.live.report().pid == pid


@pytest.mark.parametrize("message", ["x" * (MAX_CHANNEL_MESSAGE_CHARACTERS + 1), b"\x00" * 100_000, "{}"],
                         ids=["long", "binary", "something else"])  # fmt: skip
async def test_message_that_is_no_confirmation_ends_the_session(tmp_path: Path, message: str | bytes) -> None:
    async with live_scene(tmp_path) as scene, viewer() as eyes:
        session = await scene.ask(await eyes.offer())
        await eyes.accept(await scene.opened(session))
        await until(lambda: eyes.channel.readyState == "open", within_s=20)
        eyes.channel.send(message)
        assert "data channel" in (await scene.ended(session)).reason


async def test_order_to_close_that_overtook_its_opening_is_kept(tmp_path: Path) -> None:
    async with live_scene(tmp_path) as scene:
        session = b"c" * 16
        await scene.close(session)
        await scene.ask("", session=session)
        other = await scene.ask("")
        await scene.opened(other)
        assert scene.words(session) == []


async def test_camera_that_dies_while_it_is_watched_comes_back_in_the_same_session(tmp_path: Path) -> None:
    async with live_scene(tmp_path) as scene, viewer() as eyes:
        session = await scene.ask(await eyes.offer())
        await eyes.accept(await scene.opened(session))
        await until(lambda: len(eyes.frames) > 5 and bool(eyes.lines), within_s=30, what="pictures come")
        pid = scene.node.eyes[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: eyes.lines[-1]["silent_ms"] > 500, within_s=30, what="the viewer is told of the silence")
        count = len(eyes.frames)
        await until(lambda: len(eyes.frames) > count + 10, within_s=60, what="pictures come again")
        assert scene.node.eyes[0].pid != pid
        assert scene.node.eyes[0].restarts == 1


async def test_stage_that_dies_is_started_anew_and_viewers_are_told(tmp_path: Path) -> None:
    async with live_scene(tmp_path) as scene:
        session = await scene.ask("")
        await scene.opened(session)
        pid = scene.node.live.report().pid
        os.kill(pid, signal.SIGKILL)
        assert "process" in (await scene.ended(session)).reason
        await until(lambda: scene.node.live.report().memory_bytes > 0 and scene.node.live.report().pid != pid,
                    within_s=60, what="another stage stands")  # fmt: skip
        await scene.opened(await scene.ask(""))


async def test_stream_that_nobody_could_close_any_more_is_closed(tmp_path: Path) -> None:
    async with live_scene(tmp_path, unreachable_cut_s=0.5) as scene, viewer() as eyes:
        session = await scene.ask(await eyes.offer())
        await eyes.accept(await scene.opened(session))
        await until(lambda: len(eyes.frames) > 2, within_s=30, what="pictures come")
        # The authority withdraws the node: its links are cut, and no word reaches it.
        for link in list(scene.center._links):
            link.session.drop("withdrawn")
        scene.center._listeners[0].ban({scene.node.station.passport.transport_key})
        await until(lambda: "closed" in eyes.states, within_s=40, what="the picture ends")


async def test_node_without_the_extra_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    from camera_node.config import CameraConfig, VideoConfig
    from camera_node.live_window import NOT_INSTALLED, LiveWindow

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    window = LiveWindow(None, VideoConfig(), (), state_dir=tmp_path)  # type: ignore[arg-type]
    assert window.why_not == NOT_INSTALLED
    assert window.tap_file_of(CameraConfig(name="gate", source="/dev/video0")) == ""
