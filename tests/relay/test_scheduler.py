"""The scheduler's plan, case by case: who goes where, and when the next way is tried."""

from dataclasses import replace

from relay.attempts import Entry, LinkId, LinkView, SendPolicy
from relay.bulk_pace import QUEUE_MS, BulkRoom
from relay.precedence import Precedence
from relay.scheduler import plan
from relay.set_aside import SetAside

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


def bulk_goes(now_ms: int, *alerts: Entry, idle_ms: int = 0, set_aside: SetAside | None = None) -> bool:
    """Whether a chunk goes on the satellite, on which the last one went so long ago."""
    view = replace(SATELLITE, is_metered=False, bulk=BulkRoom(rate_bytes_s=100_000, idle_ms=idle_ms))
    for alert in alerts:
        alert.links = [view]
    chunk = Entry(number=2, precedence=Precedence.BULK, size_bytes=5_300, links=[view])
    return (2, view.id) in plan([*alerts, chunk], now_ms, POLICY, set_aside).sends


def alert_sent(at_ms: int, times: int = 1) -> Entry:
    alert = entry(Precedence.FLASH, SATELLITE)
    for _ in range(times):
        alert.note_sent(SATELLITE.way, at_ms)
    return alert


def test_an_alert_stops_a_clip_until_what_stood_before_it_has_left_and_not_until_its_answer_comes() -> None:
    """What is sent then stands behind it. On a satellite the answer takes six times as long."""
    stops_ms = int(QUEUE_MS)
    assert not bulk_goes(1_000, entry(Precedence.FLASH)), "which goes in this very plan"
    assert not bulk_goes(1_000, alert_sent(1_000))
    assert not bulk_goes(1_000 + stops_ms - 1, alert_sent(1_000))
    assert bulk_goes(1_000 + stops_ms, alert_sent(1_000))
    assert not bulk_goes(1_050 + stops_ms, alert_sent(1_000), replace(alert_sent(1_060), number=3)), "the next one"
    assert bulk_goes(1_000, alert_sent(1_000), idle_ms=POLICY.bulk_at_least_every_ms), "but for one chunk a second"
    assert bulk_goes(1_000, alert_sent(1_000, times=2)), "what is said again does not stop it"


def test_an_alert_that_was_set_aside_stops_a_clip_for_as_long() -> None:
    set_aside = SetAside()
    set_aside.add(alert_sent(1_000), 3_000, 1_001, POLICY)
    assert not bulk_goes(1_000 + int(QUEUE_MS) - 1, set_aside=set_aside)
    assert bulk_goes(1_000 + int(QUEUE_MS), set_aside=set_aside)


def test_on_a_short_way_an_alert_stops_a_clip_for_no_longer_than_its_answer_nearly_always_takes() -> None:
    alert, chunk = (
        entry(Precedence.FLASH, WIFI),
        Entry(number=2, precedence=Precedence.BULK, size_bytes=5_300, links=[WIFI]),
    )
    view = replace(WIFI, bulk=BulkRoom(rate_bytes_s=100_000, idle_ms=0))
    alert.links = chunk.links = [view]
    alert.note_sent(view.way, 1_000)
    decided = plan([alert, chunk], 1_039, POLICY)
    assert (decided.sends, decided.next_look_ms) == ((), 1_040)
    assert plan([alert, chunk], 1_040, POLICY).sends == ((2, view.id),)
