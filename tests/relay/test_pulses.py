"""A node that only a tiny path still reaches says so in one small frame, rarely; a relay passes on the pulses of whom it carries for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay import envelope, limits, pulses
from relay.budget import Purse
from relay.clock import SimulatedClock
from relay.header import Kind
from relay.ids import NodeId
from relay.kinds import body
from relay.kinds.heartbeat import CameraHealth, CameraState, Room
from relay.kinds.pulse import Pulse
from relay.links import Links
from relay.passport import Role
from relay.path import PathFacts
from relay.pulses import interval_of, send_pulses
from relay.service import compose_heartbeat, put_heartbeat
from relay.station import Station
from tests.relay.carriers import carrier
from tests.relay.house import House, Kept, until
from tests.relay.test_path_conformance import an_alert

GATE = CameraHealth(camera="gate", state=CameraState.SEEING, frames_per_s=9.5, last_frame_age_ms=10, reconnects=0)
YARD = CameraHealth(camera="yard", state=CameraState.LOST, frames_per_s=0, last_frame_age_ms=9_000, reconnects=4)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path / "house", {"center": Role.CENTER, "gate-camera": Role.CAMERA, "far-camera": Role.CAMERA})


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulses, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(pulses, "NARROW_FOR_S", 0.2)


@contextlib.asynccontextmanager
async def pulsing(station: Station, *cameras: CameraHealth) -> AsyncIterator[None]:
    task = asyncio.create_task(send_pulses(station, lambda: cameras), name="pulses")
    try:
        yield
        assert not task.done(), "it ended by itself"
    finally:
        task.cancel()
        await asyncio.wait({task})


def pulses_in(house: House, inbox: Kept, name: str) -> list[Pulse]:
    secret = house.authority.shared_secret(house.passports[name].passport.sealing_key)
    return [body.decode(envelope.open_body(arrival.envelope, secret), Pulse) for arrival in inbox.arrivals
            if arrival.envelope.header.kind is Kind.PULSE and arrival.envelope.header.origin == house.identities[name].node_id]  # fmt: skip


@pytest.mark.parametrize("name", ["serial_radio", "short_burst", "sms"])
async def test_who_has_only_a_tiny_path_left_says_once_in_one_frame_that_it_is_there(
    house: House, tmp_path: Path, name: str
) -> None:
    inbox = Kept()
    async with (
        carrier(name, tmp_path) as way,
        house.station("center", listen=way.listening, inbox=inbox) as center,
        house.station("gate-camera", to=[way.path_to("center", center.listening_on[0])]) as node,
        pulsing(node, GATE, YARD),
    ):
        await put_heartbeat(node, await compose_heartbeat(node, interval_s=10, started_monotonic_ms=0))
        await until(lambda: bool(pulses_in(house, inbox, "gate-camera")), "the pulse", timeout_s=40)
        [said] = pulses_in(house, inbox, "gate-camera")
        assert (said.is_narrow, said.room, said.alerts_waiting) == (True, Room.FREE, 0)
        assert said.cameras == bytes((CameraState.SEEING, CameraState.LOST))
        assert said.paths_up == 1
        assert said.interval_s == interval_of(node) == node.path_facts[0].heartbeat_every_s
        await until(lambda: node.counters["envelopes_receipted"] == 1, "its receipt", timeout_s=40)
        wire = next(a.envelope.wire for a in inbox.arrivals)
        assert len(wire) + 11 <= limits.LORA_FRAME_BYTES, "with its proof and its tag it is one frame"
        await node.put(an_alert(node))
        await until(lambda: len(inbox.arrivals) == 2, "an alert", timeout_s=40)
        assert [a.envelope.header.kind for a in inbox.arrivals] == [Kind.PULSE, Kind.ALERT], "one pulse, no heartbeat"


async def test_who_has_a_wide_path_says_no_pulse_before_its_time(house: House) -> None:
    inbox = Kept()
    async with (
        house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox) as center,
        house.station("gate-camera", to=[("center", center.listening_on[0])]) as node,
        pulsing(node, GATE),
    ):
        await until(lambda: node.path_health()[0].is_up, "the path")
        await put_heartbeat(node, await compose_heartbeat(node, interval_s=10, started_monotonic_ms=0))
        await until(lambda: bool(inbox.arrivals), "the heartbeat")
        await asyncio.sleep(0.5)
        assert not node.is_narrow
        assert not pulses_in(house, inbox, "gate-camera")
        assert interval_of(node) == 1800


async def test_a_relay_that_has_only_a_radio_passes_on_the_pulses_of_whom_it_carries_for(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``gate-camera`` is the one with the radio; ``far-camera`` reaches it over the LAN and knows nothing of the radio."""
    monkeypatch.setattr(pulses, "USUAL_EVERY_S", 1)
    inbox = Kept()
    async with (
        carrier("serial_radio", tmp_path) as way,
        house.station("center", listen=way.listening, inbox=inbox) as center,
        house.station(
            "gate-camera", listen="tcp://127.0.0.1:0", to=[way.path_to("center", center.listening_on[0])]
        ) as near,
        house.station("far-camera", to=[("gate-camera", near.listening_on[0])]) as far,
        pulsing(far, YARD),
    ):
        await put_heartbeat(far, await compose_heartbeat(far, interval_s=10, started_monotonic_ms=0))
        await until(lambda: bool(pulses_in(house, inbox, "far-camera")), "the pulse", timeout_s=40)
        await until(lambda: near.counters["envelopes_carried"] >= 4, "more of them at the relay", timeout_s=40)
        assert len(pulses_in(house, inbox, "far-camera")) == 1, "the radio takes one of each node in half an hour"
        assert not pulses_in(house, inbox, "far-camera")[0].is_narrow
        assert {a.envelope.header.kind for a in inbox.arrivals} == {Kind.PULSE}


class _Session:
    is_outgoing = True
    transport_key = b""

    def __init__(self, facts: PathFacts) -> None:
        self.facts = facts


def test_a_tiny_path_takes_a_node_s_pulse_as_rarely_as_it_says_also_when_its_modem_comes_again() -> None:
    links = Links(purse=Purse({}), clock=SimulatedClock())
    facts = PathFacts(name="sat", mtu_bytes=331, is_tiny=True, is_metered=True, heartbeat_every_s=3600)
    one, other = NodeId(b"a" * 8), NodeId(b"b" * 8)
    first = links.opened(_Session(facts), 0)  # type: ignore[arg-type]
    assert first.takes(Kind.PULSE, 200, 0, one)
    first.note_sent(Kind.PULSE, 0, one)
    again = links.opened(_Session(facts), 0)  # type: ignore[arg-type]
    assert not again.takes(Kind.PULSE, 200, 3_599_999, one)
    assert again.takes(Kind.PULSE, 200, 3_599_999, other)
    assert again.takes(Kind.PULSE, 200, 3_600_000, one)
    assert not again.takes(Kind.HEARTBEAT, 200, 3_600_000, other)
    assert not again.takes(Kind.PULSE, 332, 3_600_000, one)
