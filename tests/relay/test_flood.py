"""One node floods, forks or fills: the others do not feel it, and status says who it was."""

import asyncio
import contextlib
import sqlite3
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from relay import hop, limits, receipt
from relay.arrival import Arrival
from relay.at_hand import AT_HAND
from relay.attempts import Entry
from relay.config import PathConfig, SpoolConfig
from relay.flood_window import FIRST_TOKEN
from relay.header import Kind
from relay.intake import (
    FLOOD,
    MOST_OF_ONE,
    TURN,
)
from relay.links import Link
from relay.passport import Role
from relay.path import Lane
from relay.precedence import Precedence
from relay.ranges import RangeSet
from relay.scheduler import Plan, plan
from relay.station import Station
from tests.relay.house import House, Kept, until
from tests.relay.neighbor import neighbor, said_by
from tests.relay.test_status_view import shown


def filled(house: House, *cameras: str) -> House:
    house.enroll("center", Role.CENTER)
    house.enroll("relay", Role.RELAY)
    for name in cameras:
        house.enroll(name, Role.CAMERA)
    house.settle()
    return house


async def say(station: Station, count: int = 1, precedence: Precedence = Precedence.FLASH, size: int = 40) -> None:
    draft = station.draft_up(Kind.ALERT, precedence, b"x" * size)
    await station.put_all([draft] * count)


async def test_an_alert_overtakes_another_node_s_flood_in_the_relay_s_spool(tmp_path: Path) -> None:
    house = filled(House(tmp_path), "flooder", "gate")
    async with house.station("relay", listen="tcp://127.0.0.1:0") as relay:  # no way to the center yet
        to_relay = [("relay", relay.listening_on[0])]
        async with house.station("flooder", to=to_relay) as flooder, house.station("gate", to=to_relay) as gate:
            for _ in range(8):
                await say(flooder, 400)
            await until(lambda: relay.counters["envelopes_carried"] >= 3200, "the flood", 60)
            await say(gate)
            await until(lambda: relay.counters["envelopes_carried"] >= 3201, "the alert behind it", 30)
    kept = Kept()
    async with (
        house.station("center", listen="tcp://127.0.0.1:0", inbox=kept) as center,
        house.station("relay", to=[("center", center.listening_on[0])]),
    ):  # restarted: everything is read from its disk again
        await until(lambda: len(kept.arrivals) >= 3201, "all of it at the center", 60)
    origins = [arrival.passport.name for arrival in kept.arrivals]
    assert origins.index("gate") < 1_600, f"its alert came as number {origins.index('gate')} of {len(origins)}"


async def test_a_node_that_goes_on_over_its_next_session_is_nobody_beside_its_own_flood(tmp_path: Path) -> None:
    """After a change of paths a backlog is stored as fast as before it, and not at the pace of a flood beside others."""
    house, kept, was_flooded = filled(House(tmp_path), "gate"), Kept(), list[bool]()
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=kept) as center:
        waiting, take = center.receiver._waiting, center.receiver._waiting.take
        accept = kept.accept

        def noting(*, paced_ms: int) -> list[tuple[Arrival, Link]]:
            group = take(paced_ms=paced_ms)
            was_flooded.append(waiting.is_flooded(paced_ms))
            return group

        def accept_late(connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
            accept(connection, arrivals)
            time.sleep(0.03)  # a slow disk: what comes meanwhile piles up

        waiting.take = noting  # type: ignore[method-assign,assignment]
        kept.accept = accept_late  # type: ignore[method-assign]
        for _ in range(2):
            async with house.station("gate", to=[("center", center.listening_on[0])]) as gate:
                await say(gate, 400)
                await say(gate, 400)
                await until(lambda gate=gate: gate.counters["envelopes_receipted"] >= 800, "the receipts", 60)  # type: ignore[misc]
                assert waiting._floods, "it was a flood"
    assert not any(was_flooded), "and nobody else spoke"


async def test_a_receipt_is_passed_on_while_the_relay_s_own_disk_is_busy(tmp_path: Path) -> None:
    """Behind a flood its commits queue up; the node need not wait for them to hear that the center has its alert."""
    house, kept, may_commit, may_go_on = filled(House(tmp_path), "gate"), Kept(), threading.Event(), threading.Event()
    accept = kept.accept

    def accept_late(connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
        may_commit.wait(60)
        accept(connection, arrivals)

    kept.accept = accept_late  # type: ignore[method-assign]
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=kept) as center:
        to_center = [("center", center.listening_on[0])]
        async with (
            house.station("relay", listen="tcp://127.0.0.1:0", to=to_center) as relay,
            house.station("gate", to=[("relay", relay.listening_on[0])]) as gate,
        ):
            await say(gate)
            await until(lambda: relay.counters["envelopes_sent"] == 1, "the alert on its way to the center", 30)
            busy = asyncio.create_task(relay.database.run(lambda _: may_go_on.wait(60)))
            try:
                await asyncio.sleep(0)  # its thread is taken from here on
                may_commit.set()
                await until(lambda: gate.counters["envelopes_receipted"] == 1, "the receipt at the node", 30)
                assert relay.counters["envelopes_receipted"] == 0
                assert not busy.done()
            finally:
                may_commit.set()
                may_go_on.set()
                await busy
            await until(lambda: relay.counters["envelopes_receipted"] == 1, "the relay to let go of its copy", 30)


async def test_receipts_of_many_series_are_settled_side_by_side_and_each_is_passed_on_once(tmp_path: Path) -> None:
    names = [f"gate-{n}" for n in range(12)]
    house, kept = filled(House(tmp_path), *names), Kept()
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=kept) as center:
        to_center = [PathConfig(name=f"way-{n}", endpoint=center.listening_on[0], peer="center") for n in range(3)]
        async with contextlib.AsyncExitStack() as stack:
            relay = await stack.enter_async_context(house.station("relay", listen="tcp://127.0.0.1:0", to=to_center))
            to_relay = [("relay", relay.listening_on[0])]
            gates = [await stack.enter_async_context(house.station(name, to=to_relay)) for name in names]
            await until(lambda: all(gate.path_health()[0].is_up for gate in gates), "the paths", 60)
            await until(lambda: all(report.is_up for report in relay.path_health()), "the relay's three", 60)
            passed, arrived = list[receipt.Receipt](), list[receipt.Receipt]()
            pass_on, arrive = relay._settler._pass_on, relay.receiver._on_receipt

            def noted(known: receipt.Receipt, *, is_tiny: bool, is_urgent: bool = False) -> None:
                passed.extend([] if is_tiny else [known])
                pass_on(known, is_tiny=is_tiny, is_urgent=is_urgent)

            def counted(known: receipt.Receipt) -> None:
                arrived.append(known)
                arrive(known)

            relay._settler._pass_on = noted  # type: ignore[method-assign, assignment]
            relay.receiver._on_receipt = counted
            busy, may_go_on = threading.Event(), threading.Event()

            def keep_busy(_: sqlite3.Connection) -> None:
                busy.set()
                may_go_on.wait(60)

            for gate in gates:
                await say(gate)
            await until(lambda: len(kept.arrivals) == len(gates), "all at the center", 60)
            await until(lambda: relay.counters["envelopes_receipted"] == len(gates), "settled", 60)
            await until(lambda: len(arrived) >= 3 * len(gates), "a copy of each by each path", 60)
            assert {known.origin for known in passed} == {gate.identity.node_id for gate in gates}
            assert len(passed) <= len(arrived) / 2, "each went on once, or a few twice where a copy came late"
            held = asyncio.create_task(relay.database.run(keep_busy))
            await until(busy.is_set, "the disk to be busy")
            before = relay.database.commits
            for known in passed[: len(gates)]:
                relay._settler.arrived(known)
            await asyncio.sleep(0.05)  # they wait for the disk
            may_go_on.set()
            await held
            await relay.settled()
            assert relay.database.commits - before <= 4, "not one commit a receipt"


async def test_a_flood_beside_others_hears_how_fast_it_is_stored_and_not_how_fast_it_is_read(tmp_path: Path) -> None:
    house, kept, turns = filled(House(tmp_path), "flooder", "gate"), Kept(), threading.Semaphore(0)
    accept = kept.accept

    def accept_in_turn(connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
        turns.acquire(timeout=60)
        accept(connection, arrivals)

    kept.accept = accept_in_turn  # type: ignore[method-assign]
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=kept) as center:
        to_center = center.listening_on[0]
        async with neighbor(house, "flooder", to_center) as flooder, neighbor(house, "gate", to_center) as gate:
            for sequence in range(1, TURN + FLOOD + 1):
                wire = said_by(house.identities["flooder"], sequence).wire
                await until(lambda wire=wire: flooder.session.send(wire, Lane.URGENT), "room")  # type: ignore[misc, union-attr]
            await until(lambda: flooder.session.send(hop.encode(hop.Ping(11)), Lane.URGENT), "room")  # type: ignore[union-attr]
            await until(lambda: hop.Pong(11) in flooder.notes, "all of it to be read", 30)
            gate.say(said_by(house.identities["gate"], 1).wire)
            gate.say(hop.Ping(12))
            await until(lambda: hop.Pong(12) in gate.notes, "the other one's", 30)
            before = center.receiver.waiting_count
            turns.release()
            await until(lambda: center.receiver.waiting_count < before, "the next group to be taken", 30)
            flooder.say(hop.Ping(FIRST_TOKEN + 5))
            flooder.say(hop.Ping(77))
            await until(lambda: hop.Pong(77) in flooder.notes, "the answer to a usual ping", 30)
            assert hop.Pong(FIRST_TOKEN + 5) not in flooder.notes, "it was read, and is not stored"
            gate.say(hop.Ping(FIRST_TOKEN + 6))
            await until(lambda: hop.Pong(FIRST_TOKEN + 6) in gate.notes, "who does not flood waits for nothing", 30)
            turns.release(1_000)
            await until(lambda: hop.Pong(FIRST_TOKEN + 5) in flooder.notes, "the answer, when it is", 30)
            await until(lambda: len(kept.arrivals) == TURN + FLOOD + 1, "everything stored", 30)
            assert not center.receiver._from, "nothing is remembered of links behind which nothing waits"


async def test_what_is_over_all_bounds_is_turned_away_by_name_and_others_are_taken(tmp_path: Path) -> None:
    house, kept, may_commit = filled(House(tmp_path), "flooder", "gate"), Kept(), threading.Event()
    accept = kept.accept

    def accept_late(connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
        may_commit.wait(60)
        accept(connection, arrivals)

    kept.accept = accept_late  # type: ignore[method-assign]
    wires = [said_by(house.identities["flooder"], number).wire for number in range(1, MOST_OF_ONE + 2 * TURN)]
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=kept) as center:
        to_center = center.listening_on[0]
        async with neighbor(house, "flooder", to_center) as flooder, neighbor(house, "gate", to_center) as gate:
            for wire in wires:
                await until(lambda wire=wire: flooder.session.send(wire, Lane.URGENT), "room")  # type: ignore[misc, union-attr]
            await until(lambda: center.counters["refused_flooding"] > 0, "the refusal", 30)
            gate.say(said_by(house.identities["gate"], 1).wire)
            gate.say(hop.Ping(12))
            await until(lambda: hop.Pong(12) in gate.notes, "the other one's alert to be read", 30)
            may_commit.set()
            await until(lambda: bool(gate.receipts), "its receipt", 30)
            status = await center.status()
            assert f"flooder: flooding {status.conduct['flooder']['flooding']}" in shown(status)
            assert "gate" not in status.conduct


async def test_of_a_node_s_own_flood_each_plan_looks_at_a_few_and_all_of_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, looked_at = filled(House(tmp_path), "gate"), list[int]()

    def counted(entries: Sequence[Entry], *others: Any, **named: Any) -> Plan:
        looked_at.append(sum(not entry.attempts for entry in entries))
        return plan(entries, *others, **named)

    monkeypatch.setattr("relay.sender.plan", counted)
    kept = Kept()
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=kept) as center:
        async with house.station("gate", to=[("center", center.listening_on[0])]) as gate:
            for _ in range(3):
                await say(gate, 400)
            await until(lambda: gate.counters["envelopes_receipted"] == 1_200, "all of them", 90)
            assert AT_HAND <= max(looked_at) <= AT_HAND + 1, "and the newest"
        assert len(kept.arrivals) == 1_200


async def test_a_flood_leaves_in_few_runs_so_that_a_receipt_can_name_what_arrived(tmp_path: Path) -> None:
    """Many that overtake what had no room leave more gaps than a receipt names; what it can't name would be sent for ever."""
    house, kept = filled(House(tmp_path), "gate"), Kept()
    async with (
        house.station("center", listen="tcp://127.0.0.1:0", inbox=kept) as center,
        house.station("gate", to=[("center", center.listening_on[0])]) as gate,
    ):
        for _ in range(15):
            await say(gate, 300)  # faster than it is sent: more waits than the window holds
        await until(lambda: gate.counters["envelopes_receipted"] == 4_500, "all of them", 120)
    arrived, runs = RangeSet(), list[int]()
    for arrival in kept.arrivals:
        arrived.add(arrival.envelope.header.sequence)
        runs.append(len(arrived.above_contiguous()))
    assert len(runs) == 4_500
    assert max(runs) <= limits.MAX_RECEIPT_RANGES // 4


async def test_a_node_gets_its_share_of_a_relay_s_spool_and_no_more_and_both_are_told(tmp_path: Path) -> None:
    house = filled(House(tmp_path), "flooder", "gate")
    small = SpoolConfig(capacity_bytes=1_000_000, reserve_bytes=100_000, node_share=0.1)
    async with house.station("relay", listen="tcp://127.0.0.1:0", spool=small) as relay:
        to_relay = [("relay", relay.listening_on[0])]
        async with house.station("flooder", to=to_relay) as flooder, house.station("gate", to=to_relay) as gate:
            await say(flooder, 40, size=5_000)
            await until(lambda: flooder.counters["sent_but_refused_over_quota"] > 0, "the refusal at the node", 30)
            await say(gate)
            await until(lambda: relay.counters["envelopes_carried"] >= 20, "what fits, and the other node's", 30)
            status = await relay.status()
            assert status.spool_bytes <= 200_000
            assert status.conduct["flooder"]["over_quota"] > 0
            assert f"flooder: over_quota {status.conduct['flooder']['over_quota']}" in shown(status)
            assert "gate" not in status.conduct
            assert (await flooder.status()).backlog[Precedence.FLASH] == 40, "what is turned away stays with its node"


async def test_a_fork_of_a_node_s_chain_is_counted_and_named_and_neither_branch_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copied disk: two machines hold one key and go on from the same number."""
    # What a relay says that it holds it says by number: told of that first, the second branch waits a minute for its next turn.
    monkeypatch.setattr("relay.switchboard.holds", lambda *_: hop.Holds(()))
    house = filled(House(tmp_path), "gate")
    async with house.station("gate") as gate:
        await say(gate)
    copied = (house.dir_of("gate") / "spool.sqlite").read_bytes()
    async with house.station("relay", listen="tcp://127.0.0.1:0") as relay:
        to_relay = [("relay", relay.listening_on[0])]
        async with house.station("gate", to=to_relay) as gate:
            await say(gate, 1, size=50)
            await until(lambda: relay.counters["envelopes_carried"] == 2, "the first branch", 30)
        for leftover in house.dir_of("gate").glob("spool.sqlite*"):
            leftover.unlink()
        (house.dir_of("gate") / "spool.sqlite").write_bytes(copied)
        async with house.station("gate", to=to_relay) as gate:
            await say(gate, 1, size=60)
            await until(lambda: relay.counters["envelopes_carried"] == 3, "the second branch", 30)
            assert relay.counters["chain_forks"] == 1
            assert (await relay.status()).conduct == {"gate": {"chain_fork": 1}}
            assert "gate: chain_fork 1" in shown(await relay.status())
    kept = Kept()
    async with (
        house.station("center", listen="tcp://127.0.0.1:0", inbox=kept) as center,
        house.station("relay", to=[("center", center.listening_on[0])]),
    ):
        await until(lambda: len(kept.arrivals) == 3, "both branches at the center", 30)
        assert sorted(arrival.is_fork for arrival in kept.arrivals) == [False, False, True]
        assert center.counters["chain_forks"] == 1
        assert center.conduct.told(center.trust.name_of) == {"gate": {"chain_fork": 1}}


@pytest.mark.slow
async def test_others_keep_their_latency_while_one_node_floods(tmp_path: Path) -> None:
    """Against the promise of 1.5 times only in ``make bench``: here it must be a fraction of what a shared queue costs."""
    house = filled(House(tmp_path), "flooder", "gate")
    kept = Kept()
    async with house.station("center", listen="tcp://127.0.0.1:0", inbox=kept) as center:
        to_center = [("center", center.listening_on[0])]
        async with house.station("flooder", to=to_center) as flooder, house.station("gate", to=to_center) as gate:
            flooding = asyncio.create_task(_flood(flooder))
            await until(lambda: len(kept.arrivals) > 500, "the flood", 60)
            took_s: list[float] = []
            arrived = len(kept.arrivals)
            while len(took_s) < 20 or len(kept.arrivals) < arrived + len(took_s) + 200:  # and so long the flood goes on
                began_s, before = time.monotonic(), gate.counters["envelopes_receipted"]
                await say(gate, 1, size=40 + len(took_s) % 20)
                await until(lambda before=before: gate.counters["envelopes_receipted"] > before, "its receipt", 30)  # type: ignore[misc]
                took_s.append(time.monotonic() - began_s)
            flooding.cancel()
            assert statistics.median(took_s) < 1.0, f"the median was {statistics.median(took_s):.2f} s"
            ahead = flooder.counters["envelopes_spooled"] - flooder.counters["envelopes_receipted"]
            assert ahead > 200, "more of the flood waited than had come"


async def _flood(flooder: Station) -> None:
    while True:
        await say(flooder, 500)
