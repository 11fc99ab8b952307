"""Live video against its targets: a real RTSP camera at 720p30, a real node and center, a real Chromium, all on the loopback.

Each picture carries its number in a row of black and white blocks. The camera says when it sent picture 0, so a number read
in Chromium's frame callback is a time from the camera's output to the browser's screen buffer: glass to glass without lens
and panel. Joins go through the WHEP endpoint, envelope, spool and stage, as a dispatcher's do.
"""

import asyncio
import contextlib
import os
import socket
import statistics
import struct
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import httpx
import numpy as np
import psutil
from playwright.async_api import Page, async_playwright

from tests.benchmarks.figure import Figure
from tests.camera_node.waiting import until
from tests.journeys.live_house import GATE, LiveHouse, live_house

CHROMIUM_FILE: Final = "/usr/bin/chromium"
SIZE: Final = (1280, 720)
RATE: Final = 30
UNITS: Final = 4 * RATE
BITS: Final = 8
BLOCK_PX: Final = 32
JOINS: Final = 9
WATCH_S: Final = 8.0
WHY: Final = {"reason": "a measurement"}

PAGE: Final = """<!doctype html><body><script>
const BITS = __BITS__, BLOCK = __BLOCK__;
const canvas = document.createElement("canvas"); canvas.width = BITS * BLOCK; canvas.height = BLOCK;
const pen = canvas.getContext("2d", {willReadFrequently: true});
window.seen = [];
function number(video) {
  pen.drawImage(video, 0, 0, BITS * BLOCK, BLOCK, 0, 0, BITS * BLOCK, BLOCK);
  const pixels = pen.getImageData(0, BLOCK / 2, BITS * BLOCK, 1).data;
  let value = 0;
  for (let bit = 0; bit < BITS; bit += 1) {
    const at = (bit * BLOCK + BLOCK / 2) * 4;
    if (0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2] > 128) value |= 1 << bit;
  }
  return value;
}
window.join = async (url, csrf, isRead) => {
  const pc = new RTCPeerConnection();
  const video = document.createElement("video");
  video.muted = true; video.autoplay = true; document.body.append(video);
  const transceiver = pc.addTransceiver("video", {direction: "recvonly"});
  pc.createDataChannel("heard");
  const first = new Promise((resolve) => {
    pc.ontrack = (event) => {
      event.receiver.jitterBufferTarget = 0;
      video.srcObject = new MediaStream([event.track]);
      const frame = (now) => {
        resolve(performance.now());
        if (isRead) window.seen.push([performance.timeOrigin + now, number(video)]);
        video.requestVideoFrameCallback(frame);
      };
      video.requestVideoFrameCallback(frame);
    };
  });
  await pc.setLocalDescription(await pc.createOffer());
  if (pc.iceGatheringState !== "complete") {
    await new Promise((resolve) => { pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && resolve(); });
  }
  const began = performance.now();
  const answer = await fetch(url, {method: "POST", body: pc.localDescription.sdp,
                                   headers: {"Content-Type": "application/sdp", "X-Heard-CSRF": csrf}});
  if (!answer.ok) throw new Error(await answer.text());
  const answered = performance.now();
  await pc.setRemoteDescription({type: "answer", sdp: await answer.text()});
  const took = await first - began;
  window.leave = async () => {
    pc.close(); video.remove();
    await fetch(answer.headers.get("Location"), {method: "DELETE", headers: {"X-Heard-CSRF": csrf}});
  };
  return [took, answered - began];
};
</script>""".replace("__BITS__", str(BITS)).replace("__BLOCK__", str(BLOCK_PX))


def write_units(file: Path) -> None:
    """Four seconds of a noisy 720p30 at 2.5 Mbit/s, a key frame each second, the picture's number in its corner."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = *SIZE, "yuv420p"
    context.framerate, context.time_base = Fraction(RATE), Fraction(1, RATE)
    context.options = {"tune": "zerolatency", "preset": "superfast", "g": str(RATE), "sc_threshold": "0", "b": "2500k",
                       "maxrate": "2500k", "bufsize": "1000k"}  # fmt: skip
    noise = np.random.default_rng(3)
    ground = np.tile(np.linspace(40, 200, SIZE[0], dtype=np.float32), (SIZE[1], 1))
    with file.open("wb") as sink:
        for number in range(UNITS):
            gray = np.clip(np.roll(ground, number * 8, axis=1) + noise.normal(0, 6, ground.shape), 0, 255).astype(
                np.uint8
            )
            for bit in range(BITS):
                gray[:BLOCK_PX, bit * BLOCK_PX : (bit + 1) * BLOCK_PX] = 235 if number >> bit & 1 else 16
            frame = av.VideoFrame.from_ndarray(np.repeat(gray[:, :, None], 3, axis=2), format="bgr24")
            frame.pts = number
            for packet in context.encode(frame):
                data = bytes(packet)
                sink.write(struct.pack(">I", len(data)) + data)


@contextlib.contextmanager
def camera(folder: Path) -> Iterator[tuple[str, Path]]:
    """The RTSP camera's address, and the file that says when it began."""
    units_file, said_file = folder / "units", folder / "said"
    write_units(units_file)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = Path(__file__).parents[1] / "camera_node" / "rtsp_server.py"
    with said_file.open("wb") as said, subprocess.Popen(
        ["/usr/bin/python3", "-u", str(script), str(units_file), str(port), "cam:geheim", str(RATE)], stdout=said,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            yield f"rtsp://cam:geheim@127.0.0.1:{port}/cam", said_file
        finally:
            process.kill()


def began_wall_s(said_file: Path) -> float:
    """When the camera's newest run sent its picture 0."""
    lines = [line.split() for line in said_file.read_text().splitlines() if line.startswith("began")]
    return float(lines[-1][1]) - time.monotonic() + time.time()


@contextlib.asynccontextmanager
async def browser_page(house: LiveHouse, client: httpx.AsyncClient) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM_FILE, args=["--no-sandbox", "--disable-gpu", "--allow-loopback-in-peer-connection"]
        )
        context = await browser.new_context()
        await context.add_cookies([
            {"name": name, "value": value, "url": house.url} for name, value in client.cookies.items()
        ])  # fmt: skip
        page = await context.new_page()

        async def serve(route: Any) -> None:
            await route.fulfill(body=PAGE, content_type="text/html")

        await page.route("**/measuring.html", serve)
        await page.goto(f"{house.url}/measuring.html")
        yield page
        await browser.close()


def latencies_ms(seen: list[list[float]], began_s: float) -> list[float]:
    """From the camera's output to the frame callback, of each picture."""
    found: list[float] = []
    period_s = UNITS / RATE
    for at_ms, number in seen:
        late_s = (at_ms / 1000 - began_s - number / RATE) % period_s
        found.append(late_s * 1000)
    return found


async def cpu_share(pid: int, for_s: float) -> float:
    """Percent of one core over a while."""
    process = psutil.Process(pid)
    before, began = process.cpu_times(), time.monotonic()
    await asyncio.sleep(for_s)
    after, took_s = process.cpu_times(), time.monotonic() - began
    return float(after.user + after.system - before.user - before.system) / took_s * 100


async def measure_all(folder: Path) -> list[Figure]:
    with camera(folder) as (url, said_file):
        async with live_house(folder, camera={"source": url, "loop": False}) as house, house.signed_in() as client:
            node_eye = house.node.eyes[0]
            await until(lambda: (node_eye.last_health.frames if node_eye.last_health else 0) > 20, within_s=60)
            await asyncio.sleep(3)  # two groups of pictures: until then nobody knows how long they are
            stage = house.node.live.report().pid
            idle = await cpu_share(stage, 3)
            async with browser_page(house, client) as page:
                target, csrf = f"{GATE}?reason=a+measurement", client.headers["X-Heard-CSRF"]
                joins: list[float] = []
                answers: list[float] = []
                for number in range(JOINS + 1):
                    took_ms, answered_ms = await page.evaluate("([u, c]) => window.join(u, c, false)", [target, csrf])
                    await asyncio.sleep(0.37)  # anywhere within a group of pictures
                    await page.evaluate("window.leave()")
                    if number:  # the first one loads what the others find
                        joins.append(took_ms)
                        answers.append(answered_ms)
                await page.evaluate("([u, c]) => window.join(u, c, true)", [target, csrf])
                await asyncio.sleep(2)
                await page.evaluate("window.seen.length = 0")
                one = await cpu_share(stage, WATCH_S)
                seen = await page.evaluate("window.seen")
                encodings = house.node.live.report().encodings
                glass = latencies_ms(seen, began_wall_s(said_file))
                await page.evaluate("window.leave()")
            stills = [await first_still_ms(client) for _ in range(6)][1:]
    assert encodings == 0, "the camera's own packets were to be passed through"
    steal = "of one core, a 720p30 stream of 2.5 Mbit/s"
    return [
        Figure(name="offer to first frame in Chromium, median", value=statistics.median(joins), unit="ms", peer="target",
               peer_value=500, target_ratio=1.0, is_more_better=False),
        Figure(name="of it: until the answer is there, median", value=statistics.median(answers), unit="ms"),
        Figure(name="camera to frame callback, median", value=statistics.median(glass), unit="ms", peer="target",
               peer_value=300, target_ratio=1.0, is_more_better=False),
        Figure(name="pictures shown a second", value=len(seen) / WATCH_S, unit="1/s", peer="sent", peer_value=RATE),
        Figure(name=f"stage, {steal}", value=one - idle, unit="%", peer="target", peer_value=6, target_ratio=1.0,
               is_more_better=False),
        Figure(name="still asked for to still there, by the relay, median", value=statistics.median(stills), unit="ms",
               peer="target", peer_value=300, target_ratio=1.0, is_more_better=False),
    ]  # fmt: skip


async def first_still_ms(client: httpx.AsyncClient) -> float:
    began = time.monotonic()
    opened = await client.post(f"{GATE}/stills", params=WHY)
    assert opened.status_code == 201, opened.text
    still = await client.get(f"{opened.headers['location']}/still")
    assert still.status_code == 200, still.text
    took_ms = (time.monotonic() - began) * 1000
    await client.delete(opened.headers["location"])
    return took_ms


def measure() -> list[Figure]:
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="v-") as name:
        return asyncio.run(measure_all(Path(name)))
