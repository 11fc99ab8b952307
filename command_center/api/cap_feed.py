"""``/cap/TOKEN/…``: CAP 1.2 for another agency's machines. Who fetches is journalled once in ten minutes."""

import sqlite3
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from command_center import facts, journal
from command_center.api.access import Parts, address_of
from command_center.callbacks import cap, feed
from command_center.callbacks.store import Receiver
from command_center.errors import NotFound
from command_center.facts import Remark
from command_center.services import Services

router = APIRouter(prefix="/cap", include_in_schema=False)
_LOOK_AGAIN_MS: Final = 10 * 60 * 1000


@router.get("/{token}/feed.xml")
async def index(token: str, request: Request, parts: Parts) -> Response:
    """The Atom index."""
    base_url = f"{parts.postman.base_url}/cap/{token}"

    def read(connection: sqlite3.Connection) -> tuple[Receiver, bytes]:
        receiver = feed.receiver_of(connection, token)
        return receiver, feed.index(connection, receiver, base_url, parts.clock.wall_ms())

    try:
        receiver, body = await parts.readers.run(read)
    except NotFound as error:
        return await _refused(parts, error, request)
    await parts.database.run(lambda c: _note(c, parts, receiver.name, address_of(request)))
    return Response(body, media_type="application/atom+xml", headers={"Cache-Control": "no-store"})


@router.get("/{token}/{number}.xml")
async def message(token: str, number: str, request: Request, parts: Parts) -> Response:
    """One message as it was made."""
    try:
        body = await parts.readers.run(lambda c: feed.message(c, feed.receiver_of(c, token), number))
    except NotFound as error:
        return await _refused(parts, error, request)
    return Response(body, media_type=cap.MEDIA_TYPE, headers={"Cache-Control": "private, no-store"})


async def _refused(parts: Services, error: NotFound, request: Request) -> Response:
    await parts.link_denials.note("cap feed", str(error), address_of(request))
    return PlainTextResponse(f"{error}\n", status_code=404)


def _note(connection: sqlite3.Connection, parts: Services, receiver: str, address: str) -> None:
    now = parts.clock.wall_ms()
    lately = connection.execute(
        "SELECT 1 FROM entry WHERE subject = ? AND kind = 'viewed' AND at_ms > ? LIMIT 1",
        (f"receiver:{receiver}", now - _LOOK_AGAIN_MS),
    ).fetchone()
    if lately is None:
        journal.append(connection, at_ms=now, kind="viewed", actor=f"receiver:{receiver}", subject=f"receiver:{receiver}",
                       payload=facts.encode(Remark(what="cap feed", address=address)))  # fmt: skip
