"""What an alert costs on a radio and by satellite, and how long it waits there behind those of an outage: two to four minutes.

The cost is from its raising until both sides know of its acknowledgement.
Beside the same exchange with each parcel by itself, on the same stand-ins: a shared channel that loses some frames and a modem with its
operator's gateway, both at the ends of pseudo-terminals. Units count both ways.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from relay.header import Kind
from relay.ids import EnvelopeId
from relay.kinds import body
from relay.kinds.acknowledgement import Acknowledgement, AnswerState
from relay.newest_first import NewestFirst
from relay.passport import Role
from relay.paths import tiny_session
from relay.paths.tiny_batch import Reads
from relay.precedence import Precedence
from relay.spool import Draft
from relay.station import Answer, AnswerLevel, Station
from tests.benchmarks.figure import Figure
from tests.relay.carriers import RadioCarrier, SatelliteCarrier, carrier
from tests.relay.house import House, Kept, until
from tests.relay.test_path_conformance import an_alert

ALERTS = 12
LOSS = 0.15
BACKLOG = 60
_PATIENCE_S = 240.0


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one acknowledged alert."""

    units: float
    bytes: float
    again: float
    """Deliveries of what was there already: each is an alert or an acknowledgement that was sent for a lost answer."""


@contextlib.asynccontextmanager
async def _pair(kind: str, inbox: Kept, node_inbox: Kept) -> AsyncIterator[tuple[Station, Station, object]]:
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder) / "house")
        house.enroll("center", Role.CENTER)
        house.enroll("gate-camera", Role.CAMERA)
        house.settle()
        async with (
            carrier(kind, Path(folder)) as way,
            house.station("center", listen=way.listening, inbox=inbox) as center,
            house.station("gate-camera", to=[way.path_to("center", center.listening_on[0])], inbox=node_inbox) as node,
        ):
            await until(lambda: node.path_health()[0].is_up, "the path")
            yield center, node, way


async def _exchange(kind: str, *, at_once: int, loss: float) -> Cost:
    """Raise alerts, so many at a time, and acknowledge each as it comes."""
    inbox, node_inbox, acknowledged = Kept(), Kept(), 0
    async with _pair(kind, inbox, node_inbox) as (center, node, way):
        if isinstance(way, RadioCarrier):
            way.modem.medium.loss = loss
        if isinstance(way, SatelliteCarrier):
            way.modem.session_s = 0.25

        async def acknowledge() -> None:
            nonlocal acknowledged
            while acknowledged < len(inbox.arrivals):
                alert = inbox.arrivals[acknowledged].envelope
                seen = Acknowledgement(
                    alert_ids=(alert.id,), state=AnswerState.SEEN, role="dispatcher", acted_at_wall_ms=1
                )
                await center.put(Draft(kind=Kind.ACKNOWLEDGEMENT, precedence=Precedence.FLASH, body=body.encode(seen),
                                       destination=node.identity.node_id, peer_sealing_key=node.identity.sealing_key))  # fmt: skip
                acknowledged += 1

        for raised in range(at_once, ALERTS + 1, at_once):
            await node.put_all([an_alert(node) for _ in range(at_once)])
            async with asyncio.timeout(_PATIENCE_S):
                while min(node.counters["envelopes_receipted"], center.counters["envelopes_receipted"]) < raised:
                    await acknowledge()
                    await asyncio.sleep(0.02)
        again = center.counters["duplicates_arrived"] + node.counters["duplicates_arrived"]
        units, size = _moved(way, center)
    return Cost(units=units / ALERTS, bytes=size / ALERTS, again=again / ALERTS)


def _moved(way: object, center: Station) -> tuple[int, int]:
    if isinstance(way, RadioCarrier):
        frames = way.modem.medium.frames
        return len(frames), sum(len(frame) for _, frame in frames)
    assert isinstance(way, SatelliteCarrier)
    down = way.modem.gateway.told
    return len(way.modem.bursts) + len(down), sum(len(message) for message in (*way.modem.bursts, *down))


def _costs(kind: str, *, at_once: int, loss: float) -> tuple[Cost, Cost]:
    together = asyncio.run(_exchange(kind, at_once=at_once, loss=loss))
    with mock.patch.object(Reads, "several", False):
        alone = asyncio.run(_exchange(kind, at_once=at_once, loss=loss))
    return together, alone


def _note(heard: dict[EnvelopeId, float], answer: Answer, now_s: float) -> None:
    if answer.level >= AnswerLevel.HEARD:
        heard.setdefault(answer.envelope_id, now_s)


async def _behind_a_backlog() -> float:
    """Seconds from the put of a new alert to its receipt, with ``BACKLOG`` waiting since an outage."""
    async with _pair("serial_radio", Kept(), Kept()) as (_, node, _):
        heard: dict[EnvelopeId, float] = {}
        loop = asyncio.get_running_loop()
        node.on_answer(lambda answer: _note(heard, answer, loop.time()))
        await node.put_all([an_alert(node) for _ in range(BACKLOG)])
        await until(lambda: node.counters["envelopes_receipted"] >= 3, "the backlog to be under way", _PATIENCE_S)
        began_s = loop.time()
        new = (await node.put(an_alert(node))).envelope.id
        await until(lambda: new in heard, "its receipt", _PATIENCE_S)
    return heard[new] - began_s


def _newest() -> Figure:
    """Beside all in order, and 32 of them handed to the radio."""
    ahead_s = asyncio.run(_behind_a_backlog())
    with mock.patch.object(NewestFirst, "choose", return_value=[]), mock.patch.object(tiny_session, "ALERTS_DEEP", 32):
        in_order_s = asyncio.run(_behind_a_backlog())
    return Figure(name=f"radio: a new alert behind {BACKLOG} of an outage, put to receipt", value=ahead_s, unit="s", peer="all in order",
                  peer_value=in_order_s, target_ratio=0.25, is_more_better=False)  # fmt: skip


def measure() -> list[Figure]:
    """Each exchange with what goes along, beside the same with every parcel by itself; and the newest ahead, beside all in order."""
    found: list[Figure] = [_newest()]
    for kind, what, at_once, loss in (("serial_radio", f"radio, {LOSS:.0%} lost", 1, LOSS), ("serial_radio", "radio, 4 at once", 4, 0.0),
                                      ("short_burst", "satellite, 4 at once", 4, 0.0)):  # fmt: skip
        together, alone = _costs(kind, at_once=at_once, loss=loss)
        for name in ("units", "bytes", "again"):
            unit = "B" if name == "bytes" else ""
            label = {"units": "frames or bursts", "bytes": "bytes", "again": "deliveries of the same"}[name]
            found.append(Figure(name=f"{what}: {label} per acknowledged alert", value=getattr(together, name), unit=unit,
                                peer="each parcel by itself", peer_value=getattr(alone, name), is_more_better=False))  # fmt: skip
    return found
