"""Whether the emulator does what it is told, measured through the kernels at both ends of a real link."""

import contextlib
import itertools
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.network import namespaces
from tests.network.emulator import Ask, Change, Divert, End, LinkPlan, Plan, tell
from tests.network.namespaces import entered
from tests.network.pipe import Impairment
from tests.network.probe import flood_kbit, ping

NEAR, FAR = "10.72.1.2", "10.72.1.1"


class Wire:
    """One emulated link between two namespaces."""

    def __init__(self, names: dict[str, str], socket_file: Path) -> None:
        self.near, self.far = names["near"], names["far"]
        self.socket_file = socket_file

    def set(self, **to: float | bool) -> None:
        """Replace the impairment of both directions."""
        tell(self.socket_file, Change(link="wire", to={**msgspec.structs.asdict(Impairment()), **to}))


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    if not namespaces.can_make():
        pytest.skip("needs root, `ip` and /dev/net/tun")
    folder_dir = tmp_path_factory.mktemp("wire")
    with namespaces.made(["near", "far"]) as names:
        plan = Plan(socket=str(folder_dir / "orders"), seed=11, links=(LinkPlan(
            name="wire", near=End(namespace=names["near"], device="near0", address=NEAR),
            far=End(namespace=names["far"], device="far0", address=FAR)),))  # fmt: skip
        (folder_dir / "plan.json").write_bytes(msgspec.json.encode(plan))
        with subprocess.Popen(
            [sys.executable, "-m", "tests.network.emulator", str(folder_dir / "plan.json")], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            try:
                assert process.stdout.readline() == b"ready\n"
                yield Wire(names, folder_dir / "orders")
            finally:
                process.kill()


@pytest.mark.parametrize("rtt_ms", [20, 100, 600])
def test_round_trip_takes_as_long_as_set(wire: Wire, rtt_ms: int) -> None:
    wire.set(delay_ms=rtt_ms / 2)
    echoes = ping(wire.near, FAR, count=40, gap_s=0.02)
    median_ms = statistics.median(echoes.rtt_ms)
    print(f"set {rtt_ms} ms: {min(echoes.rtt_ms):.1f}/{median_ms:.1f}/{max(echoes.rtt_ms):.1f}")
    assert echoes.loss_pct == 0
    assert rtt_ms <= min(echoes.rtt_ms)
    assert median_ms < rtt_ms + 5


def test_jitter_spreads_the_round_trips_as_far_as_set(wire: Wire) -> None:
    wire.set(delay_ms=30, jitter_ms=20)
    echoes = ping(wire.near, FAR, count=40, gap_s=0.05)
    print(f"30 ± 20 ms each way: {min(echoes.rtt_ms):.1f} to {max(echoes.rtt_ms):.1f}")
    assert echoes.loss_pct == 0
    assert min(echoes.rtt_ms) >= 20
    assert statistics.median(echoes.rtt_ms) < 60 + 15
    assert statistics.stdev(echoes.rtt_ms) > 10, "two uniform spreads of ± 20 ms have a standard deviation of 16"


def test_queue_holds_what_was_set_and_drops_the_rest(wire: Wire) -> None:
    wire.set(rate_kbit=500, queue_kb=32)
    before = tell(wire.socket_file, Ask()).up["wire"]
    with entered(wire.near):
        giving = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with contextlib.closing(giving):
        for _ in range(60):
            giving.sendto(bytes(1400), (FAR, 9))
    echoes = ping(wire.near, FAR, count=1, gap_s=0.01, wait_s=3)
    dropped = tell(wire.socket_file, Ask()).up["wire"].tail_dropped - before.tail_dropped
    print(f"behind a full queue of 32 KiB at 500 kbit/s: {echoes.rtt_ms} ms, {dropped} dropped")
    assert 60 - 32 * 1024 // 1428 - 5 <= dropped <= 60 - 32 * 1024 // 1428
    assert 300 < echoes.rtt_ms[0] < 700, "what stands in the queue takes 524 ms to leave"


def test_random_loss_is_what_was_set(wire: Wire) -> None:
    wire.set(loss_pct=10)
    echoes = ping(wire.near, FAR, count=1500, gap_s=0.001, wait_s=0.1)
    print(f"10 % each way: {echoes.loss_pct:.1f} % of the echoes (expected 19.0)")
    assert 16 < echoes.loss_pct < 22  # three standard deviations of 1,500 throws


def test_bursty_loss_is_what_was_set(wire: Wire) -> None:
    wire.set(burst_start_pct=1, burst_end_pct=20)
    echoes = ping(wire.near, FAR, count=3000, gap_s=0.0007, wait_s=0.1)
    print(f"bursts 1/20 each way: {echoes.loss_pct:.1f} % of the echoes (expected 9.3)")
    assert 5.5 < echoes.loss_pct < 13


@pytest.mark.parametrize("rate_kbit", [500, 2_000, 10_000])
def test_flood_gets_the_rate_that_was_set(wire: Wire, rate_kbit: int) -> None:
    wire.set(rate_kbit=rate_kbit)
    found_kbit = flood_kbit(wire.near, wire.far, FAR, offered_kbit=1.3 * rate_kbit, for_s=1.2)
    print(f"set {rate_kbit} kbit/s: {found_kbit:.0f}")
    assert found_kbit == pytest.approx(rate_kbit, rel=0.05)


def test_doubled_and_reordered_packets_are_seen_at_the_far_end(wire: Wire) -> None:
    wire.set(delay_ms=15, duplicate_pct=10, reorder_pct=10)
    echoes = ping(wire.near, FAR, count=400, gap_s=0.002, wait_s=0.3, is_waiting_for_doubles=True)
    assert echoes.loss_pct == 0
    assert 40 < len(echoes.numbers) - 400 < 150, "each way doubles 10 %"
    firsts = list(dict.fromkeys(echoes.numbers))
    assert sum(b < a for a, b in itertools.pairwise(firsts)) > 10


@pytest.mark.parametrize("cut", ["is_blackhole", "is_down"])
def test_cut_link_carries_nothing_and_a_mended_one_everything(wire: Wire, cut: str) -> None:
    wire.set(**{cut: True})
    carrier = subprocess.run(
        ["ip", "-n", wire.near, "link", "show", "near0"], capture_output=True, text=True, check=True
    )
    assert ("NO-CARRIER" in carrier.stdout) == (cut == "is_down"), "only a pulled cable shows"
    with contextlib.suppress(OSError):
        assert ping(wire.near, FAR, count=5, gap_s=0.01, wait_s=0.2).loss_pct == 100
    wire.set()
    assert ping(wire.near, FAR, count=5, gap_s=0.01).loss_pct == 0


def test_one_direction_can_be_cut_alone(wire: Wire) -> None:
    wire.set()
    tell(wire.socket_file, Change(link="wire", direction="down", to={"is_blackhole": True}))
    before = tell(wire.socket_file, Ask())
    assert ping(wire.near, FAR, count=10, gap_s=0.005, wait_s=0.2).loss_pct == 100
    after = tell(wire.socket_file, Ask())
    assert after.up["wire"].passed - before.up["wire"].passed == 10
    assert after.down["wire"].swallowed - before.down["wire"].swallowed == 10


@pytest.mark.parametrize("order", [Change(link="none", to={}), Change(link="wire", to={"delay": 3}),
                                   Divert(link="wire", is_diverted=True)])  # fmt: skip
def test_order_that_makes_no_sense_is_refused_and_the_link_goes_on(wire: Wire, order: Change | Divert) -> None:
    wire.set()
    with pytest.raises(ValueError, match="the emulator refused"):
        tell(wire.socket_file, order)
    assert ping(wire.near, FAR, count=3, gap_s=0.005).loss_pct == 0
