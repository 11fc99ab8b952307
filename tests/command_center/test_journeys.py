"""Who had an alert when, over whose path, how long: from the stations' own signed traces, and nobody's wall clock."""

from pathlib import Path

import pytest

from command_center import check, journeys
from command_center.journeys import Arrived
from relay.clock import SimulatedClock
from relay.header import Kind
from relay.kinds.trace import Leg, Passage, Trace, Way
from tests.command_center.house import House, Node, running_center

WIFI = Way(path="wifi", carrier="zeromq")
LTE = Way(path="lte", carrier="zeromq", provider="Provider A", is_metered=True)
WAN = Way(path="wan", carrier="https", provider="Provider B")


async def a_relayed_alert(house: House) -> tuple[Node, Node, bytes]:
    """Raised at the gate, first here by way of the yard's relay; both tell. The relay's wall clock is an hour ahead."""
    gate, yard = house.node("gate"), house.node("yard")
    alert = gate.alert()
    start_ms = house.clock.monotonic_ms()
    house.clock.advance(100)
    await house.deliver(gate, alert)
    await house.database.run(
        lambda c: c.execute("UPDATE alert SET via = ?, path = 'wan' WHERE id = ?", (yard.id, alert.id)).rowcount
    )
    prefix = alert.id[:8]
    await house.deliver(gate, gate.body(Kind.TRACE, Trace(ways=(WIFI, LTE), passages=(Passage(
        alert=prefix, had_ms=start_ms, heard_ms=start_ms + 240, legs=(
            Leg(way=0, to=yard.id, sent_ms=start_ms + 3, answered_ms=start_ms + 15),
            Leg(way=1, to=b"thecente", sent_ms=start_ms + 4, answered_ms=start_ms + 240, tries=2, is_receipt=True),
        )),))))  # fmt: skip
    house_clock, ahead = yard.clock, SimulatedClock(
        wall_ms=house.clock.wall_ms() + 3_600_000, monotonic_ms=house.clock.monotonic_ms()
    )  # fmt: skip
    yard.clock = ahead
    await house.deliver(yard, yard.body(Kind.TRACE, Trace(ways=(WAN,), passages=(Passage(
        alert=prefix, came_from=gate.id, came_over="wifi", had_ms=start_ms + 10, heard_ms=start_ms + 190, legs=(
            Leg(way=0, to=b"thecente", sent_ms=start_ms + 40, answered_ms=start_ms + 190, is_receipt=True),
        )),))))  # fmt: skip
    yard.clock = house_clock
    return gate, yard, alert.id


async def test_the_way_names_every_hop_its_path_and_provider_and_who_owns_the_delay(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house, house.signed_in() as client:
        await a_relayed_alert(house)
        shown = (await client.get("/api/v1/incidents/1")).json()["alerts"][0]["journey"]
        first, second = shown["hops"]
        assert (first["station"]["name"], first["to"]["name"], first["path"], first["held_ms"]) == (
            "gate",
            "yard",
            "wifi",
            3,
        )
        assert (first["answered_ms"], first["answer"]) == (12, "stored")
        assert (second["station"]["name"], second["to"], second["path"], second["provider"]) == (
            "yard",
            None,
            "wan",
            "Provider B",
        )
        assert (second["held_ms"], second["answered_ms"], second["answer"]) == (30, 150, "receipt")
        assert shown["whole"]
        assert shown["total_ms"] == 240
        assert shown["owner"] == "path wan (Provider B)"
        (copy,) = shown["copies"]
        assert (copy["path"], copy["provider"], copy["answered_ms"], copy["tries"]) == ("lte", "Provider A", 236, 2)


async def test_clocks_that_are_apart_are_bounded_and_never_trusted(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house, house.signed_in() as client:
        await a_relayed_alert(house)
        first, second = (await client.get("/api/v1/incidents/1")).json()["alerts"][0]["journey"]["hops"]
        least, most = first["clock_ahead_ms"]
        assert least <= 3_600_000 <= most
        assert most - least == first["answered_ms"]
        least, most = second["clock_ahead_ms"]
        assert least <= -3_600_000 <= most


async def test_what_nobody_tells_is_null_and_the_journal_carries_it_all(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house, house.signed_in() as client:
        gate = house.node("gate")
        alert = gate.alert()
        await house.deliver(gate, alert)
        assert (await client.get("/api/v1/incidents/1")).json()["alerts"][0]["journey"] is None
        yard = house.node("yard")
        await house.deliver(yard, yard.heartbeat())
        await house.database.run(
            lambda c: c.execute("UPDATE alert SET via = ? WHERE id = ?", (yard.id, alert.id)).rowcount
        )
        own = Passage(alert=alert.id[:8], had_ms=5, legs=(Leg(way=0, to=yard.id, sent_ms=6),))
        await house.deliver(gate, gate.body(Kind.TRACE, Trace(ways=(WIFI,), passages=(own,))))
        shown = (await client.get("/api/v1/incidents/1")).json()["alerts"][0]["journey"]
        assert not shown["whole"]
        assert [(hop["station"]["name"], hop["path"], hop["answered_ms"]) for hop in shown["hops"]] == [
            ("gate", "wifi", None), ("yard", "", None)
        ]  # fmt: skip


async def test_a_stranger_to_the_way_can_t_write_itself_into_it(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house:
        gate, yard, alert_id = await a_relayed_alert(house)
        liar = house.node("liar")
        lie = Passage(alert=alert_id[:8], came_from=gate.id, had_ms=1, heard_ms=2,
                      legs=(Leg(way=0, to=b"thecente", sent_ms=1, answered_ms=9_000, is_receipt=True),))  # fmt: skip
        await house.deliver(liar, liar.body(Kind.TRACE, Trace(ways=(WAN,), passages=(lie,))))
        arrived = Arrived(
            alert_id=alert_id, node=gate.id, via=yard.id, path="wan", received_wall_ms=house.clock.wall_ms()
        )
        found = await house.database.run(lambda c: journeys.journey_of(c, arrived))
        assert found is not None
        assert {hop.station for hop in found.hops} | {copy.station for copy in found.copies} == {gate.id, yard.id}


@pytest.mark.parametrize("way", [1, 700])
async def test_a_leg_over_a_path_that_is_not_named_is_left_out(way: int, tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house:
        gate = house.node("gate")
        alert = gate.alert()
        await house.deliver(gate, alert)
        odd = Passage(alert=alert.id[:8], had_ms=5, legs=(Leg(way=way, to=b"thecente", sent_ms=6),))
        await house.deliver(gate, gate.body(Kind.TRACE, Trace(ways=(WIFI,), passages=(odd,))))
        assert await house.query("SELECT COUNT(*) FROM leg") == [(0,)]


async def test_journeys_follow_from_the_journal(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house:
        gate = house.node("gate")
        alert = gate.alert()
        await house.deliver(gate, alert)
        for heard_ms in (-1, 240):  # told twice: the later word stands
            said = Passage(
                alert=alert.id[:8], had_ms=5, heard_ms=heard_ms, legs=(Leg(way=0, to=b"thecente", sent_ms=6),)
            )
            await house.deliver(gate, gate.body(Kind.TRACE, Trace(ways=(WIFI,), passages=(said,))))
        assert await house.query("SELECT heard_ms FROM passage") == [(240,)]
        state = house.state
    assert check.run(state).problems == ()
