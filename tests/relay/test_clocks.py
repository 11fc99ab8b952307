"""No wall clock is trusted: a camera that boots in 1970 keeps its order, its ages and its expiry, and says so."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay import passport as passports
from relay.clock import PLAUSIBLE_SINCE_MS, Clock, ClockQuality, SimulatedClock, SystemClock
from relay.config import PathConfig, StationConfig
from relay.errors import Revoked, UnknownSender
from relay.header import Kind
from relay.identity import AuthorityKeys, Identity
from relay.passport import Role
from relay.precedence import Precedence
from relay.station import Station
from relay.trust import TrustBook
from tests.relay.house import House, Kept, until
from tests.relay.spooling import draft, opened, put

NOW_MS = 1_790_000_000_000


@contextlib.asynccontextmanager
async def station_with_clock(house: House, name: str, center: Station, clock: Clock) -> AsyncIterator[Station]:
    config = StationConfig(
        state_dir=house.dir_of(name), path=(PathConfig(name="up", endpoint=center.listening_on[0], peer="center"),)
    )
    async with Station.open(config, clock=clock) as station:
        yield station


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.of(tmp_path, {"center": Role.CENTER, "gate-camera": Role.CAMERA})


async def test_alerts_of_a_camera_that_booted_in_1970_are_numbered_in_order_with_their_clock_s_quality(
    house: House,
) -> None:
    clock, inbox = SimulatedClock(wall_ms=0, monotonic_ms=5_000, quality=ClockQuality.UNSET), Kept()
    async with (
        house.station("center", listen="tcp://127.0.0.1:0", inbox=inbox) as center,
        station_with_clock(house, "gate-camera", center, clock) as node,
    ):
        for step in ("1970", "set", "set back", "leap ahead"):
            await node.put(node.draft_up(Kind.ALERT, Precedence.FLASH, step.encode()))
            clock.advance(1_000)
            if step == "1970":
                clock.step_wall(NOW_MS, ClockQuality.SYNCHRONIZED)
            elif step == "set":
                clock.step_wall(NOW_MS - 86_400_000, ClockQuality.FREE_RUNNING)
            elif step == "set back":
                clock.step_wall(NOW_MS * 2)
        await until(lambda: len(inbox.arrivals) == 4, "the alerts")
    heads = sorted((arrival.envelope.header for arrival in inbox.arrivals), key=lambda head: head.sequence)
    assert [head.sequence for head in heads] == [1, 2, 3, 4]
    assert [head.quality for head in heads] == [
        ClockQuality.UNSET, ClockQuality.SYNCHRONIZED, ClockQuality.FREE_RUNNING, ClockQuality.FREE_RUNNING,
    ]  # fmt: skip
    assert [head.wall_ms for head in heads] == [0, NOW_MS, NOW_MS - 86_400_000, NOW_MS * 2]
    assert [head.monotonic_ms for head in heads] == [5_000, 6_000, 7_000, 8_000], "the clock that orders never steps"
    received = [arrival.received_monotonic_ms for arrival in inbox.arrivals]
    assert received == sorted(received)


@pytest.mark.parametrize("to_ms", [0, 86_400_000, NOW_MS - 10 * 365 * 86_400_000, NOW_MS * 3])
def test_stepping_the_wall_clock_expires_nothing_and_ages_nothing(tmp_path: Path, to_ms: int) -> None:
    clock = SimulatedClock(wall_ms=NOW_MS)
    with opened(tmp_path / "spool.sqlite", clock=clock) as (database, spool):
        put(database, spool, 1, draft(Precedence.FLASH))
        put(database, spool, 3, draft(Precedence.BULK, ttl_s=60))
        clock.step_wall(to_ms)
        assert database.run_blocking(spool.expire) == []
        clock.advance(60_000)
        assert database.run_blocking(spool.expire) == [], "the last second has not passed yet"
        assert database.run_blocking(spool.oldest_alert_age_s) == 60
        clock.step_wall(NOW_MS)
        clock.advance(1)
        assert len(database.run_blocking(spool.expire)) == 3
        assert database.run_blocking(spool.tallies) == {"expired_bulk": 3}
        assert list(database.run_blocking(spool.forgone)) == [(2, 4)]
        clock.advance(10**9)
        assert database.run_blocking(spool.expire) == [], "alerts never expire"


def test_age_across_a_reboot_counts_from_the_boot_and_never_too_early(tmp_path: Path) -> None:
    clock = SimulatedClock(wall_ms=NOW_MS, monotonic_ms=50_000_000)
    file = tmp_path / "spool.sqlite"
    with opened(file, clock=clock) as (database, spool):
        put(database, spool, 1, draft(Precedence.BULK, ttl_s=60))
        put(database, spool, 1, draft(Precedence.IMMEDIATE))
    clock.reboot(wall_ms=0, quality=ClockQuality.UNSET)
    with opened(file, clock=clock) as (database, spool):
        assert database.run_blocking(spool.expire) == []
        assert database.run_blocking(spool.oldest_alert_age_s) == 1
        clock.advance(58_000)
        assert database.run_blocking(spool.expire) == []
        clock.advance(2_000)
        assert len(database.run_blocking(spool.expire)) == 1
    with opened(file, clock=clock) as (database, spool):  # a restart is no reboot: ages go on
        assert database.run_blocking(spool.oldest_alert_age_s) == 61
        header = put(database, spool)[0].envelope.header
        assert (header.sequence, header.boot) == (3, 3), "one numbering, its boot counts the starts"


@pytest.mark.parametrize("quality", [ClockQuality.UNSET, ClockQuality.FREE_RUNNING])
@pytest.mark.parametrize("wall_ms", [0, NOW_MS * 2])
def test_passports_dates_are_not_judged_by_a_clock_that_nobody_set(quality: ClockQuality, wall_ms: int) -> None:
    book, clock, node = book_with_passport_from(NOW_MS, until_ms=NOW_MS + 1_000)
    clock.step_wall(wall_ms, quality)
    assert book.passport_of(node.node_id).name == "gate-camera"


def test_passports_dates_are_judged_by_a_synchronized_clock() -> None:
    book, clock, node = book_with_passport_from(NOW_MS, until_ms=NOW_MS + 1_000)
    for wall_ms, is_valid in ((NOW_MS - 1, False), (NOW_MS, True), (NOW_MS + 1_000, True), (NOW_MS + 1_001, False)):
        clock.step_wall(wall_ms, ClockQuality.SYNCHRONIZED)
        if is_valid:
            assert book.passport_of(node.node_id)
        else:
            bound = "begins" if wall_ms < NOW_MS else "ended"
            told = rf"the passport of gate-camera {bound} on \d{{4}}-\d\d-\d\d, and this machine's clock says \d{{4}}-.*: correct the clock"
            with pytest.raises(Revoked, match=told):
                book.passport_of(node.node_id)
    with pytest.raises(UnknownSender):
        book.passport_of(Identity.generate().node_id)


def book_with_passport_from(from_ms: int, until_ms: int) -> tuple[TrustBook, SimulatedClock, Identity]:
    authority, node, clock = Identity.generate(), Identity.generate(), SimulatedClock()
    keys = AuthorityKeys(signing_key=authority.signing_key, sealing_key=authority.sealing_key)
    book = TrustBook(authority=keys, clock=clock)
    book.admit(passports.issue(
        authority.signing, role=Role.CAMERA, name="gate-camera", site="yard", agency="city", serial=1,
        keys=(node.signing_key, node.sealing_key, node.transport_key), not_before_ms=from_ms, not_after_ms=until_ms,
    ).wire)  # fmt: skip
    return book, clock, node


def test_system_clock_says_unset_before_the_system_existed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    assert clock.monotonic_ms() <= clock.monotonic_ms()
    for wall_ms, is_set in ((0, False), (PLAUSIBLE_SINCE_MS - 1, False), (PLAUSIBLE_SINCE_MS, True)):
        monkeypatch.setattr(SystemClock, "wall_ms", lambda _, at=wall_ms: at)
        assert (clock.quality() > ClockQuality.UNSET) == is_set
