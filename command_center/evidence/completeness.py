"""Writes what is in the bag and what is not, and why: every number of each node's range, every picture announced."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from command_center import facts
from command_center.evidence.archive import BagWriter
from command_center.evidence.reading import Media, Reading
from command_center.evidence.selection import Selection, utc
from command_center.evidence.statements import pretty
from command_center.evidence.verifier.completeness import HEAD, HERE
from command_center.facts import EnvelopeStored
from relay import envelope as envelopes
from relay.ids import NodeId
from relay.kinds.answer import Outcome
from relay.ledger import Ledger
from relay.ranges import RangeSet

NOT_RECEIVED: Final = "not received"
_ENVELOPES: Final = frozenset({"exhibit", "heartbeat", "pulse", "unreadable", "answer", "retraction"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One node's series and the numbers of it that the table covers."""

    node: bytes
    series: int
    first: int
    last: int

    @property
    def file(self) -> str:
        """In the bag."""
        return f"completeness/{self.node.hex()}-{self.series}.csv"


def write(bag: BagWriter, reading: Reading, selection: Selection, said: dict[tuple[bytes, int], dict[bytes, int]],
          media: dict[bytes, Media]) -> int:  # fmt: skip
    """The tables and the statement over them; returns how many numbers never came."""
    streams = list(_streams(reading, selection, said))
    elsewhere = {node: _elsewhere(reading, node) for node in sorted({stream.node for stream in streams})}
    lost = 0
    for stream in streams:
        here = set(said.get((stream.node, stream.series), {}))
        rows = _Counted(_rows(reading, stream, here, elsewhere[stream.node]))
        bag.add(stream.file, rows)
        lost += rows.lost
    asked = list(_asked(reading, said))
    missing = [{"sha256": m.sha256.hex(), "media_type": m.media_type, "size_bytes": m.size_bytes, "why": m.absence}
               for m in sorted(media.values(), key=lambda m: m.sha256) if m.absence]  # fmt: skip
    bag.add("completeness.json", pretty({
        "asked_of_nodes": asked, "selection": selection.words, "journal_size": reading.size, "missing_media": missing, "redactions": list(_redactions(reading, media)),
        "streams": [{"node": s.node.hex(), "series": s.series, "first": s.first, "last": s.last, "file": s.file,
                     "is_forked": _is_forked(reading, s)} for s in streams],
        "range": "all numbers known to the center" if selection.is_all else "from the first to the last statement in this bag",
        "not_included_by_kind": "pieces of pictures (their whole is in media/), heartbeats that said nothing new",
    }))  # fmt: skip
    return lost


class _Counted:
    """A table's lines, and how many numbers they say never came."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self.lost = 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self._lines:
            if line.endswith(f",{NOT_RECEIVED}\n".encode()):
                first, last, *_ = line.split(b",")
                self.lost += int(last) - int(first) + 1
            yield line


def _redactions(reading: Reading, media: dict[bytes, Media]) -> Iterator[dict[str, object]]:
    """What is not given away as it is: the original's digest, what was done, and the copy that is here instead."""
    for one in sorted(media.values(), key=lambda m: m.sha256):
        view = reading.redaction_of(one.sha256)
        if view is not None:
            yield {"original_sha256": one.sha256.hex(), "original_size_bytes": one.size_bytes, "media_type": one.media_type,
                   "mode": view.mode if one.masked else "withhold", "regions_px": view.regions_px, "file": one.masked or None,
                   "why": view.reason, "by": view.by, "journal_entry": view.entry}  # fmt: skip


def _asked(reading: Reading, said: dict[tuple[bytes, int], dict[bytes, int]]) -> Iterator[dict[str, object]]:
    """What nodes were last asked to send for the alerts here, and what they said."""
    here = {identifier for numbers in said.values() for identifier in numbers}
    rows = reading.connection.execute(
        "SELECT alert_id, node, at_ms, outcome, detail, MAX(id) FROM clip_order WHERE verb = 'send' GROUP BY alert_id ORDER BY alert_id"
    )
    for alert_id, node, at_ms, outcome, detail, _ in rows:
        if alert_id in here:
            answer = "no answer yet" if outcome is None else Outcome(outcome).name.lower().replace("_", " ")
            yield {
                "alert": alert_id.hex(),
                "node": node.hex(),
                "asked_at": utc(at_ms),
                "answer": answer,
                "detail": detail,
            }


def _streams(
    reading: Reading, selection: Selection, said: dict[tuple[bytes, int], dict[bytes, int]]
) -> Iterator[Stream]:
    if not selection.is_all:
        for (node, series), numbers in sorted(said.items()):
            yield Stream(node=node, series=series, first=min(numbers.values()), last=max(numbers.values()))
        return
    rows = reading.connection.execute("SELECT origin, series FROM inbound_stream ORDER BY origin, series").fetchall()
    for node, series in rows:
        highest = Ledger().state(reading.connection, NodeId(node), series).settled().highest
        if highest:
            yield Stream(node=node, series=series, first=1, last=highest)


def _is_forked(reading: Reading, stream: Stream) -> bool:
    """Whether a number of the series came with two contents: then two machines had the node's key or its disk."""
    query = "SELECT 1 FROM inbound WHERE origin = ? AND series = ? GROUP BY sequence HAVING COUNT(*) > 1 LIMIT 1"
    return reading.connection.execute(query, (stream.node, stream.series)).fetchone() is not None


def _elsewhere(reading: Reading, node: bytes) -> dict[bytes, str]:
    """Where in the journal a node's other envelopes are, by id."""
    rows = reading.connection.execute("SELECT id, entry, incident FROM alert WHERE node = ?", (node,))
    found = {
        identifier: f"journal entry {entry}: an alert of incident {incident}" for identifier, entry, incident in rows
    }
    for entry in reading.about(f"node:{node.hex()}"):
        if entry.kind in _ENVELOPES:
            identifier = envelopes.parse(facts.decode(entry.payload, EnvelopeStored).wire).id
            found[identifier] = f"journal entry {entry.id}: {entry.kind}"
    return found


def _rows(reading: Reading, stream: Stream, here: set[bytes], elsewhere: dict[bytes, str]) -> Iterator[bytes]:
    state = Ledger().state(reading.connection, NodeId(stream.node), stream.series)
    yield HEAD.encode() + b"\n"
    rows = reading.connection.execute(
        "SELECT sequence, id FROM inbound WHERE origin = ? AND series = ? AND sequence BETWEEN ? AND ? ORDER BY sequence, id",
        (stream.node, stream.series, stream.first, stream.last),
    )
    expected = stream.first
    for sequence, identifier in rows:
        if sequence > expected:
            yield from _absent(state.forgone, expected, sequence - 1)
        where = (
            HERE
            if identifier in here
            else elsewhere.get(identifier, "received; a piece of a picture, or a heartbeat with nothing new")
        )
        yield f"{sequence},{sequence},{identifier.hex()},{where}\n".encode()
        expected = sequence + 1
    if expected <= stream.last:
        yield from _absent(state.forgone, expected, stream.last)


def _absent(forgone: RangeSet, first: int, last: int) -> Iterator[bytes]:
    span = RangeSet([(first, last)])
    missing = span.minus(forgone)
    rows = [(*part, NOT_RECEIVED) for part in missing]
    rows += [(*part, "given up by the node; it says so in a signed heartbeat") for part in span.minus(missing)]
    for low, high, where in sorted(rows):
        yield f"{low},{high},,{where}\n".encode()
