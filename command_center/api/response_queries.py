"""From the rows of plans, handovers and shares to what browsers see. Reads only."""

import sqlite3

from command_center.api import unit_queries
from command_center.api.response_shapes import (
    HandoverPage,
    HandoverRow,
    HandoverSummary,
    PlanCard,
    PlanStepRow,
    Response,
    ShareRow,
)
from command_center.api.unit_shapes import AssignmentRow
from command_center.responses import handovers, mutual_aid
from command_center.responses.handovers import Handover
from command_center.responses.mutual_aid import Share
from command_center.units import rows


def response(connection: sqlite3.Connection, incident_id: int) -> Response:
    """What people do about an incident.

    Raises:
        NotFound: there is no such incident.
    """
    unit_queries.scene_of(connection, incident_id)
    return Response(
        plans=plan_cards(connection, incident_id),
        assignments=[
            AssignmentRow(unit=item.unit, assigned_by=item.assigned_by, assigned_at_ms=item.assigned_at_ms,
                          accepted_at_ms=item.accepted_at_ms, en_route_at_ms=item.en_route_at_ms,
                          on_scene_at_ms=item.on_scene_at_ms, ended_at_ms=item.ended_at_ms, ended_as=item.ended_as)
            for item in rows.assignments(connection, incident_id)
        ],
        units=[unit_queries.unit_shape(item) for item in rows.units(connection, incident=incident_id)],
        notes=unit_queries.notes(connection, incident_id),
        shares=[share_shape(item) for item in mutual_aid.shares(connection, incident_id)],
    )  # fmt: skip


def plan_cards(connection: sqlite3.Connection, incident_id: int) -> list[PlanCard]:
    """The plans that fit an incident, the first one first."""
    found = connection.execute(
        "SELECT number, plan, kind, target, state, by, at_ms, note, for_s, outcome, outcome_detail FROM plan_step WHERE incident = ? ORDER BY number",
        (incident_id,),
    )
    steps = [PlanStepRow(number=r[0], plan=r[1], kind=r[2], target=r[3], state=r[4], by=r[5], at_ms=r[6], note=r[7],
                         for_s=r[8], outcome=r[9], outcome_detail=r[10]) for r in found]  # fmt: skip
    cards = connection.execute(
        "SELECT plan, instructions, units, capabilities FROM plan_match WHERE incident = ? ORDER BY at_ms, plan",
        (incident_id,),
    )
    return [
        PlanCard(plan=r[0], instructions=r[1], units=r[2], capabilities=[word for word in r[3].split(",") if word],
                 steps=[step for step in steps if step.plan == r[0]])
        for r in cards
    ]  # fmt: skip


def wanted(connection: sqlite3.Connection, incident_id: int) -> list[str]:
    """What the plans that fit an incident want its units to be able to do, each once."""
    asked = connection.execute("SELECT capabilities FROM plan_match WHERE incident = ?", (incident_id,))
    return sorted({word for (listed,) in asked for word in listed.split(",") if word})


def share_shape(item: Share) -> ShareRow:
    """The browser's shape of a share."""
    return ShareRow(id=item.id, agency=item.agency, reason=item.reason, by=item.by, at_ms=item.at_ms, until_ms=item.until_ms,
                    opened_at_ms=item.opened_at_ms, ended_at_ms=item.ended_at_ms, ended_by=item.ended_by,
                    ended_why=item.ended_why)  # fmt: skip


def handover_page(connection: sqlite3.Connection, now_ms: int) -> HandoverPage:
    """How it is now, and the last handover."""
    last = handovers.latest(connection)
    now = HandoverSummary.model_validate_json(handovers.summary_json(connection, now_ms))
    return HandoverPage(now=now, last=None if last is None else _handover(last))


def handover(connection: sqlite3.Connection, number: int) -> HandoverRow | None:
    """One handover."""
    found = handovers.find(connection, number)
    return None if found is None else _handover(found)


def _handover(item: Handover) -> HandoverRow:
    return HandoverRow(id=item.id, by=item.by, role=item.role, note=item.note, at_ms=item.at_ms, taken_by=item.taken_by,
                       taken_at_ms=item.taken_at_ms, taken_note=item.taken_note,
                       summary=HandoverSummary.model_validate_json(item.summary))  # fmt: skip
