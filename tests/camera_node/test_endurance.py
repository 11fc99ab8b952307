"""Eight cameras that are killed, stopped and started again at random: nothing leaks, nothing gets stuck, nothing is missed.

``HEARD_ENDURANCE_S`` says for how long (45 s here; the whole endurance run is 1800). The seed is printed; HEARD_SEED repeats it.
"""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import psutil
import pytest

from camera_node.config import CameraConfig, ClipConfig, NodeConfig
from camera_node.node import Node
from camera_node.rules.class_of_interest import ClassOfInterestSettings
from relay.header import Kind
from relay.kinds import alert as alerts
from relay.kinds.heartbeat import CameraState
from tests.camera_node.house import CenterInbox, House
from tests.camera_node.test_node import model, running
from tests.camera_node.test_rtsp import PYTHON, _has_server, units_file
from tests.camera_node.waiting import until
from tests.relay.mosquitto import free_port

__all__ = ["units_file"]
CAMERAS: Final = 8
PLAY_S: Final = float(os.environ.get("HEARD_ENDURANCE_S", "45"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(PLAY_S + 300),
    pytest.mark.skipif(not _has_server(), reason="gir1.2-gst-rtsp-server-1.0 is not installed"),
]


class Cameras:
    """RTSP servers, one a camera, each at its own port for good."""

    def __init__(self, units: Path) -> None:
        self._units = units
        self.ports = [free_port() for _ in range(CAMERAS)]
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * CAMERAS
        self.faults = 0

    def start(self, number: int) -> None:
        script = Path(__file__).with_name("rtsp_server.py")
        self._processes[number] = subprocess.Popen(
            [PYTHON, str(script), str(self._units), str(self.ports[number]), "cam:geheim", "10"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def break_one(self, number: int, chance: random.Random) -> None:
        """Kill it, or let it hang."""
        process = self._processes[number]
        assert process is not None
        os.kill(process.pid, chance.choice((signal.SIGKILL, signal.SIGSTOP)))
        self.faults += 1

    def end(self, number: int) -> None:
        process = self._processes[number]
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        self._processes[number] = None


def told(house: House, inbox: CenterInbox) -> dict[str, int]:
    counts: dict[str, int] = {}
    for arrival in inbox.of(Kind.ALERT):
        name = alerts.decode(house.open(arrival)).camera
        counts[name] = counts.get(name, 0) + 1
    return counts


def size(node: Node) -> tuple[int, int, int]:
    """Of the node and its eyes together: memory, descriptors, threads."""
    us = psutil.Process()
    children = [child for child in us.children(recursive=True) if "camera_node" in " ".join(child.cmdline())]
    processes = [us, *children]
    return (sum(p.memory_info().rss for p in processes), sum(p.num_fds() for p in processes),
            sum(p.num_threads() for p in processes))  # fmt: skip


async def test_eight_cameras_that_die_at_random_leak_nothing_and_are_all_seen_again(
    tmp_path: Path, units_file: Path
) -> None:
    seed = int(os.environ.get("HEARD_SEED", str(random.randrange(1 << 30))))
    print(f"HEARD_SEED={seed}")
    chance = random.Random(seed)
    cameras = Cameras(units_file)
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    rule = ClassOfInterestSettings(hold_off_s=1.0)
    configs = tuple(
        CameraConfig(
            name=f"cam{number}", source=f"rtsp://cam:geheim@127.0.0.1:{port}/cam", frames_per_s=4, rule=(rule,)
        )
        for number, port in enumerate(cameras.ports)
    )
    try:
        for number in range(CAMERAS):
            cameras.start(number)
        async with house.run_center() as (_, inbox, path):
            config = NodeConfig(state_dir=state_dir, path=(path,), camera=configs, model=model(tmp_path),
                                clip=ClipConfig(pre_roll_s=1, post_roll_s=1, reserve_bytes=0, is_sent="never"))  # fmt: skip
            async with running(config) as node:
                await until(lambda: all(c.state is CameraState.SEEING for c in node.cameras()), within_s=120)
                await until(lambda: len(told(house, inbox)) == CAMERAS, within_s=60, what="every camera's first alert")
                before = size(node)
                await _play(node, cameras, house, inbox, chance)
                await until(lambda: all(c.state is CameraState.SEEING for c in node.cameras()), within_s=120,
                            what="all of them see again")  # fmt: skip
                after = size(node)
                assert node.station.counters["alerts_lost_before_spooling"] == 0
        assert cameras.faults >= 3, "faults really happened"
        assert after[0] < before[0] * 1.35 + 30_000_000, f"memory: {before[0]} to {after[0]}"
        assert after[1] <= before[1] + 2 * CAMERAS, f"descriptors: {before[1]} to {after[1]}"
        assert after[2] <= before[2] + 2 * CAMERAS, f"threads: {before[2]} to {after[2]}"
    finally:
        for number in range(CAMERAS):
            cameras.end(number)


async def _play(node: Node, cameras: Cameras, house: House, inbox: CenterInbox, chance: random.Random) -> None:
    """Break one after the other, see that it is noticed, mend it, and see that its next alert comes."""
    ends_s = time.monotonic() + PLAY_S
    while time.monotonic() < ends_s:
        number = chance.randrange(CAMERAS)
        name = f"cam{number}"

        def is_seeing(number: int = number) -> bool:
            return node.cameras()[number].state is CameraState.SEEING

        await until(is_seeing, within_s=60, what=f"{name} sees before it is broken")
        cameras.break_one(number, chance)
        await until(lambda is_seeing=is_seeing: not is_seeing(), within_s=30, what=f"the loss of {name} is noticed")  # type: ignore[misc]
        cameras.end(number)
        await asyncio.sleep(chance.uniform(0.1, 1.0))
        seen_before = told(house, inbox)[name]
        cameras.start(number)
        await until(lambda name=name, seen_before=seen_before: told(house, inbox)[name] > seen_before, within_s=90,  # type: ignore[misc]
                    what=f"{name} tells again")  # fmt: skip
