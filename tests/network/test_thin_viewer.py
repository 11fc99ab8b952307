"""A viewer on a thin and lossy line, over an emulated link: from video to stills and back, while the node goes on as ever."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import av
import msgspec
import numpy as np
import pytest

pytest.importorskip("aiortc", reason="the extra `video` is not installed")

from tests.camera_node.live_scene import live_scene
from tests.camera_node.viewer import Viewer, viewer
from tests.camera_node.waiting import until
from tests.network import namespaces
from tests.network.emulator import Ask, Change, End, LinkPlan, Plan, Standing, tell
from tests.network.pipe import Impairment

T = TypeVar("T")
NEAR, FAR = "10.73.1.2", "10.73.1.1"
pytestmark = pytest.mark.skipif(not namespaces.can_make(), reason="needs root, `ip` and /dev/net/tun")


def write_noise(file: Path) -> Path:
    """Four seconds of what compresses badly: 1.5 Mbit/s at 10 pictures a second, a key frame each second."""
    source = np.random.default_rng(7)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.options = {"g": "10", "bf": "0", "preset": "ultrafast", "sc_threshold": "0", "b": "1500k", "maxrate": "1500k",
                          "bufsize": "500k"}  # fmt: skip
        for _ in range(40):
            picture = source.integers(0, 255, (36, 64, 3), np.uint8).repeat(10, axis=0).repeat(10, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    return file


class FarAway(threading.Thread):
    """A viewer whose sockets are in another namespace: a thread of its own enters it, with a loop of its own."""

    def __init__(self, namespace: str) -> None:
        super().__init__(name="viewer", daemon=True)
        self._namespace = namespace
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()
        self._ready = threading.Event()
        self.eyes: Viewer

    def run(self) -> None:
        async def watch() -> None:
            async with viewer(address=NEAR) as self.eyes:
                self._ready.set()
                await self._done.wait()

        with namespaces.entered(self._namespace):
            self._loop.run_until_complete(watch())
        self._loop.close()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def __enter__(self) -> Self:
        self.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self.join(20)


class Line:
    """The link between them."""

    def __init__(self, socket_file: Path, namespace: str) -> None:
        self._socket_file = socket_file
        self.namespace = namespace

    def set(self, **to: float | bool) -> None:
        tell(self._socket_file, Change(link="wire", to={**msgspec.structs.asdict(Impairment()), **to}))

    def standing(self) -> Standing:
        found = tell(self._socket_file, Ask())
        assert found is not None
        return found


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    here = f"heard-{tmp_path.name[-8:]}-{threading.get_native_id()}"
    with namespaces.made(["near"]) as names:
        subprocess.run(["ip", "netns", "attach", here, str(threading.get_native_id())], check=True, timeout=20)
        try:
            plan = Plan(socket=str(tmp_path / "orders"), seed=5, links=(LinkPlan(
                name="wire", near=End(namespace=names["near"], device="near0", address=NEAR),
                far=End(namespace=here, device="heardfar0", address=FAR)),))  # fmt: skip
            (tmp_path / "plan.json").write_bytes(msgspec.json.encode(plan))
            with subprocess.Popen(
                [sys.executable, "-m", "tests.network.emulator", str(tmp_path / "plan.json")], stdout=subprocess.PIPE
            ) as process:
                assert process.stdout is not None
                try:
                    assert process.stdout.readline() == b"ready\n"
                    yield Line(tmp_path / "orders", names["near"])
                finally:
                    process.kill()
        finally:
            subprocess.run(["ip", "netns", "delete", here], timeout=20)  # the name only: we are still in it


@pytest.mark.slow
async def test_viewer_on_150_kbit_with_10_percent_loss_gets_stills_and_video_again_when_the_line_is_good(
    tmp_path: Path, line: Line
) -> None:
    film = write_noise(tmp_path / "noise.mp4")
    async with live_scene(tmp_path, camera={"source": str(film)}, addresses=(FAR,), still_every_s=0.5) as scene:
        with FarAway(line.namespace) as far:
            eyes = far.eyes
            session = await scene.ask(await asyncio.to_thread(far.call, eyes.offer()))
            await asyncio.to_thread(far.call, eyes.accept(await scene.opened(session)))
            await until(lambda: eyes.rung == "main" and len(eyes.frames) > 20, within_s=40, what="video comes")
            line.set(rate_kbit=150, loss_pct=10, queue_kb=32, delay_ms=40)
            await until(lambda: any(view.rung == "stills" for view in scene.node.live.report().viewings),
                        within_s=60, what="the node sees that the line is thin")  # fmt: skip
            count = len(eyes.stills)
            await until(lambda: len(eyes.stills) >= count + 3, within_s=60, what="stills come over the thin line")
            faults = line.standing()
            line.set()
            count = len(eyes.frames)
            await until(
                lambda: eyes.rung == "main" and len(eyes.frames) > count + 20, within_s=90, what="video comes again"
            )
    print(faults)
    tallies = [faults.up["wire"], faults.down["wire"]]
    assert all(tally.lost > 0 for tally in tallies), "the line did lose packets, both ways"
    assert max(tally.tail_dropped for tally in tallies) > 0, "and it was too thin for the video"
