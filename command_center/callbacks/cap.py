"""Common Alerting Protocol 1.2: an Alert, Updates that refer to what came before, and a Cancel when it is over or taken back.

Scope is Private, addressed to the feed's receiver: this is between agencies, not for the public. Times have an offset and no fraction,
as the schema's pattern asks. Source: OASIS Common Alerting Protocol Version 1.2 (2010).
"""

from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree as ET

from command_center.callbacks.told import Earlier, Rendered, Told, headline, plain

MEDIA_TYPE: Final = "application/cap+xml"
NAMESPACE: Final = "urn:oasis:names:tc:emergency:cap:1.2"
EXPIRES_AFTER_MS: Final = 12 * 3_600_000
_SEVERITY: Final = {
    "FLASH": "Extreme",
    "IMMEDIATE": "Severe",
    "PRIORITY": "Moderate",
    "ROUTINE": "Minor",
    "BULK": "Minor",
}
_TOLD: Final = frozenset({
    "incident.opened", "incident.acknowledged", "incident.retracted", "incident.closed", "incident.merged",
    "incident.unit_assigned", "incident.unit_released", "incident.unit_status", "incident.notified_again",
    "incident.unit_answered",
})  # fmt: skip
_RADIUS_KM: Final = "0.1"


def render(told: Told) -> Rendered | None:
    """None: a feed does not carry this."""
    incident = told.incident
    if incident is None or told.event not in _TOLD:
        return None
    alert = ET.Element("alert", xmlns=NAMESPACE)
    kind = "Cancel" if told.is_over else "Update" if told.earlier else "Alert"
    # The schema is a sequence: this order is part of it.
    for name, value in (
        ("identifier", told.id), ("sender", told.options_sender), ("sent", time_text(told.at_ms)), ("status", "Actual"),
        ("msgType", kind), ("source", plain(told.agency, 80)), ("scope", "Private"),
        ("addresses", " ".join(told.recipients)), ("note", headline(told) if kind != "Alert" else ""),
        ("references", " ".join(_reference(item) for item in told.earlier)),
        ("incidents", plain(incident.number).replace(" ", "-")),
    ):  # fmt: skip
        if value:
            ET.SubElement(alert, name).text = value
    _info(told, alert)
    body = ET.tostring(alert, encoding="utf-8", xml_declaration=True)
    return Rendered(media_type=MEDIA_TYPE, body=body)


def _info(told: Told, alert: ET.Element) -> None:
    incident = told.incident
    assert incident is not None
    info = ET.SubElement(alert, "info")
    is_sure = incident.confidence >= 0.5
    going = ", ".join(f"{item.unit} {item.status.replace('_', ' ')}" for item in incident.responding)
    for name, value in (
        ("language", "en-US"), ("category", "Security"), ("event", plain(incident.label, 80)),
        ("responseType", "AllClear" if told.is_over else "Monitor"),
        ("urgency", "Past" if told.is_over else "Immediate"), ("severity", _SEVERITY[incident.precedence]),
        ("certainty", "Unlikely" if incident.returned else "Likely" if is_sure else "Possible"),
        ("effective", time_text(told.at_ms)), ("onset", time_text(incident.first_alert_at_ms)),
        ("expires", time_text(told.at_ms + EXPIRES_AFTER_MS)), ("senderName", plain(told.agency, 80)),
        ("headline", headline(told)[:160]),
        ("description", plain(f"{incident.alert_count} alerts, confidence {incident.confidence:.0%}. {going}")),
    ):  # fmt: skip
        if value:
            ET.SubElement(info, name).text = value
    for name, value in (("incident", incident.number), ("node", incident.node.name), ("camera", incident.camera),
                        ("state", incident.state)):  # fmt: skip
        parameter = ET.SubElement(info, "parameter")
        ET.SubElement(parameter, "valueName").text = f"heard:{name}"
        ET.SubElement(parameter, "value").text = plain(value, 200)
    area = ET.SubElement(info, "area")
    where = ", ".join(part for part in (incident.node.site, incident.camera, incident.zone) if part)
    ET.SubElement(area, "areaDesc").text = plain(where) or "not known"
    if told.scene is not None:
        ET.SubElement(area, "circle").text = f"{told.scene.lat:.6f},{told.scene.lon:.6f} {_RADIUS_KM}"


def _reference(earlier: Earlier) -> str:
    """``sender,identifier,sent`` of a message as it was sent."""
    root = ET.fromstring(earlier.body)  # noqa: S314  our own bytes, from our own outbox
    return ",".join(root.findtext(f"{{{NAMESPACE}}}{name}", "") for name in ("sender", "identifier", "sent"))


def time_text(at_ms: int) -> str:
    """As CAP writes a time: whole seconds, and an offset that is never Z."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).isoformat(timespec="seconds")
