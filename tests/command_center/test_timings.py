"""Two clocks are compared only where that is honest."""

from pathlib import Path

import msgspec
import pytest

from command_center.timings import spooled_to_stored_ms
from relay.arrival import Ahead, Arrival
from relay.clock import ClockQuality, SimulatedClock
from relay.header import Header, Kind
from relay.ids import AUTHORITY, NodeId
from relay.precedence import Precedence
from tests.command_center.house import running_center
from tests.command_center.test_ingest import until


def header(*, wall_ms: int, monotonic_ms: int, quality: ClockQuality = ClockQuality.SYNCHRONIZED) -> Header:
    return Header(kind=Kind.ALERT, quality=quality, precedence=Precedence.FLASH, origin=NodeId(bytes(8)),
                  destination=AUTHORITY, series=1, boot=1, sequence=1, wall_ms=wall_ms, monotonic_ms=monotonic_ms, ttl_s=0,
                  link=bytes(8), body_sha256=bytes(32))  # fmt: skip


def test_synchronized_clocks_are_compared() -> None:
    clock = SimulatedClock(wall_ms=1_790_000_000_500, monotonic_ms=9_000_000)
    assert spooled_to_stored_ms(header(wall_ms=1_790_000_000_000, monotonic_ms=77), clock) == 500


@pytest.mark.parametrize("quality", [ClockQuality.UNSET, ClockQuality.FREE_RUNNING])
def test_unsynchronized_clocks_are_not(quality: ClockQuality) -> None:
    clock = SimulatedClock(wall_ms=1_790_000_000_500, monotonic_ms=9_000_000)
    assert spooled_to_stored_ms(header(wall_ms=1_790_000_000_000, monotonic_ms=77, quality=quality), clock) is None
    own = SimulatedClock(wall_ms=1_790_000_000_500, monotonic_ms=9_000_000, quality=quality)
    assert spooled_to_stored_ms(header(wall_ms=1_790_000_000_000, monotonic_ms=77), own) is None


def test_one_machine_is_known_by_its_boot_instant_and_measured_on_its_monotonic_clock() -> None:
    clock = SimulatedClock(wall_ms=1_790_000_000_510, monotonic_ms=5_500, quality=ClockQuality.FREE_RUNNING)
    sent = header(wall_ms=1_790_000_000_000, monotonic_ms=5_000, quality=ClockQuality.FREE_RUNNING)
    assert spooled_to_stored_ms(sent, clock) == 500


def test_time_never_runs_backwards() -> None:
    clock = SimulatedClock(wall_ms=1_790_000_000_000, monotonic_ms=9_000_000)
    assert spooled_to_stored_ms(header(wall_ms=1_790_000_000_900, monotonic_ms=77), clock) is None


async def test_an_alert_that_was_receipted_ahead_is_measured_from_when_it_was_durable(tmp_path: Path) -> None:
    clock = SimulatedClock()
    async with running_center(tmp_path / "center", clock=clock) as house:
        node = house.node()
        await house.deliver(node, node.alert())
        arrival = Arrival(envelope=node.alert(), passport=node.signed.passport, via=node.id, path="test",
                          received_wall_ms=clock.wall_ms(), received_monotonic_ms=clock.monotonic_ms())  # fmt: skip
        clock.advance(30)
        ahead = Ahead(wall_ms=clock.wall_ms(), monotonic_ms=clock.monotonic_ms(), to_receipt_ms=0.25)
        clock.advance(5_000)  # the journal was busy
        arrived = [msgspec.structs.replace(arrival, ahead=ahead)]
        await house.database.run(lambda connection: house.center.ingest.accept(connection, arrived))
        house.center.ingest.committed(arrived)

        async def is_measured() -> bool:
            return len(await house.query("SELECT 1 FROM hop")) == 2

        await until(is_measured)
        rows = await house.query(
            "SELECT committed_monotonic_ms, spooled_to_stored_ms, stored_to_receipt_ms FROM hop ORDER BY entry"
        )
        assert rows[1] == (ahead.monotonic_ms, 30, 0.25)
