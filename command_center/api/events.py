"""``/api/v1/events``: what happens, as server-sent events that resume by id."""

from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from command_center.api.access import COOKIE, Parts, Person
from command_center.api.shapes import Problem
from command_center.services import Services

router = APIRouter(prefix="/api/v1/events", tags=["events"], responses={401: {"model": Problem}})

_SESSION_CHECKED_EVERY_MS: Final = 15_000


@router.get("", response_class=StreamingResponse)
async def events(
    request: Request, _: Person, parts: Parts, after: Annotated[int | None, Query(ge=0)] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:  # fmt: skip
    """``incident`` and ``node`` events; ``reset`` where the asked id is too old; a comment every 5 s."""
    since = int(last_event_id) if last_event_id and last_event_id.isdecimal() else after
    return StreamingResponse(
        _stream(parts, since, request.cookies.get(COOKIE)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(parts: Services, since: int | None, token: str | None) -> AsyncIterator[str]:
    checked_ms = parts.clock.monotonic_ms()
    async with parts.feed.subscribe(since) as messages:
        yield "retry: 1000\n\n"
        async for message in messages:
            if message is None:
                yield ": heartbeat\n\n"
            else:
                yield f"id: {message.id}\nevent: {message.kind}\ndata: {message.data}\n\n"
            now_ms = parts.clock.monotonic_ms()
            if now_ms - checked_ms > _SESSION_CHECKED_EVERY_MS:
                if await parts.door.who(token) is None:
                    return  # signed out, expired or disabled meanwhile
                checked_ms = now_ms
