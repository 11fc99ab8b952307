"""Carrying by hand: ``carry`` fills a stick from a station's spool, ``deliver`` empties it into another station.

To the station that delivers, the stick is a session like any other: what is on it is verified, stored and answered by the same
code. Its receipts are written back onto the stick, and free the origin's copies when the stick is carried home.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from relay import envelope as envelopes
from relay import hop, limits, receipt
from relay.errors import Malformed, SenderError
from relay.ids import AUTHORITY, NodeId
from relay.path import Lane, PathFacts
from relay.paths.removable import Stick
from relay.precedence import Precedence
from relay.receipt import Receipt
from relay.spool import Waiting
from relay.station import Station

_log = structlog.get_logger("relay.courier")
_PAGE: Final = 500
_MOST_AHEAD: Final = 2_000
_PATIENCE_S: Final = 10.0
"""Without any answer for this long, what is unanswered counts as not taken."""


class CarryOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the door is asked for."""

    medium_dir: str


class CarryReport(msgspec.Struct, frozen=True, kw_only=True):
    """What ``carry`` did."""

    envelopes: int
    already_there: int
    left_behind: int
    bytes: int
    receipts_taken: int
    freed_on_stick: int


class DeliverReport(msgspec.Struct, frozen=True, kw_only=True):
    """What ``deliver`` did."""

    offered: int
    taken: int
    """Stored here, now or before."""
    refused: dict[str, int]
    """By reason; they stay on the stick."""
    receipts_written: int


class StickSession:
    """The stick, as the station sees it: outgoing parcels are read by us instead of sent."""

    def __init__(self) -> None:
        self.facts = PathFacts(name="removable", mtu_bytes=limits.MAX_PARCEL_BYTES)
        self.is_outgoing = False
        self.transport_key = b""
        self.stored: set[bytes] = set()
        self.receipts: dict[tuple[NodeId, int], Receipt] = {}
        self.answered = asyncio.Event()

    def send(self, parcel: bytes, lane: Lane) -> bool:
        """Take what the station says to the stick."""
        if receipt.is_receipt(parcel):
            parsed = receipt.parse(parcel)
            self.receipts[parsed.origin, parsed.series] = parsed
        elif hop.is_note(parcel):
            note = hop.decode(parcel)
            if isinstance(note, hop.Stored):
                self.stored.update(note.ids)
        self.answered.set()
        return True

    def drop(self, reason: str) -> None:
        """A stick has no connection to lose."""


async def carry(station: Station, medium_dir: Path) -> CarryReport:
    """Take in the receipts that are on the stick, then copy everything that still waits, most urgent first.

    Raises:
        OperatorError: no stick, or it can't be written.
    """
    stick = await asyncio.to_thread(Stick, medium_dir)
    session = StickSession()
    taken = 0
    with station.local_session(session):
        for _, wire in await asyncio.to_thread(lambda: list(stick.receipts())):
            station.receive_local(session, wire)
            taken += 1
        await station.settled()
    freed = await _drop_receipted(station, stick)
    done = there = left = size = 0
    origins: set[NodeId] = set()
    for precedence in Precedence:
        at = 0
        while page := await station.database.run(_page_reader(station, precedence, at)):
            at = page[-1].number
            upwards = [item for item in page if item.destination == AUTHORITY]
            written = await asyncio.to_thread(stick.put_envelopes, upwards)
            origins.update(item.origin for item in upwards)
            done, there = done + written.envelopes, there + written.already_there
            left, size = left + written.left_behind, size + written.bytes
    passports = [(origin, shown) for origin in origins if (shown := station.passport_wire_of(origin)) is not None]
    await asyncio.to_thread(stick.put_passports, passports)
    return CarryReport(envelopes=done, already_there=there, left_behind=left, bytes=size, receipts_taken=taken,
                       freed_on_stick=freed)  # fmt: skip


def _page_reader(station: Station, precedence: Precedence, after: int) -> Callable[[sqlite3.Connection], list[Waiting]]:
    def read(connection: sqlite3.Connection) -> list[Waiting]:
        return station.spool.after(connection, precedence, after, _PAGE)

    return read


async def _drop_receipted(station: Station, stick: Stick) -> int:
    """Remove from the stick what its origin's station holds a receipt for."""

    def is_covered(connection: sqlite3.Connection, wire: bytes) -> bool:
        header = envelopes.parse(wire).header
        held = station.spool.receipt_for(connection, header.origin, header.destination, header.series)
        return held is not None and held.covers(header.sequence)

    done: list[Path] = []
    for file, wire in await asyncio.to_thread(lambda: list(stick.envelopes())):
        try:
            if await station.database.run(lambda connection, wire=wire: is_covered(connection, wire)):  # type: ignore[misc]
                done.append(file)
        except SenderError:
            continue  # a damaged file is not ours to judge here: ``deliver`` counts it
    return await asyncio.to_thread(stick.drop, done)


async def deliver(station: Station, medium_dir: Path) -> DeliverReport:
    """Offer everything on the stick to this station, and write the receipts for it beside it.

    Raises:
        OperatorError: no stick, or it can't be read.
    """
    stick = await asyncio.to_thread(Stick, medium_dir)
    session, refused = StickSession(), dict[str, int]()
    for _, wire in await asyncio.to_thread(lambda: list(stick.passports())):
        try:
            await station.admit(wire)
        except SenderError as error:
            station.counters.refused(f"passport_{error.reason}")
            refused[f"passport {error.reason}"] = refused.get(f"passport {error.reason}", 0) + 1
    wanted: dict[bytes, tuple[NodeId, int, int]] = {}
    offered = 0
    with station.local_session(session):
        for _, wire in await asyncio.to_thread(lambda: list(stick.envelopes())):
            offered += 1
            try:
                envelope = envelopes.parse(wire)
                station.take_local(session, wire)
            except SenderError as error:
                station.counters.refused(error.reason)
                refused[error.reason] = refused.get(error.reason, 0) + 1
                continue
            header = envelope.header
            wanted[envelope.id] = (header.origin, header.series, header.sequence)
            while station.receiver.waiting_count > _MOST_AHEAD:  # noqa: ASYNC110  a queue's length is no event
                await asyncio.sleep(0.01)
        taken = await _wait_for_answers(session, wanted)
    written = await asyncio.to_thread(stick.put_receipts, await _receipts_for(station, session, wanted))
    return DeliverReport(offered=offered, taken=taken, refused=refused, receipts_written=written)


async def _wait_for_answers(session: StickSession, wanted: dict[bytes, tuple[NodeId, int, int]]) -> int:
    def count() -> int:
        return sum(
            identifier in session.stored
            or ((known := session.receipts.get((origin, series))) is not None and known.covers(sequence))
            for identifier, (origin, series, sequence) in wanted.items()
        )

    while (taken := count()) < len(wanted):
        session.answered.clear()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await session.answered.wait()
        except TimeoutError:
            break
    return taken


async def _receipts_for(
    station: Station, session: StickSession, wanted: dict[bytes, tuple[NodeId, int, int]]
) -> list[tuple[str, bytes]]:
    """The centre's receipts for what is on the stick: issued just now, or held by this relay from before."""

    def held(connection: sqlite3.Connection) -> list[Receipt]:
        streams = {(origin, series) for origin, series, _ in wanted.values()}
        found = [station.spool.receipt_for(connection, origin, AUTHORITY, series) for origin, series in streams]
        return [item for item in found if item is not None]

    best = {(item.origin, item.series): item for item in await station.database.run(held)}
    best.update(session.receipts)
    return [(f"{item.origin.hex()}-{AUTHORITY.hex()}-{item.series:08x}", item.wire) for item in best.values()]


def order_of(raw: msgspec.Raw) -> Path:
    """The folder that a door's question names.

    Raises:
        Malformed: it names none.
    """
    try:
        return Path(msgspec.json.decode(raw, type=CarryOrder).medium_dir)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"expected the folder of a removable medium: {error}") from error
