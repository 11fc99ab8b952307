"""The tables of a bag: timeline, custody, clocks, key history, models. Plain CSV and JSON, from the journal alone."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from command_center import facts
from command_center.custody.facts import Erasure, Hold, Redaction
from command_center.errors import JournalDamaged
from command_center.evidence import deeds
from command_center.evidence.reading import AlertFacts
from command_center.evidence.selection import utc
from command_center.facts import (
    EnvelopeStored,
    IncidentAct,
    IncidentStep,
    Merger,
    NodeChange,
    ObjectStored,
    Remark,
    UnitAnswer,
)
from command_center.journal import Entry
from command_center.live.facts import LiveEnded, LiveOpened
from relay import header as headers
from relay.clock import ClockQuality
from relay.ids import node_id_of

TIMELINE_HEAD: Final = ("at_utc", "at_ms", "journal_entry", "what", "who", "subject", "detail")
CLOCKS_HEAD: Final = (
    "alert", "node", "clock_quality", "sighted_utc", "signed_utc", "received_utc", "received_minus_signed_ms", "statement",
)  # fmt: skip
CUSTODY: Final = frozenset({
    "alert", "exhibit", "retraction", "object-stored", "object-refused", "viewed", "incident-acknowledged", "incident-closed",
    "incident-notified-again", "acknowledgement-expired", "incident-annunciated", "incident-merged", "incident-unmerged",
    "unit-answered", "callback-delivered", "callback-dead",
    "export-started", "export-finished", "export-failed", "export-fetched", "export-timestamped", "checkpoint-published", "checkpoint-witnessed",
    "live-opened", "live-ended", "incident-shared", "share-opened", "share-viewed", "share-ended", "original-unsealed", "journal-read",
    "hold-placed", "hold-released", "object-erased", "redaction-set", "evidence-asked", "answer",
})  # fmt: skip
_REMARKS: Final = frozenset(
    {
        "initialized",
        "clock-leapt",
        "configured",
        "viewed",
        "export-started",
        "export-finished",
        "export-failed",
        "export-fetched",
        "bag-verified",
        "original-unsealed",
        "share-viewed",
        "journal-read",
        "export-timestamped",
        "checkpoint-published",
        "checkpoint-witnessed",
        "evidence-asked",
        "denied",
        "callback-delivered",
        "callback-dead",
        "standby-in-step",
        "standby-lost",
    }
)
_ARRIVALS: Final = frozenset({"alert", "exhibit", "retraction", "heartbeat", "pulse", "unreadable", "answer"})
_WIRE: Final = msgspec.msgpack.Decoder(tuple[int, bytes, bytes, bytes])
_QUALITY: Final = {
    ClockQuality.UNSET: "the node's clock was not set: its times are no times of day",
    ClockQuality.FREE_RUNNING: "plausible, but nothing disciplined the node's clock: its error is not bounded",
    ClockQuality.SYNCHRONIZED: "a time service disciplined the node's clock, as the node's kernel reported",
    ClockQuality.SATELLITE: "a satellite receiver disciplined the node's clock",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A journal entry in words."""

    entry: Entry
    detail: str

    @property
    def row(self) -> tuple[str, ...]:
        """As in the timeline."""
        e = self.entry
        return (utc(e.at_ms), str(e.at_ms), str(e.id), e.kind, e.actor, e.subject, self.detail)


def moment(entry: Entry) -> Moment:
    """An entry in words; of kinds that it doesn't know it says the kind only."""
    return Moment(entry=entry, detail=_detail(entry))


def _detail(entry: Entry) -> str:
    try:
        if entry.kind in _ARRIVALS:
            return _arrival(facts.decode(entry.payload, EnvelopeStored))
        if entry.kind in _REMARKS and entry.payload:
            return _remark(entry.kind, facts.decode(entry.payload, Remark))
        if entry.kind in {"object-stored", "object-refused"}:
            stored = facts.decode(entry.payload, ObjectStored)
            return f"{stored.media_type}, {stored.size_bytes} bytes {stored.reason}".strip()
        if entry.kind in {"incident-acknowledged", "incident-closed"}:
            act = facts.decode(entry.payload, IncidentAct)
            said = ": ".join(part for part in (act.disposition.replace("_", " "), act.note) if part)
            return f"as {act.role}, {said}" if said else f"as {act.role}"
        if entry.kind in {"node-admitted", "node-standing"}:
            change = facts.decode(entry.payload, NodeChange)
            return f"{change.status} {change.reason}".strip()
        return _later_detail(entry)
    except (JournalDamaged, msgspec.DecodeError):
        return "its payload can't be shown; the journal's slice has it as it is"


def _arrival(arrived: EnvelopeStored) -> str:
    """Of its header alone: it was taken apart and checked when it came, and these are most of what a journal holds."""
    header = headers.decode(_WIRE.decode(arrived.wire)[1])
    return f"number {header.sequence} of series {header.series}, by {arrived.path or 'a path without a name'}"


def _remark(kind: str, remark: Remark) -> str:
    """What a remark says: of exports and publications the journal has JSON, for programs."""
    if kind == "configured":
        return f"{remark.what} = {remark.detail}"
    if kind in {"viewed", "journal-read", "export-fetched"}:
        return " ".join(
            part
            for part in (
                f"as {remark.detail}" if remark.detail else "",
                f"from {remark.address}" if remark.address else "",
            )
            if part
        )
    if remark.detail.startswith("{"):
        try:
            said = json.loads(remark.detail)
        except ValueError:
            return remark.detail
        return ", ".join(f"{name.replace('_', ' ')}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
                         for name, value in sorted(said.items()) if value != "") if isinstance(said, dict) else remark.detail  # fmt: skip
    return remark.detail


def _later_detail(entry: Entry) -> str:
    """What became of an incident after it opened."""
    if entry.kind in {"incident-notified-again", "acknowledgement-expired", "incident-annunciated"}:
        return facts.decode(entry.payload, IncidentStep).reason
    if entry.kind in {"incident-merged", "incident-unmerged"}:
        merger = facts.decode(entry.payload, Merger)
        return f"{merger.incident} {'into' if entry.kind == 'incident-merged' else 'out of'} {merger.into}, as {merger.role}"
    if entry.kind == "unit-answered":
        answer = facts.decode(entry.payload, UnitAnswer)
        return " ".join(part for part in (answer.unit, answer.state, answer.note) if part)
    return _custody_detail(entry)


def _custody_detail(entry: Entry) -> str:
    """Holds, tombstones, redactions."""
    if entry.kind in {"hold-placed", "hold-released"}:
        return facts.decode(entry.payload, Hold).reason
    if entry.kind == "live-opened":
        shown = facts.decode(entry.payload, LiveOpened)
        return f"camera {shown.camera} of {shown.node.hex()}, {shown.way}, as {shown.role}: {shown.reason}"
    if entry.kind == "live-ended":
        ended = facts.decode(entry.payload, LiveEnded)
        return f"{ended.reason}, shown for {ended.shown_ms} ms"
    if entry.kind == "object-erased":
        gone = facts.decode(entry.payload, Erasure)
        return f"{gone.media_type}, {gone.size_bytes} bytes: {gone.reason}"
    if entry.kind == "redaction-set":
        made = facts.decode(entry.payload, Redaction)
        return f"{made.mode or 'given away as it is'}, {len(made.regions_px)} regions: {made.reason}"
    return deeds.WORDS[entry.kind](entry.payload) if entry.kind in deeds.WORDS else ""


_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a cell begins that a spreadsheet runs. Source: OWASP, CSV Injection."""


def csv_rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[bytes]:
    """A CSV file in pieces. Cells that a spreadsheet would take for a formula are quoted with an apostrophe."""
    yield _line(head)
    for row in rows:
        yield _line(row)


def _line(row: tuple[str, ...]) -> bytes:
    stream = io.StringIO()
    # The writer quotes a cell with the line's own end in it, and readers take a lone carriage return for the end of a row as well.
    has_return = any("\r" in cell for cell in row)
    writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL)
    writer.writerow([_harmless(cell) for cell in row])
    return stream.getvalue().encode()


def _harmless(cell: str) -> str:
    """CSV injection: names come from nodes and people, and a spreadsheet runs what begins with one of these."""
    is_number = cell.removeprefix("-").isdecimal()
    return f"'{cell}" if cell.startswith(_FORMULA) and not is_number else cell


def clock_row(alert: AlertFacts) -> tuple[str, ...]:
    """What the times of one alert mean."""
    header, received = alert.said.envelope.header, alert.said.stored.received_wall_ms
    difference = received - header.wall_ms
    said = _QUALITY[header.quality]
    if header.quality is ClockQuality.UNSET:
        bound = "no difference is stated: the two clocks can't be compared"
        shown = ""
    elif difference < 0:
        bound = f"the node's clock was at least {-difference} ms ahead of the center's"
        shown = str(difference)
    else:
        bound = f"this is the way (queues included) plus the clocks' difference: the node's was at most {difference} ms behind"
        shown = str(difference)
    return (alert.id, header.origin.hex(), header.quality.name, utc(alert.sighted_ms), utc(header.wall_ms), utc(received),
            shown, f"{said}; {bound}")  # fmt: skip


def key_row(entry: Entry) -> dict[str, object]:
    """One step of a key's history."""
    change = facts.decode(entry.payload, NodeChange)
    row: dict[str, object] = {"at": utc(entry.at_ms), "journal_entry": entry.id, "node": change.node.hex(), "by": entry.actor,
                              "standing": change.status, "reason": change.reason}  # fmt: skip
    if change.passport:
        statement = msgspec.msgpack.decode(msgspec.msgpack.decode(change.passport, type=tuple[bytes, bytes])[0])
        row |= {"name": statement[2], "site": statement[3], "agency": statement[4], "serial": statement[10],
                "valid_from": utc(statement[8]), "valid_until": utc(statement[9]), "signing_key": statement[5].hex(),
                "key_id": node_id_of(statement[5]).hex()}  # fmt: skip
    return row
