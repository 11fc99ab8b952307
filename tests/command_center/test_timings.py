"""Two clocks are compared only where that is honest."""

import pytest

from command_center.timings import spooled_to_stored_ms
from relay.clock import ClockQuality, SimulatedClock
from relay.header import Header, Kind
from relay.ids import AUTHORITY, NodeId
from relay.precedence import Precedence


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
