"""What is told of a path: round trip, loss, bytes, spending; and that it outlives sessions and restarts."""

from pathlib import Path

import pytest

from relay.config import BudgetOptions, PathConfig
from relay.header import Kind
from relay.passport import Role
from relay.path_health import PathMeter
from relay.precedence import Precedence
from tests.relay.house import House, until


def test_loss_counts_the_pings_that_had_their_time_and_no_answer() -> None:
    meter = PathMeter()
    now_ms = 10_000
    for turn in range(400):
        now_ms += 2_000
        meter.asked(now_ms)
        if turn % 4:  # every fourth stays unanswered
            meter.answered(now_ms, now_ms + 50)
    assert meter.loss == pytest.approx(0.25, abs=0.1)
    assert meter.rtt_ms == pytest.approx(50, abs=1)
    assert meter.rtt_variation_ms == pytest.approx(0, abs=1)


def test_answers_of_the_session_before_are_no_loss() -> None:
    meter = PathMeter()
    for now_ms in range(0, 20_000, 2_000):
        meter.asked(now_ms)
        meter.session_lost()
    meter.asked(30_000)
    assert meter.loss == 0


def test_a_late_answer_is_not_in_time_but_tells_the_round_trip() -> None:
    meter = PathMeter()
    meter.asked(0)
    meter.asked(2_000)
    assert meter.loss > 0
    meter.answered(0, 2_500)
    assert meter.rtt_ms == 2_500


def test_the_least_round_trip_is_of_the_last_half_minute() -> None:
    meter = PathMeter()
    meter.measured(20, 0)
    meter.measured(90, 10_000)
    assert meter.least_rtt_ms == 20
    meter.measured(80, 31_000)
    assert meter.least_rtt_ms == 80


def test_goodput_down_is_the_best_second_of_the_last_minute() -> None:
    meter = PathMeter()
    for at_ms in range(0, 3_000, 100):
        meter.received(1_000 if at_ms < 1_000 else 200, at_ms)
    assert meter.goodput_down_bytes_s(3_000) == 10_000
    assert meter.goodput_down_bytes_s(61_500) == 2_000
    assert meter.goodput_down_bytes_s(100_000) == 0
    assert meter.bytes_down == 14_000


async def test_status_names_what_a_metered_path_has_cost_and_keeps_it_over_a_restart(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.enroll("center", Role.CENTER)
    house.enroll("gate", Role.CAMERA)
    house.settle()
    async with house.station("center", listen="tcp://127.0.0.1:0") as center:
        path = PathConfig(name="sat", endpoint=center.listening_on[0], peer="center", metered=True, cost_per_mb=10.0,
                          budget=BudgetOptions(day_bytes=1_000_000, month_money=50.0))  # fmt: skip
        async with house.station("gate", to=[path]) as gate:
            await gate.put(gate.draft_up(Kind.ALERT, Precedence.FLASH, b"a handgun"))
            await until(lambda: gate.counters["envelopes_receipted"] == 1, "the receipt")
            report = gate.path_health()[0]
            assert report.is_metered
            assert report.bytes_up > 150
            assert report.bytes_down > 100
            day, month = report.budgets
            assert (day.period, day.unit, month.period, month.unit) == ("day", "bytes", "month", "money")
            assert day.used > report.bytes_up + report.bytes_down, "what the carrier adds is counted too"
            assert report.spent == pytest.approx(day.used * 10 / 1e6, rel=0.01)
            assert report.budget_left == pytest.approx(1 - day.used / 1_000_000)
        async with house.station("gate", to=[path]) as gate:
            again = gate.path_health()[0].budgets[0]
            assert again.used >= day.used
