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

RATE = 120
SIZE_PX = 1536
"""A net whose input alone is 28 MB: no processor here looks at 170 such frames a second."""


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
            assert all(one.state is CameraState.SEEING for one in node.cameras())
            seen: list[list[float]] = [[], []]
            while len(seen[0]) < 5:
                for of_one, eye in zip(seen, node.eyes, strict=True):
                    assert eye.last_health is not None
                    of_one.append(eye.last_health.frames)
                await until(lambda: all(eye.last_health is not None and eye.last_health.frames > of_one[-1]
                                        for of_one, eye in zip(seen, node.eyes, strict=True)), what="both go on")  # fmt: skip
            looked_at = [of_one[-1] - of_one[0] for of_one in seen]
            assert min(looked_at) > max(looked_at) / 3, f"one of them starves: {looked_at}"
            for eye in node.eyes:
                eye.pace(Pace(share=0.01, why="95 °C"))
            await until(lambda: all(one.detail == "looks at 1.2 of 120 frames/s: 95 °C" for one in node.cameras()),
                        what="what the detector can follow is no overload")  # fmt: skip
