"""What a round of sends comes to: counted and asked after once, and a full queue is looked at again soon, then ever more rarely."""

import itertools

from relay.attempts import LinkId
from relay.budget import Purse
from relay.clock import SimulatedClock
from relay.counters import Counters
from relay.ids import NodeId
from relay.links import Link, Links
from relay.path import Lane
from relay.sent_round import LEAST_BUSY_S, MOST_BUSY_S, TINY_S, Patience, SentRound
from tests.relay.test_sender import TinyWire, Wire


def opened(*wires: Wire) -> tuple[Links, list[Link]]:
    links = Links(purse=Purse({}), clock=SimulatedClock())
    return links, [links.opened(wire, 0) for wire in wires]


def a_round(links: Links, link: Link, *, sent: int, flooded: frozenset[LinkId] = frozenset()) -> SentRound:
    """So many went, then the queue was full."""
    going = SentRound(links, flooded, 5)
    for _ in range(sent):
        going.sent(link, Lane.URGENT, 230)
    going.found_full(link, Lane.URGENT)
    return going


def test_a_full_queue_is_looked_at_again_soon_while_it_empties_and_ever_more_rarely_while_it_does_not() -> None:
    links, [lan] = opened(Wire("lan"))
    patience = Patience()
    assert patience.after_s(a_round(links, lan, sent=64), 5.0) == LEAST_BUSY_S
    waits_s = [patience.after_s(a_round(links, lan, sent=0), 5.0) for _ in range(6)]
    assert all(after == min(2 * before, MOST_BUSY_S) for before, after in itertools.pairwise([LEAST_BUSY_S, *waits_s]))
    assert waits_s[-1] == MOST_BUSY_S
    assert patience.after_s(a_round(links, lan, sent=1), 5.0) == LEAST_BUSY_S
    assert patience.after_s(a_round(links, lan, sent=0), 0.0005) == 0.0005, "what is due before that is not late"


def test_a_radio_s_full_queue_hurries_nobody_and_what_is_due_before_is_not_late() -> None:
    links, [radio, lan] = opened(TinyWire("radio", NodeId(bytes(8))), Wire("lan"))
    patience = Patience()
    assert patience.after_s(a_round(links, radio, sent=3), 5.0) == TINY_S
    assert patience.after_s(a_round(links, radio, sent=3), 0.4) == 0.4
    both = a_round(links, radio, sent=3)
    both.found_full(lan, Lane.URGENT)
    assert patience.after_s(both, 5.0) == LEAST_BUSY_S
    assert patience.after_s(SentRound(links, frozenset(), 5), 5.0) == 5.0, "nothing was full"


def test_a_round_is_counted_and_asked_after_once() -> None:
    links, [lan] = opened(Wire("lan"))
    counters = Counters()
    going = a_round(links, lan, sent=100)
    assert [lan.silence.asked_ms, counters["envelopes_sent"]] == [None, 0]
    going.close(counters)
    assert [lan.silence.asked_ms, counters["envelopes_sent"]] == [5, 100]
    assert links.asked.is_set()
    assert going.is_full(lan, Lane.URGENT)
    assert not going.is_full(lan, Lane.BULK)


def test_the_ping_that_follows_a_flood_goes_among_it_and_not_behind_the_round() -> None:
    wire = Wire("lan")
    sent: list[Lane] = []
    wire.send = lambda parcel, lane: not sent.append(lane)  # type: ignore[method-assign,func-returns-value]
    links, [lan] = opened(wire)
    a_round(links, lan, sent=1, flooded=frozenset({lan.id}))
    assert sent == [Lane.URGENT], "before close"
