"""A day of five minutes on and five minutes off is 144 losses and returns: here they come one after the other."""

import gc
from pathlib import Path

import psutil
import pytest

from relay.backoff import Backoff
from relay.header import Kind
from relay.passport import Role
from relay.precedence import Precedence
from relay.redial import Redials
from relay.station import Station
from tests.relay.house import House, Kept, until

FLAPS = 144
WARM = 12


def open_files() -> int:
    """Descriptors of this process: files, sockets, epolls."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_day_of_flapping_leaks_no_file_socket_thread_or_memory(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.enroll("center", Role.CENTER)
    house.enroll("gate", Role.CAMERA)
    house.settle()
    kept = Kept()
    process = psutil.Process()
    async with (
        house.station("center", listen="tcp://127.0.0.1:0", inbox=kept) as center,
        house.station("gate", to=[("center", center.listening_on[0])] * 2) as gate,
    ):
        for dial in gate._dials:
            assert isinstance(dial, Redials)
            dial.redial.backoff = Backoff(least_s=0.01, most_s=0.05, stable_s=0.0)
        for flap in range(FLAPS):
            await _flap(gate, center)
            await until(lambda flap=flap: len(kept.arrivals) == flap + 1, "the alert", 30)  # type: ignore[misc]
            if flap == WARM:
                gc.collect()
                files, threads, rss = open_files(), process.num_threads(), process.memory_info().rss
        await until(lambda: len(list(center._links)) <= 2, f"the center to forget what ended: {_links(center)}", 60)
        gc.collect()
        assert open_files() <= files + 4
        assert process.num_threads() <= threads + 2
        assert process.memory_info().rss < rss + 12_000_000, f"{(process.memory_info().rss - rss) / 1e6:.1f} MB more"
        assert len(kept.arrivals) == FLAPS
        assert center.counters["duplicates_arrived"] <= 3 * FLAPS
        await until(lambda: len(gate.sender._window) == 0, "the last receipt", 60)


def _links(center: Station) -> list[tuple[object, ...]]:
    now_ms = center.clock.monotonic_ms()
    return [(link.id, link.peer is not None, now_ms - link.last_heard_ms) for link in center._links]


async def _flap(gate: Station, center: Station) -> None:
    before = {link.id for link in gate._links}
    for link in gate._links:
        link.session.drop("flapping")
    await gate.put(gate.draft_up(Kind.ALERT, Precedence.FLASH, b"a handgun"))
    await until(
        lambda: all(report.is_up for report in gate.path_health()) and not before & {link.id for link in gate._links},
        "both paths to be back", 60,
    )  # fmt: skip
