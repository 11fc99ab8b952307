"""What of an alert's time is the links', and whether a fault was met: both decide what a run proves."""

import pytest

from tests.network import scenario
from tests.network.emulator import Standing
from tests.network.faults import Faults, Seen
from tests.network.pipe import Tally
from tests.network.scenario import Changes, Event
from tests.network.ways import Ways, open_s

CUT: Changes = {"is_blackhole": True}
MENDED: Changes = {"is_blackhole": False}


def test_no_way_is_whole_only_while_both_are_broken() -> None:
    ways = Ways(scenario.load("relay_cut_off"))  # by the relay, or over the node's own link
    ways.link(Event(at_s=0, link="lte", set=CUT), 1.0)
    ways.station("relay", 3.0, is_up=False)
    ways.link(Event(at_s=0, link="lte", set=MENDED), 4.5)
    ways.station("relay", 6.0, is_up=True)
    assert ways.closed() == [(3.0, 4.5)]


def test_a_way_that_never_comes_back_stays_closed() -> None:
    ways = Ways(scenario.load("city_lte"))
    ways.station("center", 2.0, is_up=False)
    assert ways.closed() == [(2.0, float("inf"))]


def test_of_two_reasons_both_must_go() -> None:
    ways = Ways(scenario.load("city_lte"))
    ways.link(Event(at_s=0, link="lte", direction="down", set=CUT), 1.0)
    ways.station("node", 2.0, is_up=False)
    ways.link(Event(at_s=0, link="lte", set=MENDED), 3.0)
    ways.station("node", 5.0, is_up=True)
    ways.link(Event(at_s=0, link="lte", forgets_connections=True), 6.0)
    assert ways.closed() == [(1.0, 5.0)], "and a forgotten connection closes nothing"


def test_open_time_leaves_out_what_lies_in_closed_spans() -> None:
    assert open_s([(3.0, 4.5), (6.0, float("inf"))], 2.0, 7.0) == pytest.approx(2.5)
    assert open_s([], 2.0, 7.0) == pytest.approx(5.0)


def seen(*, swallowed: int = 0, raised: int = 0, answers: int = 0) -> Seen:
    return Seen.of(Standing(up={"lte": Tally(swallowed=swallowed)}, down={"lte": Tally()}), raised, answers)


@pytest.mark.parametrize(("event", "met_by", "not_by"), [
    (Event(at_s=0, link="lte", set=CUT), seen(swallowed=8), seen(swallowed=7, raised=9, answers=9)),
    (Event(at_s=0, link="lte", direction="down", set=CUT), None, seen(swallowed=8)),
    (Event(at_s=0, link="lte", set={"is_down": True}), seen(swallowed=7, raised=1), seen(swallowed=7, answers=9)),
    (Event(at_s=0, link="lte", is_captive=True), seen(swallowed=7, answers=1), seen(swallowed=8, raised=9)),
    (Event(at_s=0, link="lte", forgets_connections=True), seen(swallowed=8), seen(swallowed=7, raised=9, answers=9)),
])  # fmt: skip
def test_a_fault_is_met_by_its_own_trace_alone(event: Event, met_by: Seen | None, not_by: Seen) -> None:
    faults = Faults()
    assert faults.begin(event, seen(swallowed=7)) is not None
    assert faults.unmet(not_by)
    if met_by is not None:
        assert not faults.unmet(met_by)
        assert not faults.unmet(not_by), "once is enough"


def test_a_mend_ends_the_faults_of_its_own_link() -> None:
    faults = Faults()
    cut = faults.begin(Event(at_s=0, link="lte", set=CUT), seen())
    assert faults.begin(Event(at_s=0, link="lte", set={"loss_pct": 3.0}), seen()) is None
    assert faults.ended_by(Event(at_s=0, link="lte", set=MENDED)) == [cut]
    assert not faults.ended_by(Event(at_s=0, link="wifi", set=MENDED))
    assert not faults.ended_by(Event(at_s=0, link="lte", set={"loss_pct": 3.0}))
