"""Raising an alert from any program on the gateway: the same door, envelope and spool as a camera's own alerts.

``Emitter`` is the Python side, ``alert-relay emit`` the command. Both return only after the alert is durable.
"""

import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec

from relay import door, ledger, limits, spool, trust
from relay.clock import SystemClock
from relay.database import Database
from relay.enrollment import Enrollment
from relay.errors import Malformed, NetworkError, SpoolBusy
from relay.header import Kind
from relay.identity import Identity
from relay.kinds import body, chunk
from relay.kinds.alert import Alert, Rule
from relay.kinds.exhibit import Exhibit, ExhibitItem
from relay.kinds.retraction import Ground, Retraction
from relay.precedence import Precedence
from relay.spool import Draft, Spool, Spooled

MAX_SNAPSHOT_BYTES: Final = 1_000_000
_BUSY_DEADLINE_S: Final = 15.0


class EmitRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What another program says."""

    label: str
    camera: str
    zone: str = ""
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    precedence: str = "FLASH"
    box_xyxy: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    age_ms: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)] = 0
    """How long ago it was seen."""
    snapshot: Annotated[bytes, msgspec.Meta(max_length=MAX_SNAPSHOT_BYTES)] = b""
    """A JPEG, or nothing."""

    def alert_draft(self, sealing_key: bytes) -> Draft:
        """The alert to spool.

        Raises:
            Malformed: a field is outside its bounds.
        """
        try:
            precedence = Precedence[self.precedence.upper()]
        except KeyError:
            known = ", ".join(item.name for item in Precedence if item.is_alert)
            raise Malformed(f"expected a precedence among {known}, found {self.precedence!r}") from None
        if not precedence.is_alert:
            raise Malformed(f"an alert is FLASH or IMMEDIATE, found {precedence.name}")
        said = Alert(label=self.label, camera=self.camera, zone=self.zone, confidence=self.confidence,
                     box_xyxy=self.box_xyxy, rule=Rule.EMITTED, age_ms=self.age_ms)  # fmt: skip
        return Draft(kind=Kind.ALERT, precedence=precedence, body=said.encode(), peer_sealing_key=sealing_key)


class RetractRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another program takes back an alert that it raised here."""

    alert_id: str
    """As ``Emitted`` gave it, hexadecimal."""
    note: Annotated[str, msgspec.Meta(max_length=200)] = ""
    ground: str = "operator"

    def draft(self, sealing_key: bytes) -> Draft:
        """The retraction to spool: IMMEDIATE, because somebody may be on the way.

        Raises:
            Malformed: not an alert's id, or an unknown ground.
        """
        try:
            alert_id = bytes.fromhex(self.alert_id)
        except ValueError:
            alert_id = b""
        if len(alert_id) != 32:
            raise Malformed(f"expected an alert's id, 64 hexadecimal digits, found {self.alert_id[:80]!r}")
        try:
            ground = Ground[self.ground.upper()]
        except KeyError:
            known = ", ".join(item.name.lower() for item in Ground)
            raise Malformed(f"expected a ground among {known}, found {self.ground!r}") from None
        said = body.encode(Retraction(alert_id=alert_id, ground=ground, note=self.note))
        return Draft(kind=Kind.RETRACTION, precedence=Precedence.IMMEDIATE, body=said, peer_sealing_key=sealing_key)


class Emitted(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that is durable in the spool."""

    id: str
    """The envelope's id, hexadecimal."""
    sequence: int
    wire_bytes: int


def emitted(spooled: Spooled) -> Emitted:
    """What the emitting program is told."""
    envelope = spooled.envelope
    return Emitted(id=envelope.id.hex(), sequence=envelope.header.sequence, wire_bytes=len(envelope.wire))


def snapshot_drafts(
    picture: bytes, *, alert_id: bytes, sealing_key: bytes, width_px: int = 0, height_px: int = 0,
    captured_wall_ms: int, captured_monotonic_ms: int,
) -> list[Draft]:  # fmt: skip
    """An exhibit for a JPEG, and its chunks, all PRIORITY: they never stand before an alert."""
    digest = hashlib.sha256(picture).digest()
    item = ExhibitItem(
        media_type="image/jpeg", sha256=digest, size_bytes=len(picture), chunk_bytes=limits.DEFAULT_CHUNK_BYTES,
        width_px=width_px, height_px=height_px, captured_wall_ms=captured_wall_ms,
        captured_monotonic_ms=captured_monotonic_ms,
    )  # fmt: skip
    said: list[tuple[Kind, msgspec.Struct]] = [(Kind.EXHIBIT, Exhibit(alert_id=alert_id, items=(item,)))]
    said += [(Kind.CHUNK, piece) for piece in chunk.cut(picture, digest)]
    return [Draft(kind=kind, precedence=Precedence.PRIORITY, body=body.encode(what), peer_sealing_key=sealing_key)
            for kind, what in said]  # fmt: skip


class Emitter:
    """Raises alerts through the station whose state is in ``state_dir``, running or not."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir

    def emit(self, request: EmitRequest) -> Emitted:
        """Raise an alert; it is durable when this returns.

        If the station runs, it is asked through its door and sends at once. If not, the alert is put into its spool and
        goes out when the station starts.

        Raises:
            OperatorError: not enrolled, spool full, or a field outside its bounds.
        """
        return self._ask(
            "emit", request, lambda custody, connection, key: _put_alert(custody, connection, key, request)
        )

    def retract(self, request: RetractRequest) -> Emitted:
        """Take back an alert that this machine raised; the retraction is durable when this returns.

        Whether there is such an alert, and whether it is this node's, is the center's to judge.

        Raises:
            OperatorError: not enrolled, spool full, or a field outside its bounds.
        """
        return self._ask(
            "retract", request, lambda custody, connection, key: custody.put(connection, request.draft(key))
        )

    def _ask(
        self, verb: str, request: msgspec.Struct, put: Callable[[Spool, sqlite3.Connection, bytes], Spooled]
    ) -> Emitted:
        deadline_s = time.monotonic() + _BUSY_DEADLINE_S
        while True:
            try:
                return msgspec.json.decode(door.ask(self._state_dir, verb, request), type=Emitted)
            except NetworkError:
                try:
                    return self._put_offline(put)
                except SpoolBusy:  # the station is starting or stopping: its door opens, or its lock is free, shortly
                    if time.monotonic() > deadline_s:
                        raise

    def _put_offline(self, put: Callable[[Spool, sqlite3.Connection, bytes], Spooled]) -> Emitted:
        identity = Identity.load(self._state_dir / "identity.key")
        authority = Enrollment.load(self._state_dir).authority
        custody = Spool(identity=identity, clock=SystemClock())
        parts: dict[str, Sequence[str]] = {"spool": spool.SCHEMA, "ledger": ledger.SCHEMA, "trust": trust.SCHEMA}

        def work(connection: sqlite3.Connection) -> Spooled:
            custody.start(connection)
            return put(custody, connection, authority.sealing_key)

        with contextlib.closing(Database.open(self._state_dir / "spool.sqlite", parts=parts)) as database:
            return emitted(database.run_blocking(work))


def _put_alert(custody: Spool, connection: sqlite3.Connection, sealing_key: bytes, request: EmitRequest) -> Spooled:
    spooled = custody.put(connection, request.alert_draft(sealing_key))
    if request.snapshot:
        clock = SystemClock()
        for draft in snapshot_drafts(
            request.snapshot, alert_id=spooled.envelope.id, sealing_key=sealing_key,
            captured_wall_ms=clock.wall_ms(), captured_monotonic_ms=clock.monotonic_ms(),
        ):  # fmt: skip
            custody.put(connection, draft)
    return spooled
