"""``/api/v1/live``: live video by WHEP (draft-ietf-wish-whep-03), and stills through the relay where no video comes through.

An SDP offer is posted to a camera's address and answered with 201, the answer, and the address of the viewing; DELETE on that
ends it. Any WHEP client works: a browser with the session's cookie and CSRF token, a program with an API token. Offers hold
all their candidates: PATCH (trickle ICE, ICE restarts) is 405, as RFC 9725, section 4.3.1 wants it where neither is offered.
"""

import asyncio
import contextlib
import secrets
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from command_center.api.access import Parts, VideoWatcher, address_of
from command_center.api.live_shapes import IceServerList, IceServerShape, LiveViewing, LiveViewingList
from command_center.api.shapes import Problem
from command_center.errors import WatchingRefused
from command_center.live.sessions import Viewing
from command_center.services import Services
from relay.kinds.instruction import MAX_SDP_CHARACTERS

router = APIRouter(
    prefix="/api/v1/live", tags=["live"],
    responses={code: {"model": Problem} for code in (400, 401, 403, 404, 415, 502, 503, 504)},
)  # fmt: skip

_SDP: Final = "application/sdp"
_STILL_WAIT_S: Final = 10.0
Reason = Annotated[str, Query(min_length=3, max_length=200, description="Why it is watched; it goes into the journal.")]
Incident = Annotated[int, Query(ge=0, description="The incident that it is watched for; 0: none.")]
SessionName = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


@router.post("/nodes/{node}/cameras/{camera}", status_code=201, response_class=Response,
             responses={201: {"content": {_SDP: {}}, "description": "The SDP answer."}})  # fmt: skip
async def watch(node: str, camera: str, request: Request, person: VideoWatcher, parts: Parts, reason: Reason,
                incident: Incident = 0) -> Response:  # fmt: skip
    """WHEP: an SDP offer in, the answer out. Journalled before the node is asked."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != _SDP:
        return JSONResponse({"detail": f"expected an SDP offer as {_SDP}"}, status_code=415)
    offer = await request.body()
    if not offer or len(offer) > MAX_SDP_CHARACTERS or not offer.isascii():
        return JSONResponse(
            {
                "detail": f"expected an SDP offer of 1 to {MAX_SDP_CHARACTERS} ASCII characters, found {len(offer)} bytes"
            },
            status_code=400,
        )
    try:
        viewing, answer = await parts.live.open(person, node, camera, offer=offer.decode("ascii"), reason=reason,
                                                incident=incident, address=address_of(request))  # fmt: skip
    except WatchingRefused as refusal:
        return _refused(refusal)
    return Response(answer, status_code=201, media_type=_SDP, headers=_headers(viewing, parts))


@router.post("/nodes/{node}/cameras/{camera}/stills", status_code=201)
async def watch_stills(node: str, camera: str, request: Request, person: VideoWatcher, parts: Parts, reason: Reason,
                       incident: Incident = 0) -> Response:  # fmt: skip
    """Stills through the relay: for lines that carry no video. Journalled in the same way."""
    try:
        viewing, _ = await parts.live.open(person, node, camera, offer="", reason=reason, incident=incident,
                                           address=address_of(request))  # fmt: skip
    except WatchingRefused as refusal:
        return _refused(refusal)
    return JSONResponse(_shape(viewing, parts).model_dump(), status_code=201, headers=_headers(viewing, parts))


@router.get("/ice-servers")
async def ice_servers(person: VideoWatcher, parts: Parts) -> IceServerList:
    """What a viewer may use to find its way to a node; the credentials are good for one viewing's time."""
    servers = parts.live.ice.for_viewing(person.username, parts.clock.wall_ms())
    return IceServerList(
        is_relay_only=parts.live.ice.is_relay_only,
        ice_servers=[IceServerShape(urls=server.url, username=server.username, credential=server.credential)
                     for server in servers],
    )  # fmt: skip


@router.get("/sessions")
async def viewings(_: VideoWatcher, parts: Parts) -> LiveViewingList:
    """Who watches what now. No addresses: only its own viewer can touch a viewing."""
    return LiveViewingList(viewings=[_shape(viewing, parts, is_own=False) for viewing in parts.live.all()])


@router.get("/sessions/{session}")
async def viewing(session: SessionName, person: VideoWatcher, parts: Parts) -> LiveViewing:
    """How one's own viewing is; asking keeps a viewing by stills open."""
    found = parts.live.find(session, person)
    found.asked_ms = parts.clock.monotonic_ms()
    return _shape(found, parts)


@router.delete("/sessions/{session}", status_code=200)
async def leave(session: SessionName, person: VideoWatcher, parts: Parts) -> Response:
    """End one's own viewing."""
    await parts.live.end(parts.live.find(session, person), "the viewer left")
    return Response(status_code=200)


@router.patch("/sessions/{session}", status_code=405, response_class=Response, include_in_schema=False)
async def patch(session: SessionName, person: VideoWatcher) -> Response:
    """Neither trickle ICE nor ICE restarts: a broken connection is a new viewing."""
    return JSONResponse({"detail": "offers hold all their candidates here; for another connection post another offer"},
                        status_code=405, headers={"Allow": "GET, DELETE"})  # fmt: skip


@router.get("/sessions/{session}/still", response_class=Response,
            responses={200: {"content": {"image/jpeg": {}}}, 204: {"description": "None came in time: ask again."},
                       410: {"model": Problem}})  # fmt: skip
async def still(
    session: SessionName, person: VideoWatcher, parts: Parts, after: Annotated[int, Query(ge=0)] = 0
) -> Response:
    """The next still after the one with this number: waits for it."""
    found = parts.live.find(session, person)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_STILL_WAIT_S):
            while not found.ended_why and (found.still is None or found.still.number <= after):
                found.asked_ms = parts.clock.monotonic_ms()
                await found.changed.wait()
    found.asked_ms = parts.clock.monotonic_ms()
    if found.ended_why:
        return JSONResponse({"detail": f"it is over: {found.ended_why}"}, status_code=410)
    if found.still is None or found.still.number <= after:
        return Response(status_code=204)
    age_ms = found.still.age_ms + parts.clock.monotonic_ms() - found.still_came_ms
    headers = {"X-Heard-Still": str(found.still.number), "X-Heard-Age-Ms": str(age_ms),
               "X-Heard-Captured-Ms": str(found.still.captured_wall_ms), "Cache-Control": "no-store"}  # fmt: skip
    return Response(found.still.jpeg, media_type="image/jpeg", headers=headers)


def _headers(viewing: Viewing, parts: Services) -> dict[str, str]:
    headers = {"Location": f"/api/v1/live/sessions/{viewing.name}", "ETag": f'"{secrets.token_hex(8)}"'}
    servers = parts.live.ice.for_viewing(viewing.person.username, parts.clock.wall_ms())
    links = [
        f'<{server.url}>; rel="ice-server"'
        + (
            f'; username="{server.username}"; credential="{server.credential}"; credential-type="password"'
            if server.username
            else ""
        )
        for server in servers
    ]
    if links:
        headers["Link"] = ", ".join(links)
    return headers


def _refused(refusal: WatchingRefused) -> JSONResponse:
    headers = {"Retry-After": str(refusal.retry_after_s)} if refusal.retry_after_s else None
    return JSONResponse({"detail": str(refusal)}, status_code=refusal.status, headers=headers)


def _shape(viewing: Viewing, parts: Services, *, is_own: bool = True) -> LiveViewing:
    return LiveViewing(
        session=viewing.name if is_own else "", node=viewing.node.passport.name, camera=viewing.camera, by=viewing.person.username,
        reason=viewing.reason, incident=viewing.incident, rung=viewing.rung, why=viewing.why,
        since_ms=parts.clock.monotonic_ms() - viewing.opened_ms, is_over=bool(viewing.ended_why), ended_why=viewing.ended_why,
    )  # fmt: skip
