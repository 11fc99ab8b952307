"""``/api/v1/enrollments``: where machines ask to join. Not signed in; the invite's secret is the proof."""

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from command_center import enrollments
from command_center.api.access import Parts, address_of

router = APIRouter(prefix="/api/v1/enrollments", tags=["enrollments"])

_STATUS = {"approved": 200, "pending": 202, "refused": 403}


@router.post("", responses={202: {"description": "waits for approval"}, 403: {"description": "refused, and why"}})
async def enroll(request: Request, parts: Parts) -> Response:
    """Ask for a passport; ask again until it is approved."""
    data = await request.body()
    address = address_of(request)
    reply = await parts.database.run(
        lambda connection: enrollments.answer(connection, parts.issuer, parts.clock, data, address)
    )
    parts.metrics.count(f"enrollments_{reply.state}")
    parts.feed.wake()
    return Response(msgspec.json.encode(reply), status_code=_STATUS[reply.state], media_type="application/json")
