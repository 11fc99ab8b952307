"""A retraction that overtakes its alert means what it means behind it."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_center import check, fleet, retractions, view_schema
from command_center.alert_batch import AlertBatch
from command_center.facts import EnvelopeStored
from command_center.state_dir import StateDir
from relay.clock import SimulatedClock
from relay.envelope import Envelope
from relay.header import Kind
from relay.kinds.alert import Alert, Rule
from relay.kinds.retraction import Ground, Retraction
from tests.command_center.house import House, Node, running_center
from tests.command_center.receivers import listening
from tests.command_center.test_callbacks import count_of, events, settled, told
from tests.command_center.test_ingest import assert_all_as_written
from tests.command_center.test_lifecycle import act, incident, kinds
from tests.properties.test_groups import WINDOW_MS, envelope

MARKS = "SELECT retracted_at_ms, retraction FROM alert ORDER BY entry"


def taken_back(node: Node, alert: Envelope, note: str = "an umbrella") -> Envelope:
    return node.body(Kind.RETRACTION, Retraction(alert_id=alert.id, ground=Ground.CONTRADICTED, note=note))


async def marks(house: House) -> list[str]:
    return [str(why) for _, why in await house.query(MARKS)]


@pytest.mark.parametrize("is_known", [True, False], ids=["known node", "its first words"])
@pytest.mark.parametrize("is_together", [True, False], ids=["one transaction", "two"])
async def test_early_retraction_is_applied_when_its_alert_is_stored(
    house: House, is_known: bool, is_together: bool
) -> None:
    node = house.node()
    if is_known:
        await house.deliver(node, node.heartbeat())
    alert, others = node.alert(), [node.alert(camera="yard"), node.alert(camera="yard")]
    said = taken_back(node, alert)
    early_at_ms = house.clock.wall_ms()
    if is_together:
        await house.deliver(node, said, others[0], alert, others[1])
    else:
        await house.deliver(node, said)
        assert house.services.metrics.snapshot().get("alerts_retracted", 0) == 0
        house.clock.advance(1_000)
        await house.deliver(node, others[0], alert, others[1])
    assert await house.query(f"{MARKS} LIMIT 1 OFFSET 1") == [(early_at_ms, "contradicted: an umbrella")]
    assert sorted(await marks(house)) == ["", "", "contradicted: an umbrella"]
    assert await house.query("SELECT camera, alert_count, retracted_count FROM incident ORDER BY id") == [
        ("yard", 2, 0), ("cam1", 1, 1)
    ]  # fmt: skip
    assert house.services.metrics.snapshot()["alerts_retracted"] == 1
    async with house.signed_in() as client:
        found = await incident(client, 2)
        assert (found["returned"], found["state"]) == (True, "unacknowledged"), "it still wants a person"
        assert sorted(kinds(found)) == ["alert", "retraction"], "its timeline says so"
    await house.deliver(node, taken_back(node, alert, "again"))
    assert "again" not in "".join(await marks(house)), "the first word counts"
    await assert_all_as_written(house)


async def test_alert_that_was_taken_back_joins_what_a_person_has_in_hand(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client:
        await act(client, "1/acknowledge", version=1)
        second = node.alert()
        await house.deliver(node, taken_back(node, second))
        await house.deliver(node, second)
        found = await incident(client)
    assert (found["state"], found["version"], found["alert_count"], found["returned"]) == ("acknowledged", 2, 2, False)
    assert await house.query("SELECT retracted_count FROM incident") == [(1,)]
    await assert_all_as_written(house)


@pytest.mark.parametrize("is_together", [True, False])
async def test_another_nodes_early_retraction_does_nothing(house: House, is_together: bool) -> None:
    node, other = house.node(), house.node("other")
    alert = node.alert()
    await house.deliver(other, other.heartbeat(), taken_back(other, alert, "a lie"))
    if is_together:
        await house.deliver(node, taken_back(node, alert, "true"), alert)
        assert await marks(house) == ["contradicted: true"]
    else:
        await house.deliver(node, alert)
        assert await marks(house) == [""]
        await house.deliver(node, taken_back(node, alert, "true"))
        assert await marks(house) == ["contradicted: true"], "its own node still can"
    assert await house.query("SELECT retracted_count FROM incident") == [(1,)]
    await assert_all_as_written(house)


@pytest.mark.parametrize("is_rebuilt", [False, True])
async def test_early_retraction_outlives_a_restart_and_a_rebuild(tmp_path: Path, is_rebuilt: bool) -> None:
    clock, state = SimulatedClock(), StateDir(tmp_path / "center")
    async with running_center(state.root_dir, clock=clock) as house:
        node = house.node()
        alert = node.alert()
        await house.deliver(node, taken_back(node, alert))
    if is_rebuilt:
        with contextlib.closing(sqlite3.connect(state.database_file)) as connection, connection:
            assert connection.execute("DELETE FROM early_retraction").rowcount == 1
        assert "view early_retraction" in (await asyncio.to_thread(check.run, state)).problems[0]
        assert len(await asyncio.to_thread(check.rebuild, state, 0)) == 1
    async with running_center(state.root_dir, clock=clock) as house:
        await house.deliver(node, alert)
        assert await marks(house) == ["contradicted: an umbrella"]
        await assert_all_as_written(house)
        before = [await house.query(f"SELECT * FROM {table}") for table in ("incident", "alert")]
    with contextlib.closing(sqlite3.connect(state.database_file)) as connection, connection:
        connection.execute("UPDATE alert SET retracted_at_ms = NULL, retraction = ''")
        connection.execute("UPDATE incident SET retracted_count = 0")
    assert len(await asyncio.to_thread(check.rebuild, state, 0)) == 2
    async with running_center(state.root_dir, clock=clock) as house:
        assert [await house.query(f"SELECT * FROM {table}") for table in ("incident", "alert")] == before


async def test_receivers_are_told_of_it_behind_the_alert(house: House) -> None:
    node = house.node()
    with listening() as unit:
        await told(house, unit)
        first, second = node.alert(), node.alert()
        await house.deliver(node, taken_back(node, first))
        await house.deliver(node, first)
        await count_of(unit, 2)
        await house.deliver(node, taken_back(node, second), second)
        await count_of(unit, 3)
        await settled(house, delivered=3)
    assert events(unit) == ["incident.opened", "incident.retracted", "incident.retracted"]
    assert json.loads(unit.got[-1].body)["data"]["incident"]["returned"] is True, "both were"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 2), st.sampled_from(["gate", "yard"]), st.integers(0, 60_000)), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 7), st.booleans()), max_size=6),
    st.sets(st.integers(0, 7)),
)  # fmt: skip
def test_retractions_among_the_alerts_make_the_rows_that_they_make_behind_them(
    sightings: Sequence[tuple[int, str, int]], words: Sequence[tuple[int, int, bool]], cuts: set[int]
) -> None:
    """``words``: before which alert it comes, which alert it takes back, and whether the alert's own node says so."""
    said = [
        (before, of % len(sightings), is_own, at_ms)
        for at_ms, (before, of, is_own) in enumerate(sorted(words, key=lambda word: word[0]))
    ]
    made = []
    for behind in (0, len(sightings)):
        with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            connection.executescript("".join((*view_schema.SCHEMA, fleet.SCHEMA[0])))
            _play(
                connection,
                sightings,
                [(max(before, behind), of, is_own, at_ms) for before, of, is_own, at_ms in said],
                cuts,
            )
            tables = ("incident", "alert")
            made.append([connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in tables])
            retracted = connection.execute("SELECT COUNT(*) FROM alert WHERE retracted_at_ms IS NOT NULL").fetchone()[0]
            assert retracted == len({of for _, of, is_own, _ in said if is_own})
    assert made[0] == made[1]


def _play(
    connection: sqlite3.Connection,
    sightings: Sequence[tuple[int, str, int]],
    said: Sequence[tuple[int, int, bool, int]],
    cuts: set[int],
) -> None:
    batch = AlertBatch(connection, WINDOW_MS)
    sent = [envelope(node, number, at_ms=at_ms) for number, (node, _, at_ms) in enumerate(sightings, start=1)]
    for number in range(len(sightings) + 1):
        for before, of, is_own, at_ms in said:
            if before == number or (number == len(sightings) and before > number):
                batch.write()
                node = sightings[of][0]
                by = envelope(node if is_own else 3 - node, 100 + at_ms)
                body = Retraction(alert_id=sent[of].id, ground=Ground.CONTRADICTED, note=str(at_ms))
                retractions.apply(connection, by, body, _stored(by, at_ms), 100 + at_ms)
        if number < len(sightings):
            _, camera, at_ms = sightings[number]
            alert = Alert(label="handgun", camera=camera, confidence=0.5, box_xyxy=(0.0, 0.0, 1.0, 1.0),
                          rule=Rule.CLASS_OF_INTEREST, age_ms=5)  # fmt: skip
            stored = _stored(sent[number], at_ms)
            batch.add(sent[number], alert, stored, batch.place(sent[number], alert, stored), number + 1)
            if number in cuts:
                batch.write()
    batch.write()


def _stored(sent: Envelope, at_ms: int) -> EnvelopeStored:
    return EnvelopeStored(wire=sent.wire, via=b"", path="p", received_wall_ms=at_ms, received_monotonic_ms=at_ms,
                          is_quarantined=False, is_fork=False)  # fmt: skip


@pytest.mark.parametrize("then", ["nothing", "a later one applied", "the alert is not here yet"])
async def test_what_an_older_release_lost_is_mended_at_the_next_start_and_only_then(tmp_path: Path, then: str) -> None:
    clock, state = SimulatedClock(), StateDir(tmp_path / "center")
    is_here = then != "the alert is not here yet"
    async with running_center(state.root_dir, clock=clock) as house:
        node, other = house.node(), house.node("other")
        alert = node.alert()
        await house.deliver(node, node.alert(camera="yard"), taken_back(node, alert))
        await house.deliver(other, other.heartbeat(), taken_back(other, alert, "a lie"))
        if is_here:
            await house.deliver(node, alert)
        await house.deliver(node, taken_back(node, alert, "again"))
        await assert_all_as_written(house)
        right = [
            await house.query(f"SELECT * FROM {table} ORDER BY 1")
            for table in ("incident", "alert", "early_retraction")
        ]
        serial = house._serial
    with contextlib.closing(sqlite3.connect(state.database_file)) as connection, connection:  # as that release left it
        assert connection.execute("DELETE FROM early_retraction").rowcount >= 2
        if then == "a later one applied":
            connection.execute(
                "UPDATE alert SET retracted_at_ms = 7, retraction = 'again' WHERE retracted_at_ms IS NOT NULL"
            )
        else:
            connection.execute("UPDATE alert SET retracted_at_ms = NULL, retraction = ''")
            connection.execute("UPDATE incident SET retracted_count = 0")
    assert (await asyncio.to_thread(check.run, state)).problems, "the damage was met"
    sizes = []
    for _ in range(2):
        async with running_center(state.root_dir, clock=clock) as house:
            house._serial = serial
            await assert_all_as_written(house)
            assert [
                await house.query(f"SELECT * FROM {table} ORDER BY 1")
                for table in ("incident", "alert", "early_retraction")
            ] == right
            sizes += await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'views-rebuilt'")
            if not is_here:
                assert await marks(house) == [""]
    assert sizes == [(1,), (1,)], "the journal says so once"
