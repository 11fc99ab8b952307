"""What a station keeps in memory and on disk for others has a bound, and nothing is lost at it."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from relay import receipt, sender
from relay.clock import SystemClock
from relay.header import Kind
from relay.identity import Identity
from relay.ids import AUTHORITY
from relay.kinds.alert import Alert, Rule
from relay.passport import Role
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.settler import SERIES_KEPT, forget_least
from relay.spool import Draft, Spool
from relay.station import Station
from tests.relay.house import House, Kept, until
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
