"""How much of the time the audit's index takes, played through with a clock of its own: what arrives is followed, and hardly ever met."""

from dataclasses import dataclass

import pytest

from command_center.audit.pace import LEAST_RESTS, MOST_RESTS, Pace

MINUTE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Played:
    """What came of it."""

    behind: int
    share: float
    """Of the time that slices took."""


def play(arriving_a_second: float, *, cost_s: float, behind: int = 0, for_s: float = 3 * MINUTE_S) -> Played:
    """An index beside a journal that grows evenly; every twentieth slice is a commit that costs as much as ten."""
    pace, now_s, size, through, busy_s, slices = Pace(), 0.0, 10_000 + behind, 10_000, 0.0, 0
    while now_s < for_s:
        size = 10_000 + behind + round(arriving_a_second * now_s)
        taken = min(pace.at_most, size - through)
        slices += 1
        took_s = taken * cost_s * (1 if slices % 20 else 10)
        pace.note(size=size, taken=taken, took_s=took_s, now_s=now_s)
        through += taken
        busy_s += took_s
        now_s += took_s + (took_s * pace.rests if taken and through < size else 1.0)
    return Played(behind=size - through, share=busy_s / now_s)


@pytest.mark.parametrize("arriving_a_second", [1, 30, 100, 250, 500])
def test_up_to_five_hundred_entries_a_second_are_followed_with_a_hundredth_of_the_time_at_most(
    arriving_a_second: float,
) -> None:
    played = play(arriving_a_second, cost_s=10e-6)
    assert played.behind <= 3 * arriving_a_second + 100, "a few seconds' worth"
    assert played.share <= 1.01 / (LEAST_RESTS + 1)


def test_what_is_behind_waits_while_alerts_come_that_a_three_hundredth_of_the_time_follows() -> None:
    played = play(50, cost_s=10e-6, behind=1_000_000)
    assert played.behind > 900_000
    assert played.share == pytest.approx(1 / (MOST_RESTS + 1), rel=0.2)


def test_more_than_it_may_take_is_left_behind_and_not_taken_all_the_same() -> None:
    played = play(5000, cost_s=25e-6)
    assert played.behind > 100_000
    assert played.share <= 1.01 / (LEAST_RESTS + 1)


def test_what_is_behind_is_made_up_for_when_little_arrives() -> None:
    assert play(5, cost_s=10e-6, behind=1_000_000).behind < 100
