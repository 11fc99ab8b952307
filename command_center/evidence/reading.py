"""Reads what an export needs from the database, in one read transaction: what it sees is one moment.

Reads only. Every alert comes out of the journal with its exact bytes, and its signature is checked again on the way.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from command_center import facts, journal, retractions
from command_center.blobs import BlobStore
from command_center.custody import redactions
from command_center.custody.redactions import RedactionView
from command_center.errors import JournalDamaged
from command_center.evidence.masking import CannotMask, mask
from command_center.evidence.selection import utc
from command_center.facts import EnvelopeStored, NodeChange
from command_center.incident_store import number_of
from command_center.journal import Entry
from command_center.live.facts import ENDED, OPENED
from command_center.views import decode as decode_body
from relay import envelope as envelopes
from relay import passport as passports
from relay.envelope import Envelope
from relay.identity import Identity
from relay.kinds.alert import Alert
from relay.kinds.exhibit import Exhibit
from relay.kinds.heartbeat import Heartbeat
from relay.passport import Passport, SignedPassport

_ENDINGS: Final = {"image/jpeg": "jpg", "image/png": "png", "video/mp4": "mp4"}


_WORDS_KEPT: Final = 20_000
"""Some MB; further ones are opened each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A picture or clip that an exhibit announced."""

    sha256: bytes
    media_type: str
    size_bytes: int
    absence: str
    """Why it is not in the bag; empty where it is."""
    masked: str = ""
    """The name in the bag of its masked copy, where it has one; the original is absent then."""

    @property
    def name(self) -> str:
        """In the bag."""
        return f"media/{self.sha256.hex()}.{_ENDINGS.get(self.media_type, 'bin')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An envelope out of the journal, verified, with the plaintext of its body."""

    entry: int
    envelope: Envelope
    stored: EnvelopeStored
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFacts:
    """One alert as people read it."""

    said: Said
    incident: int
    alert: Alert
    passport: Passport
    media: tuple[Media, ...]

    @property
    def id(self) -> str:
        """The envelope's id in hexadecimal."""
        return self.said.envelope.id.hex()

    @property
    def sighted_ms(self) -> int:
        """By the node's clock."""
        return max(0, self.said.envelope.header.wall_ms - self.alert.age_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentFacts:
    """One incident as the center's view has it."""

    id: int
    number: str
    columns: dict[str, object]


def words_of(body: Alert) -> str:
    """What a node says that it saw."""
    return f"{body.label}, {body.confidence:.2f}, {body.rule.name.lower().replace('_', ' ')}, camera {body.camera} {body.zone}".strip()


class Reading:
    """One moment of the center's records."""

    def __init__(self, connection: sqlite3.Connection, authority: Identity, blobs: BlobStore,
                 damaged: frozenset[bytes] = frozenset(), *, is_unredacted: bool = False) -> None:  # fmt: skip
        """``damaged``: objects whose bytes turned out not to be what their name says; ``is_unredacted``: masks are not applied."""
        self._redactions = {} if is_unredacted else {view.sha256: view for view in redactions.views(connection)}
        self.connection = connection
        self.authority = authority
        self.blobs = blobs
        self._damaged = damaged
        self._secrets: dict[bytes, bytes] = {}
        self._passports: dict[bytes, Passport] = {}
        self._masked: dict[bytes, str] = {}
        self._names: dict[str, str] = {}
        self._seen: dict[int, str] = {}
        self._announced: dict[bytes, dict[bytes, frozenset[bytes]]] = {}
        self.size = journal.size(connection)
        self._verified = bytearray((self.size >> 3) + 1)
        """One bit an entry: its envelope's signature was checked in this reading."""

    # ------------------------------------------------------------------ incidents and alerts

    def incident(self, incident_id: int) -> IncidentFacts:
        """One incident's row."""
        cursor = self.connection.execute("SELECT * FROM incident WHERE id = ?", (incident_id,))
        names = [column[0] for column in cursor.description]
        columns = dict(zip(names, cursor.fetchone(), strict=True))
        number = number_of(incident_id, columns["first_alert_at_ms"])
        shown = {name: value.hex() if isinstance(value, bytes) else value for name, value in columns.items()}
        return IncidentFacts(id=incident_id, number=number, columns=shown)

    def alerts(self, incident_id: int) -> Iterator[AlertFacts]:
        """An incident's alerts in the order of receipt."""
        rows = self.connection.execute("SELECT entry FROM alert WHERE incident = ? ORDER BY entry", (incident_id,))
        for (number,) in rows.fetchall():
            said = self.open(self.entry(number))
            alert = decode_body(said.envelope.header.kind, said.body)
            if not isinstance(alert, Alert):
                raise JournalDamaged(f"expected an alert in entry {number}: run command-center check")
            yield AlertFacts(said=said, incident=incident_id, alert=alert,
                             passport=self.passport(said.envelope.header.origin), media=self.media(said.envelope.header.origin, said.envelope.id))  # fmt: skip

    def exhibits(self, node: bytes, alert_ids: set[bytes] | None) -> Iterator[tuple[Said, bytes]]:
        """A node's exhibits of these alerts, or all of them, in order of receipt; each with the alert that it names."""
        for entry in self.about(f"node:{node.hex()}"):
            if entry.kind == "exhibit":
                said = self.open(entry)
                body = decode_body(said.envelope.header.kind, said.body)
                if isinstance(body, Exhibit) and (alert_ids is None or body.alert_id in alert_ids):
                    yield said, body.alert_id

    def retractions(self, subjects: Iterable[str]) -> Iterator[Said]:
        """Where nodes took alerts back, of these journal subjects. Under a node stand those of alerts that were not here."""
        for subject in subjects:
            for entry in self.about(subject):
                if entry.kind == "retraction":
                    yield self.open(entry)

    def early_retractions(self, incidents: Iterable[int]) -> Iterator[Said]:
        """Where nodes took alerts of these incidents back before the alerts came: they stand under the node."""
        for incident in incidents:
            for number in retractions.early_entries(self.connection, incident):
                yield self.open(self.entry(number))

    def models(self, node: bytes) -> dict[bytes, tuple[int, str]]:
        """The models that a node's journalled heartbeats named: digest → first such entry, name."""
        found: dict[bytes, tuple[int, str]] = {}
        for entry in self.about(f"node:{node.hex()}"):
            if entry.kind == "heartbeat":
                said = self.open(entry)
                body = decode_body(said.envelope.header.kind, said.body)
                if isinstance(body, Heartbeat) and body.model_sha256:
                    found.setdefault(body.model_sha256, (entry.id, body.model))
        return found

    def media(self, node: bytes, alert_id: bytes) -> tuple[Media, ...]:
        """What a node announced for an alert, and whether it is here.

        Only what this node signed for: another one's exhibit of the alert is no statement about it.
        """
        rows = self.connection.execute(
            "SELECT e.sha256, COALESCE(o.media_type, e.media_type), COALESCE(o.size_bytes, e.size_bytes), o.sha256 IS NOT NULL "
            "FROM exhibit_item e LEFT JOIN stored_object o ON o.sha256 = e.sha256 WHERE e.alert_id = ? AND e.node = ? "
            "ORDER BY e.sha256",
            (alert_id, node),
        ).fetchall()
        own = self._announced_by(node).get(alert_id, frozenset())
        return tuple(
            self._redacted(Media(sha256=sha256, media_type=media_type, size_bytes=size_bytes,
                                 absence=self._absence(sha256, size_bytes, is_stored=bool(is_stored))))
            for sha256, media_type, size_bytes, is_stored in rows if sha256 in own
        )  # fmt: skip

    def _redacted(self, media: Media) -> Media:
        """Without the original where a redaction says so, and with a masked copy where that can be made."""
        view = self._redactions.get(media.sha256)
        if view is None or media.absence:
            return media
        if media.sha256 not in self._masked:
            try:
                self._masked[media.sha256] = f"redactions/{hashlib.sha256(self.masked(media.sha256)).hexdigest()}.jpg"
            except CannotMask:
                self._masked[media.sha256] = ""
        copy = self._masked[media.sha256]
        what = "a masked copy is here instead" if copy else "withheld"
        return replace(media, masked=copy, absence=f"redacted, {what}: {view.reason} (journal entry {view.entry})")

    def redaction_of(self, sha256: bytes) -> RedactionView | None:
        """How a picture is given away; None: as it is."""
        return self._redactions.get(sha256)

    def masked(self, sha256: bytes) -> bytes:
        """The masked copy of a picture.

        Raises:
            CannotMask: it is to be withheld, or can't be masked.
        """
        view = self._redactions[sha256]
        if view.mode == "withhold":
            raise CannotMask("withheld as a whole")
        data = self.blobs.file_of(sha256).read_bytes()
        if hashlib.sha256(data).digest() != sha256:
            raise CannotMask("the copy at the center is damaged")
        return mask(data, view.mode, view.regions_px)

    def _announced_by(self, node: bytes) -> dict[bytes, frozenset[bytes]]:
        """Alert → SHA-256 of what a node's exhibits name for it."""
        if node not in self._announced:
            found: dict[bytes, frozenset[bytes]] = {}
            for said, alert_id in self.exhibits(node, None):
                body = decode_body(said.envelope.header.kind, said.body)
                if isinstance(body, Exhibit):
                    found[alert_id] = found.get(alert_id, frozenset()) | {item.sha256 for item in body.items}
            self._announced[node] = found
        return self._announced[node]

    def _absence(self, sha256: bytes, size_bytes: int, *, is_stored: bool) -> str:
        if not is_stored:
            row = self.connection.execute(
                "SELECT at_ms, entry, reason FROM erased_object WHERE sha256 = ?", (sha256,)
            ).fetchone()
            if row is not None:
                return f"deleted at the center at {utc(row[0])}, journal entry {row[1]}: {row[2]}"
            return "the node announced it, and its bytes have not all arrived"
        if sha256 in self._damaged:
            return "the copy at the center is damaged: its SHA-256 is not the signed one"
        try:
            found = self.blobs.file_of(sha256).stat().st_size
        except OSError as error:
            return f"it was stored at the center, and its file can't be read now: {error.strerror}"
        return (
            ""
            if found == size_bytes
            else f"the copy at the center is damaged: expected {size_bytes} bytes, found {found}"
        )

    # ------------------------------------------------------------------ journal

    def entry(self, number: int) -> Entry:
        """One entry.

        Raises:
            JournalDamaged: it is not there.
        """
        found = next(journal.entries(self.connection, first=number, at_most=1), None)
        if found is None or found.id != number:
            raise JournalDamaged(f"expected entry {number}, found none: run command-center check")
        return found

    def about(self, subject: str) -> Iterator[Entry]:
        """Entries about something, in order."""
        return journal.entries(self.connection, subject=subject)

    def watched(self, node: bytes, incidents: Iterable[int]) -> Iterator[Entry]:
        """Live viewings of a node's cameras that name no incident, from the first alert of one of these until it was closed."""
        spans = [self.connection.execute("SELECT first_alert_at_ms, closed_at_ms FROM incident WHERE id = ?", (incident,)).fetchone()
                 for incident in incidents]  # fmt: skip
        for entry in self.about(f"node:{node.hex()}"):
            if entry.kind in {OPENED, ENDED} and any(
                first <= entry.at_ms <= (closed or entry.at_ms) for first, closed in spans
            ):
                yield entry

    def open(self, entry: Entry) -> Said:
        """The envelope in an entry, verified against its node's passport, and its plaintext body.

        Raises:
            SenderError: the signature or the body is not as it was when it was stored.
        """
        stored = facts.decode(entry.payload, EnvelopeStored)
        envelope = envelopes.parse(stored.wire)
        passport = self.passport(envelope.header.origin)
        place, bit = entry.id >> 3, 1 << (entry.id & 7)
        if not self._verified[place] & bit:  # the read transaction holds the entry still: once is enough
            envelopes.verify(envelope, passport.signing_key)
            self._verified[place] |= bit
        secret = self._secrets.get(passport.sealing_key)
        if secret is None:
            secret = self._secrets[passport.sealing_key] = self.authority.shared_secret(passport.sealing_key)
        return Said(entry=entry.id, envelope=envelope, stored=stored, body=envelopes.open_body(envelope, secret))

    # ------------------------------------------------------------------ nodes

    def passport(self, node: bytes) -> Passport:
        """The newest passport of a node."""
        if node not in self._passports:
            self._passports[node] = self.passports(node)[-1].passport
        return self._passports[node]

    def seen(self, entry: Entry) -> str:
        """What an alert's node says that it saw; each file that shows it asks again."""
        words = self._seen.get(entry.id)
        if words is None:
            said = self.open(entry)
            body = decode_body(said.envelope.header.kind, said.body)
            words = words_of(body) if isinstance(body, Alert) else ""
            if len(self._seen) < _WORDS_KEPT:
                self._seen[entry.id] = words
        return words

    def name_of(self, actor: str) -> str:
        """The name of a node that an entry's actor is; empty for anybody else, and for a machine that never got in."""
        if actor not in self._names:
            query = "SELECT name FROM node WHERE 'node:' || lower(hex(id)) = ?"
            row = self.connection.execute(query, (actor,)).fetchone() if actor.startswith("node:") else None
            self._names[actor] = row[0] if row else ""
        return self._names[actor]

    def passports(self, node: bytes) -> list[SignedPassport]:
        """Every passport of a node that the journal holds, by serial number.

        Raises:
            JournalDamaged: none.
        """
        found: dict[int, SignedPassport] = {}
        for entry in self.about(f"node:{node.hex()}"):
            if entry.kind == "node-admitted":
                wire = facts.decode(entry.payload, NodeChange).passport
                signed = passports.verify(wire, self.authority.signing_key)
                found[signed.passport.serial] = signed
        if not found:
            raise JournalDamaged(f"no entry admits the node {node.hex()}: run command-center check")
        return [found[serial] for serial in sorted(found)]
