"""Sends clips: an exhibit that names the SHA-256, and the bytes as BULK chunks, a few at a time.

The spool holds ``IN_FLIGHT`` chunks of clips and what travels, at most ``MOST_IN_FLIGHT``, however long the clip is and however long the way
is down; the next are put as receipts come. Where sending stands is in the database, so a restart goes on where it was. Steps, each safe to
repeat after a kill:

1. ``settle``: what has left the spool was heard, or is to be put again.
2. Exhibits that are missing are spooled, PRIORITY, before any byte.
3. Chunks are read from the file on a worker thread, and spooled in portions with their rows in one transaction.
4. The clip is HEARD when nothing of it is outstanding.

One clip goes after the other, the oldest first. Alerts go before: BULK has the last place in every queue of a station, and
a portion holds the database's thread for some milliseconds only.
"""

import asyncio
import contextlib
import hashlib
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from camera_node import clip_book, clip_orders
from camera_node.clip_book import Clip, ClipState
from camera_node.clip_keeper import ClipKeeper
from relay import limits
from relay.errors import HeardError
from relay.header import Kind
from relay.kinds import body
from relay.kinds.answer import Answer as AnswerBody
from relay.kinds.chunk import Chunk
from relay.kinds.exhibit import MAX_SEGMENTS, ClipExhibit, Exhibit, ExhibitItem, Segment
from relay.precedence import Precedence
from relay.spool import Draft, Spooled
from relay.station import Answer, AnswerLevel, Station

_log = structlog.get_logger("camera_node.clip_sender")

IN_FLIGHT: Final = 128
"""Chunks in the spool at once beyond what travels: 640 KiB, which waits its turn, or is stored and its receipt under way."""
MOST_IN_FLIGHT: Final = 640
"""With what travels: 3.1 MiB. The sender has room for a thousand in memory, and what else is no alert needs some of it."""
_PORTION: Final = 16
"""Chunks in one transaction: sealing, signing and inserting one takes 0.2 ms, and an alert may wait for them."""
_CHUNK_BYTES: Final = limits.DEFAULT_CHUNK_BYTES
_LOOK_EVERY_S: Final = 5.0
_FULL_WAIT_S: Final = 5.0
MEDIA_TYPE: Final = "video/mp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """What is to be done for a clip now."""

    clip: Clip
    alerts: list[bytes]
    pieces: list[tuple[int, int]]
    segments: list[Segment]
    """Of the whole clip, where exhibits are to be spooled; empty where its segments are not known to fill it."""
    is_heard: bool


class ClipSender:
    """``run`` owns it."""

    def __init__(self, station: Station, keeper: ClipKeeper) -> None:
        self._station = station
        self._keeper = keeper
        self._receipts = asyncio.Event()

    def answered(self, answer: Answer) -> None:
        """For ``Station.on_answer``."""
        if answer.level is AnswerLevel.HEARD and answer.kind in {Kind.CHUNK, Kind.EXHIBIT}:
            self._receipts.set()

    def look_again(self) -> None:
        """Something may have changed: an order came in."""
        self._receipts.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._receipts.clear()
            self._keeper.ended.clear()
            try:
                while await self._step():
                    pass
            except (HeardError, OSError) as error:
                self._station.counters.count("clip_sending_postponed")
                _log.warning("clip waits to be sent", why=str(error))
                await asyncio.sleep(_FULL_WAIT_S)
            await self._something_changed()

    async def _something_changed(self) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (self._receipts, self._keeper.ended)]
        try:
            await asyncio.wait(waits, timeout=_LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await wait

    async def _step(self) -> bool:
        """Put the next portion; whether there may be more to do at once."""
        answers = await self._station.database.run(self._answer)
        self._station.announce(answers)
        most = in_flight(self._station.bulk_travels_bytes)
        turn = await self._station.database.run(lambda connection: self._look(connection, most))
        if turn is None:
            return False
        if turn.is_heard:
            _log.info("clip heard", camera=turn.clip.camera, clip=turn.clip.file, bytes=turn.clip.size_bytes)
            return True
        if not turn.alerts and not turn.pieces:
            return False
        contents = await asyncio.to_thread(self._read, turn)
        if contents is not None and len(turn.segments) > MAX_SEGMENTS:
            longer = await asyncio.to_thread(_longer, self._keeper.file_of(turn.clip), turn.segments)
            turn = replace(turn, segments=longer)
        if contents is None:
            await self._station.database.run(lambda connection: clip_book.spoil(connection, turn.clip.id))
            _log.error(
                "clip is not sent: its file is not what was recorded", camera=turn.clip.camera, clip=turn.clip.file
            )
            return True
        spooled = await self._station.database.run(lambda connection: self._put(connection, turn, contents))
        self._station.announce(spooled)
        return len(turn.pieces) == _PORTION

    def _answer(self, connection: sqlite3.Connection) -> list[Spooled]:
        """Spool the answers to orders: the order's transaction wrote them, this one makes them envelopes."""
        spooled: list[Spooled] = []
        for number, word in clip_orders.waiting_words(connection):
            said = body.encode(AnswerBody(word=word))
            spooled.append(
                self._station.spool.put(connection, self._station.draft_up(Kind.ANSWER, Precedence.PRIORITY, said))
            )
            clip_orders.spooled(connection, number)
        return spooled

    def _look(self, connection: sqlite3.Connection, most: int) -> _Turn | None:
        clip = clip_book.next_to_send(connection)
        if clip is None:
            return None
        waiting, lost = clip_book.settle(connection, clip.id, self._covers(connection))
        if clip_book.heard_if_done(connection, clip.id):
            return _Turn(clip=clip, alerts=[], pieces=[], segments=[], is_heard=True)
        room = max(0, min(_PORTION, most - waiting))
        fresh = range(clip.next_offset_bytes, clip.size_bytes, _CHUNK_BYTES)[:room]
        pieces = lost + [(offset, min(_CHUNK_BYTES, clip.size_bytes - offset)) for offset in fresh]
        alerts = clip_book.unannounced(connection, clip.id)
        segments = clip_book.whole_of_segments(connection, clip) if alerts else []
        return _Turn(clip=clip, alerts=alerts, pieces=pieces[:room], segments=segments, is_heard=False)

    def _covers(self, connection: sqlite3.Connection) -> clip_book.IsCovered:
        def is_covered(series: int, sequence: int) -> bool:
            return self._station.spool.was_receipted(connection, series, sequence)

        return is_covered

    def _read(self, turn: _Turn) -> list[bytes] | None:
        """The pieces' bytes; None if the file is not what was recorded."""
        contents: list[bytes] = []
        try:
            with self._keeper.file_of(turn.clip).open("rb") as stream:
                if (
                    turn.clip.next_offset_bytes == 0
                    and hashlib.file_digest(stream, "sha256").hexdigest() != turn.clip.sha256
                ):
                    return None  # the center would refuse it, after all its bytes had taken the way
                for offset, size in turn.pieces:
                    stream.seek(offset)
                    contents.append(stream.read(size))
        except FileNotFoundError:
            return None
        is_whole = all(len(content) == size for content, (_, size) in zip(contents, turn.pieces, strict=True))
        return contents if is_whole else None

    def _put(self, connection: sqlite3.Connection, turn: _Turn, contents: list[bytes]) -> list[Spooled]:
        """Exhibits first: the center keeps only so many bytes of what nobody has announced."""
        clip = turn.clip
        if clip_book.get(connection, clip.id).state is not ClipState.WAITING:
            return []  # evicted meanwhile
        spooled: list[Spooled] = []
        for alert_id in turn.alerts:
            exhibit = self._station.spool.put(connection, self._exhibit(clip, alert_id, turn.segments))
            clip_book.announced(connection, clip.id, alert_id, exhibit.envelope)
            spooled.append(exhibit)
        for (offset, size), content in zip(turn.pieces, contents, strict=True):
            said = Chunk(object_sha256=bytes.fromhex(clip.sha256), offset_bytes=offset, content=content)
            piece = self._station.spool.put(
                connection, self._station.draft_up(Kind.CHUNK, Precedence.BULK, body.encode(said))
            )
            clip_book.sent(connection, clip.id, offset, size, piece.envelope)
            spooled.append(piece)
        return spooled

    def _exhibit(self, clip: Clip, alert_id: bytes, segments: list[Segment]) -> Draft:
        item = ExhibitItem(
            media_type=MEDIA_TYPE, sha256=bytes.fromhex(clip.sha256), size_bytes=clip.size_bytes,
            chunk_bytes=_CHUNK_BYTES, width_px=clip.width_px, height_px=clip.height_px,
            captured_wall_ms=clip.started_wall_ms, captured_monotonic_ms=clip.started_monotonic_ms,
        )  # fmt: skip
        plain = Exhibit(alert_id=alert_id, items=(item,))
        said = ClipExhibit(alert_id=alert_id, items=(item,), segments=tuple(segments)) if segments else plain
        return self._station.draft_up(Kind.EXHIBIT, Precedence.PRIORITY, body.encode(said))


def in_flight(travels_bytes: float) -> int:
    """How many chunks the spool may hold, where so much is on the way when every link is full."""
    return min(MOST_IN_FLIGHT, IN_FLIGHT + int(travels_bytes / _CHUNK_BYTES))


def _longer(file: Path, segments: list[Segment]) -> list[Segment]:
    """The same clip in at most ``MAX_SEGMENTS`` longer segments, each of as many neighbors; hashed from the file."""
    each = -(-len(segments) // MAX_SEGMENTS)
    found: list[Segment] = []
    with file.open("rb") as stream:
        for at in range(0, len(segments), each):
            size_bytes = sum(size for size, _ in segments[at : at + each])
            digest, left = hashlib.sha256(), size_bytes
            while left and (piece := stream.read(min(left, 1 << 20))):
                digest.update(piece)
                left -= len(piece)
            found.append((size_bytes, digest.digest()))
    return found
