"""One message an event, in plain text; messages about one incident are one thread."""

from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from command_center.callbacks.told import Rendered, Told, headline, iso, plain

MEDIA_TYPE: Final = "message/rfc822"
_TOLD: Final = frozenset({
    "incident.opened", "incident.notified_again", "incident.retracted", "incident.closed", "incident.merged",
    "incident.unit_assigned", "incident.unit_released",
})  # fmt: skip


def render(told: Told) -> Rendered | None:
    """None: this is not worth a message."""
    incident = told.incident
    if incident is None or told.event not in _TOLD:
        return None
    message = EmailMessage(policy=SMTP)
    message["From"] = told.options_sender
    message["To"] = ", ".join(told.recipients)
    message["Subject"] = headline(told)[:200]
    message["Date"] = datetime.fromtimestamp(told.at_ms / 1000, UTC)
    message["Message-ID"] = _id(told, told.id)
    if told.earlier:
        message["In-Reply-To"] = _id(told, told.earlier[0].id)
        message["References"] = _id(told, told.earlier[0].id)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's out-of-office answers this
    if incident.precedence == "FLASH":
        message["Importance"] = "high"
    lines = [headline(told), ""]
    if told.event == "incident.retracted":
        lines += ["The camera has taken this alert back. Ask before you go.", ""]
    going = ", ".join(f"{item.unit} ({item.status.replace('_', ' ')})" for item in incident.responding)
    where = ", ".join(part for part in (incident.node.site, incident.camera, incident.zone) if part)
    facts = [("What", f"{incident.label} ({incident.confidence:.0%})"), ("Where", where),
             ("Position", f"{told.scene.lat:.5f}, {told.scene.lon:.5f}" if told.scene else ""),
             ("When", iso(incident.first_alert_at_ms)), ("Number", incident.number), ("State", incident.state),
             ("On it", going)]  # fmt: skip
    lines += [f"{name}: {plain(value)}" for name, value in facts if value]
    if told.answer_url:
        lines += ["", "Answer (accepted, en route, on scene, clear):", told.answer_url]
    message.set_content("\n".join(lines) + "\n")
    return Rendered(media_type=MEDIA_TYPE, body=message.as_bytes())


def _id(told: Told, identifier: str) -> str:
    return f"<{identifier}.{told.center}@{told.options_sender.partition('@')[2]}>"
