"""The scheduler's promises hold for every set of envelopes, links and answers."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.attempts import Attempt, Entry, LinkId, LinkView, SendPolicy, lane_of
from relay.path import Lane
from relay.precedence import Precedence
from relay.scheduler import due_ms, plan
from relay.set_aside import OnLink, SetAside
from relay.striping import Rooms

POLICY = SendPolicy(urgent_window=4, bulk_window_bytes=10_000)
SPENDING = SendPolicy(urgent_window=4, bulk_window_bytes=10_000, is_bulk_metered=True)
NOW = 10_000_000

links = st.lists(
    st.builds(LinkView, id=st.integers(1, 5).map(LinkId), peer=st.sampled_from([b"a", b"b", b"c"]),
              path=st.sampled_from(["lte", "wifi"]), rtt_ms=st.floats(0.1, 5_000), rtt_variation_ms=st.floats(0, 500),
              is_metered=st.booleans()),
    max_size=4, unique_by=lambda link: link.id,
)  # fmt: skip
attempts = st.dictionaries(
    st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.sampled_from(["lte", "wifi"])),
    st.builds(
        Attempt, sent_ms=st.integers(NOW - 8_000_000, NOW), count=st.integers(1, 40), is_held_there=st.booleans()
    ),
    max_size=3,
)


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    every_link = draw(links)
    found = [
        Entry(number=number, precedence=draw(st.sampled_from(Precedence)), size_bytes=draw(st.integers(100, 6_000)),
              links=draw(st.lists(st.sampled_from(every_link), unique=True)) if every_link else [], attempts=draw(attempts))
        for number in range(1, draw(st.integers(0, 12)) + 1)
    ]  # fmt: skip
    return sorted(found, key=lambda entry: (entry.precedence, entry.number))


def is_due(entry: Entry, link: LinkView) -> bool:
    return due_ms(entry, link, NOW, POLICY) <= NOW


def in_flight(found: Sequence[Entry], link: LinkView, lane: Lane) -> list[Entry]:
    """What was sent on a link, is not held there, and has time left to be answered."""
    return [
        entry for entry in found
        if link in entry.links and lane_of(entry.precedence) == lane and (known := entry.attempt_on(link)) is not None
        and not known.is_held_there and not is_due(entry, link)
    ]  # fmt: skip


class _Restless(Rooms):
    """Every alert is thought about, as if none were in flight everywhere."""

    def __init__(
        self, entries: Sequence[Entry], now_ms: int, policy: SendPolicy, set_aside: SetAside | None = None
    ) -> None:
        super().__init__(entries, now_ms, policy, set_aside)
        self.rested = len(self.resting)
        self.resting = {}


@given(entries())
def test_nothing_would_be_decided_about_an_alert_that_is_in_flight_everywhere(found: list[Entry]) -> None:
    decided = plan(found, NOW, POLICY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("relay.scheduler.Rooms", _Restless)
        assert plan(found, NOW, POLICY) == decided  # and it is said that it rests all the same


@given(entries())
def test_a_plan_without_what_is_set_aside_decides_what_a_plan_with_it_does(found: list[Entry]) -> None:
    decided = plan(found, NOW, POLICY)
    aside = SetAside()
    for entry in found:
        if entry.number in decided.resting:
            aside.add(entry, decided.resting[entry.number], NOW, POLICY)
    assert len(aside) == len(decided.resting)
    left = [entry for entry in found if entry.number not in aside]
    again = plan(left, NOW, POLICY, aside)
    assert again.next_look_ms == decided.next_look_ms
    assert again.parked == decided.parked
    assert again.sends == decided.sends
    assert again.held_back == decided.held_back
    assert again.resting == {}
    going = {link_id for _, link_id in decided.sends}
    assert again.flooded & going == decided.flooded & going
    for number in list(decided.resting):
        aside.remove(number)
    assert len(aside) == 0
    assert aside.next_due_ms is None
    assert not aside.ranks
    assert all(on_link == OnLink(_latest=on_link._latest) for on_link in aside.on_link.values()), (
        "nothing is left of it"
    )
    assert all(on_link.last_first_try_ms is None for on_link in aside.on_link.values())


def test_an_alert_in_flight_everywhere_rests_until_its_first_try_is_due_again() -> None:
    two = [
        LinkView(id=LinkId(1), peer=b"a", path="lte", rtt_ms=20),
        LinkView(id=LinkId(2), peer=b"b", path="sat", rtt_ms=600),
    ]
    entry = Entry(number=7, precedence=Precedence.FLASH, size_bytes=230, links=two)
    for link in two:
        assert Rooms([entry], NOW, POLICY).resting == {}, "one link has not had it"
        entry.note_sent(link.way, NOW)
    assert Rooms([entry], NOW, POLICY).resting == {7: NOW + 1_000}
    assert plan([entry], NOW, POLICY).next_look_ms == NOW + 1_000
    assert Rooms([entry], NOW + 1_000, POLICY).resting == {}, "one try is overdue"
    entry.note_held(b"a", NOW)
    assert Rooms([entry], NOW, POLICY).resting == {}, "where it is held, parking is to be thought about"


@given(entries(), st.data())
def test_where_nothing_waits_for_room_a_receipt_changes_nothing(found: list[Entry], data: st.DataObject) -> None:
    decided = plan(found, NOW, POLICY)
    by_number = {entry.number: entry for entry in found}
    for number, link_id in decided.sends:
        entry = by_number[number]
        entry.note_sent(next(link.way for link in entry.links if link.id == link_id), NOW)
    parked = {number for number, _ in decided.parked}
    receipted = data.draw(st.sets(st.sampled_from(sorted(by_number)))) if by_number else set()
    left = [entry for entry in found if entry.number not in parked | receipted]
    if not decided.waits_for_room:
        assert plan(left, NOW, POLICY).sends == ()


def test_what_found_no_room_leads_nowhere_or_is_no_alert_waits_for_room() -> None:
    link = LinkView(id=LinkId(1), peer=b"a", path="lte", rtt_ms=20)

    def alerts(count: int) -> list[Entry]:
        return [Entry(number=n, precedence=Precedence.FLASH, size_bytes=230, links=[link]) for n in range(1, count + 1)]

    assert not plan(alerts(4), NOW, POLICY).waits_for_room
    assert plan(alerts(5), NOW, POLICY).waits_for_room, "four fit"
    assert plan([Entry(number=1, precedence=Precedence.FLASH, size_bytes=230)], NOW, POLICY).waits_for_room
    chunk = Entry(number=1, precedence=Precedence.BULK, size_bytes=230, links=[link])
    assert plan([chunk], NOW, POLICY).waits_for_room, "the last chunks are repeated when a link is idle"


@given(entries())
def test_plan_keeps_its_promises(found: list[Entry]) -> None:
    by_number = {entry.number: entry for entry in found}
    decided = plan(found, NOW, POLICY)
    assert decided.next_look_ms > NOW
    order = [
        (entry.is_stubborn, 0 if entry.is_stubborn else entry.precedence)
        for entry in (by_number[number] for number, _ in decided.sends)
    ]
    assert order == sorted(order), "more urgent ones go first, and last those that nobody ever takes"
    assert len(set(decided.sends)) == len(decided.sends), "nothing goes twice on one link"
    for number, link_id in decided.sends:
        entry = by_number[number]
        link = next((link for link in entry.links if link.id == link_id), None)
        assert link is not None, "only on a link that leads there"
        assert is_due(entry, link), "not before its time"
        if entry.precedence != Precedence.FLASH:
            assert sum(n == number for n, _ in decided.sends) == 1, "one link at a time but for FLASH"
    for number, until_ms in decided.parked:
        assert until_ms > NOW
        assert all(number != n for n, _ in decided.sends)
        held = [by_number[number].held_at(link.peer) is not None for link in by_number[number].links]
        assert any(held), "only what somebody holds is parked"


@given(entries())
def test_windows_are_kept(found: list[Entry]) -> None:
    by_number = {entry.number: entry for entry in found}
    decided = plan(found, NOW, POLICY)
    for link in {link.id: link for entry in found for link in entry.links}.values():
        sent = [by_number[number] for number, link_id in decided.sends if link_id == link.id]
        urgent = [e for e in sent if lane_of(e.precedence) == Lane.URGENT]
        bulk = [e.size_bytes for e in sent if lane_of(e.precedence) == Lane.BULK]
        before = sum(e.size_bytes for e in in_flight(found, link, Lane.BULK))
        if urgent:
            assert len(urgent) + len(in_flight(found, link, Lane.URGENT)) <= POLICY.urgent_window
        if bulk:  # the last one may reach over the edge, and no more than that
            assert before + sum(bulk) - bulk[-1] < POLICY.bulk_window_bytes


@given(entries())
def test_flash_goes_on_every_link_where_it_is_due(found: list[Entry]) -> None:
    decided = plan(found, NOW, POLICY)
    for entry in found:
        if entry.precedence != Precedence.FLASH:
            continue
        for link in entry.links:
            if is_due(entry, link) and (entry.number, link.id) not in decided.sends:
                room = POLICY.urgent_window - len(in_flight(found, link, Lane.URGENT))
                assert sum(link_id == link.id for _, link_id in decided.sends) >= room, (
                    "only a full window holds it back"
                )


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from(Precedence), st.integers(200, 6_000)), min_size=1, max_size=40),
    links.filter(bool),
)
def test_nothing_starves_and_retries_never_stop(
    wanted: list[tuple[Precedence, int]], every_link: list[LinkView]
) -> None:
    """Nobody ever answers: every envelope is still offered again and again, also past full windows."""
    found = sorted((Entry(number=n, precedence=p, size_bytes=size, links=every_link)
                    for n, (p, size) in enumerate(wanted, 1)), key=lambda entry: (entry.precedence, entry.number))  # fmt: skip
    by_number = {entry.number: entry for entry in found}
    ways = {link.id: link.way for link in every_link}
    sent: dict[int, list[int]] = {entry.number: [] for entry in found}
    now = NOW
    end = now + 40 * 60_000
    while now < end:
        decided = plan(found, now, SPENDING)
        for number, link_id in decided.sends:
            by_number[number].note_sent(ways[link_id], now)
            sent[number].append(now)
        now = max(now + 250, min(decided.next_look_ms, now + 5_000))
    for number, times in sent.items():
        assert len(times) >= 2, f"{by_number[number].precedence.name} {number} starves behind the others: {times}"
        assert times[-1] > end - 20 * 60_000, f"{by_number[number].precedence.name} {number} was given up: {times}"


@given(st.integers(1, 60), st.floats(0.1, 100_000), st.booleans())
def test_retry_delays_grow_and_are_capped(count: int, rtt_ms: float, is_held: bool) -> None:
    attempt = Attempt(sent_ms=NOW, count=count, is_held_there=is_held)
    delay = attempt.again_at_ms(rtt_ms, POLICY) - NOW
    following = Attempt(sent_ms=NOW, count=count + 1, is_held_there=is_held).again_at_ms(rtt_ms, POLICY) - NOW
    assert POLICY.least_retry_ms <= delay <= following <= POLICY.most_recheck_ms
    if not is_held:
        # On a link that is slower than that, there is no sense in trying again before the first answer could have come.
        assert delay <= max(POLICY.most_retry_ms, rtt_ms * POLICY.rtt_factor)
