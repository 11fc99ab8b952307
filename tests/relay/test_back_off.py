"""Whoever has no other path tries soon, never in step; receipts come back on whichever path still leads down."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.backoff import Backoff
from relay.config import PathConfig
from relay.header import Kind
from relay.passport import Role
from relay.path import Lane
from relay.precedence import Precedence
from relay.redial import HURRIED_S, Redial, Redials
from tests.relay.carriers import carrier
from tests.relay.hasty_loop import run_hasty
from tests.relay.house import House, until


def worn_out(seed: int) -> Backoff:
    """A back-off that has waited often and in vain."""
    backoff = Backoff(least_s=0.2, most_s=600.0, stable_s=10, source=random.Random(seed))
    for _ in range(60):
        backoff.next_delay_s()
    return backoff


def test_who_is_cut_off_waits_less_and_not_in_step() -> None:
    delays = [worn_out(seed).next_delay_s(at_most_s=HURRIED_S) for seed in range(200)]
    assert max(delays) <= HURRIED_S
    assert len({round(delay, 1) for delay in delays}) > 20, "a fleet spreads"
    assert max(worn_out(seed).next_delay_s() for seed in range(200)) > 100, "with another path up it takes its time"


@given(
    least_s=st.floats(0.05, 1),
    factor=st.floats(2, 100),
    seed=st.integers(0, 1 << 30),
    gaps_s=st.lists(st.floats(0, 30), max_size=40),
)
def test_each_delay_is_drawn_from_up_to_three_times_the_last_and_only_a_stable_while_begins_anew(
    least_s: float, factor: float, seed: int, gaps_s: list[float]
) -> None:
    most_s, stable_s = least_s * factor, 10.0
    backoff = Backoff(least_s=least_s, most_s=most_s, stable_s=stable_s, source=random.Random(seed))
    last_s = least_s
    for lasted_s in gaps_s:
        delay_s = backoff.next_delay_s()
        assert least_s <= delay_s <= min(most_s, max(least_s, 3 * last_s))
        backoff.succeeded_for(lasted_s)
        last_s = least_s if lasted_s >= stable_s else delay_s


def test_a_thousand_nodes_that_lost_the_same_neighbor_are_not_in_step_after_a_few_tries() -> None:
    fleet = [Backoff(least_s=0.2, most_s=10.0, stable_s=10, source=random.Random(seed)) for seed in range(1_000)]
    at_s = [sum(backoff.next_delay_s() for _ in range(6)) for backoff in fleet]
    busiest = max(Counter(round(moment_s, 1) for moment_s in at_s).values())
    assert busiest < 40, f"{busiest} of them in one tenth of a second"


async def test_a_path_dials_at_the_short_pace_only_while_no_other_is_up() -> None:
    redial = Redial(worn_out(3))
    attempts = 0

    async def attempt() -> None:
        nonlocal attempts
        attempts += 1

    redial.is_cut_off = lambda: True
    keeping = asyncio.create_task(redial.keep(attempt))
    try:
        await until(lambda: attempts >= 3, "the third attempt", 30)
    finally:
        keeping.cancel()


LEAST_S, MOST_S, STABLE_S = 0.2, 600.0, 15.0


def _pauses_s(lives_s: list[float], *, is_up: Callable[[int], bool], seed: int = 5) -> list[float]:
    """Let attempts last so long, each with a session or without one; returns the pause after each."""
    source = random.Random(seed)
    redial = Redial(Backoff(least_s=LEAST_S, most_s=MOST_S, stable_s=STABLE_S, source=source))
    began: list[float] = []
    ended: list[float] = []

    async def attempt() -> None:
        now_s, number = asyncio.get_running_loop().time, len(began)
        began.append(now_s())
        if number == len(lives_s):
            raise StopAsyncIteration
        if is_up(number):
            with redial.standing():
                await asyncio.sleep(lives_s[number])
        else:
            await asyncio.sleep(lives_s[number])
        ended.append(now_s())

    with pytest.raises(StopAsyncIteration):
        run_hasty(redial.keep(attempt))
    return [again_s - end_s for end_s, again_s in zip(ended, began[1:], strict=True)]


@pytest.mark.parametrize("fails_after_s", [0.1, 10.0, 3 * STABLE_S])
def test_the_back_off_grows_while_attempts_fail_however_slowly_they_do(fails_after_s: float) -> None:
    pauses_s = _pauses_s([fails_after_s] * 60, is_up=lambda _: False)
    assert max(pauses_s[:2]) < 2.0
    assert max(pauses_s) > MOST_S / 4, "a neighbor that is down for an hour is not called every few seconds"
    assert max(pauses_s) <= MOST_S + 0.01


def test_only_a_session_that_stood_for_a_stable_while_makes_the_waits_short_again() -> None:
    worn = [1.0] * 40
    after_a_brief_one = _pauses_s([*worn, STABLE_S - 1, 1.0], is_up=lambda number: number == 40)[40:]
    after_a_stable_one = _pauses_s([*worn, STABLE_S, 1.0], is_up=lambda number: number == 40)[40:]
    assert after_a_stable_one[0] <= 3 * LEAST_S + 0.01
    assert after_a_stable_one[1] <= 9 * LEAST_S + 0.01
    assert after_a_brief_one[0] > 9 * LEAST_S, "as long as before it"


@pytest.mark.parametrize("kind", ["zeromq", "tls", "https", "mqtt"])
async def test_each_carrier_counts_its_sessions_as_standing_and_its_failed_attempts_never(
    kind: str, tmp_path: Path
) -> None:
    house = House(tmp_path / "house")
    house.enroll("center", Role.CENTER)
    house.enroll("gate", Role.CAMERA)
    house.settle()
    loop = asyncio.get_running_loop()
    async with carrier(kind, tmp_path) as way:
        async with house.station("center", listen=way.listening) as first:
            endpoint = first.listening_on[0]
        async with house.station("gate", to=[way.path_to("center", endpoint)]) as gate:
            [dial] = gate._dials
            assert isinstance(dial, Redials)
            stood_s: list[float] = []
            dial.redial.backoff.succeeded_for = stood_s.append  # type: ignore[method-assign, assignment]
            await asyncio.sleep(1.0)  # attempts at a listener that is not there
            assert stood_s == []
            began_s = loop.time()
            async with house.station("center", listen=way.again_at(endpoint)):
                await until(lambda: gate.path_health()[0].is_up, "the path", 40)
                assert stood_s == [], "its session stands"
            await until(lambda: bool(stood_s), "the session's end", 60)
            assert 0 < stood_s[0] <= loop.time() - began_s


@pytest.mark.parametrize("precedence", [Precedence.FLASH, Precedence.IMMEDIATE])
async def test_receipts_return_on_every_live_path_so_that_one_that_only_leads_up_looks_alive(
    tmp_path: Path, precedence: Precedence
) -> None:
    """Up works on path A alone, down on path B alone: what A carried is answered on B."""
    house = House(tmp_path)
    house.enroll("center", Role.CENTER)
    house.enroll("gate", Role.CAMERA)
    house.settle()
    async with house.station("center", listen="tcp://127.0.0.1:0") as center:
        endpoint = center.listening_on[0]
        paths = [PathConfig(name=name, endpoint=endpoint, peer="center") for name in ("a", "b")]
        async with house.station("gate", to=paths) as gate:
            await until(lambda: all(report.is_up for report in gate.path_health()), "both paths")
            swallowed = _cut_asymmetrically(gate, center)
            for _ in range(5):
                await gate.put(gate.draft_up(Kind.ALERT, precedence, b"a handgun"))
            await until(lambda: gate.counters["envelopes_receipted"] == 5, "the receipts", 30)
            assert swallowed["up on b"] > 0 or precedence is Precedence.IMMEDIATE
            assert swallowed["down on a"] > 0, "receipts were sent on the path that the alerts came by, too"
            assert center.counters["envelopes_stored"] == 5


def _cut_asymmetrically(gate: object, center: object) -> dict[str, int]:
    """Let nothing up on path b, nothing down on path a; returns what was swallowed."""
    swallowed = {"up on b": 0, "down on a": 0}
    by_path = {link.session.facts.name: link for link in gate._links}  # type: ignore[attr-defined]
    up_b = by_path["b"].session

    def swallow_up(parcel: bytes, lane: Lane) -> bool:
        swallowed["up on b"] += 1
        return True

    up_b.send = swallow_up
    of_a = by_path["a"]
    received = gate._switchboard.session_received  # type: ignore[attr-defined]

    def swallow_down(session: object, parcel: bytes) -> None:
        if session is of_a.session:
            swallowed["down on a"] += 1
        else:
            received(session, parcel)

    gate._switchboard.session_received = swallow_down  # type: ignore[attr-defined]
    return swallowed
