"""``/api/v1/journal``: checkpoints, entries and proofs, for auditors and their tools."""

import hashlib
import sqlite3
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from command_center import journal, merkle
from command_center.api.access import JournalReader, Parts, Person
from command_center.api.shapes import ConsistencyProof, InclusionProof, JournalEntries, JournalEntry, Problem
from command_center.errors import NotFound

router = APIRouter(prefix="/api/v1/journal", tags=["journal"], responses={401: {"model": Problem}})


@router.get("/checkpoint", response_class=PlainTextResponse)
async def checkpoint(_: Person, parts: Parts) -> PlainTextResponse:
    """A signed note (C2SP tlog-checkpoint) over the journal as it is now."""
    made = await parts.database.run(
        lambda connection: journal.sign_checkpoint(
            connection, origin=parts.journal_origin, signing=parts.identity.signing, at_ms=parts.clock.wall_ms()
        )
    )
    return PlainTextResponse(made.note)


@router.get("/entries", responses={403: {"model": Problem}})
async def entries(
    person: JournalReader, parts: Parts, first: Annotated[int, Query(alias="from", ge=1)] = 1,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> JournalEntries:  # fmt: skip
    """A slice of the journal with its hashes."""
    await parts.viewings.note(person, "journal", kind="journal-read")

    def read(connection: sqlite3.Connection) -> JournalEntries:
        found = [
            JournalEntry(id=entry.id, at_ms=entry.at_ms, kind=entry.kind, actor=entry.actor, subject=entry.subject,
                         payload_sha256=hashlib.sha256(entry.payload).hexdigest(), leaf=entry.leaf.hex())
            for entry in journal.entries(connection, first=first, at_most=limit)
        ]  # fmt: skip
        return JournalEntries(size=journal.size(connection), entries=found)

    return await parts.readers.run(read)


@router.get("/proof", responses={403: {"model": Problem}, 404: {"model": Problem}})
async def proof(
    _: JournalReader, parts: Parts, entry: Annotated[int, Query(ge=1)], size: Annotated[int | None, Query(ge=1)] = None
) -> InclusionProof:
    """That an entry is in the journal of ``size`` entries; of its size now, if none is named."""

    def read(connection: sqlite3.Connection) -> InclusionProof:
        at_size = size or journal.size(connection)
        if entry > at_size or at_size > journal.size(connection):
            raise NotFound(f"expected entry <= size <= {journal.size(connection)}, found {entry} and {at_size}")
        hash_at = journal.hash_reader(connection)
        hashes = merkle.inclusion_proof(entry - 1, at_size, hash_at)
        return InclusionProof(entry=entry, size=at_size, leaf=hash_at(0, entry - 1).hex(),
                              root=merkle.root(at_size, hash_at).hex(), hashes=[item.hex() for item in hashes])  # fmt: skip

    return await parts.readers.run(read)


@router.get("/consistency", responses={403: {"model": Problem}, 404: {"model": Problem}})
async def consistency(
    _: JournalReader, parts: Parts, old: Annotated[int, Query(ge=1)], size: Annotated[int, Query(ge=1)]
) -> ConsistencyProof:
    """That nothing of an earlier journal was changed or taken away."""

    def read(connection: sqlite3.Connection) -> ConsistencyProof:
        if not old <= size <= journal.size(connection):
            raise NotFound(f"expected old <= size <= {journal.size(connection)}, found {old} and {size}")
        hashes = merkle.consistency_proof(old, size, journal.hash_reader(connection))
        return ConsistencyProof(old_size=old, size=size, hashes=[item.hex() for item in hashes])

    return await parts.readers.run(read)
