"""An incident as an Emergency Incident Data Object, for another agency's dispatch system: plain JSON, one object an incident.

Source: NENA-STA-021.1b-2024, sections 2.4 to 2.21 (component and field names, which fields are required), RFC 4119 and RFC 5491
(PIDF-LO). *Not checked*: the values of NENA's registries, which live on a server: what a registry rules is filled from the tables
below, and the agency's own words stand beside it in the fields for internal text. Identifiers are UUIDs made from the centre's
key and the incident's number, so the same incident has the same ones in every bag.
"""

import html
import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Final

from command_center.evidence.reading import AlertFacts, IncidentFacts
from command_center.evidence.selection import utc
from command_center.evidence.tables import Moment
from command_center.incidents import Disposition

VERSION: Final = "1.0"
INCIDENT_TYPES: Final[Mapping[str, str]] = {
    "handgun": "WEAPON", "rifle": "WEAPON", "shotgun": "WEAPON", "gun": "WEAPON", "knife": "WEAPON", "weapon": "WEAPON",
    "fire": "FIRE", "smoke": "FIRE",
}  # fmt: skip
"""Labels of detectors to APCO ANS 1.103's common incident types; what is not here is a suspicious circumstance."""
_OTHER_TYPE: Final = "SUSPICIOUS"
MAX_NOTES: Final = 1000
Object = dict[str, object]


class EidoWriter:
    """Writes one agency's incidents."""

    def __init__(self, *, authority_id: str, agency: str, center: str) -> None:
        self._space = uuid.uuid5(uuid.NAMESPACE_OID, authority_id)
        self._agency_name = agency
        self._center = center

    def write(self, shown: IncidentFacts, alerts: Iterable[AlertFacts], moments: Iterable[Moment],
              place: tuple[float, float] | None) -> bytes:  # fmt: skip
        """The file; ``place`` is latitude and longitude in degrees, WGS 84, where it is known."""
        columns, number = shown.columns, shown.number
        seen = list(alerts)
        updated = _time(columns["last_alert_at_ms"])
        agency = self._agency(updated)
        notes = self._notes(number, moments, updated)
        location = self._location(number, columns, place, updated)
        incident: Object = {
            **self._prologue(f"incident {number}", updated),
            "incidentTypeCommonRegistryText": INCIDENT_TYPES.get(str(columns["label"]).casefold(), _OTHER_TYPE),
            "incidentTypeInternalText": str(columns["label"]), "incidentStatusInternalText": [str(columns["state"])],
            "incidentPriorityInternalText": str(columns["precedence"]), "internalIncidentId": number,
            "locationReference": [_reference(location)], "notesReference": [_reference(note) for note in notes],
        }  # fmt: skip
        if columns["disposition"]:
            incident["dispositionComponent"] = [self._disposition(number, str(columns["disposition"]), columns)]
        return json.dumps({
            **self._prologue(f"eido {number}", updated), "eidoVersion": VERSION,
            "issuingElementIdentification": self._center, "incidentComponent": incident, "agencyComponent": [agency],
            "locationComponent": [location], "notesComponent": notes,
            "alarmsSensorsComponent": [self._alarm(alert) for alert in seen],
        }, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"  # fmt: skip

    def _id(self, what: str) -> str:
        return f"urn:uuid:{uuid.uuid5(self._space, what)}"

    def _prologue(self, what: str, updated: str) -> Object:
        return {"$id": self._id(what), "lastUpdateTimeStamp": updated,
                "updatedByAgencyReference": {"$ref": self._id("agency")}}  # fmt: skip

    def _agency(self, updated: str) -> Object:
        return {**self._prologue("agency", updated), "$id": self._id("agency"), "incidentOwningAgencyIndicator": True,
                "agencyRoleDescriptionRegistryText": ["Dispatch"], "agencyType": ["urn:emergency:service:responder.police"],
                "agencyJcard": json.dumps(["vcard", [["version", {}, "text", "4.0"], ["fn", {}, "text", self._agency_name]]])}  # fmt: skip

    def _location(
        self, number: str, columns: Mapping[str, object], place: tuple[float, float] | None, updated: str
    ) -> Object:
        said: Object = {**self._prologue(f"location {number}", updated), "locationTypeDescriptionRegistryText": "CurrentIncident",
                        "locationDescriptionText": f"camera {columns['camera']}, zone {columns['zone'] or '-'}"}  # fmt: skip
        if place is not None:
            said["locationByValue"] = (
                '<?xml version="1.0" encoding="UTF-8"?><presence xmlns="urn:ietf:params:xml:ns:pidf" '
                'xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10" xmlns:gml="http://www.opengis.net/gml" '
                f'entity="pres:{html.escape(number)}@invalid"><tuple id="camera"><status><gp:geopriv><gp:location-info>'
                f'<gml:Point srsName="urn:ogc:def:crs:EPSG::4326"><gml:pos>{place[0]:.6f} {place[1]:.6f}</gml:pos></gml:Point>'
                "</gp:location-info><gp:usage-rules/></gp:geopriv></status></tuple></presence>"
            )
        return said

    def _notes(self, number: str, moments: Iterable[Moment], updated: str) -> list[Object]:
        notes: list[Object] = []
        for moment in moments:
            if len(notes) >= MAX_NOTES:
                break
            entry = moment.entry
            text = html.escape(f"{entry.kind} by {entry.actor} {moment.detail}".strip())
            notes.append(
                {**self._prologue(f"note {entry.id} of {number}", utc(entry.at_ms)), "notesActionComments": text}
            )
        return notes or [{**self._prologue(f"note of {number}", updated), "notesActionComments": "no entry"}]

    def _disposition(self, number: str, disposition: str, columns: Mapping[str, object]) -> Object:
        code = Disposition(disposition).apco_code
        return {**self._prologue(f"disposition {number}", _time(columns["closed_at_ms"])), "dispositionPrimaryIndicator": True,
                "dispositionCommonRegistryCode": "" if code is None else str(code),
                "dispositionDescriptionText": f"{disposition.replace('_', ' ')} {columns['note']}".strip()}  # fmt: skip

    def _alarm(self, alert: AlertFacts) -> Object:
        body, header = alert.alert, alert.said.envelope.header
        sensed = {"envelope_id": alert.id, "node": alert.passport.name, "site": alert.passport.site, "camera": body.camera,
                  "zone": body.zone, "label": body.label, "confidence": round(body.confidence, 4), "rule": body.rule.name.lower(),
                  "sighted_at_node_clock": utc(alert.sighted_ms), "node_clock_quality": header.quality.name,
                  "media_sha256": [media.sha256.hex() for media in alert.media]}  # fmt: skip
        return {**self._prologue(f"alert {alert.id}", utc(alert.said.stored.received_wall_ms)),
                "csaaAlarmInformation": json.dumps(sensed, sort_keys=True, ensure_ascii=False)}  # fmt: skip


def _reference(component: Mapping[str, object]) -> Object:
    return {"$ref": component["$id"]}


def _time(at_ms: object) -> str:
    return utc(at_ms if isinstance(at_ms, int) else 0)
