"""A webhook's body: JSON, the same bytes for every attempt."""

import json

from command_center.callbacks.told import Rendered, Told, iso


def render(told: Told) -> Rendered | None:
    """None: webhooks are not told of this."""
    incident = told.incident
    if incident is None:
        return None
    facts = {
        "id": incident.id, "number": incident.number, "state": incident.state, "label": incident.label,
        "precedence": incident.precedence, "confidence": incident.confidence, "site": incident.node.site,
        "node": incident.node.name, "camera": incident.camera, "zone": incident.zone, "alerts": incident.alert_count,
        "first_alert_at": iso(incident.first_alert_at_ms), "returned": incident.returned, "level": incident.level,
        "acknowledged_by": incident.acknowledged_by, "disposition": incident.disposition,
        "responding": [{"unit": item.unit, "status": item.status} for item in incident.responding],
    }  # fmt: skip
    data: dict[str, object] = {"incident": facts, "journal_entry": told.entry}
    if told.scene is not None:
        data["position"] = {"lat": told.scene.lat, "lon": told.scene.lon}
    if told.unit is not None:
        data["unit"] = {"name": told.unit.name, "status": told.unit.status.value, "word": told.word}
    if told.answer_url:
        data["answer_url"] = told.answer_url
    body = json.dumps({"type": told.event, "timestamp": iso(told.at_ms), "data": data}, separators=(",", ":"))
    return Rendered(media_type="application/json", body=body.encode())
