"""More frames than the detector can look at: each camera sees fewer, none starves, and people are told."""

from pathlib import Path

from camera_node.config import HeartbeatConfig, ModelConfig, NodeConfig
from camera_node.governor import Pace
from relay.header import Kind
from relay.kinds import body
from relay.kinds.heartbeat import CameraState, Heartbeat
from tests.camera_node.clips import moving, write_clip
from tests.camera_node.house import House
from tests.camera_node.test_node import camera, running
from tests.camera_node.tiny_onnx import always_sees
from tests.camera_node.waiting import until

RATE = 50
SIZE_PX = 2560
"""A net whose input alone is 79 MB: no processor looks at a hundred such frames a second."""


async def test_cameras_that_one_detector_cannot_follow_share_it_and_say_so(tmp_path: Path) -> None:
    house = House(tmp_path)
    weights_file = tmp_path / "heavy.onnx"
    weights_file.write_bytes(always_sees("handgun", size_px=SIZE_PX))
    clip = write_clip(tmp_path / "quick.mp4", moving(), frames=4 * RATE, rate=RATE)
    cameras = [camera(tmp_path, name=name, source=str(clip), frames_per_s=RATE, rule=(), is_recorded=False)
               for name in ("gate", "yard")]  # fmt: skip
    state_dir = house.enroll_camera()
    async with house.run_center() as (_, inbox, path):
        config = NodeConfig(state_dir=state_dir, path=(path,), camera=tuple(cameras),
                            model=ModelConfig(weights_file=weights_file, is_shared=True),
                            heartbeat=HeartbeatConfig(interval_s=1))  # fmt: skip
        async with running(config) as node:

            def told() -> dict[str, str]:
                """What the newest heartbeat at the center says of each camera."""
                beats = [body.decode(house.open(arrival), Heartbeat) for arrival in inbox.of(Kind.HEARTBEAT)]
                return {one.camera: one.detail for one in beats[-1].cameras} if beats else {}

            await until(lambda: list(told()) == ["gate", "yard"]
                        and all("the detector is busy" in detail for detail in told().values()),
                        what="the center hears of both")  # fmt: skip
            assert all("looks at " in detail and " frames/s: " in detail for detail in told().values())
            paces = [eye.frames_per_s for eye in node.cameras()]
            assert all(one.state is CameraState.SEEING for one in node.cameras())
            assert 0 < max(paces) < 0.7 * RATE
            assert min(paces) > max(paces) / 3, f"one of them starves: {paces}"
            for eye in node.eyes:
                eye.pace(Pace(share=0.02, why="95 °C"))
            await until(lambda: all(one.detail == "looks at 1 of 50 frames/s: 95 °C" for one in node.cameras()),
                        what="what the detector can follow is no overload")  # fmt: skip
