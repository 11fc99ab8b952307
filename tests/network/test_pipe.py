"""One direction of the emulator: pure, so every promise is checked without a device."""

import itertools
import struct

import msgspec
import pytest

from tests.network.pipe import Impairment, Pipe
from tests.network.translation import Translation


def through(how: Impairment, *, packets: int = 10_000, gap_s: float = 0.001, seed: int = 1) -> list[tuple[float, int]]:
    """(time out, number) of what comes out, for packets of 125 bytes at a steady pace."""
    pipe = Pipe(how, seed=seed)
    out: list[tuple[float, int]] = []
    for number in range(packets):
        now_s = 1 + number * gap_s
        out += [(now_s, int.from_bytes(packet[:4], "big")) for packet in pipe.due(now_s)]
        pipe.offer(now_s, number.to_bytes(4, "big") + bytes(121))
    while (due_s := pipe.next_due_s) is not None:
        out += [(due_s, int.from_bytes(packet[:4], "big")) for packet in pipe.due(due_s)]
    return out


def test_perfect_wire_passes_everything_in_order() -> None:
    assert [number for _, number in through(Impairment())] == list(range(10_000))


def test_delay_is_exact() -> None:
    pipe = Pipe(Impairment(delay_ms=30), seed=1)
    pipe.offer(5.0, b"x")
    assert pipe.next_due_s == pytest.approx(5.03)
    assert not list(pipe.due(5.0299))
    assert list(pipe.due(5.0301)) == [b"x"]


def test_jitter_keeps_the_order() -> None:
    out = through(Impairment(delay_ms=50, jitter_ms=40))
    assert [number for _, number in out] == list(range(10_000))


def test_random_loss_has_its_rate_and_no_bursts() -> None:
    came = {number for _, number in through(Impairment(loss_pct=10))}
    lost = [number for number in range(10_000) if number not in came]
    assert 850 < len(lost) < 1150
    assert sum(b == a + 1 for a, b in itertools.pairwise(lost)) < 0.16 * len(lost)


def test_bursty_loss_has_its_rate_and_comes_in_bursts() -> None:
    came = {number for _, number in through(Impairment(burst_start_pct=1, burst_end_pct=20), packets=40_000)}
    lost = [number for number in range(40_000) if number not in came]
    assert 0.035 < len(lost) / 40_000 < 0.06, "1 / (1 + 20) of the time is bad"
    assert sum(b == a + 1 for a, b in itertools.pairwise(lost)) > 0.7 * len(lost)


def test_serializer_keeps_its_rate_and_drops_what_its_queue_cannot_hold() -> None:
    pipe = Pipe(Impairment(rate_kbit=100, queue_kb=2), seed=1)  # 12.5 bytes a ms
    for number in range(100):
        pipe.offer(1.0, bytes([number]) * 125)
    assert pipe.tally.tail_dropped == 100 - 2048 // 125
    times: list[float] = []
    while (due_s := pipe.next_due_s) is not None:
        times += [due_s for _ in pipe.due(due_s)]
    assert times == pytest.approx([1 + 0.01 * (n + 1) for n in range(16)])


def test_reordered_packets_overtake_and_none_is_lost() -> None:
    order = [number for _, number in through(Impairment(delay_ms=20, reorder_pct=5))]
    assert sorted(order) == list(range(10_000))
    assert sum(b < a for a, b in itertools.pairwise(order)) > 300


def test_doubled_packets_come_twice() -> None:
    numbers = [number for _, number in through(Impairment(delay_ms=20, duplicate_pct=10))]
    assert 10_850 < len(numbers) < 11_150
    assert set(numbers) == set(range(10_000))


@pytest.mark.parametrize("cut", [Impairment(delay_ms=50, is_blackhole=True), Impairment(delay_ms=50, is_down=True)])
def test_cut_loses_what_is_under_way_and_what_comes(cut: Impairment) -> None:
    pipe = Pipe(Impairment(delay_ms=50), seed=1)
    pipe.offer(1.0, b"under way")
    pipe.change(cut)
    pipe.offer(1.01, b"late")
    assert pipe.next_due_s is None
    assert pipe.tally.swallowed == 2
    pipe.change(Impairment())
    pipe.offer(2.0, b"mended")
    assert list(pipe.due(2.0)) == [b"mended"]


def test_same_seed_gives_the_same_result_and_another_one_another() -> None:
    how = Impairment(
        delay_ms=20, jitter_ms=10, loss_pct=5, burst_start_pct=1, burst_end_pct=30, duplicate_pct=1, reorder_pct=1
    )
    assert through(how, seed=7) == through(how, seed=7)
    assert through(how, seed=7) != through(how, seed=8)


def test_a_pipe_that_is_seeded_anew_is_as_one_that_was_started_with_that_seed() -> None:
    how = Impairment(delay_ms=20, jitter_ms=10, loss_pct=5)
    used, fresh = Pipe(how, seed=3), Pipe(how, seed=9)
    for number in range(200):
        used.offer(1 + number * 0.001, bytes(125))
    assert list(used.due(2.0))
    before = msgspec.structs.replace(used.tally)
    used.reseed(9)
    for pipe in (used, fresh):
        for number in range(200):
            pipe.offer(3 + number * 0.001, number.to_bytes(4, "big"))
    assert list(used.due(4.0)) == list(fresh.due(4.0))
    assert used.tally.since(before).lost == fresh.tally.lost > 0
    assert used.tally.since(before).offered == 200


def test_every_packet_is_accounted_for() -> None:
    pipe = Pipe(Impairment(loss_pct=10, burst_start_pct=1, rate_kbit=200, queue_kb=4, duplicate_pct=3), seed=3)
    for number in range(5_000):
        pipe.offer(1 + number * 0.001, bytes(125))
    came = len(list(pipe.due(1e9)))
    tally = pipe.tally
    assert came == tally.offered + tally.doubled - tally.lost - tally.tail_dropped - tally.swallowed


@pytest.mark.parametrize("wrong", [{"delay": 3.0}, {"loss_pct": 101.0}, {"delay_ms": -1.0}])
def test_unknown_or_impossible_value_is_refused(wrong: dict[str, float | bool]) -> None:
    with pytest.raises(msgspec.ValidationError):
        Impairment().changed(wrong)


# ------------------------------------------------------------------------------------------------ address translation

INNER, OUTER = (b"\x0a\x47\x01\x02", 40_000), (b"\x0a\x63\x00\x01", 5701)
SYN, ACK = 0x02, 0x10


def tcp(source: tuple[bytes, int], target: tuple[bytes, int], flags: int) -> bytes:
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, source[0], target[0])
    return head + struct.pack(">HHIIBBHHH", source[1], target[1], 0, 0, 0x50, flags, 0, 0, 0)


def test_translation_that_forgot_drops_old_connections_and_takes_new_ones() -> None:
    translation = Translation()
    assert translation.passes(tcp(INNER, OUTER, ACK), is_outward=True)
    translation.forget()
    assert not translation.passes(tcp(INNER, OUTER, ACK), is_outward=True)
    assert not translation.passes(tcp(OUTER, INNER, ACK), is_outward=False)
    fresh = (INNER[0], 40_001)
    assert translation.passes(tcp(fresh, OUTER, SYN), is_outward=True)
    assert translation.passes(tcp(OUTER, fresh, SYN | ACK), is_outward=False)
    assert translation.passes(tcp(fresh, OUTER, ACK), is_outward=True)
    assert not translation.passes(tcp(OUTER, INNER, SYN), is_outward=False), "nobody outside makes a mapping"


def test_translation_passes_what_is_not_tcp() -> None:
    translation = Translation()
    translation.forget()
    assert translation.passes(bytes([0x45, *([0] * 8), 17, *([0] * 40)]), is_outward=True)
