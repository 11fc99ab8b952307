"""The scheduler's plan, case by case: who goes where, and when the next way is tried."""

from dataclasses import replace

from relay.attempts import Entry, LinkId, LinkView, SendPolicy
from relay.precedence import Precedence
from relay.scheduler import plan

POLICY = SendPolicy()
WIFI = LinkView(id=LinkId(1), peer=b"relay", path="wifi", rtt_ms=20, rtt_variation_ms=5)
LTE = LinkView(id=LinkId(2), peer=b"relay", path="lte", rtt_ms=60, rtt_variation_ms=10)
SATELLITE = LinkView(id=LinkId(3), peer=b"center", path="sat", rtt_ms=600, rtt_variation_ms=50, is_metered=True)


def entry(precedence: Precedence, *links: LinkView) -> Entry:
    return Entry(number=1, precedence=precedence, size_bytes=230, links=links)


def sent_on(found: Entry, now_ms: int) -> list[str]:
    """Plan, do it, and say which paths were used."""
    decided = plan([found], now_ms, POLICY)
    by_id = {link.id: link for link in found.links}
    for _, link_id in decided.sends:
        found.note_sent(by_id[link_id].way, now_ms)
    return [by_id[link_id].path for _, link_id in decided.sends]


def test_flash_races_on_both_paths_to_one_neighbor() -> None:
    assert sent_on(entry(Precedence.FLASH, WIFI, LTE), 0) == ["wifi", "lte"]


def test_flash_gives_the_unmetered_ways_their_p95_before_it_costs_money() -> None:
    flash = entry(Precedence.FLASH, WIFI, SATELLITE)
    assert sent_on(flash, 1_000) == ["wifi"]
    assert plan([flash], 1_001, POLICY).next_look_ms == 1_040
    assert sent_on(flash, 1_039) == []
    assert sent_on(flash, 1_040) == ["sat"]


def test_flash_goes_on_a_metered_path_at_once_where_there_is_no_other() -> None:
    assert sent_on(entry(Precedence.FLASH, SATELLITE), 0) == ["sat"]


def test_immediate_takes_the_fastest_and_hedges_on_the_next_after_its_p95() -> None:
    alert = entry(Precedence.IMMEDIATE, LTE, WIFI, SATELLITE)
    assert sent_on(alert, 1_000) == ["wifi"]
    assert sent_on(alert, 1_039) == []
    assert sent_on(alert, 1_040) == ["lte"]
    assert sent_on(alert, 1_139) == []
    assert sent_on(alert, 1_140) == ["sat"]


def test_who_must_choose_one_way_avoids_the_one_that_owes_an_answer() -> None:
    silent = replace(WIFI, is_suspect=True)
    for precedence in (Precedence.IMMEDIATE, Precedence.PRIORITY, Precedence.ROUTINE, Precedence.BULK):
        assert sent_on(entry(precedence, silent, LTE), 1_000) == ["lte"]
        assert sent_on(entry(precedence, silent), 1_000) == ["wifi"], "it is better than nothing"
    assert sent_on(entry(Precedence.FLASH, silent, LTE), 1_000) == ["wifi", "lte"], "a race costs nothing"
    assert sent_on(entry(Precedence.PRIORITY, silent, SATELLITE), 1_000) == ["wifi"], (
        "and money is not spent on a suspicion"
    )


def test_immediate_does_not_hedge_on_what_a_neighbor_holds() -> None:
    alert = entry(Precedence.IMMEDIATE, WIFI, SATELLITE)
    assert sent_on(alert, 1_000) == ["wifi"]
    alert.note_held(WIFI.peer, 1_020)
    decided = plan([alert], 5_000, POLICY)
    assert decided.sends == ()
    assert decided.parked[0][0] == 1


def test_snapshot_gives_a_silent_path_up_for_the_next_one_to_the_same_neighbor() -> None:
    picture = entry(Precedence.PRIORITY, WIFI, LTE)
    assert sent_on(picture, 0) == ["wifi"]
    assert sent_on(picture, 999) == []
    assert sent_on(picture, 1_000) == ["lte"]


def test_snapshot_costs_money_only_where_there_is_no_other_way() -> None:
    assert sent_on(entry(Precedence.PRIORITY, SATELLITE, LTE), 0) == ["lte"]
    assert sent_on(entry(Precedence.PRIORITY, SATELLITE), 0) == ["sat"]


def test_a_clip_never_costs_money() -> None:
    assert sent_on(entry(Precedence.BULK, SATELLITE), 0) == []
    assert sent_on(entry(Precedence.BULK, SATELLITE, WIFI), 0) == ["wifi"]


def test_what_one_path_brought_is_not_offered_again_on_the_other() -> None:
    flash = entry(Precedence.FLASH, WIFI)
    assert sent_on(flash, 0) == ["wifi"]
    flash.note_held(WIFI.peer, 10)
    flash.links = (WIFI, LTE)
    assert sent_on(flash, 20) == []


def test_a_path_that_comes_back_gets_what_was_under_way_on_it() -> None:
    picture = entry(Precedence.PRIORITY, WIFI)
    assert sent_on(picture, 0) == ["wifi"]
    picture.forget_unanswered(WIFI.peer, "lte")
    assert sent_on(picture, 100) == []
    picture.forget_unanswered(WIFI.peer, "wifi")
    assert sent_on(picture, 100) == ["wifi"]
