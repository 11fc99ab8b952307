"""``/aid/TOKEN``: one incident for another agency, read-only. A button opens it, in one browser only; each look is journalled."""

import html
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from command_center.api import incident_card, phone, queries, snapshots
from command_center.api.access import Parts, address_of
from command_center.errors import AccessDenied, NotFound

router = APIRouter(prefix="/aid", include_in_schema=False)
_SEAT: Final = "heard_aid"


@router.get("/{token}")
async def look(token: str, request: Request, parts: Parts) -> Response:
    """The incident as it is now; before it is opened, the button that opens it."""
    seat = request.cookies.get(_SEAT, "")
    if not seat:
        return phone.page(
            "<h1>A shared incident</h1><p>Another agency shows you one incident for a while. The link works in the "
            "browser that opens it first, and in no other. Each look is kept in their journal.</p>"
            "<form method='post'><button>Open it here</button></form>"
        )
    try:
        share = await parts.mutual_aid.look(token, seat, address_of(request), "incident")
        shown = await parts.readers.run(lambda c: queries.incident(c, share.incident))
        content = await parts.readers.run(
            lambda c: incident_card.card(
                c, shown, f"/aid/{token}/picture", [("Shared by", parts.issuer.agency)], now_ms=parts.clock.wall_ms()
            )
        )
    except (AccessDenied, NotFound) as error:
        return phone.refusal(error, 403)
    left_min = max(0, share.until_ms - parts.clock.wall_ms()) // 60_000
    again = phone.as_of(parts.clock.wall_ms(), f"/aid/{token}")
    foot = f"<p class='small'>For {html.escape(share.agency)}. Ends in {left_min} min; it can't be shared further.</p>"
    return phone.page(content + again + foot)


@router.post("/{token}")
async def open_it(token: str, request: Request, parts: Parts) -> Response:
    """This browser, and no other."""
    try:
        share, seat = await parts.mutual_aid.open(token, address_of(request))
    except AccessDenied as error:
        return phone.refusal(error, 403)
    response = RedirectResponse(f"/aid/{token}", status_code=303)
    lasts_s = max(1, (share.until_ms - parts.clock.wall_ms()) // 1000)
    response.set_cookie(_SEAT, seat, httponly=True, samesite="strict", path=f"/aid/{token}", max_age=lasts_s,
                        secure=parts.config.sessions.requires_https or parts.config.tls.mode != "off")  # fmt: skip
    return response


@router.get("/{token}/picture")
async def picture(token: str, request: Request, parts: Parts) -> Response:
    """The snapshot, re-encoded."""
    try:
        share = await parts.mutual_aid.look(token, request.cookies.get(_SEAT, ""), address_of(request), "snapshot")
        return await snapshots.small(parts, share.incident)
    except (AccessDenied, NotFound) as error:
        return phone.refusal(error, 404 if isinstance(error, NotFound) else 403)
