"""Welfare timers over the real API, database and watch: who is at work and not heard is asked after."""

from pathlib import Path

from tests.command_center.house import House, running_center
from tests.command_center.test_ingest import assert_all_as_written, until
from tests.command_center.test_lifecycle import MINUTE_MS, incident, kinds
from tests.command_center.test_units import on_board, send, step, unit


async def test_unit_that_is_not_heard_is_asked_after_until_somebody_hears_it(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())

    async def watched(silences: int) -> bool:
        return house.services.metrics.snapshot().get("silences_watched", 0) >= silences

    async def level(wanted: int) -> None:
        async def holds() -> bool:
            return (await unit(client))["welfare_level"] == wanted

        await until(holds)

    async with house.signed_in() as client:
        await on_board(client)
        await send(client, "M21")
        await step(client, "M21", "on_scene")
        await until(lambda: watched(1))
        house.clock.advance(20 * MINUTE_MS + 1)
        await level(1)
        house.clock.advance(5 * MINUTE_MS + 1)
        await level(2)
        assert kinds(await incident(client)).count("welfare-due") == 2
        assert (await client.post("/api/v1/units/M21/heard", json={"note": "by radio"})).status_code == 200
        assert (await unit(client))["welfare_level"] == 0
        await until(lambda: watched(2))
        house.clock.advance(19 * MINUTE_MS)
        assert (await step(client, "M21", "clear")).status_code == 200
        house.clock.advance(60 * MINUTE_MS)
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'welfare-due'") == [(2,)]
    await assert_all_as_written(house)


async def test_welfare_goes_on_over_a_restart(tmp_path: Path) -> None:
    async with running_center(tmp_path) as house, house.signed_in() as client:
        node = house.node()
        await house.deliver(node, node.alert())
        await on_board(client)
        await send(client, "M21")
        await step(client, "M21", "on_scene")
        clock = house.clock
    clock.advance(21 * MINUTE_MS)  # nothing ran meanwhile
    async with running_center(tmp_path, clock=clock) as again:

        async def reminded() -> bool:
            return await again.query("SELECT welfare_level FROM unit") == [(1,)]

        await until(reminded)
        await assert_all_as_written(again)
