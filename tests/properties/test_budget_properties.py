"""Budgets hold for whatever is sent, whenever the machine is killed or rebooted, and whatever the wall clock says."""

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from relay.attempts import Entry, LinkId, LinkView, SendPolicy
from relay.budget import PERIODS_MS, SCHEMA, Purse, Tariff
from relay.path_health import OVERHEAD_BYTES
from relay.precedence import Precedence
from relay.scheduler import plan

tariffs = st.builds(
    Tariff, cost_per_mb=st.floats(0, 50), day_bytes=st.integers(0, 200_000), month_bytes=st.integers(0, 500_000),
    day_money=st.floats(0, 2), month_money=st.floats(0, 5),
)  # fmt: skip
steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from(Precedence), st.integers(60, 6_000)),
        st.tuples(st.just("wait"), st.integers(0, PERIODS_MS["day"] * 2), st.none()),
        st.tuples(st.just("kill"), st.none(), st.none()),
        st.tuples(st.just("stop"), st.none(), st.none()),
        st.tuples(st.just("reboot"), st.none(), st.none()),
    ),
    max_size=60,
)


class Machine:
    """A purse, its disk, and a link that it pays for."""

    def __init__(self, tariff: Tariff) -> None:
        self.tariff = tariff
        self.disk = sqlite3.connect(":memory:")
        self.disk.executescript(SCHEMA[0])
        self.boot, self.now_ms, self.age_ms = 1, 5_000, 0
        self.spent: list[tuple[int, int, Precedence]] = []
        self.start()

    def start(self) -> None:
        self.purse = Purse({"sat": self.tariff})
        self.purse.load(self.disk, f"boot-{self.boot}", self.now_ms)

    def write(self, *, is_final: bool) -> None:
        self.purse.snapshot(self.now_ms, is_final=is_final).write(self.disk, f"boot-{self.boot}")

    def send(self, precedence: Precedence, size_bytes: int) -> bool:
        link = LinkView(id=LinkId(1), peer=b"c", path="sat", rtt_ms=600, is_metered=True, cost_per_mb=self.tariff.cost_per_mb,
                        budget_left_bytes=self.purse.left_bytes("sat", self.now_ms))  # fmt: skip
        entry = Entry(number=1, precedence=precedence, size_bytes=size_bytes, links=[link])
        is_sent = bool(plan([entry], self.now_ms, SendPolicy()).sends)
        if is_sent:
            self.purse.spend("sat", size_bytes, self.now_ms)
            self.spent.append((self.age_ms, size_bytes + OVERHEAD_BYTES, precedence))
        if self.purse.is_write_due(self.now_ms):  # the loop that writes, once a second
            self.write(is_final=False)
        return is_sent


@given(tariffs, steps)
def test_only_alerts_go_past_a_budget_and_no_crash_makes_it_larger(
    tariff: Tariff, wanted: list[tuple[str, Precedence | int | None, int | None]]
) -> None:
    machine = Machine(tariff)
    for what, first, second in wanted:
        match what:
            case "send":
                assert isinstance(first, Precedence)
                assert second is not None
                left = machine.purse.left_bytes("sat", machine.now_ms)
                is_sent = machine.send(first, second)
                if first.is_alert:
                    assert is_sent, "an alert is never refused by a budget"
                elif first == Precedence.BULK:
                    assert not is_sent, "a clip never costs money"
                else:
                    assert is_sent == (second + OVERHEAD_BYTES <= left), f"{left} left"
            case "wait":
                assert isinstance(first, int)
                machine.now_ms += first
                machine.age_ms += first
                if machine.purse.is_write_due(machine.now_ms):
                    machine.write(is_final=False)
            case "kill":
                machine.start()
            case "stop":
                machine.write(is_final=True)
                machine.start()
            case "reboot":
                machine.write(is_final=True)
                machine.boot, machine.now_ms = machine.boot + 1, 3_000
                machine.start()
    periods = {use.period: use for use in machine.purse.uses("sat", machine.now_ms) if use.unit == "bytes"}
    for use in periods.values():
        # The period in progress began at a multiple of its length after the first start (or later, never earlier).
        since = machine.age_ms - machine.age_ms % PERIODS_MS[use.period] if machine.boot == 1 else machine.age_ms + 1
        really = sum(size for age_ms, size, _ in machine.spent if age_ms >= since)
        assert use.used >= really, "what was spent is never told smaller than it is"


@given(tariffs, st.lists(st.integers(60, 6_000), min_size=1, max_size=300))
def test_what_is_no_alert_never_goes_over_a_budget(tariff: Tariff, sizes: list[int]) -> None:
    machine = Machine(tariff)
    for size_bytes in sizes:
        machine.send(Precedence.PRIORITY, size_bytes)
    for use in machine.purse.uses("sat", machine.now_ms):
        assert use.used <= use.limit * 1.001, use
