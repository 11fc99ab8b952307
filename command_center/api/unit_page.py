"""``/u/TOKEN``: the small page on which a field unit answers. Plain HTML, no script, works on any phone.

Opening it changes nothing; each button is a form of its own. Text from nodes is escaped; the page shows no picture.
"""

import html
import sqlite3
from datetime import UTC, datetime
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from command_center.api import queries
from command_center.api.access import Parts
from command_center.callbacks import answers
from command_center.callbacks.answers import UnitState
from command_center.errors import ActionRefused, NotFound
from command_center.services import Services

router = APIRouter(prefix="/u", include_in_schema=False)
_NAMES = {UnitState.ACCEPTED: "Accept", UnitState.EN_ROUTE: "En route", UnitState.ON_SCENE: "On scene",
          UnitState.CLEAR: "Clear", UnitState.UNABLE: "Unable"}  # fmt: skip


@router.get("/{token}")
async def page(token: str, parts: Parts) -> Response:
    """What happened, where, and the unit's possible answers."""
    try:
        return HTMLResponse(await parts.readers.run(lambda connection: _page(connection, parts, token)))
    except NotFound as error:
        return HTMLResponse(_frame(f"<p>{html.escape(str(error))}</p>"), status_code=404)


@router.post("/{token}")
async def say(token: str, request: Request, parts: Parts) -> Response:
    """The unit's word; back to the page, so that a reload says nothing twice."""
    said = parse_qs((await request.body()).decode("utf-8", "replace"))
    state, note = said.get("state", [""])[0], said.get("note", [""])[0]
    try:
        await parts.dispatch.unit_answers(token, UnitState(state), note.strip()[:300])
    except ValueError:
        known = ", ".join(item.value for item in UnitState)
        return HTMLResponse(_frame(f"<p>expected one of {known}</p>"), status_code=422)
    except ActionRefused as error:
        status = 404 if isinstance(error, NotFound) else 409
        return HTMLResponse(_frame(f"<p>{html.escape(str(error))}</p>"), status_code=status)
    return RedirectResponse(f"/u/{token}", status_code=303)


def _page(connection: sqlite3.Connection, parts: Services, token: str) -> str:
    link = answers.link_of(connection, token, parts.clock.wall_ms())
    shown = queries.incident(connection, link.incident.id)
    said = next((state for unit, state, _ in answers.latest(connection, shown.id) if unit == link.receiver), "")
    at = datetime.fromtimestamp(shown.first_alert_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    facts = [("What", f"{shown.label} ({shown.confidence:.0%})"), ("Where", f"{shown.node.site}, {shown.camera}, {shown.zone}"),
             ("When", at), ("Number", shown.number), ("State", shown.state), ("You said", said.replace("_", " ") or "nothing yet")]  # fmt: skip
    rows = "".join(f"<dt>{name}</dt><dd>{html.escape(value)}</dd>" for name, value in facts)
    warning = "<p class='back'>The camera has taken this alert back. Ask before you go.</p>" if shown.returned else ""
    buttons = "" if shown.state == "closed" else "".join(
        f"<form method='post'><input type='hidden' name='state' value='{state.value}'>"
        f"<button{' class=chosen' if said == state.value else ''}>{name}</button></form>"
        for state, name in _NAMES.items()
    )  # fmt: skip
    return _frame(f"<h1 class='{shown.precedence.lower()}'>{html.escape(shown.precedence)}</h1>{warning}<dl>{rows}</dl>{buttons}"
                  f"<p class='unit'>For {html.escape(link.receiver)}</p>")  # fmt: skip


def _frame(content: str) -> str:
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        "<meta name='color-scheme' content='dark light'><meta name='robots' content='noindex'><title>Heard</title>"
        f"<link rel='icon' href='/icon.svg'><link rel='stylesheet' href='/unit.css'></head><body><main>{content}</main></body></html>"
    )
