"""Floods: what people hear, that nothing is lost, and that neither clocks nor restarts make room for more."""

from pathlib import Path

import pytest

from command_center import annunciation
from relay.precedence import Precedence
from tests.command_center.house import House, running_center
from tests.command_center.test_ingest import assert_all_as_written, until

MINUTES = 14
STEP_MS = 5000


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_thousand_alerts_a_minute_sound_ten_times_in_the_worst_ten_minutes_and_every_flash_at_once(
    house: House,
) -> None:
    """Two cameras chatter at 8 alerts a second each; FLASH comes in between. Windows slide over the journal's own times."""
    noisy, calm = [house.node(f"noisy{number}") for number in range(10)], house.node("calm")
    per_step = 1000 * STEP_MS // 60_000 // len(noisy)
    sent = flashes = 0
    for turn in range(MINUTES * 60_000 // STEP_MS):
        for node in noisy:
            batch = [
                node.alert(label=f"c{turn % 7}.{number}", precedence=Precedence.IMMEDIATE) for number in range(per_step)
            ]
            sent += await house.deliver(node, *batch)
        if turn % 12 == 3:
            flashes += await house.deliver(calm, calm.alert(label=f"gun{turn}"))
        house.clock.advance(STEP_MS)
    assert sent >= 0.9 * 1000 * MINUTES
    assert await house.query("SELECT COUNT(*) FROM alert") == [(sent + flashes,)], "nothing is lost"
    silent_flash = await house.query(
        "SELECT COUNT(*) FROM incident WHERE precedence = 0 AND (quiet <> '' OR announced_at_ms = 0)"
    )
    assert silent_flash == [(0,)]
    assert flashes == MINUTES
    opened = await house.query(
        "SELECT e.at_ms FROM incident i JOIN alert a ON a.incident = i.id JOIN entry e ON e.id = a.entry "
        "WHERE i.precedence > 0 AND a.entry = (SELECT MIN(entry) FROM alert WHERE incident = i.id) AND NOT EXISTS "
        "(SELECT 1 FROM entry x WHERE x.subject = 'incident:' || i.id AND x.kind = 'incident-annunciated') AND i.quiet = ''"
    )
    released = await house.query("SELECT at_ms FROM entry WHERE kind = 'incident-annunciated'")
    times = sorted(int(str(at_ms)) for (at_ms,) in [*opened, *released])
    assert times, "something was annunciated"
    worst = max(sum(begin <= at < begin + annunciation.WINDOW_MS for at in times) for begin in times)
    assert worst <= 10
    ((held,),) = await house.query("SELECT COUNT(*) FROM incident WHERE quiet = 'flood'")
    assert int(str(held)) > 100, "the flood was one"
    await assert_all_as_written(house)


async def storm(house: House, count: int, *, label: str) -> None:
    """That many incidents below FLASH, each of a camera of its own."""
    for number in range(count):
        node = house.node(f"{label}{number}")
        await house.deliver(node, node.alert(label=label, precedence=Precedence.IMMEDIATE))


async def sounded(house: House) -> int:
    ((count,),) = await house.query("SELECT COUNT(*) FROM incident WHERE quiet = '' AND precedence > 0")
    return int(str(count))


@pytest.mark.parametrize("leap_ms", [3_600_000, -3_600_000, 365 * 86_400_000, -365 * 86_400_000])
async def test_a_clock_that_leaps_opens_no_gate_to_a_second_flood_and_shuts_none(house: House, leap_ms: int) -> None:
    await storm(house, 12, label="before")
    assert await sounded(house) == 10
    house.clock.step_wall(house.clock.wall_ms() + leap_ms)
    await storm(house, 12, label="after")
    assert await sounded(house) == 10, "ten minutes are not over because a clock says so"
    house.clock.advance(annunciation.WINDOW_MS + 1)

    async def next_ten() -> bool:
        return await sounded(house) == 20

    await until(next_ten)
    await assert_all_as_written(house)


async def test_a_restart_in_a_flood_makes_no_room(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house:
        await storm(house, 10, label="before")
        clock = house.clock
    clock.advance(60_000)
    async with running_center(tmp_path / "center", clock=clock) as house:
        await storm(house, 3, label="after")
        assert await sounded(house) == 10
        clock.advance(annunciation.WINDOW_MS - 59_000)

        async def released() -> bool:
            return await sounded(house) == 13

        await until(released)
