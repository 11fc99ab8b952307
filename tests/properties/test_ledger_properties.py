"""The ledger tells new from repeated from forked, whatever the order in which envelopes come."""

import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from relay import ledger
from relay.ids import NodeId
from relay.ledger import Ledger, Novelty
from relay.ranges import RangeSet
from tests.properties.drafting import signed

arrivals = st.lists(
    st.tuples(st.integers(0, 1), st.integers(1, 2), st.integers(1, 9), st.integers(0, 1)), max_size=40
)  # fmt: skip


@given(arrivals, st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), max_size=4))
def test_every_arrival_is_new_repeated_or_forked(
    seen: list[tuple[int, int, int, int]], given_up: list[tuple[int, int]]
) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(ledger.SCHEMA[0])
        book = Ledger()
        model: dict[tuple[int, int, int], set[int]] = {}
        for origin, series, sequence, content in seen:
            envelope = signed(origin, series, sequence, content)
            known = model.setdefault((origin, series, sequence), set())
            expected = Novelty.DUPLICATE if content in known else Novelty.FORK if known else Novelty.NEW
            assert book.note(connection, envelope) == expected
            known.add(content)
            if expected != Novelty.DUPLICATE:
                book.extend(connection, [envelope])
        for origin in (0, 1):
            node_id = NodeId(signed(origin, 1, 1, 0).header.origin)
            states = {state.series: state for state in book.streams(connection, node_id)}
            assert set(states) == {series for o, series, _ in model if o == origin}
            for series, state in states.items():
                stored = RangeSet((number, number) for o, s, number in model if (o, s) == (origin, series))
                assert state.stored == stored
                assert state.gaps() == stored.gaps()
                book.forgo(connection, node_id, series, [(first, first + more) for first, more in given_up])
                after = book.state(connection, node_id, series)
                assert after.stored == stored
                assert after.settled() == RangeSet([*stored, *((first, first + more) for first, more in given_up)])
