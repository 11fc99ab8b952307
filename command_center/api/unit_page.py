"""``/u/TOKEN`` and ``/unit``: the small page on which a field unit answers. Plain HTML, no script, works on any phone.

By link: a callback's (one incident) or the unit's own (a shift). By sign-in: an account speaks for its unit.
Opening it changes nothing; each button is a form of its own. Text from nodes and people is escaped; the picture is re-encoded.
"""

import hmac
import html
import secrets
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from command_center import facts, journal
from command_center.accounts import Permission, SignedIn, Stage
from command_center.api import incident_card, phone, queries, response_queries, snapshots
from command_center.api.access import COOKIE, DEVICE_COOKIE, Parts, address_of, agent_of
from command_center.api.session import set_cookie, set_session
from command_center.callbacks import answers
from command_center.callbacks.answers import Link, UnitState
from command_center.errors import AccessDenied, ActionRefused, NotFound, NotPossible
from command_center.facts import Remark
from command_center.services import Services
from command_center.units import rows
from command_center.units.board import FindLink
from command_center.units.nearest import Position
from command_center.units.status import FOLLOWS, UnitStatus

router = APIRouter(include_in_schema=False)
_NAMES: Final = {
    "accepted": "Accept", "en_route": "En route", "on_scene": "On scene", "clear": "Clear", "unable": "Unable",
    "available": "Available", "out_of_service": "Out of service",
}  # fmt: skip
_FORM_COOKIE: Final = "heard_form"
_FORM_LASTS_S: Final = 400 * 86_400
_NOT_NEXT: Final = ("unable", "out_of_service")
_LOOK_AGAIN_MS: Final = 10 * 60 * 1000
_MOST_FIELDS: Final = 20
_AT_WORK: Final = ("accepted", "en_route", "on_scene", "clear", "unable")
_SIGN_IN: Final = (
    "<h1>Field unit</h1><form method='post' action='/unit/sign-in'><input type='hidden' name='form' value='{form}'>"
    "<label for='name'>Name</label>"
    "<input id='name' name='name' autocomplete='username' autocapitalize='none' required>"
    "<label for='password'>Password</label>"
    "<input id='password' name='password' type='password' autocomplete='current-password' required>"
    "<p><button>Sign in</button></p></form>"
)
_CODE: Final = (
    "<h1>Field unit</h1><form method='post' action='/unit/code'>{csrf}<label for='code'>Code of your authenticator</label>"
    "<input id='code' name='code' inputmode='numeric' autocomplete='one-time-code' required>"
    "<p><button>Go on</button></p></form>"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Speaker:
    """Whose page it is, and where its forms go. ``csrf`` is empty where the address is the secret."""

    find: FindLink
    base: str
    csrf: str = ""


def _by_link(token: str) -> _Speaker:
    return _Speaker(find=lambda c, now: answers.link_of(c, token, now), base=f"/u/{token}")


def _by_sign_in(person: SignedIn) -> _Speaker:
    def find(connection: sqlite3.Connection, _: int) -> Link:
        if not person.unit:
            raise NotFound(f"{person.username} speaks for no unit: an administrator can say which")
        return answers.of_unit(connection, person.unit)

    return _Speaker(find=find, base="/unit", csrf=person.csrf)


@router.get("/u/{token}")
async def page(token: str, request: Request, parts: Parts) -> Response:
    """What happened, where, and the unit's possible answers."""
    return await _shown(_by_link(token), request, parts)


@router.post("/u/{token}")
async def say(token: str, request: Request, parts: Parts) -> Response:
    """The unit's word, note or position; back to the page, so that a reload says nothing twice."""
    return await _said(_by_link(token), request, parts)


@router.get("/u/{token}/picture")
async def picture(token: str, request: Request, parts: Parts) -> Response:
    """The snapshot, re-encoded; the look is journalled."""
    return await _picture(_by_link(token), request, parts)


@router.get("/unit")
async def own_page(request: Request, parts: Parts) -> Response:
    """The same for a signed-in unit; the form to sign in where nobody is."""
    person = await parts.door.who(request.cookies.get(COOKIE))
    if person is not None and person.stage is Stage.SECOND_FACTOR:
        return phone.page(_CODE.format(csrf=_hidden(_by_sign_in(person))))
    if person is None or not person.may(Permission.UNIT_OWN):
        return _to_sign_in(request, parts)
    return await _shown(_by_sign_in(person), request, parts)


@router.post("/unit")
async def own_say(request: Request, parts: Parts) -> Response:
    """The signed-in unit's word."""
    person = await parts.door.who(request.cookies.get(COOKIE))
    if person is None or not person.may(Permission.UNIT_OWN):
        return _to_sign_in(request, parts, status=401)
    return await _said(_by_sign_in(person), request, parts)


@router.get("/unit/picture")
async def own_picture(request: Request, parts: Parts) -> Response:
    """The signed-in unit's snapshot."""
    person = await parts.door.who(request.cookies.get(COOKIE))
    if person is None or not person.may(Permission.UNIT_OWN):
        return _to_sign_in(request, parts, status=401)
    return await _picture(_by_sign_in(person), request, parts)


@router.post("/unit/sign-in")
async def sign_in(request: Request, parts: Parts) -> Response:
    """Open a session as the API does. A form of another site can't: it does not know what our own form carries."""
    form = await _form(request)
    mark = request.cookies.get(_FORM_COOKIE, "")
    if not mark or not hmac.compare_digest(form.get("form", "").encode(), mark.encode()):
        return _to_sign_in(request, parts, why="this page was old: sign in here", status=403)
    try:
        token, person = await parts.door.sign_in(
            form.get("name", "").lower(), form.get("password", "")[:1024], address_of(request),
            device=request.cookies.get(DEVICE_COOKIE, ""), agent=agent_of(request),
        )  # fmt: skip
    except AccessDenied as error:
        return _to_sign_in(request, parts, why=str(error), status=error.status)
    return _signed_in(parts, token, person)


@router.post("/unit/sign-out")
async def sign_out(request: Request, parts: Parts) -> Response:
    """End the session; a phone that is handed on says nothing more.

    Another site's form comes without the strict cookie: nobody is known then, and the browser must not be told to forget it.
    """
    form = await _form(request)
    person = await parts.door.who(request.cookies.get(COOKIE))
    response = RedirectResponse("/unit", status_code=303)
    if person is None:
        return response
    if not hmac.compare_digest(form.get("csrf", "").encode(), person.csrf.encode()):
        return phone.refusal("this page is old: go back, reload it and try again", 403)
    await parts.door.sign_out(person)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


@router.post("/unit/code")
async def show_code(request: Request, parts: Parts) -> Response:
    """The step after the password, where the account has a second factor."""
    form = await _form(request)
    person = await parts.door.who(request.cookies.get(COOKIE))
    if person is None or person.stage is not Stage.SECOND_FACTOR:
        return _to_sign_in(request, parts, status=401)
    if not hmac.compare_digest(form.get("csrf", "").encode(), person.csrf.encode()):
        return phone.refusal("this page is old: go back, reload it and try again", 403)
    try:
        token, person = await parts.door.show_code(
            person, form.get("code", ""), address_of(request), device=request.cookies.get(DEVICE_COOKIE, ""),
            agent=agent_of(request),
        )  # fmt: skip
    except AccessDenied as error:
        return phone.page(f"<p class='back'>{html.escape(str(error))}</p>", status=error.status)
    return _signed_in(parts, token, person)


def _to_sign_in(request: Request, parts: Services, *, why: str = "", status: int = 200) -> Response:
    """The form, with a random number that stands in a strict cookie, too.

    Browsers take a strict cookie from the answer to another site's form, if that is a page of its own; so this form must prove that it is ours, or
    any site could sign a browser in as somebody else. Where it comes from does not say it: with ``no-referrer`` its ``Origin`` is ``null``.
    """
    mark = request.cookies.get(_FORM_COOKIE, "") or secrets.token_urlsafe(16)
    told = f"<p class='back'>{html.escape(why)}</p>" if why else ""
    response = phone.page(told + _SIGN_IN.format(form=html.escape(mark)), status=status)
    set_cookie(response, parts, _FORM_COOKIE, mark, max_age_s=_FORM_LASTS_S)
    return response


def _signed_in(parts: Services, token: str, person: SignedIn) -> Response:
    if person.stage in {Stage.ENROLLMENT, Stage.PASSWORD}:
        return phone.refusal("this sign-in has more steps: complete it once at the console, then come back", 403)
    response = RedirectResponse("/unit", status_code=303)
    set_session(response, parts, token, person)
    return response


async def _form(request: Request) -> dict[str, str]:
    """The first value of each field."""
    try:
        return fields_in(await request.body())
    except ValueError as error:
        raise HTTPException(422, f"expected a form of at most {_MOST_FIELDS} fields") from error


def fields_in(body: bytes) -> dict[str, str]:
    """The first value of each field of a form.

    Raises:
        ValueError: more fields than any form of ours has.
    """
    said = parse_qs(body.decode("utf-8", "replace"), max_num_fields=_MOST_FIELDS)
    return {name: values[0] for name, values in said.items()}


async def _shown(speaker: _Speaker, request: Request, parts: Services) -> Response:
    try:
        content = await parts.readers.run(lambda c: _content(c, parts, speaker))
        await parts.database.run(lambda c: _note_look(c, parts, speaker, address_of(request)))
        return phone.page(content)
    except NotFound as error:
        await parts.link_denials.note("unit page", str(error), address_of(request))
        return phone.refusal(error, 404)


def _note_look(connection: sqlite3.Connection, parts: Services, speaker: _Speaker, address: str, what: str = "unit page") -> Link:  # fmt: skip
    """Once in ten minutes for each unit, incident, address and thing; returns what the speaker may speak about."""
    now = parts.clock.wall_ms()
    link = speaker.find(connection, now)
    if link.incident is None:
        return link
    actor, subject, payload = f"unit:{link.receiver}", f"incident:{link.incident.id}", facts.encode(Remark(what=what, address=address))  # fmt: skip
    lately = connection.execute(
        "SELECT 1 FROM entry WHERE subject = ? AND kind = 'viewed' AND actor = ? AND payload = ? AND at_ms > ? LIMIT 1",
        (subject, actor, payload, now - _LOOK_AGAIN_MS),
    ).fetchone()
    if lately is None:
        journal.append(connection, at_ms=now, kind="viewed", actor=actor, subject=subject, payload=payload)
    return link


async def _said(speaker: _Speaker, request: Request, parts: Services) -> Response:
    try:
        form = await _form(request)
        if speaker.csrf and not hmac.compare_digest(form.get("csrf", "").encode(), speaker.csrf.encode()):
            await parts.link_denials.note("csrf", "unit page", address_of(request))
            return phone.refusal("this page is old: go back, reload it and try again", 403)
        await _carry_out(speaker, form, parts)
    except NotFound as error:
        await parts.link_denials.note("unit page", str(error), address_of(request))
        return phone.refusal(error, 404)
    except (ValueError, NotPossible) as error:
        is_known = isinstance(error, NotPossible)
        why = str(error) if is_known else f"expected one of {', '.join(_NAMES)}"
        return phone.refusal(why, 409 if is_known else 422)
    except ActionRefused as error:
        return phone.refusal(error, 409)
    return RedirectResponse(speaker.base, status_code=303)


async def _carry_out(speaker: _Speaker, form: dict[str, str], parts: Services) -> None:
    note = form.get("note", "").strip()
    if "lat" in form:
        here = Position(lat=float(form["lat"]), lon=float(form.get("lon", "nan")))
        await parts.board.unit_is_at(speaker.find, here, float(form.get("accuracy_m", "0")))
    elif "state" in form:
        await parts.board.unit_says(speaker.find, form["state"], note[:300])
    else:
        await parts.board.unit_writes(speaker.find, note, form.get("key", "")[:64])


async def _picture(speaker: _Speaker, request: Request, parts: Services) -> Response:
    def note(connection: sqlite3.Connection) -> int:
        link = _note_look(connection, parts, speaker, address_of(request), "snapshot")
        if link.incident is None:
            raise NotFound("there is no incident to show a picture of")
        return link.incident.id

    try:
        return await snapshots.small(parts, await parts.database.run(note))
    except NotFound as error:
        return phone.refusal(error, 404)


def _content(connection: sqlite3.Connection, parts: Services, speaker: _Speaker) -> str:
    link = speaker.find(connection, parts.clock.wall_ms())
    unit = rows.find(connection, link.receiver)
    again = phone.as_of(parts.clock.wall_ms(), speaker.base)
    foot = f"{again}<p class='small'>For {html.escape(link.receiver)}</p>{_sign_out(speaker)}"
    if link.incident is None:
        assert unit is not None
        words = [step.value for step in (UnitStatus.AVAILABLE, UnitStatus.OUT_OF_SERVICE)
                 if step in FOLLOWS[unit.status]]  # fmt: skip
        return (f"<h1>{html.escape(unit.name)}</h1><p>No assignment. You are {unit.status.words}.</p>"
                f"{_buttons(speaker, words, '')}{foot}")  # fmt: skip
    shown = queries.incident(connection, link.incident.id)
    said = next((state for name, state, _ in answers.latest(connection, shown.id) if name == link.receiver), "")
    if unit is not None and unit.incident == shown.id and unit.status is not UnitStatus.ASSIGNED:
        said = unit.status.value
    top = incident_card.card(connection, shown, f"{speaker.base}/picture",
                             [("You said", said.replace("_", " ") or "nothing yet")],
                             now_ms=parts.clock.wall_ms())  # fmt: skip
    buttons = "" if shown.state == "closed" else _buttons(speaker, _possible(unit, shown.id, said), said)
    cards = response_queries.plan_cards(connection, shown.id)
    told = "".join(
        f"<h2>{html.escape(card.plan)}</h2><p>{html.escape(card.instructions)}</p>"
        for card in cards
        if card.instructions
    )
    # What a plan says comes before what is pressed: nobody says "on scene" who has not seen who must not go in.
    return f"{top}{told}{buttons}{_notes(connection, speaker, shown.id)}{foot}"


def _possible(unit: rows.Unit | None, incident_id: int, said: str) -> list[str]:
    if unit is None or unit.incident != incident_id:
        return list(_AT_WORK)
    return [word for word in _AT_WORK if word == said or UnitState(word).status in FOLLOWS[unit.status]]


def _sign_out(speaker: _Speaker) -> str:
    """Only where somebody signed in: a link is given up by closing the page."""
    if not speaker.csrf:
        return ""
    return (
        f"<form method='post' action='/unit/sign-out'>{_hidden(speaker)}<button class='quiet'>Sign out</button></form>"
    )


def _hidden(speaker: _Speaker) -> str:
    return f"<input type='hidden' name='csrf' value='{html.escape(speaker.csrf)}'>" if speaker.csrf else ""


def _buttons(speaker: _Speaker, words: list[str], said: str) -> str:
    """What was said has a tick; what comes next stands out."""
    after = words[words.index(said) + 1 :] if said in words else words
    following = next((word for word in after if word not in _NOT_NEXT), "")
    classes = {said: " class=chosen", following: " class=next"}
    return "".join(
        f"<form method='post' action='{html.escape(speaker.base)}'>{_hidden(speaker)}"
        f"<input type='hidden' name='state' value='{word}'>"
        f"<button{classes.get(word, '')}>{_NAMES[word]}</button></form>"
        for word in words
    )


def _notes(connection: sqlite3.Connection, speaker: _Speaker, incident_id: int) -> str:
    written = response_queries.response(connection, incident_id).notes[-20:]
    rows_shown = "".join(
        f"<li>{datetime.fromtimestamp(note.at_ms / 1000, UTC):%m-%d %H:%M} UTC, {html.escape(note.by.partition(':')[2])}: {html.escape(note.text)}</li>"
        for note in written
    )
    return (
        f"<h2>Notes</h2><ul>{rows_shown}</ul><form method='post' action='{html.escape(speaker.base)}'>{_hidden(speaker)}"
        f"<input type='hidden' name='key' value='{secrets.token_hex(8)}'><label for='note'>Add a note</label>"
        "<textarea id='note' name='note' rows='3' maxlength='4000' required></textarea>"
        "<p><button>Write it down</button></p></form>"
    )
