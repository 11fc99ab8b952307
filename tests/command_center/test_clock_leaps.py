"""What becomes of everything that lasts when somebody sets the center's wall clock: nothing sounds early, waits longer or is lost.

That it was set is an entry of the journal.
"""

import pytest

from command_center.accounts import UserRole
from command_center.callbacks import answers, writer
from command_center.clock_leaps import LEAST_MS, ClockLeaps
from relay.clock import SimulatedClock
from relay.precedence import Precedence
from tests.command_center.house import House
from tests.command_center.receivers import listening
from tests.command_center.test_callbacks import count_of, told
from tests.command_center.test_ingest import assert_all_as_written, until
from tests.command_center.test_lifecycle import MINUTE_MS, SECOND_MS, shelve
from tests.command_center.test_unit_page import link_for
from tests.command_center.test_units import on_board, send, step

HOUR_MS = 60 * MINUTE_MS
YEAR_MS = 365 * 24 * HOUR_MS
ORIGIN = writer.Origin(base_url="https://center.example", center="c", agency="a")
LEAPS_MS = (-YEAR_MS, -3 * HOUR_MS, 3 * HOUR_MS, YEAR_MS)


async def set_clock(house: House, leap_ms: int) -> None:
    """Somebody sets the clock; returns when the center has noticed."""
    house.clock.step_wall(house.clock.wall_ms() + leap_ms)

    async def is_noted() -> bool:
        return await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'clock-leapt'") != [(0,)]

    await until(is_noted)


async def told_by(house: House, query: str, wanted: object) -> None:
    """From the views: a clock that leapt a year has ended every session."""

    async def holds() -> bool:
        return await house.query(query) == [(wanted,)]

    await until(holds)


def seen(house: House, metric: str) -> bool:
    return house.services.metrics.snapshot().get(metric, 0) >= 1


def test_a_clock_that_a_time_service_disciplines_has_not_leapt() -> None:
    clock = SimulatedClock()
    leaps = ClockLeaps(clock)
    clock.advance(HOUR_MS)
    clock.step_wall(clock.wall_ms() + LEAST_MS - 1)
    assert leaps.leapt_ms == 0
    clock.step_wall(clock.wall_ms() + 1)
    assert leaps.forget() == LEAST_MS
    assert leaps.leapt_ms == 0
    clock.step_wall(clock.wall_ms() - HOUR_MS)
    assert leaps.leapt_ms == -HOUR_MS


@pytest.mark.parametrize("leap_ms", LEAPS_MS)
async def test_a_flash_climbs_at_its_time_and_not_at_the_clock_s(house: House, leap_ms: int) -> None:
    node = house.node()
    await house.deliver(node, node.alert())

    async def is_watched() -> bool:
        return seen(house, "states_watched")

    await until(is_watched)
    await set_clock(house, leap_ms)
    assert await house.query("SELECT level FROM incident") == [(0,)], (
        "fifteen seconds are not over because a clock says so"
    )
    house.clock.advance(15 * SECOND_MS + 10)
    await told_by(house, "SELECT level FROM incident", 1)
    ((at_ms,),) = await house.query("SELECT at_ms FROM entry WHERE kind = 'clock-leapt'")
    assert at_ms == house.clock.wall_ms() - 15 * SECOND_MS - 10
    await assert_all_as_written(house)


async def test_the_auditor_reads_that_the_clock_was_set_and_by_how_much(house: House) -> None:
    await set_clock(house, -3 * HOUR_MS)
    async with house.signed_in("vera", UserRole.AUDITOR) as client:
        found = (await client.get("/api/v1/audit/entries", params={"kind": "clock-leapt"})).json()["entries"]
    assert [entry["detail"] for entry in found] == ["set back by 10800.0 s; durations count on another clock"]


@pytest.mark.parametrize("leap_ms", LEAPS_MS)
async def test_no_source_is_silent_for_longer_than_people_said(house: House, leap_ms: int) -> None:
    node = house.node()
    await house.deliver(node, node.alert(precedence=Precedence.IMMEDIATE))
    async with house.signed_in() as client:
        assert (await shelve(client, node)).status_code == 201  # for half an hour
        await set_clock(house, leap_ms)
        house.clock.advance(30 * MINUTE_MS + SECOND_MS)
        await told_by(house, "SELECT quiet FROM incident", "")
        await told_by(house, "SELECT COUNT(*) FROM shelf WHERE ended_at_ms IS NULL", 0)
    await assert_all_as_written(house)


@pytest.mark.parametrize("leap_ms", LEAPS_MS)
async def test_a_silent_unit_is_asked_after_no_later_for_a_clock_that_was_set(house: House, leap_ms: int) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client:
        await on_board(client)
        await send(client, "M21")
        await step(client, "M21", "on_scene")

        async def is_watched() -> bool:
            return seen(house, "silences_watched")

        await until(is_watched)
        await set_clock(house, leap_ms)
        assert await house.query("SELECT welfare_level FROM unit") == [(0,)]
        house.clock.advance(20 * MINUTE_MS + 1)
        await told_by(house, "SELECT welfare_level FROM unit", 1)


@pytest.mark.parametrize("leap_ms", LEAPS_MS)
async def test_a_callback_that_failed_is_tried_again_at_its_time_for_a_clock_that_was_set(
    house: House, leap_ms: int
) -> None:
    node = house.node()
    with listening() as receiver:
        receiver.statuses = [503]
        await told(house, receiver)
        await house.deliver(node, node.alert())

        async def has_failed() -> bool:
            return await house.query("SELECT attempts, state FROM delivery") == [(1, "pending")]

        await until(has_failed)
        await set_clock(house, leap_ms)
        house.clock.advance(10 * SECOND_MS)
        await count_of(receiver, 2)


async def test_a_unit_s_link_is_good_again_when_the_clock_is(house: House) -> None:
    async with house.signed_in() as client, house.browser() as phone:
        await on_board(client)
        link = await link_for(client)
        house.clock.step_wall(house.clock.wall_ms() + YEAR_MS)
        assert (await phone.get(link)).status_code == 404, "a year later it has expired"
        await house.database.run(lambda c: answers.forget_old(c, house.clock.wall_ms()))
        await house.database.run(lambda c: writer.catch_up(c, ORIGIN, now_ms=house.clock.wall_ms()))
        house.clock.step_wall(house.clock.wall_ms() - YEAR_MS)
        assert (await phone.get(link)).status_code == 200


async def test_a_clock_that_is_set_back_prolongs_no_unit_s_link(house: House) -> None:
    async with house.signed_in() as client, house.browser() as phone:
        await on_board(client)
        link = await link_for(client, hours=1)
        house.clock.step_wall(house.clock.wall_ms() - YEAR_MS)
        assert (await phone.get(link)).status_code == 404


async def test_expired_links_go_once_they_are_many(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_KEPT", 2)
    now_ms = house.clock.wall_ms()

    async def left(count: int) -> list[tuple[object, ...]]:
        for number in range(count):
            await house.database.run(lambda c, number=number: answers.give(c, f"M{number}", 0, now_ms + number % 2))  # type: ignore[misc]
        await house.database.run(lambda c: answers.forget_old(c, now_ms + 1))
        return await house.query("SELECT expires_at_ms - ? FROM capability", now_ms)

    assert len(await left(2)) == 2
    assert set(await left(4)) == {(1,)}
