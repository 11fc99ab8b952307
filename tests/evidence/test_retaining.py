"""Retention by itself deletes what is old, and nothing because a clock was wrong."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from command_center.accounts import UserRole
from command_center.custody.retaining import AWAY_MS, LEAPT_MS, RESTS_MS, Retaining
from relay.clock import SimulatedClock
from tests.command_center.house import House, running_center
from tests.evidence.scene import picture, show
from tests.evidence.test_custody import close_all

DAY_MS: Final = 86_400_000
YEAR_MS: Final = 365 * DAY_MS
DAYS: Final = 30.0


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A center with one closed incident and its picture."""
    async with running_center(tmp_path / "center") as made:
        node = made.node()
        alert = node.alert()
        await made.deliver(node, alert)
        await show(made, node, alert.id, picture("x"))
        async with made.signed_in("sam", UserRole.SUPERVISOR) as client:
            await close_all(client)
        yield made


def started(house: House, clock: SimulatedClock | None = None) -> Retaining:
    """As in a process that has just begun."""
    return Retaining(database=house.database, blobs=house.services.blobs, clock=clock or house.clock,
                     metrics=house.services.metrics, days=DAYS)  # fmt: skip


async def run_for(house: House, retaining: Retaining, time_ms: int, *, turns: int = 10) -> None:
    for _ in range(turns):
        house.clock.advance(time_ms // turns)
        await asyncio.to_thread(retaining.turn)


async def is_kept(house: House) -> bool:
    ((sha256, count),) = await house.query(
        "SELECT COALESCE((SELECT sha256 FROM stored_object), x''), (SELECT COUNT(*) FROM stored_object)"
    )
    assert isinstance(sha256, bytes)
    return bool(count) and house.services.blobs.file_of(sha256).exists()


async def test_what_is_old_goes_by_itself(house: House) -> None:
    retaining = started(house)
    await run_for(house, retaining, 29 * DAY_MS)
    assert await is_kept(house)
    await run_for(house, retaining, 2 * DAY_MS)
    assert not await is_kept(house)


@pytest.mark.parametrize("leap_ms", [10 * YEAR_MS, 31 * DAY_MS])
async def test_a_clock_that_is_set_forward_and_back_deletes_nothing(house: House, leap_ms: int) -> None:
    retaining = started(house)
    await run_for(house, retaining, DAY_MS)
    house.clock.step_wall(house.clock.wall_ms() + leap_ms)
    await run_for(house, retaining, RESTS_MS - DAY_MS)
    assert await is_kept(house), "there is time to notice"
    assert house.services.metrics["retention_rests"] == 1
    house.clock.step_wall(house.clock.wall_ms() - leap_ms)
    await run_for(house, retaining, 2 * DAY_MS)
    assert await is_kept(house)
    await run_for(house, retaining, 30 * DAY_MS)
    assert not await is_kept(house), "and its own time ends"


async def test_a_clock_that_stays_where_it_was_set_is_believed_after_a_week(house: House) -> None:
    retaining = started(house)
    await asyncio.to_thread(retaining.turn)
    house.clock.step_wall(house.clock.wall_ms() + 10 * YEAR_MS)
    await run_for(house, retaining, RESTS_MS - DAY_MS)
    assert await is_kept(house)
    await run_for(house, retaining, 2 * DAY_MS)
    assert not await is_kept(house)


@pytest.mark.parametrize("between_runs", [False, True])
async def test_the_rest_outlives_restarts(house: House, between_runs: bool) -> None:
    retaining = started(house)
    await asyncio.to_thread(retaining.turn)
    if not between_runs:
        house.clock.step_wall(house.clock.wall_ms() + 10 * YEAR_MS)
        await asyncio.to_thread(retaining.turn)
    later = SimulatedClock()
    later.step_wall(house.clock.wall_ms() + (10 * YEAR_MS if between_runs else 5000))
    house.clock = later
    for _ in range(4):
        await run_for(house, started(house), DAY_MS, turns=4)
    assert await is_kept(house), "a battery was empty, and the machine came up in another year"


@pytest.mark.parametrize("leap_ms", [LEAPT_MS - 60_000, -YEAR_MS])
async def test_what_is_no_leap_forward_delays_nothing(house: House, leap_ms: int) -> None:
    retaining = started(house)
    await asyncio.to_thread(retaining.turn)
    house.clock.step_wall(house.clock.wall_ms() + leap_ms)
    await run_for(house, retaining, 31 * DAY_MS - min(0, leap_ms))
    assert house.services.metrics["retention_rests"] == 0
    assert not await is_kept(house)


async def test_a_center_that_was_off_for_less_than_a_day_goes_on(house: House) -> None:
    await run_for(house, started(house), 29 * DAY_MS)
    house.clock.advance(AWAY_MS - 1000)
    await asyncio.to_thread(started(house).turn)
    await run_for(house, started(house), DAY_MS)
    assert house.services.metrics["retention_rests"] == 0
    assert not await is_kept(house)
