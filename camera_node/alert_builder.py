"""From a sighting to an alert in the spool, and its picture after it.

The alert goes first and alone, in a commit of its own with the row of its answers; the picture follows at PRIORITY as an
exhibit and its chunks. The alert's age is taken where its header is made, so that capture time = header time - age holds.
"""

import asyncio
import hashlib
import sqlite3
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

import structlog

from camera_node import clip_book, snapshot_hold, suppression_book
from camera_node.answered import AnswerBook
from camera_node.messages import Picture, Sighting, TakenBack
from camera_node.sealed_originals import SealedOriginals
from relay import limits
from relay.errors import OperatorError
from relay.header import Kind
from relay.ids import EnvelopeId
from relay.kinds import body, chunk
from relay.kinds.alert import Alert, Rule, tag
from relay.kinds.exhibit import Exhibit, ExhibitItem
from relay.kinds.retraction import Ground, Retraction
from relay.precedence import Precedence
from relay.spool import Spooled
from relay.station import Station

_log = structlog.get_logger("camera_node.alert_builder")

_MOST_UNSPOOLED: Final = 256
_RETRY_EVERY_S: Final = 2.0
_REMEMBERED: Final = 512
"""Sightings whose picture may still come."""


def build_alert(camera: str, sighting: Sighting, *, now_ms: int, model_sha256: bytes) -> Alert:
    """The body of an alert whose header is made at ``now_ms`` (monotonic)."""
    return Alert(
        label=tag(sighting.label) or "unknown", camera=tag(camera), zone=tag(sighting.zone),
        confidence=min(1.0, max(0.0, sighting.confidence)), box_xyxy=sighting.box_xyxy, rule=Rule(sighting.rule),
        track=sighting.track & 0xFFFF, age_ms=min(max(0, now_ms - sighting.captured_monotonic_ms), (1 << 32) - 1),
        model_sha256_prefix=model_sha256[:4] or bytes(4),
    )  # fmt: skip


def build_exhibit(alert_id: EnvelopeId, picture: Picture) -> tuple[Exhibit, list[chunk.Chunk]]:
    """The statement on a snapshot, and its bytes in pieces."""
    sha256 = hashlib.sha256(picture.jpeg).digest()
    item = ExhibitItem(
        media_type="image/jpeg", sha256=sha256, size_bytes=len(picture.jpeg), chunk_bytes=limits.DEFAULT_CHUNK_BYTES,
        width_px=picture.width_px, height_px=picture.height_px, captured_wall_ms=picture.captured_wall_ms,
        captured_monotonic_ms=picture.captured_monotonic_ms,
    )  # fmt: skip
    return Exhibit(alert_id=alert_id, items=(item,)), chunk.cut(picture.jpeg, sha256)


class AlertBuilder:
    """Puts sightings into the station. Sightings that the disk has no room for wait in memory and are said aloud."""

    def __init__(self, station: Station, book: AnswerBook, *, model_sha256: bytes,
                 on_unspooled: Callable[[str, Sighting, str], None],
                 originals: SealedOriginals | None = None) -> None:  # fmt: skip
        """``on_unspooled`` is told of an alert that could not be spooled: nobody else will hear of it for now."""
        self._station = station
        self._book = book
        self._model_sha256 = model_sha256
        self._on_unspooled = on_unspooled
        self._originals = originals
        self._alert_ids: OrderedDict[tuple[str, int], EnvelopeId] = OrderedDict()
        self._raised: OrderedDict[tuple[str, int], EnvelopeId] = OrderedDict()
        self._unspooled: deque[tuple[str, Sighting]] = deque()

    async def raise_alert(self, camera: str, sighting: Sighting) -> EnvelopeId | None:
        """Spool the alert; durable when this returns. None: there was no room, and it is tried again."""
        try:
            return await self._spool(camera, sighting)
        except OperatorError as error:
            self._station.counters.count("alerts_not_spooled")
            _log.critical("alert not spooled, trying again", camera=camera, label=sighting.label, why=str(error))
            self._on_unspooled(camera, sighting, str(error))
            if len(self._unspooled) >= _MOST_UNSPOOLED:
                self._unspooled.popleft()
                self._station.counters.count("alerts_lost_before_spooling")
            self._unspooled.append((camera, sighting))
            return None

    async def attach(self, camera: str, picture: Picture) -> None:
        """Spool the picture of a sighting, in one commit."""
        alert_id = self._alert_ids.pop((camera, picture.sighting), None)
        if alert_id is None:
            self._station.counters.count("pictures_without_alert")
            return
        exhibit, chunks = build_exhibit(alert_id, picture)
        drafts = [self._station.draft_up(Kind.EXHIBIT, Precedence.PRIORITY, body.encode(exhibit))]
        drafts += [self._station.draft_up(Kind.CHUNK, Precedence.PRIORITY, body.encode(piece)) for piece in chunks]
        station = self._station

        def put(connection: sqlite3.Connection) -> list[Spooled]:
            spooled = [station.spool.put(connection, draft) for draft in drafts]
            snapshot_hold.note(connection, alert_id, [one.envelope.id for one in spooled])
            return spooled

        try:
            station.announce(await station.database.run(put))
        except OperatorError as error:
            self._station.counters.count("pictures_not_spooled")
            _log.error("snapshot not spooled", camera=camera, alert=alert_id.hex(), why=str(error))
        if self._originals is not None:
            await self._originals.keep(alert_id, picture.original)

    async def take_back(self, camera: str, word: TakenBack) -> None:
        """Spool the retraction of an earlier sighting's alert."""
        alert_id = self._raised.pop((camera, word.sighting), None)
        if alert_id is None:
            before = len(self._unspooled)
            self._unspooled = deque(item for item in self._unspooled
                                    if (item[0], item[1].number) != (camera, word.sighting))  # fmt: skip
            self._station.counters.count(
                "retractions_without_alert" if before == len(self._unspooled) else "alerts_withdrawn"
            )
            return
        retraction = Retraction(alert_id=alert_id, ground=Ground(word.ground), note=word.note)
        draft = self._station.draft_up(Kind.RETRACTION, Precedence.IMMEDIATE, body.encode(retraction))
        try:
            await self._station.put(draft)
        except OperatorError as error:
            self._station.counters.count("retractions_not_spooled")
            _log.critical("retraction not spooled", camera=camera, alert=alert_id.hex(), why=str(error))
            return
        _log.warning("alert taken back", camera=camera, alert=alert_id.hex(), ground=retraction.ground.name.lower(),
                     note=word.note)  # fmt: skip

    def forget_pictures(self, camera: str) -> None:
        """The camera's process ended: its numbers start anew."""
        for known in (self._alert_ids, self._raised):
            for key in [key for key in known if key[0] == camera]:
                del known[key]

    async def retry(self) -> None:
        """Spool what there was no room for, as soon as there is; until cancelled."""
        while True:
            await asyncio.sleep(_RETRY_EVERY_S)
            while self._unspooled:
                try:
                    await self._spool(*self._unspooled[0])
                except OperatorError:
                    break
                self._unspooled.popleft()

    async def _spool(self, camera: str, sighting: Sighting) -> EnvelopeId:
        station = self._station

        def put(connection: sqlite3.Connection) -> Spooled:
            alert = build_alert(camera, sighting, now_ms=station.clock.monotonic_ms(), model_sha256=self._model_sha256)
            draft = station.draft_up(Kind.ALERT, Precedence(sighting.precedence), alert.encode())
            spooled = station.spool.put(connection, draft)
            self._book.record(connection, spooled=spooled, alert=alert, clip_time_ms=sighting.clip_time_ms,
                              sighted_monotonic_ms=sighting.captured_monotonic_ms,
                              sighted_wall_ms=sighting.captured_wall_ms)  # fmt: skip
            suppression_book.note_look(connection, spooled.envelope.id, camera=camera, label=sighting.label,
                                       box_xyxy=sighting.box_xyxy, look=sighting.look)  # fmt: skip
            if sighting.clip:
                clip_book.show(connection, camera, sighting.clip, spooled.envelope.id)
            return spooled

        spooled = await station.database.run(put)
        self._book.spooled(spooled.envelope.id)
        station.announce([spooled])
        for known in (self._alert_ids, self._raised):
            known[camera, sighting.number] = spooled.envelope.id
            while len(known) > _REMEMBERED:
                known.popitem(last=False)
        _log.warning(
            "alert spooled", alert=spooled.envelope.id.hex(), camera=camera, label=sighting.label, zone=sighting.zone,
            precedence=Precedence(sighting.precedence).name, confidence=round(sighting.confidence, 2),
            track=sighting.track, sighting_to_spooled_ms=station.clock.monotonic_ms() - sighting.captured_monotonic_ms,
        )  # fmt: skip
        return spooled.envelope.id
