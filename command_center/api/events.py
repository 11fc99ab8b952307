"""``/api/v1/events``: what happens, as server-sent events that resume by id."""

from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from command_center.accounts import SignedIn
from command_center.api.access import Parts, Person
from command_center.api.shapes import Problem
from command_center.event_feed import Subscription
from command_center.services import Services

router = APIRouter(prefix="/api/v1/events", tags=["events"], responses={401: {"model": Problem}})


_MOST_DIGITS: Final = 18
"""What SQLite counts with 63 bits."""


@router.get("", response_class=StreamingResponse)
async def events(
    person: Person, parts: Parts, after: Annotated[int | None, Query(ge=0, lt=1 << 63)] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:  # fmt: skip
    """``incident`` and ``node`` events; ``reset`` where the asked id is too old; a comment every 5 s; ``signed-out`` at its end."""
    since = event_id_in(last_event_id) if last_event_id else None
    since = after if since is None else since
    return StreamingResponse(
        _stream(parts, since, person),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def event_id_in(text: str) -> int | None:
    """The number that a browser was given with its last event; None where it is none of ours."""
    is_one = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    return int(text) if is_one else None


async def _stream(parts: Services, since: int | None, person: SignedIn) -> AsyncIterator[str]:
    subscription = Subscription()
    with parts.door.live.held(person, subscription.end):
        await parts.door.sweep()  # it may have been ended between its check and this line
        async with parts.feed.subscribe(since, subscription) as messages:
            yield "retry: 1000\n\n"
            async for message in messages:
                if message is None:
                    yield ": heartbeat\n\n"
                else:
                    yield f"id: {message.id}\nevent: {message.kind}\ndata: {message.data}\n\n"
            if subscription.is_ended and not parts.feed.is_closed:
                yield "event: signed-out\ndata: {}\n\n"  # no id: whoever signs in again resumes where this one stood
