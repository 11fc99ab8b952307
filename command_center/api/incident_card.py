"""One incident on a small page: what, where, when, who is on the way, and whether it was taken back. Escaped HTML."""

import html
import sqlite3
from datetime import UTC, datetime

from command_center.api import phone, unit_queries
from command_center.api.shapes import Incident


def card(connection: sqlite3.Connection, shown: Incident, picture_url: str, extra: list[tuple[str, str]]) -> str:
    """The upper part of a page. ``picture_url`` serves the re-encoded snapshot."""
    at = datetime.fromtimestamp(shown.first_alert_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    where = ", ".join(part for part in (shown.node.site, shown.camera, shown.zone) if part)
    going = ", ".join(f"{item.unit} ({item.status.replace('_', ' ')})" for item in shown.responding)
    scene = unit_queries.scene_of(connection, shown.id)
    facts = [("Confidence", f"{shown.confidence:.0%}"), ("Where", where), ("When", at),
             ("Position", f"{scene.lat:.5f}, {scene.lon:.5f}" if scene else ""), ("Number", shown.number),
             ("State", shown.state), ("On it", going), *extra]  # fmt: skip
    warning = "<p class='back'>The camera has taken this alert back. Ask before you go.</p>" if shown.returned else ""
    route = f"<p><a href='geo:{scene.lat:.6f},{scene.lon:.6f}'>Open in maps</a></p>" if scene else ""
    picture = f"<img src='{html.escape(picture_url)}' alt='Snapshot of the alert'>" if shown.snapshot_url else ""
    return (f"<h1 class='{html.escape(shown.precedence.lower())}'>{html.escape(shown.precedence)}: {html.escape(shown.label.replace('_', ' '))}</h1>{warning}{picture}"
            f"{phone.facts_list(facts)}{route}")  # fmt: skip
