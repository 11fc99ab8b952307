"""A busy evening at a center, with real pictures: incidents in every state, units, a plan, notes, a shelf, nodes well and ill."""

import functools
import io
import json
from dataclasses import dataclass
from pathlib import Path

import av
import httpx
from PIL import Image

from command_center.accounts import UserRole
from command_center.commands import CallbackAdd
from relay.header import Kind
from relay.kinds import body as bodies
from relay.kinds.heartbeat import CameraHealth, CameraState, Heartbeat, PathHealth
from relay.kinds.trace import Leg, Passage, Trace, Way
from relay.passport import Role
from relay.precedence import Precedence
from tests.command_center.console_desk import alarm
from tests.command_center.house import House, Node
from tests.command_center.receivers import Unit
from tests.evidence.scene import show

DEMONSTRATION_DIR = Path(__file__).parents[2] / "models" / "demonstration"
FRAME_PX = (1280, 720)
SIGHTINGS = {"handgun": (164, 1), "long_gun": (82, 1), "person": (328, 1), "knife": (410, 3)}
"""Frame of the demonstration's scene, and which of its truth's boxes is meant. The knife is none: somebody carries a broom."""
PLANS = """
[[plan]]
name = "Weapon at the water"
labels = ["long_gun"]
sites = ["Harbor"]
instructions = "Keep the public away from the quay. Nobody goes in before two units are there."
send = { units = 2, capabilities = ["medic"] }
tell = [{ receiver = "harbor-master" }]
trigger = [{ action = "send_clip" }]
"""
Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A frame, and where in it something was seen."""

    jpeg: bytes
    box_xyxy: Box


@functools.cache
def sighting(label: str) -> Sighting:
    """A frame of the demonstration's scene with this in it; its box is the scene's own truth."""
    wanted, number = SIGHTINGS.get(label, SIGHTINGS["person"])
    with av.open(str(DEMONSTRATION_DIR / "scene.mp4")) as video:
        frame = next(frame for index, frame in enumerate(video.decode(video=0)) if index == wanted)
        image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    target = io.BytesIO()
    image.save(target, "JPEG", quality=82)
    truth = json.loads((DEMONSTRATION_DIR / "scene.truth.json").read_text())["frames"][wanted]["boxes"]
    left, top, right, bottom = (value / FRAME_PX[at % 2] for at, value in enumerate(truth[number]["bbox_xyxy_px"]))
    return Sighting(jpeg=target.getvalue(), box_xyxy=(left, top, right, bottom))


async def pictured_alarm(house: House, node: Node, *, label: str, camera: str, precedence: Precedence, confidence: float = 0.9) -> bytes:  # fmt: skip
    """An alert arrives, then its picture; returns the alert's id."""
    seen = sighting(label)
    alert = node.alert(label=label, camera=camera, precedence=precedence, confidence=confidence, box_xyxy=seen.box_xyxy)
    await house.deliver(node, alert)
    await show(house, node, alert.id, seen.jpeg)
    return alert.id


async def word(house: House, node: Node, *cameras: tuple[str, CameraState, str], paths: tuple[PathHealth, ...], backlog: int = 0) -> None:  # fmt: skip
    """A heartbeat that says how cameras and paths are."""
    told = tuple(
        CameraHealth(camera=name, state=state, frames_per_s=14.8 if state is CameraState.SEEING else 0.0,
                     last_frame_age_ms=40, reconnects=0, detail=detail)
        for name, state, detail in cameras
    )  # fmt: skip
    said = Heartbeat(release="0.1.0", uptime_s=86_400, interval_s=10, backlog=(0, 0, backlog, 0, 0), oldest_waiting_s=41 if backlog else 0,
                     spool_bytes=10, disk_free_bytes=1 << 34, refused=0, forgone=(), cameras=told, paths=paths,
                     model="weapons 3")  # fmt: skip
    await house.deliver(node, node.say(Kind.HEARTBEAT, bodies.encode(said), precedence=Precedence.ROUTINE))


def path(name: str, rtt_ms: float, *, is_up: bool = True) -> PathHealth:
    return PathHealth(
        path=name, is_up=is_up, rtt_ms=rtt_ms, bytes_sent=1_400_000, last_heard_age_ms=900 if is_up else 190_000
    )


async def traced(house: House, node: Node, relay: Node, alert_id: bytes) -> None:
    """The stations on an alert's way tell of it: over the site's relay, and in parallel over LTE."""
    await house.database.run(
        lambda c: c.execute("UPDATE alert SET via = ?, path = 'fiber' WHERE id = ?", (relay.id, alert_id)).rowcount
    )
    at = house.clock.monotonic_ms()
    ways = (Way(path="ethernet", carrier="zeromq"), Way(path="lte", carrier="zeromq", provider="Provider A", is_metered=True))  # fmt: skip
    own = Passage(alert=alert_id[:8], had_ms=at, heard_ms=at + 96, legs=(
        Leg(way=0, to=relay.id, sent_ms=at + 3, answered_ms=at + 9),
        Leg(way=1, to=b"thecente", sent_ms=at + 4, answered_ms=at + 212, tries=2, is_receipt=True)))  # fmt: skip
    await house.deliver(node, node.body(Kind.TRACE, Trace(ways=ways, passages=(own,))))
    onward = Passage(alert=alert_id[:8], came_from=node.id, came_over="ethernet", had_ms=at + 5, heard_ms=at + 90,
                     legs=(Leg(way=0, to=b"thecente", sent_ms=at + 11, answered_ms=at + 90, is_receipt=True),))  # fmt: skip
    fiber = (Way(path="fiber", carrier="https", provider="City network"),)
    await house.deliver(relay, relay.body(Kind.TRACE, Trace(ways=fiber, passages=(onward,))))


async def busy_evening(house: House, receiver: Unit | None = None) -> None:
    """Everything that a page can show. ``receiver``: who is told, and answers that it is gone."""
    station = house.node("station-07", site="Station", agency="Transit police")
    await word(house, station, ("hall-b", CameraState.SEEING, ""), paths=(path("lte", 61),))
    house.clock.advance(95_000)
    harbor, depot = house.node("harbor-01", site="Harbor", agency="Harbor patrol"), house.node("depot-02", site="Depot south", agency="Harbor patrol")  # fmt: skip
    relay = house.node("relay-harbor", site="Harbor", agency="Harbor patrol", role=Role.RELAY)
    await word(house, relay, paths=(path("fiber", 4.2),))
    await word(house, harbor, ("gate", CameraState.SEEING, ""), ("quay", CameraState.SEEING, ""), ("fence", CameraState.SEEING, ""),
               paths=(path("ethernet", 1.9), path("lte", 58)))  # fmt: skip
    await word(house, depot, ("dock", CameraState.SEEING, ""), ("hall", CameraState.FAULTY, "frozen picture for 3 min"),
               paths=(path("lte", 212), path("ethernet", 0, is_up=False)), backlog=7)  # fmt: skip
    if receiver is not None:
        receiver.statuses = [410]
        await house.center.administration.perform(
            CallbackAdd(name="harbor-master", url=receiver.url, may_be_inside=True)
        )
    await pictured_alarm(house, harbor, label="handgun", camera="gate", precedence=Precedence.FLASH, confidence=0.84)
    house.clock.advance(1500)
    seen = await pictured_alarm(house, harbor, label="long_gun", camera="quay", precedence=Precedence.FLASH, confidence=0.91)  # fmt: skip
    await traced(house, harbor, relay, seen)
    house.clock.advance(1500)
    await pictured_alarm(house, harbor, label="person", camera="fence", precedence=Precedence.IMMEDIATE, confidence=0.77)  # fmt: skip
    await pictured_alarm(house, depot, label="knife", camera="dock", precedence=Precedence.IMMEDIATE, confidence=0.68)
    await alarm(house, harbor, label="person", camera="hall", precedence=Precedence.PRIORITY)
    depot.sequence += 4  # four messages of it are missing
    await alarm(house, depot, camera="hall", label="tamper", precedence=Precedence.IMMEDIATE)
    async with house.signed_in("rivera", UserRole.SUPERVISOR) as browser:
        await _work(browser, harbor)


async def _work(browser: httpx.AsyncClient, harbor: Node) -> None:
    async def say(address: str, **body: object) -> None:
        answer = await browser.post(f"/api/v1{address}", json=body)
        assert answer.status_code < 300, (address, answer.text)

    for name, capability in (("M21", "medic"), ("K9-4", "dog"), ("T7", "patrol"), ("T8", "patrol")):
        await say("/units", name=name, agency="Harbor patrol", capabilities=[capability])
    for name in ("M21", "K9-4", "T7"):
        await say(f"/units/{name}/status", version=1, status="available")
    await say("/incidents/2/acknowledge", version=1)
    await say("/incidents/2/units", version=2, unit="M21", unit_version=2)
    await say("/units/M21/status", version=3, status="en_route")
    await say("/incidents/2/notes", text="Two people at the water, one carries a long bag. Caller stays on the line.")
    await say("/incidents/4/acknowledge", version=1)
    await say("/incidents/4/close", version=2, disposition="false_alarm", note="a broom, carried by the cleaner")
    await say("/shelves", node=harbor.id.hex(), camera="hall", label="person", reason="cleaners until 23:00", minutes=60, covers_flash=True)  # fmt: skip
    await say("/handovers", note="Gate 2 sticks; the porter has the key.")
    for place, lat, lon in (("harbor-01", 53.5405, 9.984), ("harbor-01/gate", 53.5412, 9.9866), ("depot-02", 53.539, 9.979)):  # fmt: skip
        answer = await browser.put(f"/api/v1/places/{place}", json={"lat": lat, "lon": lon})
        assert answer.status_code == 200, answer.text
    await say("/units/M21/position", lat=53.542, lon=9.982)
