"""Carrying by hand: ``carry`` fills a stick from a station's spool, ``deliver`` empties it into another station.

To the station that delivers, the stick is a session like any other: what is on it is verified, stored and answered by the same
code. Its receipts are written back onto the stick, and free the origin's copies when the stick is carried home. On the way home it
carries what waits for those whose passports are on it, acknowledgements first; their receipts for that go back with the next walk. Who
fills a stick leaves a passport there, so that an acknowledgement finds its way also when nothing else was to be carried.
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
from relay import waiting as waiting_rows
from relay.errors import Malformed, SenderError
from relay.ids import AUTHORITY, NodeId
from relay.passport import Role
from relay.path import Lane, PathFacts
from relay.paths.removable import Stick
from relay.precedence import Precedence
from relay.receipt import Receipt
from relay.station import Station
from relay.waiting import Waiting

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
    taken_down: int = 0
    """Acknowledgements and orders that the stick brought home, stored here now or before."""


class DeliverReport(msgspec.Struct, frozen=True, kw_only=True):
    """What ``deliver`` did."""

    offered: int
    taken: int
    """Stored here, now or before."""
    refused: dict[str, int]
    """By reason; they stay on the stick."""
    receipts_written: int
    sent_down: int = 0
    """Acknowledgements and orders that were copied onto it for the way home."""


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
    await _admit(station, stick, {})
    with station.local_session(session):
        for _, wire in await asyncio.to_thread(lambda: list(stick.receipts())):
            station.receive_local(session, wire)
            taken += 1
        await station.settled()
        down = await _take_down(station, stick, session)
    freed = await _drop_receipted(station, stick)
    _count_passed_over(station, stick, {})
    done = there = left = size = 0
    origins: set[NodeId] = {station.identity.node_id}
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
                       freed_on_stick=freed, taken_down=down)  # fmt: skip


def _page_reader(station: Station, precedence: Precedence, after: int) -> Callable[[sqlite3.Connection], list[Waiting]]:
    def read(connection: sqlite3.Connection) -> list[Waiting]:
        return waiting_rows.after(connection, precedence, after, _PAGE)

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
    known = await _admit(station, stick, refused)
    wanted: dict[bytes, tuple[NodeId, int, int]] = {}
    offered = 0
    with station.local_session(session):
        await _take_receipts_of_nodes(station, stick, session)
        for _, wire in await asyncio.to_thread(lambda: list(stick.envelopes())):
            try:
                envelope = envelopes.parse(wire)
                if envelope.header.origin == station.identity.node_id:
                    continue  # our own words on their way down
                offered += 1
                station.take_local(session, wire)
            except Malformed as error:
                offered += 1
                _refuse(station, refused, error.reason)
                continue
            except SenderError as error:
                _refuse(station, refused, error.reason)
                continue
            header = envelope.header
            wanted[envelope.id] = (header.origin, header.series, header.sequence)
            while station.receiver.waiting_count > _MOST_AHEAD:  # noqa: ASYNC110  a queue's length is no event
                await asyncio.sleep(0.01)
        taken = await _wait_for_answers(session, wanted)
    written = await asyncio.to_thread(stick.put_receipts, await _receipts_for(station, session, wanted))
    down = await _put_down(station, stick, known | {origin for origin, _, _ in wanted.values()})
    await _drop_receipted(station, stick)
    _count_passed_over(station, stick, refused)
    return DeliverReport(offered=offered, taken=taken, refused=refused, receipts_written=written, sent_down=down)


def _refuse(station: Station, refused: dict[str, int], reason: str) -> None:
    station.counters.refused(reason)
    refused[reason] = refused.get(reason, 0) + 1


def _count_passed_over(station: Station, stick: Stick, refused: dict[str, int]) -> None:
    """What the stick has under one of our names and was not even read: too large, or no file."""
    for name in stick.passed_over:
        _refuse(station, refused, "oversized" if stick.passed_over[name] else "not_a_file")


async def _admit(station: Station, stick: Stick, refused: dict[str, int]) -> set[NodeId]:
    """Believe the passports on the stick, if our authority signed them; whose they are."""
    known: set[NodeId] = set()
    for _, wire in await asyncio.to_thread(lambda: list(stick.passports())):
        try:
            known.add((await station.admit(wire)).passport.node_id)
        except SenderError as error:
            station.counters.refused(f"passport_{error.reason}")
            refused[f"passport {error.reason}"] = refused.get(f"passport {error.reason}", 0) + 1
    return known


async def _take_receipts_of_nodes(station: Station, stick: Stick, session: StickSession) -> None:
    """What nodes have of our words down to them. Receipts of a center on the stick are for the way home."""
    for _, wire in await asyncio.to_thread(lambda: list(stick.receipts())):
        try:
            is_of_center = station.trust.passport_of(receipt.parse(wire).signer).role == Role.CENTER
        except SenderError:  # counted below
            is_of_center = False
        if not is_of_center:
            station.receive_local(session, wire)
    await station.settled()


async def _take_down(station: Station, stick: Stick, session: StickSession) -> int:
    """Take in what the stick brought for this machine, and leave our receipts for it there; how many."""
    wanted: dict[bytes, tuple[NodeId, int, int]] = {}
    files: dict[bytes, Path] = {}
    for file, wire in await asyncio.to_thread(lambda: list(stick.envelopes())):
        try:
            envelope = envelopes.parse(wire)
            header = envelope.header
            if header.destination != station.identity.node_id:
                continue
            station.take_local(session, wire)
        except SenderError as error:
            station.counters.refused(error.reason)
            continue
        wanted[envelope.id], files[envelope.id] = (header.origin, header.series, header.sequence), file
    if not wanted:
        return 0
    taken = await _wait_for_answers(session, wanted)
    ours = [item for item in session.receipts.values() if item.signer == station.identity.node_id]
    await asyncio.to_thread(stick.put_receipts, [_named(item, item.signer) for item in ours])
    done = [files[identifier] for identifier, (origin, series, sequence) in wanted.items()
            if (known := session.receipts.get((origin, series))) is not None and known.covers(sequence)]  # fmt: skip
    await asyncio.to_thread(stick.drop, done)
    return taken


async def _put_down(station: Station, stick: Stick, nodes: set[NodeId]) -> int:
    """Copy what waits for these nodes onto the stick, with the passports of whoever says it."""
    count, origins = 0, set[NodeId]()
    for precedence in (Precedence.FLASH, Precedence.IMMEDIATE, Precedence.PRIORITY):
        at = 0
        while page := await station.database.run(_page_reader(station, precedence, at)):
            at = page[-1].number
            downwards = [item for item in page if item.destination in nodes]
            origins.update(item.origin for item in downwards)
            count += (await asyncio.to_thread(stick.put_envelopes, downwards)).envelopes
    passports = [(origin, shown) for origin in origins if (shown := station.passport_wire_of(origin)) is not None]
    await asyncio.to_thread(stick.put_passports, passports)
    return count


def _named(item: Receipt, destination: NodeId) -> tuple[str, bytes]:
    return f"{item.origin.hex()}-{destination.hex()}-{item.series:08x}", item.wire


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
    """The center's receipts for what is on the stick: issued just now, or held by this relay from before."""

    def held(connection: sqlite3.Connection) -> list[Receipt]:
        streams = {(origin, series) for origin, series, _ in wanted.values()}
        found = [station.spool.receipt_for(connection, origin, AUTHORITY, series) for origin, series in streams]
        return [item for item in found if item is not None]

    best = {(item.origin, item.series): item for item in await station.database.run(held)}
    best.update(session.receipts)
    return [_named(item, AUTHORITY) for item in best.values()]


def order_of(raw: msgspec.Raw) -> Path:
    """The folder that a door's question names.

    Raises:
        Malformed: it names none.
    """
    try:
        return Path(msgspec.json.decode(raw, type=CarryOrder).medium_dir)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"expected the folder of a removable medium: {error}") from error
