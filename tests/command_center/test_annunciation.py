"""What is sounded, when, and how often: the rules."""

from hypothesis import given
from hypothesis import strategies as st

from command_center import annunciation
from relay.precedence import Precedence

SOURCES = st.tuples(st.sampled_from([b"n1", b"n2", b"n3"]), st.sampled_from(["a", "b"]))


def test_the_ladder_of_a_flash() -> None:
    reached = [
        annunciation.level_due(Precedence.FLASH, waited_s) for waited_s in (0, 14.9, 15, 29.9, 30, 59.9, 60, 1e6)
    ]
    assert reached == [0, 0, 1, 1, 2, 2, 3, 3]


def test_nothing_else_climbs_it() -> None:
    assert {annunciation.level_due(Precedence.IMMEDIATE, waited_s) for waited_s in (0, 60, 1e6)} == {0}


def test_a_restart_goes_on_from_the_level_reached() -> None:
    for level in range(4):
        assert annunciation.level_due(Precedence.FLASH, annunciation.waited_at(level)) == level


@given(st.lists(SOURCES, max_size=30), SOURCES, st.integers(1, 12), st.integers(1, 5))
def test_no_flash_is_ever_held_back(
    recent: list[tuple[bytes, str]], source: tuple[bytes, str], most: int, most_of_one: int
) -> None:
    assert not annunciation.is_flood(Precedence.FLASH, recent, source, most=most, most_of_one=most_of_one)


@given(st.lists(SOURCES, max_size=300), st.integers(1, 12), st.integers(1, 5))
def test_neither_bound_is_ever_passed(arriving: list[tuple[bytes, str]], most: int, most_of_one: int) -> None:
    annunciated: list[tuple[bytes, str]] = []
    for source in arriving:
        if not annunciation.is_flood(Precedence.IMMEDIATE, annunciated, source, most=most, most_of_one=most_of_one):
            annunciated.append(source)
    assert len(annunciated) <= most
    assert all(annunciated.count(source) <= most_of_one for source in set(arriving))
    assert not arriving or annunciated, "something was annunciated"
