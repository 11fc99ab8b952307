"""What a station keeps in memory and on disk for others has a bound, and nothing is lost at it."""

import asyncio
import functools
import sqlite3
from pathlib import Path

import pytest

from relay import hop, receipt, sender
from relay.clock import SystemClock
from relay.header import Kind
from relay.identity import Identity
from relay.ids import AUTHORITY
from relay.kinds.alert import Alert, Rule
from relay.passport import Role
from relay.path import Lane
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.settler import SERIES_KEPT, forget_least
from relay.spool import Draft, Spool
from relay.station import Station
from tests.relay.house import House, Kept, until
from tests.relay.neighbor import Neighbor, neighbor
from tests.relay.spooling import opened


def alerts(station: Station, count: int) -> list[Draft]:
    said = Alert(label="handgun", camera="gate", confidence=0.9, rule=Rule.CLASS_OF_INTEREST).encode()
    return [station.draft_up(Kind.ALERT, Precedence.FLASH, said) for _ in range(count)]


async def test_what_waits_parked_has_a_bound_and_all_of_it_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 40
    monkeypatch.setattr(sender, "PARKED_MOST", {Precedence.FLASH: most})
    monkeypatch.setattr(sender, "PARKED_MOST_OF_THE_REST", most)
    monkeypatch.setattr(sender, "WINDOW", 20)
    house = House(tmp_path)
    for name, role in (("center", Role.CENTER), ("site-relay", Role.RELAY), ("gate-camera", Role.CAMERA)):
        house.enroll(name, role)
    house.settle()
    inbox = Kept()
    async with house.station("site-relay", listen="tcp://127.0.0.1:0") as carrier:
        address = carrier.listening_on[0]
        async with house.station("gate-camera", to=[("site-relay", address)]) as node:
            put = await node.put_all(alerts(node, 600))
            parked = node.sender._parked
            await until(lambda: len(parked) >= most, "the carrier to hold as many as are parked")
            for _ in range(3):
                put += await node.put_all(alerts(node, 10))
                await asyncio.sleep(0.05)
            assert len(parked) <= most + 200, (
                "ten windows of fresh alerts at most are under way when the bound is reached"
            )
            assert (await node.status()).backlog[Precedence.FLASH] == 630, "custody does not end with handing on"
            async with house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox, to=[("site-relay", address)]):
                await until(lambda: len(inbox.arrivals) == 630, "all of them at the center", 40)
                await until(lambda: not parked, "every receipt at the node", 40)
    assert sorted(item.envelope.header.sequence for item in inbox.arrivals) == list(range(1, 631))
    assert {item.envelope.id for item in put} == {item.envelope.id for item in inbox.arrivals}


def test_a_thousand_numberings_of_one_node_leave_a_few_receipts(tmp_path: Path) -> None:
    center, camera = Identity.generate(), Identity.generate()
    with opened(tmp_path / "spool.sqlite") as (database, _):
        relay_spool = Spool(identity=Identity.generate(), clock=SystemClock())

        def settle(connection: sqlite3.Connection, series: int, upto: int) -> None:
            issued = receipt.issue(RangeSet([(1, upto)]), signer=center.node_id, signing=center.signing, stored_at_s=1,
                                   origin=camera.node_id, series=series)  # fmt: skip
            relay_spool.settle(connection, issued, AUTHORITY)
            forget_least(connection, camera.node_id, AUTHORITY, series)

        def work(connection: sqlite3.Connection) -> list[tuple[int]]:
            settle(connection, 7, 50_000)
            for series in range(1000, 2000):
                settle(connection, series, 1)
            return connection.execute("SELECT series FROM receipt ORDER BY series").fetchall()

        kept = [row[0] for row in database.run_blocking(work)]
    assert len(kept) == SERIES_KEPT
    assert 7 in kept, "the real numbering is the long one"
    assert 1999 in kept, "and the newest may be the real one, too"


def _is_said(camera: Neighbor, wire: bytes) -> bool:
    return camera.session is not None and camera.session.send(wire, Lane.URGENT)


async def test_receipts_of_a_camera_for_what_was_never_sent_to_it_do_not_fill_the_center_s_disk(tmp_path: Path) -> None:
    house = House(tmp_path)
    for name, role in (("center", Role.CENTER), ("gate-camera", Role.CAMERA)):
        house.enroll(name, role)
    house.settle()
    camera_id, own_id = house.identities["gate-camera"].node_id, house.identities["center"].node_id

    def signed(series: int, first: int, last: int) -> bytes:
        return receipt.issue(RangeSet([(first, last)]), signer=camera_id, signing=house.identities["gate-camera"].signing, stored_at_s=1,
                             origin=own_id, series=series).wire  # fmt: skip

    async with (
        house.station("center", listen="tcp://127.0.0.1:0") as center,
        neighbor(house, "gate-camera", center.listening_on[0]) as camera,
    ):
        order = Draft(kind=Kind.INSTRUCTION, precedence=Precedence.IMMEDIATE, body=bytes(40), destination=camera_id,
                      peer_sealing_key=house.identities["gate-camera"].sealing_key)  # fmt: skip
        sent = (await center.put_all([order] * 3))[0].envelope.header
        said = [signed(sent.series, 1, 2)]
        said += [signed(series, 1, 1) for series in range(1_000, 1_200)]
        said += [
            signed(900, number, number + 1) for number in range(1, 200)
        ]  # each takes back what the one before said
        for wire in [*said, hop.encode(hop.Ping(7))]:
            await until(functools.partial(_is_said, camera, wire), "room to say it")
        await until(lambda: hop.Pong(7) in camera.notes, "all of it to be read")
        await center.settled()

        def read(connection: sqlite3.Connection) -> tuple[list[int], int, int]:
            series = [row[0] for row in connection.execute("SELECT series FROM receipt")]
            forgone = connection.execute("SELECT COUNT(*) FROM forgone").fetchone()[0]
            return series, forgone, connection.execute("SELECT COUNT(*) FROM envelope").fetchone()[0]

        kept, forgone, waiting = await center.database.run(read)
    assert SERIES_KEPT <= len(kept) <= SERIES_KEPT + 1
    assert sent.series in kept, "what it really has is not forgotten"
    assert (forgone, waiting) == (0, 1)


async def test_what_a_neighbor_calls_its_refusals_does_not_name_our_counters(tmp_path: Path) -> None:
    house = House(tmp_path)
    for name, role in (("center", Role.CENTER), ("gate-camera", Role.CAMERA)):
        house.enroll(name, role)
    house.settle()
    async with (
        house.station("center", listen="tcp://127.0.0.1:0") as center,
        neighbor(house, "gate-camera", center.listening_on[0]) as camera,
    ):
        for number in range(50):
            camera.say(hop.Refused(bytes(32), f'"}} 1\nforged_{number}', "?"))
        camera.say(hop.Refused(bytes(32), "over_quota", "full"))
        await until(lambda: center.counters["sent_but_refused_over_quota"] == 1, "the last one")
        assert center.counters["sent_but_refused_other"] == 50
        assert not [name for name in center.counters.snapshot() if "forged" in name]
