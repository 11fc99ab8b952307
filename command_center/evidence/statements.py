"""Writes signed statements into the bag: exact signed bytes, raw signature, DSSE; and the body that was signed for."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from command_center.evidence.archive import BagWriter
from command_center.evidence.reading import AlertFacts, Reading, Said
from command_center.evidence.selection import utc
from command_center.evidence.verifier import bag
from command_center.evidence.verifier import statements as form
from relay import dsse
from relay.clock import ClockQuality
from relay.errors import Malformed
from relay.header import Kind
from relay.kinds.body import decode as decode_body
from relay.kinds.exhibit import ClipExhibit, Segment
from relay.kinds.retraction import Retraction
from relay.kinds.roster import Roster


@dataclass(slots=True)
class StatementWriter:
    """Writes statements and remembers the index that names them."""

    bag: BagWriter
    authority_id: str
    index: list[bytes] = field(default_factory=list)
    said: dict[tuple[bytes, int], dict[bytes, int]] = field(default_factory=dict)
    """What is in the bag: (node, series) → envelope id → number."""

    def keys(self, reading: Reading, nodes: list[bytes], center_wire: bytes, roster: Roster | None) -> None:
        """Everybody's passports and keys, and the newest list of the withdrawn."""
        self.bag.add("keys/authority.pem", bag.pem(reading.authority.signing_key))
        wires = [center_wire, *(signed.wire for node in nodes for signed in reading.passports(node))]
        written: set[bytes] = set()
        for wire in wires:
            payload, signature = msgspec.msgpack.decode(wire, type=tuple[bytes, bytes])
            key, serial = _key_and_serial(payload)
            node = hashlib.sha256(key).digest()[:8]
            if node not in written:
                written.add(node)
                self.bag.add(f"keys/{node.hex()}.pem", bag.pem(key))
            self._write(
                f"passports/{node.hex()}-{serial}",
                "passport",
                dsse.PASSPORT_TYPE,
                payload,
                signature,
                self.authority_id,
            )
        if roster is not None:
            self._write(
                "keys/roster", "roster", dsse.ROSTER_TYPE, roster.statement, roster.signature, self.authority_id
            )

    def alert(self, alert: AlertFacts) -> None:
        """One alert."""
        self._envelope("alerts", "alert", alert.said, alert_view(alert))

    def exhibit(self, said: Said) -> None:
        """One exhibit."""
        self._envelope("exhibits", "exhibit", said, exhibit_view(said))

    def retraction(self, said: Said) -> None:
        """One alert taken back."""
        self._envelope("retractions", "retraction", said, retraction_view(said))

    def finish(self) -> None:
        """Write the index."""
        self.bag.add("statements.jsonl", self._index())

    def _index(self) -> Iterator[bytes]:
        for row in self.index:
            yield row + b"\n"

    def _envelope(self, folder: str, kind: str, said: Said, view: dict[str, object]) -> None:
        envelope, header = said.envelope, said.envelope.header
        name = f"{folder}/{envelope.id.hex()}"
        self._write(
            name, kind, dsse.HEADER_TYPE, envelope.header_bytes, envelope.signature, header.origin.hex(), said.entry
        )
        self.bag.add(f"{name}.body", said.body)
        self.bag.add(f"{name}.json", pretty(view))
        self.said.setdefault((header.origin, header.series), {})[envelope.id] = header.sequence

    def _write(self, name: str, kind: str, payload_type: str, payload: bytes, signature: bytes, signer: str,
               entry: int | None = None) -> None:  # fmt: skip
        self.bag.add(f"{name}.pae", dsse.pae(payload_type, payload))
        self.bag.add(f"{name}.sig", signature)
        self.bag.add(f"{name}.dsse.json", form.dsse(payload_type, payload, signature, signer))
        row: dict[str, object] = {"name": name, "kind": kind, "signer": signer}
        if entry is not None:
            row["entry"] = entry
        self.index.append(json.dumps(row).encode())


def _key_and_serial(payload: bytes) -> tuple[bytes, int]:
    fields = msgspec.msgpack.decode(payload, type=list[msgspec.Raw])
    return msgspec.msgpack.decode(fields[5], type=bytes), msgspec.msgpack.decode(fields[10], type=int)


def pretty(value: object) -> bytes:
    """JSON for people: sorted, indented, one form."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=1) + b"\n"


def _header_view(said: Said) -> dict[str, object]:
    header, stored = said.envelope.header, said.stored
    return {
        "envelope_id": said.envelope.id.hex(), "kind": Kind(header.kind).name.lower(), "node": header.origin.hex(),
        "series": header.series, "boot": header.boot, "sequence": header.sequence,
        "precedence": header.precedence.name, "node_clock_quality": ClockQuality(header.quality).name,
        "signed_at_node_clock": utc(header.wall_ms), "signed_at_node_clock_ms": header.wall_ms,
        "signed_at_node_monotonic_ms": header.monotonic_ms, "link": header.link.hex(),
        "body_sha256": header.body_sha256.hex(), "received_at_center_clock": utc(stored.received_wall_ms),
        "received_at_center_clock_ms": stored.received_wall_ms, "received_via": stored.via.hex(),
        "received_on_path": stored.path, "journal_entry": said.entry, "is_quarantined": stored.is_quarantined,
        "is_fork": stored.is_fork,
    }  # fmt: skip


def alert_view(alert: AlertFacts) -> dict[str, object]:
    """An alert for people and programs. The signed bytes are in the files beside it."""
    body = alert.alert
    return _header_view(alert.said) | {
        "incident": alert.incident, "node_name": alert.passport.name, "site": alert.passport.site, "label": body.label,
        "camera": body.camera, "zone": body.zone, "confidence": round(body.confidence, 4), "rule": body.rule.name.lower(),
        "track": body.track, "box_xyxy": [round(edge, 4) for edge in body.box_xyxy],
        "model_sha256_prefix": body.model_sha256_prefix.hex(), "sighted_before_signing_ms": body.age_ms,
        "sighted_at_node_clock": utc(alert.sighted_ms),
        "media": [{"file": m.name, "media_type": m.media_type, "size_bytes": m.size_bytes, "absence": m.absence}
                  for m in alert.media],
    }  # fmt: skip


def retraction_view(said: Said) -> dict[str, object]:
    """A retraction for people and programs."""
    body = decode_body(said.body, Retraction)
    return _header_view(said) | {"alert": body.alert_id.hex(), "ground": body.ground.name.lower(), "note": body.note}


def exhibit_view(said: Said) -> dict[str, object]:
    """An exhibit for people and programs."""
    value = msgspec.msgpack.decode(said.body)
    items = [{"media_type": item[0], "sha256": item[1].hex(), "size_bytes": item[2], "captured_at_node_clock": utc(item[6])}
             for item in value[2]]  # fmt: skip
    view = _header_view(said) | {"alert": value[1].hex(), "items": items}
    segments = _segments_of(said.body)
    if segments:
        ends = list(itertools.accumulate(size for size, _ in segments))
        view["segments"] = [{"first_byte": end - size, "last_byte": end - 1, "sha256": sha256.hex()}
                            for (size, sha256), end in zip(segments, ends, strict=True)]  # fmt: skip
    return view


def _segments_of(data: bytes) -> tuple[Segment, ...]:
    """A clip's segments; none where a node says something else behind its items, which is kept and means nothing."""
    try:
        said = decode_body(data, ClipExhibit)
    except Malformed:
        return ()
    return said.segments if sum(size for size, _ in said.segments) == said.items[0].size_bytes else ()
