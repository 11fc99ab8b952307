"""``/api/v1/handovers``: the end of a shift, and the start of the next."""

from fastapi import APIRouter

from command_center.api import response_queries, stale_clicks
from command_center.api.access import Dispatcher, Parts, Person
from command_center.api.response_shapes import HandoverNew, HandoverPage, HandoverTake
from command_center.api.shapes import Problem
from command_center.errors import LostRace

_ANSWERS: dict[int | str, dict[str, object]] = {code: {"model": Problem} for code in (403, 404, 409, 422)}
router = APIRouter(prefix="/api/v1/handovers", tags=["handovers"], responses={401: {"model": Problem}})


@router.get("")
async def page(_: Person, parts: Parts) -> HandoverPage:
    """What is open now, and the last handover."""
    now = parts.clock.wall_ms()
    return await parts.readers.run(lambda c: response_queries.handover_page(c, now))


@router.post("", status_code=201, responses=_ANSWERS)
async def give(body: HandoverNew, person: Dispatcher, parts: Parts) -> HandoverPage:
    """Write down what is open, for the next shift."""
    await parts.handovers.give(body.note, person)
    return await page(person, parts)


@router.post("/{number}/take", responses=_ANSWERS)
async def take(number: int, body: HandoverTake, person: Dispatcher, parts: Parts) -> HandoverPage:
    """Somebody else than the giver has read it, and takes over."""
    try:
        await parts.handovers.take(number, body.note, person)
    except LostRace as error:
        await stale_clicks.note(parts, person, "shift", error)
        raise
    return await page(person, parts)
