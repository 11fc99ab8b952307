"""``/api/v1/session``: sign in step by step, sign out, who am I."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from command_center.accounts import SignedIn, Stage
from command_center.accounts.oidc import NotBegun
from command_center.api.access import COOKIE, DEVICE_COOKIE, Anyone, Parts, address_of, agent_of
from command_center.api.account_shapes import GivenCode, Session, SignIn, Ways
from command_center.api.shapes import Problem
from command_center.errors import AccessDenied, NotFound, NotPossible
from command_center.services import Services

router = APIRouter(prefix="/api/v1/session", tags=["session"])
_STATE_COOKIE = "heard_sign_on"
_DEVICE_LASTS_S = 400 * 86_400
_REFUSED: dict[int | str, dict[str, object]] = {code: {"model": Problem} for code in (401, 403, 422, 429)}


def shape_of(person: SignedIn) -> Session:
    """A session as browsers see it."""
    return Session(username=person.username, role=person.role.value, csrf=person.csrf, stage=person.stage.value,
                   permissions=sorted(permission.value for permission in person.permissions), unit=person.unit)  # fmt: skip


def set_session(response: Response, parts: Services, token: str, person: SignedIn) -> Session:
    """Hand a new session's token to the browser, as a cookie that scripts can't read."""
    set_cookie(response, parts, COOKIE, token, max_age_s=int(parts.config.sessions.absolute_h * 3600))
    if person.stage is Stage.FULL:
        set_cookie(response, parts, DEVICE_COOKIE, parts.door.devices.mark(person.username), max_age_s=_DEVICE_LASTS_S)
    return shape_of(person)


def set_cookie(
    response: Response, parts: Services, name: str, value: str, *, max_age_s: int, is_lax: bool = False
) -> None:
    """A cookie that scripts can't read; strict unless ``is_lax``."""
    is_secure = parts.config.sessions.requires_https or parts.config.tls.mode != "off"
    response.set_cookie(name, value, httponly=True, samesite="lax" if is_lax else "strict", secure=is_secure, path="/",
                        max_age=max_age_s)  # fmt: skip


@router.get("/ways")
async def ways(parts: Parts) -> Ways:
    """How people may sign in here, for the sign-in page."""
    return Ways(single_sign_on=parts.provider.config.label if parts.provider else None)


@router.post("", responses=_REFUSED)
async def sign_in(body: SignIn, request: Request, response: Response, parts: Parts) -> Session:
    """Open a session. Its ``stage`` says whether the sign-in is complete, or which step comes next."""
    token, person = await parts.door.sign_in(
        body.username, body.password[:1024], address_of(request), device=request.cookies.get(DEVICE_COOKIE, ""),
        agent=agent_of(request),
    )  # fmt: skip
    return set_session(response, parts, token, person)


@router.post("/second-factor", responses=_REFUSED)
async def second_factor(body: GivenCode, person: Anyone, request: Request, response: Response, parts: Parts) -> Session:
    """The step after the password: a code of the authenticator app, or a recovery code."""
    if person.stage is not Stage.SECOND_FACTOR:
        raise NotPossible("this sign-in waits for no second factor")
    token, person = await parts.door.show_code(
        person, body.code, address_of(request), device=request.cookies.get(DEVICE_COOKIE, ""), agent=agent_of(request)
    )
    return set_session(response, parts, token, person)


@router.get("", responses={401: {"model": Problem}})
async def who(person: Anyone) -> Session:
    """The signed-in person, and the stage that the sign-in has reached."""
    return shape_of(person)


@router.delete("", status_code=204, responses={401: {"model": Problem}, 403: {"model": Problem}})
async def sign_out(person: Anyone, parts: Parts) -> Response:
    """End the session; its event stream and videos end, too."""
    if person.token_name:
        raise AccessDenied("an API token is no session: revoke it instead", status=403)
    await parts.door.sign_out(person)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


# ---------------------------------------------------------------------- single sign-on


@router.get("/oidc", status_code=303, response_class=RedirectResponse, responses={404: {"model": Problem}, 503: {"model": Problem}})  # fmt: skip
async def begin_single_sign_on(request: Request, parts: Parts) -> Response:
    """To the identity provider; the browser comes back to ``/oidc/callback``."""
    if parts.provider is None:
        raise NotFound("there is no identity provider here: sign in with a password")
    begun = await parts.provider.begin(address_of(request))
    response = RedirectResponse(begun.url, status_code=303)
    # Lax: the browser comes back from another site, and must bring it along.
    set_cookie(response, parts, _STATE_COOKIE, begun.state, max_age_s=600, is_lax=True)
    return response


@router.get("/oidc/callback", response_class=HTMLResponse, responses={404: {"model": Problem}, **_REFUSED})
async def finish_single_sign_on(
    request: Request, parts: Parts, state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4096)] = "", error: Annotated[str, Query(max_length=200)] = "",
) -> Response:  # fmt: skip
    """Back from the identity provider. Answers with a page of our own: a redirect would not carry the strict cookie."""
    if parts.provider is None:
        raise NotFound("there is no identity provider here: sign in with a password")
    address = address_of(request)
    try:
        claims = await parts.provider.finish(
            state=state, kept_state=request.cookies.get(_STATE_COOKIE, ""), code=code, refusal=error
        )
        token, person = await parts.door.admit(claims, address, agent=agent_of(request))
    except AccessDenied as denied:
        note = parts.door.deny_seldom if isinstance(denied, NotBegun) else parts.door.deny
        await note("single-sign-on", "", address, str(denied))
        raise
    response = HTMLResponse(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta http-equiv='refresh' content='0;url=/'>"
        "<title>Heard</title></head><body><p><a href='/'>Signed in: go on</a></p></body></html>"
    )
    set_session(response, parts, token, person)
    response.delete_cookie(_STATE_COOKIE, path="/", httponly=True, samesite="lax")
    return response
