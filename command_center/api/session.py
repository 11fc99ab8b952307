"""``/api/v1/session``: sign in, sign out, who am I."""

from fastapi import APIRouter, Request, Response

from command_center.accounts import SignedIn
from command_center.api.access import COOKIE, Changer, Parts, Person, address_of
from command_center.api.shapes import Problem, Session, SignIn

router = APIRouter(prefix="/api/v1/session", tags=["session"])


def _shape(person: SignedIn) -> Session:
    return Session(username=person.username, role=person.role.value, csrf=person.csrf)


@router.post("", responses={401: {"model": Problem}, 429: {"model": Problem}})
async def sign_in(body: SignIn, request: Request, response: Response, parts: Parts) -> Session:
    """Open a session; its token comes as a cookie that scripts can't read."""
    token, person = await parts.door.sign_in(body.username, body.password[:1024], address_of(request))
    response.set_cookie(
        COOKIE, token, httponly=True, samesite="strict", secure=parts.config.sessions.requires_https or parts.config.tls.mode != "off", path="/",
        max_age=int(parts.config.sessions.absolute_h * 3600),
    )  # fmt: skip
    return _shape(person)


@router.get("", responses={401: {"model": Problem}})
async def who(person: Person) -> Session:
    """The signed-in person."""
    return _shape(person)


@router.delete("", status_code=204, responses={401: {"model": Problem}, 403: {"model": Problem}})
async def sign_out(person: Changer, parts: Parts) -> Response:
    """End the session."""
    await parts.door.sign_out(person)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response
