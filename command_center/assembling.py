"""Puts exhibits' bytes together when all their chunks are here, checks what was signed, and journals what came of it."""

import sqlite3

import structlog

from command_center import event_feed, exhibits, facts, journal
from command_center.blobs import WrongHash
from command_center.exhibits import DueObject
from command_center.facts import ObjectStored
from command_center.services import Services
from relay.clock import Clock

_log = structlog.get_logger("command_center.assembling")


async def assemble_due(services: Services) -> None:
    """Put together the objects whose bytes are all here."""
    while due := await services.readers.run(exhibits.due):
        for wanted in due:
            await _assemble(services, wanted)
        services.feed.wake()


async def _assemble(services: Services, wanted: DueObject) -> None:
    if await services.readers.run(lambda connection: exhibits.is_stored(connection, wanted.sha256)):
        return  # another node's copy was put together meanwhile
    reason = ""
    try:
        size_bytes = await services.readers.run(
            lambda connection: services.blobs.write(wanted.sha256, exhibits.pieces(connection, wanted))
        )
        if size_bytes != wanted.size_bytes:
            reason = f"expected {wanted.size_bytes} bytes, found {size_bytes}"
    except WrongHash as error:
        reason = str(error)
    fact = ObjectStored(sha256=wanted.sha256, size_bytes=wanted.size_bytes, media_type=wanted.media_type, reason=reason)
    await services.database.run(lambda connection: _settle(connection, services.clock, wanted, fact))
    services.metrics.count("objects_refused" if reason else "objects_stored")
    if reason:
        _log.warning("object refused", node=wanted.node.hex(), sha256=wanted.sha256.hex(), reason=reason)


def _settle(connection: sqlite3.Connection, clock: Clock, wanted: DueObject, fact: ObjectStored) -> None:
    now = clock.wall_ms()
    journal.append(
        connection, at_ms=now, kind="object-refused" if fact.reason else "object-stored",
        actor=f"node:{wanted.node.hex()}", subject=f"object:{wanted.sha256.hex()}", payload=facts.encode(fact),
    )  # fmt: skip
    exhibits.forget_pieces(connection, wanted, is_stored=not fact.reason)
    if not fact.reason:
        for incident in exhibits.note_stored(connection, wanted.sha256, wanted.size_bytes, wanted.media_type, now):
            event_feed.note(connection, "incident", incident)
