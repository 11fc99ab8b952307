"""An incident as an Emergency Incident Data Object, for another agency's dispatch system: plain JSON, one object an incident.

Source: NENA-STA-021.1b-2024 and NENA's published schema of it, version 1.0.0 (github.com/NENA911/EIDO-JSON, ``Schema/openapi.yaml``: component and
field names, which are required, their types; ``Schema/NIEMComponents/apco.yaml``: the codes of incident types), RFC 4119 and RFC 5491 (PIDF-LO).
What a registry rules is filled from the tables below, and the agency's own words stand beside it in the fields for internal text.
Where a registry has no word for something (a disposition "handled"), the field that demands one is left out and a note says it.
Identifiers are UUIDs made from the center's key and the incident's number, so the same incident has the same ones in every bag.
"""

import html
import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Final

from command_center.evidence.reading import AlertFacts, IncidentFacts, Media
from command_center.evidence.selection import utc
from command_center.evidence.statements import pretty
from command_center.evidence.tables import Moment
from command_center.incidents import Disposition, State

VERSION: Final = "1.0"
INCIDENT_TYPES: Final[Mapping[str, str]] = {
    "handgun": "WEAPON", "rifle": "WEAPON", "shotgun": "WEAPON", "gun": "WEAPON", "knife": "WEAPON", "weapon": "WEAPON",
    "fire": "FUNK", "smoke": "FSMOKE", "person": "PERSUSP", "vehicle": "VEHSUSP", "car": "VEHSUSP", "truck": "VEHSUSP",
}  # fmt: skip
"""Labels of detectors to the common incident types of APCO ANS 1.103; what is not here is a suspicious circumstance. A camera can't
know what burns: FUNK is a fire of a kind that is not known."""
_OTHER_TYPE: Final = "SUSP"
_ACTIVE, _CLOSED, _CANCELLED = "Active", "Closed", "Cancelled"
_CANCELS: Final = frozenset({Disposition.CANCELLED, Disposition.DUPLICATE, Disposition.TEST})
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
            "incidentStatusCommonRegistryText": [_status(columns)],
            "incidentPriorityInternalText": str(columns["precedence"]), "internalIncidentId": number,
            "locationReference": [_reference(location)], "notesReference": [_reference(note) for note in notes],
        }  # fmt: skip
        if columns["disposition"] and Disposition(columns["disposition"]).apco_code is not None:
            incident["dispositionComponent"] = [self._disposition(number, str(columns["disposition"]), columns)]
        media = {item.sha256: item for alert in seen for item in alert.media if item.masked or not item.absence}
        return pretty({
            **self._prologue(f"eido {number}", updated), "eidoVersion": VERSION,
            "issuingElementIdentification": self._center, "incidentComponent": incident, "agencyComponent": [agency],
            "locationComponent": [location], "notesComponent": notes,
            "alarmsSensorsComponent": [self._alarm(alert) for alert in seen],
            "mediaComponent": [self._media(media[sha256], updated) for sha256 in sorted(media)],
        })  # fmt: skip

    def _id(self, what: str) -> str:
        return f"urn:uuid:{uuid.uuid5(self._space, what)}"

    def _prologue(self, what: str, updated: str) -> Object:
        return {"$id": self._id(what), "lastUpdateTimeStamp": updated,
                "updatedByAgencyReference": {"$ref": self._id("agency")}}  # fmt: skip

    def _agency(self, updated: str) -> Object:
        return {**self._prologue("agency", updated), "$id": self._id("agency"), "incidentOwningAgencyIndicator": True,
                "agencyRoleDescriptionRegistryText": ["Dispatch"], "agencyType": ["police"],
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
                "dispositionCommonRegistryCode": str(code),
                "dispositionDescriptionText": f"{disposition.replace('_', ' ')} {columns['note']}".strip()}  # fmt: skip

    def _media(self, media: Media, updated: str) -> Object:
        """A picture or clip of this bag, by its place beside ``eido/``."""
        return {**self._prologue(f"media {media.sha256.hex()}", updated), "uri": f"../{media.masked or media.name}",
                "contentType": "image/jpeg" if media.masked else media.media_type,
                "label": f"masked copy of {media.sha256.hex()}" if media.masked else media.sha256.hex()}  # fmt: skip

    def _alarm(self, alert: AlertFacts) -> Object:
        body, header = alert.alert, alert.said.envelope.header
        sensed = {"envelope_id": alert.id, "node": alert.passport.name, "site": alert.passport.site, "camera": body.camera,
                  "zone": body.zone, "label": body.label, "confidence": round(body.confidence, 4), "rule": body.rule.name.lower(),
                  "sighted_at_node_clock": utc(alert.sighted_ms), "node_clock_quality": header.quality.name,
                  "media_sha256": [media.sha256.hex() for media in alert.media]}  # fmt: skip
        shown = [self._id(f"media {media.sha256.hex()}") for media in alert.media if media.masked or not media.absence]
        return {**self._prologue(f"alert {alert.id}", utc(alert.said.stored.received_wall_ms)),
                "mediaReferences": [{"$ref": identifier} for identifier in shown], "csaaAlarmInformation": json.dumps(sensed, sort_keys=True, ensure_ascii=False)}  # fmt: skip


def _status(columns: Mapping[str, object]) -> str:
    """NENA's Incident Status registry; how far units are stands in the notes."""
    if columns["state"] != State.CLOSED.value:
        return _ACTIVE
    return _CANCELLED if columns["disposition"] and Disposition(columns["disposition"]) in _CANCELS else _CLOSED


def _reference(component: Mapping[str, object]) -> Object:
    return {"$ref": component["$id"]}


def _time(at_ms: object) -> str:
    return utc(at_ms if isinstance(at_ms, int) else 0)
