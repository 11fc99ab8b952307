"""One incident on a small page: what, where, when, who is on the way, and whether it was taken back. Escaped HTML."""

import html
import sqlite3
from datetime import UTC, datetime

from command_center.api import phone, unit_queries
from command_center.api.shapes import Incident


def card(
    connection: sqlite3.Connection, shown: Incident, picture_url: str, extra: list[tuple[str, str]], *, now_ms: int
) -> str:
    """The upper part of a page. ``picture_url`` serves the re-encoded snapshot; ``now_ms``: since 1970 UTC."""
    at = datetime.fromtimestamp(shown.first_alert_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    where = ", ".join(part for part in (shown.node.site, shown.camera, shown.zone) if part)
    going = ", ".join(f"{item.unit} ({item.status.replace('_', ' ')})" for item in shown.responding)
    scene = unit_queries.scene_of(connection, shown.id)
    facts = [("Confidence", f"{shown.confidence:.0%}"), ("Where", where), ("When", at),
             ("Age", f"{phone.length(now_ms - shown.first_alert_at_ms)}, as this page came"),
             ("Position", f"{scene.lat:.5f}, {scene.lon:.5f}" if scene else ""), ("Number", shown.number),
             ("State", shown.state), ("On it", going), *extra]  # fmt: skip
    warning = "<p class='back'>The camera has taken this alert back. Ask before you go.</p>" if shown.returned else ""
    route = f"<p><a href='geo:{scene.lat:.6f},{scene.lon:.6f}'>Open in maps</a></p>" if scene else ""
    picture = ""
    if shown.snapshot_url:
        picture = f"<div class='picture'><img src='{html.escape(picture_url)}' alt='Snapshot of the alert'>{_box(shown.box_xyxy)}</div>"
    return (f"<h1 class='{html.escape(shown.precedence.lower())}'>{html.escape(shown.precedence)}: {html.escape(shown.label.replace('_', ' '))}</h1>{warning}{picture}"
            f"{phone.facts_list(facts)}{route}")  # fmt: skip


def _box(box_xyxy: tuple[float, float, float, float]) -> str:
    """Where in the picture it was seen: fractions of the frame, all zero where nobody knows."""
    left, top, right, bottom = (100 * edge for edge in box_xyxy)
    if not (left < right and top < bottom):
        return ""
    edges = f"x='{left:.2f}' y='{top:.2f}' width='{right - left:.2f}' height='{bottom - top:.2f}' fill='none' vector-effect='non-scaling-stroke'"
    return (f"<svg viewBox='0 0 100 100' preserveAspectRatio='none' aria-hidden='true'><rect {edges} stroke='#000' stroke-width='4'/>"
            f"<rect {edges} stroke='#ffd84a' stroke-width='2'/></svg>")  # fmt: skip
