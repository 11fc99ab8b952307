"""Cursor on Target 2.0 for TAK: incidents as emergencies and markers, units as friendly ground units.

A FLASH is an emergency (``b-a-o-tbl``), which TAK clients sound and list, and its end is that emergency's cancellation (``b-a-o-can``);
anything less urgent is a spot marker, and its end deletes it (``t-x-d-d``). The uid of an incident or unit never changes, so a later
event replaces an earlier one. Where nobody has said where the camera stands, the point is 0, 0 with an unknown error and the remarks say so.

Source: MITRE MTR 090284 (CoT event schema); the emergency and deletion details are those that ATAK-CIV and pytak use.
"""

from typing import Final
from xml.etree import ElementTree as ET

from command_center.callbacks.told import Rendered, Told, headline, iso, plain
from command_center.units.nearest import Position
from command_center.units.status import UnitStatus

MEDIA_TYPE: Final = "application/cot+xml"
_UNKNOWN: Final = "9999999.0"
_INCIDENT_STALE_MS: Final = 12 * 3_600_000
_UNIT_STALE_MS: Final = 15 * 60_000
_TOLD: Final = frozenset({
    "incident.opened", "incident.acknowledged", "incident.retracted", "incident.closed", "incident.merged",
    "incident.unit_assigned", "incident.unit_released", "incident.unit_status", "incident.notified_again",
})  # fmt: skip


def render(told: Told) -> Rendered | None:
    """None: TAK is not told of this."""
    if told.incident is None:
        return _unit(told)
    if told.event not in _TOLD:
        return None
    return _incident(told)


def _incident(told: Told) -> Rendered:
    incident = told.incident
    assert incident is not None
    is_flash = incident.precedence == "FLASH"
    uid = f"heard.{told.center}.incident.{incident.id}"
    if told.is_over and not is_flash:
        return _deletion(told, uid)
    kind = ("b-a-o-can" if told.is_over else "b-a-o-tbl") if is_flash else "b-m-p-s-m"
    event = _event(told, uid, kind, _INCIDENT_STALE_MS, told.scene)
    detail = ET.SubElement(event, "detail")
    callsign = plain(f"{incident.number} {incident.label}", 80)
    ET.SubElement(detail, "contact", callsign=callsign)
    if is_flash:
        attributes = {"cancel": "true"} if told.is_over else {"type": "911 Alert"}
        ET.SubElement(detail, "emergency", attributes).text = callsign
    remarks = headline(told) + ("" if told.scene else ". The position is not known: 0, 0 stands for that.")
    ET.SubElement(detail, "remarks", source=plain(told.agency, 80)).text = remarks
    return _rendered(event)


def _unit(told: Told) -> Rendered | None:
    unit = told.unit
    if unit is None or unit.position is None:
        return None
    event = _event(
        told, f"heard.{told.center}.unit.{unit.name}", "a-f-G-U-C", _UNIT_STALE_MS, unit.position, unit.accuracy_m
    )
    detail = ET.SubElement(event, "detail")
    ET.SubElement(detail, "contact", callsign=unit.name)
    ET.SubElement(detail, "__group", name="Cyan", role="Team Member")
    ET.SubElement(detail, "status", readiness=str(unit.status is UnitStatus.AVAILABLE).lower())
    where = f" at incident {unit.incident}" if unit.incident is not None else ""
    ET.SubElement(detail, "remarks").text = plain(f"{unit.status.words}{where}. {unit.note}")
    return _rendered(event)


def _deletion(told: Told, uid: str) -> Rendered:
    event = _event(told, f"{uid}.delete.{told.entry}", "t-x-d-d", 60_000, told.scene)
    detail = ET.SubElement(event, "detail")
    ET.SubElement(detail, "link", uid=uid, relation="p-p", type="b-m-p-s-m")
    ET.SubElement(detail, "__forcedelete")
    ET.SubElement(detail, "remarks").text = headline(told)
    return _rendered(event)


def _event(
    told: Told, uid: str, kind: str, lasts_ms: int, at: Position | None, accuracy_m: float | None = None
) -> ET.Element:
    event = ET.Element("event", version="2.0", uid=uid, type=kind, how="m-g", time=iso(told.at_ms), start=iso(told.at_ms),
                       stale=iso(told.at_ms + lasts_ms))  # fmt: skip
    lat, lon = (at.lat, at.lon) if at else (0.0, 0.0)
    error = f"{accuracy_m:.1f}" if accuracy_m else _UNKNOWN
    ET.SubElement(event, "point", lat=f"{lat:.7f}", lon=f"{lon:.7f}", hae=_UNKNOWN, ce=error, le=_UNKNOWN)
    return event


def _rendered(event: ET.Element) -> Rendered:
    # One line: listeners of the streaming protocol read up to </event>.
    return Rendered(media_type=MEDIA_TYPE, body=ET.tostring(event, encoding="utf-8", xml_declaration=False) + b"\n")
