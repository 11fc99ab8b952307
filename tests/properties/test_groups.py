"""What is done for a group is what would be done one by one: alerts to incidents, leaves to hashes, envelopes to ledger rows."""

import contextlib
import hashlib
import sqlite3
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from command_center import fleet, incident_store, journal, merkle, view_schema
from command_center.alert_batch import AlertBatch
from command_center.facts import EnvelopeStored
from relay import ledger as ledgers
from relay.clock import ClockQuality
from relay.envelope import Envelope
from relay.header import Header, Kind
from relay.ids import AUTHORITY, NodeId, envelope_id_of
from relay.kinds.alert import Alert, Rule
from relay.ledger import Ledger, Novelty
from relay.precedence import Precedence

WINDOW_MS = 30_000


def envelope(node: int, sequence: int, *, salt: int = 0, precedence: Precedence = Precedence.FLASH, at_ms: int = 0,
             series: int = 1) -> Envelope:  # fmt: skip
    header = Header(kind=Kind.ALERT, quality=ClockQuality.FREE_RUNNING, precedence=precedence, origin=NodeId(bytes([node] * 8)),
                    destination=AUTHORITY, series=series, boot=1, sequence=sequence, wall_ms=1_790_000_000_000 + at_ms,
                    monotonic_ms=100_000 + at_ms, ttl_s=0, link=bytes(8), body_sha256=hashlib.sha256(bytes([salt])).digest())  # fmt: skip
    data = header.encode()
    return Envelope(
        header=header, header_bytes=data, signature=bytes(64), sealed_body=bytes(16), id=envelope_id_of(data), wire=data
    )


SIGHTINGS = st.lists(
    st.tuples(st.integers(1, 2), st.sampled_from(["gate", "yard"]), st.sampled_from(["handgun", "person"]),
              st.sampled_from([Precedence.FLASH, Precedence.IMMEDIATE]), st.integers(0, 90_000), st.integers(0, 255),
              st.booleans(), st.integers(1, 2)),
    min_size=1, max_size=25,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(SIGHTINGS, st.sets(st.integers(0, 24)), st.sets(st.integers(0, 24)))
def test_a_group_of_alerts_makes_what_its_alerts_would_make_one_by_one(
    sightings: Sequence[tuple[int, str, str, Precedence, int, int, bool, int]], cuts: set[int], closed: set[int]
) -> None:
    with contextlib.closing(_views()) as together, contextlib.closing(_views()) as singly:
        group, one = AlertBatch(together, WINDOW_MS), AlertBatch(singly, WINDOW_MS)
        for number, (node, camera, label, precedence, at_ms, confidence, is_quarantined, series) in enumerate(
            sightings
        ):
            sent = envelope(node, number + 1, precedence=precedence, at_ms=at_ms, series=series)
            box = (confidence / 255, 0.0, 1.0, 1.0)
            alert = Alert(
                label=label,
                camera=camera,
                confidence=confidence / 255,
                box_xyxy=box,
                rule=Rule.CLASS_OF_INTEREST,
                age_ms=5,
            )
            stored = EnvelopeStored(wire=sent.wire, via=b"", path="p", received_wall_ms=at_ms, received_monotonic_ms=at_ms,
                                    is_quarantined=is_quarantined, is_fork=False)  # fmt: skip
            if number in cuts:  # something else comes between: what was taken is written first
                group.write()
                if number in closed:
                    for connection in (together, singly):
                        connection.execute(
                            "UPDATE incident SET state = 'closed' WHERE id = (SELECT MAX(id) FROM incident)"
                        )
            places = [batch.place(sent, alert, stored) for batch in (group, one)]
            assert places[0] == places[1]
            for batch, placed in zip((group, one), places, strict=True):
                batch.add(sent, alert, stored, placed, number + 1)
            one.write()
        group.write()
        for table in ("incident", "alert"):
            rows = [
                connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for connection in (together, singly)
            ]
            assert rows[0] == rows[1]
        assert (
            incident_store.next_id(together) == len({row[0] for row in together.execute("SELECT id FROM incident")}) + 1
        )


def _views() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript("".join((*view_schema.SCHEMA, fleet.SCHEMA[0])))
    return connection


@given(st.lists(st.integers(1, 400), max_size=6))
def test_leaves_of_a_group_add_the_hashes_that_they_add_singly(groups: Sequence[int]) -> None:
    singly: dict[tuple[int, int], bytes] = {}
    grouped: dict[tuple[int, int], bytes] = {}
    leaves: list[bytes] = []

    def row_of(stored: dict[tuple[int, int], bytes]) -> merkle.RowAt:
        def row_at(level: int, first: int, count: int) -> list[bytes]:
            if level == 0:
                return leaves[first : first + count]
            return [stored[level, position] for position in range(first, first + count)]

        return row_at

    for count in groups:
        size = len(leaves)
        leaves += [merkle.leaf_hash(str(size + number).encode()) for number in range(count)]
        for level, position, value in merkle.hashes_to_store(size, leaves[size:], row_of(grouped)):
            assert (level, position) not in grouped
            grouped[level, position] = value
        for number in range(size, len(leaves)):
            for level, position, value in merkle.hashes_to_store(number, [leaves[number]], row_of(singly)):
                singly[level, position] = value
        assert grouped == singly
    assert len(grouped) == sum(len(leaves) >> level for level in range(merkle.STORED_EVERY, 40, merkle.STORED_EVERY))


@given(st.lists(st.booleans(), max_size=30))
def test_a_batch_of_entries_is_the_journal_that_appending_makes(cuts: Sequence[bool]) -> None:
    with (
        contextlib.closing(sqlite3.connect(":memory:")) as left,
        contextlib.closing(sqlite3.connect(":memory:")) as right,
    ):
        for connection in (left, right):
            connection.executescript("".join(journal.SCHEMA))
        batch = journal.Batch(left)
        for number, is_cut in enumerate(cuts):
            what = {
                "at_ms": number,
                "kind": "k",
                "actor": "a",
                "subject": f"s:{number % 3}",
                "payload": bytes([number]),
            }
            if is_cut:
                batch.write()
                journal.append(left, **what)  # type: ignore[arg-type]
                journal.append(right, **what)  # type: ignore[arg-type]
            else:
                assert batch.add(**what) == journal.append(right, **what).id  # type: ignore[arg-type]
        batch.write()
        for table in ("entry", "tree_hash"):
            assert (
                left.execute(f"SELECT * FROM {table}").fetchall() == right.execute(f"SELECT * FROM {table}").fetchall()
            )


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 8), st.integers(0, 1)), max_size=40), st.integers(1, 7))
def test_a_ledger_tells_a_group_what_it_would_tell_one_by_one(
    sent: Sequence[tuple[int, int, int]], at_once: int
) -> None:
    envelopes = [envelope(node, sequence, salt=salt) for node, sequence, salt in sent]
    with (
        contextlib.closing(sqlite3.connect(":memory:")) as left,
        contextlib.closing(sqlite3.connect(":memory:")) as right,
    ):
        ledger = Ledger()
        for connection in (left, right):
            connection.executescript("".join(ledgers.SCHEMA))
        for at in range(0, len(envelopes), at_once):
            group = envelopes[at : at + at_once]
            grouped = ledger.note_all(left, group)
            singly = [ledger.note(right, item) for item in group]
            assert grouped == singly
            for connection in (left, right):
                ledger.extend(
                    connection,
                    [item for item, what in zip(group, singly, strict=True) if what is not Novelty.DUPLICATE],
                )
        for table in ("inbound", "inbound_stream"):
            assert (
                left.execute(f"SELECT * FROM {table}").fetchall() == right.execute(f"SELECT * FROM {table}").fetchall()
            )
