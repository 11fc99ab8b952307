"""What the small pages share: plain HTML without any script, for phones from 360 px on, and their style sheet."""

import html
from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

router = APIRouter(include_in_schema=False)

_STYLE: Final = """\
/* The small pages of field units and of other agencies: large targets, no script. */
:root { color-scheme: dark light; }
body { margin: 0; font: 17px/1.4 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; background: light-dark(#f2f5f7, #0d1114); color: light-dark(#12181d, #eef2f5); }
main { max-width: 30rem; margin: 0 auto; padding: 0 16px 32px; }
h1 { position: sticky; top: 0; z-index: 1; margin: 0 -16px 12px; padding: 12px 16px; font-size: 22px; line-height: 1.2; background: light-dark(#ffe3b3, #4a3510); }
h1.flash { background: #b3261e; color: #fff; }
h2 { margin: 20px 0 4px; font-size: 18px; }
dl { display: grid; grid-template-columns: auto 1fr; gap: 5px 14px; margin: 12px 0; padding: 12px 14px; border-radius: 10px; background: light-dark(#fff, #171e23); }
dt, .small { color: light-dark(#4b5660, #a7b3bd); }
dd { margin: 0; overflow-wrap: anywhere; font-weight: 600; }
img { display: block; width: 100%; height: auto; border-radius: 10px; }
.picture { position: relative; }
.picture svg { position: absolute; inset: 0; width: 100%; height: 100%; }
form { margin: 10px 0; }
label { display: block; margin: 8px 0 4px; }
input, textarea, button { box-sizing: border-box; width: 100%; font: inherit; color: inherit; border-radius: 8px; }
input, textarea { padding: 8px; border: 2px solid light-dark(#5a6772, #8795a1); background: light-dark(#fff, #1b232a); }
button { min-height: 56px; border: 2px solid light-dark(#5a6772, #8795a1); background: light-dark(#fff, #171e23); font-weight: 700; cursor: pointer; }
button.chosen { border-color: light-dark(#1458a8, #82bdf5); color: light-dark(#1458a8, #82bdf5); background: transparent; }
button.chosen::before { content: "✓ "; }
button.next { min-height: 68px; border-color: #2568ab; background: #2568ab; color: #fff; font-size: 20px; }
button.quiet { min-height: 48px; border-color: transparent; background: transparent; color: light-dark(#4b5660, #a7b3bd); font-weight: 400; }
a { color: light-dark(#0b5cad, #82bdf5); }
:focus-visible { outline: 3px solid light-dark(#0b57b0, #8ec2ff); outline-offset: 2px; }
ul { padding-left: 20px; overflow-wrap: anywhere; }
p, li { overflow-wrap: anywhere; white-space: pre-line; }
.back { padding: 10px 12px; border-left: 5px solid #c77700; background: light-dark(#fff3d9, #2b2412); font-weight: 700; }
.small { font-size: 14px; }
"""


@router.get("/phone.css")
async def style() -> Response:
    """The style sheet."""
    return Response(_STYLE, media_type="text/css", headers={"Cache-Control": "max-age=3600"})


def page(content: str, *, status: int = 200, title: str = "Heard") -> HTMLResponse:
    """A whole page around ``content``, which must be escaped already."""
    return HTMLResponse(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<meta name='color-scheme' content='dark light'><meta name='robots' content='noindex'>"
        f"<title>{html.escape(title)}</title><link rel='icon' href='/icon.svg'><link rel='stylesheet' href='/phone.css'>"
        f"</head><body><main>{content}</main></body></html>",
        status_code=status, headers={"Cache-Control": "no-store"},
    )  # fmt: skip


def refusal(text: object, status: int) -> HTMLResponse:
    """A page that says why not."""
    why = str(text)
    return page(f"<h1>Not possible</h1><p>{html.escape(why[:1].upper() + why[1:])}</p>", status=status)


def as_of(at_ms: int, address: str) -> str:
    """How old the page is, and the way to a newer one. ``at_ms``: since 1970 UTC."""
    # A link and no timed refresh: whoever reads slowly or by ear is not thrown back to the top (WCAG 2.2.1).
    at = datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M:%S UTC")
    return f"<p>As of {at}. <a href='{html.escape(address)}'>Look again</a></p>"


def length(span_ms: int) -> str:
    """A length of time in words, as coarse as it is long: ``8 s``, ``12 min``, ``3 h 05 min``, ``2 d 4 h``."""
    minutes, hours = max(0, span_ms) // 60_000, max(0, span_ms) // 3_600_000
    if minutes == 0:
        return f"{max(0, span_ms) // 1000} s"
    if hours == 0:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60:02} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def facts_list(facts: list[tuple[str, str]]) -> str:
    """Names and values, escaped; empty values are left out."""
    rows = "".join(f"<dt>{name}</dt><dd>{html.escape(value)}</dd>" for name, value in facts if value)
    return f"<dl>{rows}</dl>"
