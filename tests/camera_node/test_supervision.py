"""Eyes that die, hang and talk nonsense; each test asserts that the fault really happened."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from camera_node import supervision
from camera_node.config import CameraConfig, HeartbeatConfig, ModelConfig, NodeConfig
from camera_node.errors import ModelRefused
from camera_node.messages import ClipReport, ModelOrder, Picture, Sighting, TakenBack
from camera_node.node import open_node
from camera_node.supervision import Eye
from relay.backoff import Backoff
from relay.clock import SystemClock
from relay.header import Kind
from relay.kinds import body
from relay.kinds.heartbeat import CameraHealth, CameraState, Heartbeat
from tests.camera_node.house import House
from tests.camera_node.tiny_onnx import always_sees
from tests.camera_node.waiting import until

ORDER = ModelOrder(name="none", weights_file="/nowhere", sha256=bytes(32), detector="onnx", least_confidence=0.25,
                   threads=1, labels=())  # fmt: skip
FAKE = "tests.camera_node.fake_eye"


class Listener:
    def __init__(self) -> None:
        self.states: list[CameraState] = []

    async def sighted(self, camera: str, sighting: Sighting) -> None:
        pass

    async def taken_back(self, camera: str, word: TakenBack) -> None:
        pass

    async def pictured(self, camera: str, picture: Picture) -> None:
        pass

    def recorded(self, camera: str, report: ClipReport) -> None:
        pass

    async def eye_ended(self, camera: str) -> None:
        pass

    def camera_changed(self, camera: str, state: CameraState) -> None:
        self.states.append(state)


@contextlib.asynccontextmanager
async def watched(source: str = "well", module: str = FAKE) -> AsyncIterator[tuple[Eye, Listener]]:
    listener = Listener()
    eye = Eye(CameraConfig(name="gate", source=source), ORDER, reports=listener, clock=SystemClock(), module=module,
              backoff=Backoff(least_s=0.05, most_s=0.2, stable_s=30))  # fmt: skip
    task = asyncio.create_task(eye.run())
    try:
        yield eye, listener
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _is_seeing(eye: Eye) -> bool:
    return eye.camera_health().state is CameraState.SEEING


async def test_eye_that_segfaults_is_started_anew_and_its_end_is_named() -> None:
    async with watched() as (eye, listener):
        await until(lambda: _is_seeing(eye))
        first = eye.pid
        assert first is not None
        os.kill(first, signal.SIGSEGV)
        await until(lambda: eye.restarts == 1, what="the loss is noticed")
        assert not psutil.pid_exists(first), "the fault happened"
        assert "SIGSEGV" in eye.camera_health().detail
        await until(lambda: _is_seeing(eye), what="it sees again")
        assert eye.pid != first
        assert CameraState.LOST in listener.states


async def test_eye_that_hangs_is_lost_within_five_seconds_and_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "KILL_AFTER_S", 4.0)
    async with watched() as (eye, listener):
        await until(lambda: _is_seeing(eye))
        first = eye.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        await until(lambda: psutil.Process(first).status() == psutil.STATUS_STOPPED, what="the fault happened")
        await until(lambda: listener.states[-1] is CameraState.LOST, within_s=5, what="silence is noticed")
        await until(lambda: eye.restarts == 1, what="it is killed and started anew")
        assert not psutil.pid_exists(first)
        await until(lambda: _is_seeing(eye))


async def test_eye_that_talks_nonsense_is_ended() -> None:
    async with watched("nonsense") as (eye, _):
        await until(lambda: eye.restarts >= 2)
        assert "no report" in eye.camera_health().detail


async def test_eye_ends_when_the_node_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio\n"
        "from relay import log\n"
        "log.configure(is_json=True)\n"
        "from tests.camera_node.test_supervision import watched, until, _is_seeing\n"
        "async def main():\n"
        "    async with watched() as (eye, _):\n"
        "        await until(lambda: _is_seeing(eye))\n"
        "        print(eye.pid, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[2]
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, cwd=root, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert psutil.pid_exists(child)
    parent.kill()
    await parent.communicate()
    await until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE,
                within_s=5, what="the eye ends")  # fmt: skip


async def test_wrong_weights_end_the_first_start_with_one_clear_error(tmp_path: Path) -> None:
    weights_file = tmp_path / "wrong.onnx"
    weights_file.write_bytes(b"these are no weights")
    house = House(tmp_path)
    config = NodeConfig(state_dir=house.enroll_camera(), camera=(CameraConfig(name="gate", source="/none"),),
                        model=ModelConfig(weights_file=weights_file))  # fmt: skip
    async with open_node(config) as node:
        with pytest.raises(ModelRefused, match="expected YOLO weights in ONNX"):
            async with asyncio.timeout(30):
                await node.run()


async def test_heartbeat_flows_while_an_eye_is_stopped_and_says_lost(tmp_path: Path) -> None:
    house = House(tmp_path)
    weights_file = tmp_path / "tiny.onnx"
    weights_file.write_bytes(always_sees("person"))
    async with house.run_center() as (_, inbox, path):
        config = NodeConfig(
            state_dir=house.enroll_camera(), path=(path,), camera=(CameraConfig(name="gate", source="well"),),
            model=ModelConfig(weights_file=weights_file), heartbeat=HeartbeatConfig(interval_s=1),
        )  # fmt: skip

        def cameras() -> list[CameraHealth]:
            return [body.decode(house.open(a), Heartbeat).cameras[0] for a in inbox.of(Kind.HEARTBEAT)]

        async with open_node(config, eye_module=FAKE) as node:
            task = asyncio.create_task(node.run())
            try:
                await until(lambda: any(camera.state is CameraState.SEEING for camera in cameras()))
                pid = node.eyes[0].pid
                assert pid is not None
                os.kill(pid, signal.SIGSTOP)
                before = len(cameras())
                await until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, what="the fault happened")
                await until(lambda: cameras()[-1].state is CameraState.LOST, within_s=6)
                await until(lambda: len(cameras()) >= before + 3, what="heartbeats flow")
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
