"""The report that a person opens first: HTML without scripts, its pictures beside it in ``media/``."""

from collections.abc import Iterable, Iterator
from html import escape
from typing import Final

from command_center.evidence import site_plan
from command_center.evidence.reading import AlertFacts, IncidentFacts, Media, words_of
from command_center.evidence.selection import utc
from command_center.evidence.site_plan import SitePlan
from command_center.evidence.tables import Moment

_STYLE: Final = (
    "body{font:15px/1.5 sans-serif;max-width:62em;margin:2em auto;padding:0 1em;color:#111}table{border-collapse:collapse;"
    "width:100%;margin:1em 0}td,th{border:1px solid #bbb;padding:.3em .5em;text-align:left;vertical-align:top;"
    "overflow-wrap:anywhere}th{overflow-wrap:normal}.when{white-space:nowrap}figure{display:inline-block;margin:.5em;max-width:30em}img{max-width:100%}"
    "code{font-size:85%;overflow-wrap:anywhere}@media print{section{break-inside:avoid-page}}"
)


def begin(facts: dict[str, str]) -> Iterator[bytes]:
    """Head, and what this bag is."""
    yield (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src 'self'; style-src 'unsafe-inline'\">"
        f"<title>Evidence report</title><style>{_STYLE}</style><h1>Evidence report</h1>"
    ).encode()
    yield _table((), facts.items())
    yield b"<p>This page is a reading aid. What counts are the signed statements; VERIFY.md says how to check them.</p>"


def incident(shown: IncidentFacts, alerts: Iterable[AlertFacts], moments: Iterable[Moment],
             plan: SitePlan | None = None) -> Iterator[bytes]:  # fmt: skip
    """One incident: facts, where it was, pictures, alerts, what was done."""
    columns = shown.columns
    yield f"<section><h2>{escape(shown.number)}: {escape(str(columns['label']))}</h2>".encode()
    yield _table((), incident_facts(shown))
    yield b"<h3>Where</h3>"
    if plan is None:
        yield b"<p>Nobody has configured a position for this camera, its node or its site.</p>"
    else:
        yield f"{site_plan.svg(plan)}<p>{escape(plan.words)}</p>".encode()
    yield b"<h3>Alerts</h3><table><tr><th>Sighted (node's clock)<th>Received (center)<th>What<th>Node<th>Envelope id"
    for alert in alerts:
        times = (readable(alert.sighted_ms), readable(alert.said.stored.received_wall_ms))
        cells = (alert_words(alert), f"{alert.passport.name}, {alert.passport.site}")
        yield (
            "<tr>"
            + "".join(f'<td class="when">{escape(cell)}' for cell in times)
            + "".join(f"<td>{escape(cell)}" for cell in cells)
            + f"<td><code>{alert.id}</code>"
        ).encode()
        for media in alert.media:
            yield b'<tr><td colspan="5">' + _picture(media).encode()
    yield b"</table><h3>What happened</h3>"
    yield _table(("When (center)", "Entry", "What", "Who", "Detail"),
                 ((readable(m.entry.at_ms), m.row[2], m.row[3], m.row[4], m.row[6]) for m in moments))  # fmt: skip
    yield b"</section>"


def end() -> Iterator[bytes]:
    """The last words."""
    yield b"</html>\n"


def incident_facts(shown: IncidentFacts) -> list[tuple[str, str]]:
    """An incident in labeled lines; the same in both reports."""
    c = shown.columns
    closed = (
        f"{str(c['disposition']).replace('_', ' ')} by {c['closed_by']} at {readable(_ms(c['closed_at_ms']))}"
        if c["closed_by"]
        else "not closed"
    )
    seen = f"{c['acknowledged_by']} ({c['acknowledged_role']}) at {readable(_ms(c['acknowledged_at_ms']))}"
    clock = str(c["clock_quality"]).lower().replace("_", " ")
    return [
        ("State", str(c["state"])), ("Camera, zone", f"{c['camera']}, {c['zone'] or '–'}"),
        ("Sighted (node's clock)", f"{readable(_ms(c['sighted_at_ms']))} (clock {clock})"),
        ("First received (center's clock)", readable(_ms(c["first_alert_at_ms"]))), ("Alerts", str(c["alert_count"])),
        ("Highest confidence", f"{c['confidence']:.2f}"),
        ("Acknowledged", seen if c["acknowledged_by"] else "not acknowledged"), ("Closed", closed),
        ("Note", str(c["note"]) or "–"),
        ("Quarantined", "yes: kept and marked, annunciated to nobody" if c["is_quarantined"] else "no"),
    ]  # fmt: skip


def alert_words(alert: AlertFacts) -> str:
    """One alert in a few words."""
    return words_of(alert.alert)


def readable(at_ms: int | None) -> str:
    """A time as people read it; tables have ISO 8601."""
    return utc(at_ms).replace("T", " ").replace("Z", " UTC")


def _ms(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _picture(media: Media) -> str:
    if media.masked:
        return f"{_figure(media.masked)}<p>{escape(media.absence.capitalize())}. SHA-256 of the original: <code>{media.sha256.hex()}</code></p>"
    if media.absence:
        return f"Not in this bag: {escape(media.name)}: {escape(media.absence)}"
    if not media.media_type.startswith("image/"):
        return f'Clip: <a href="{escape(media.name)}"><code>{escape(media.name)}</code></a>'
    return _figure(media.name)


def _figure(name: str) -> str:
    label = f'<a href="{escape(name)}"><code>{escape(name)}</code></a>'
    return f'<figure><img src="{escape(name)}" alt="picture of the alert" loading="lazy"><figcaption>{label}</figcaption></figure>'


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> bytes:
    parts = ["<table>"]
    if head:
        parts.append("<tr>" + "".join(f"<th>{escape(cell)}" for cell in head))
    parts += ["<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) for row in rows]
    return ("".join(parts) + "</table>").encode()
