"""What browsers see of response plans, handovers and mutual aid. Times are ms since 1970 UTC."""

from typing import Annotated, Literal

from pydantic import Field

from command_center.api.shapes import Shape
from command_center.api.unit_shapes import AssignmentRow, Note, Unit

Text = Annotated[str, Field(max_length=1000)]


class PlanStepRow(Shape):
    """One thing that a plan wants done, and whether it was."""

    number: int
    plan: str
    kind: str
    """tell (the receiver ``target``), send_clip, hold_clip or act (the camera's node)."""
    target: str
    for_s: int
    """How long the node is to act; 0: as its configuration says."""
    state: str
    """proposed, done or declined."""
    by: str
    """user:NAME, or plan where it did it by itself; empty while it is proposed."""
    at_ms: int
    note: str
    outcome: str
    """What the node answers to its order: done, under_way or refused; empty: nothing yet, or nothing was ordered."""
    outcome_detail: str
    """In the node's words."""


class PlanCard(Shape):
    """A response plan that fits an incident."""

    plan: str
    instructions: str
    units: int
    """How many units should go; 0: it does not say."""
    capabilities: list[str]
    steps: list[PlanStepRow]


class PlanSettle(Shape):
    """Confirm a step, or decline it."""

    state: Literal["done", "declined"]
    note: Text = ""


class ShareNew(Shape):
    """Show an incident to another agency."""

    agency: Annotated[str, Field(min_length=1, max_length=64)]
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    minutes: Annotated[float, Field(gt=0, le=1440)] = 60.0


class ShareRow(Shape):
    """Who was shown an incident, and until when."""

    id: int
    agency: str
    reason: str
    by: str
    at_ms: int
    until_ms: int
    opened_at_ms: int | None
    ended_at_ms: int | None
    ended_by: str
    ended_why: str


class ShareMade(Shape):
    """The link is shown once: only its hash is kept."""

    url: str
    share: ShareRow


class ShareRevoke(Shape):
    """End it at once."""

    reason: Text = ""


class Response(Shape):
    """Everything that people do about an incident."""

    plans: list[PlanCard]
    assignments: list[AssignmentRow]
    units: list[Unit]
    notes: list[Note]
    shares: list[ShareRow]


class OpenIncident(Shape):
    """One line of a handover."""

    id: int
    number: str
    state: str
    precedence: str
    label: str
    site: str
    node: str
    camera: str
    quiet: str
    acknowledged_by: str | None
    returned: bool
    first_alert_at_ms: int


class UnitOut(Shape):
    """A unit that is not available."""

    name: str
    status: str
    status_at_ms: int
    incident: int | None
    heard_at_ms: int
    welfare_level: int


class ShelvedSource(Shape):
    """A source that is silent."""

    id: int
    node: str
    camera: str
    label: str
    reason: str
    by: str
    until_ms: int


class DeadCallback(Shape):
    """Something that could not be told."""

    id: str
    receiver: str
    event: str
    incident: int
    last_answer: str


class NoteSince(Shape):
    """A note of this shift."""

    id: int
    incident: int
    by: str
    text: str
    at_ms: int


class StepWaiting(Shape):
    """A plan's step that nobody has settled."""

    incident: int
    number: int
    plan: str
    kind: str
    target: str


class ShareOpen(Shape):
    """An incident that another agency can see."""

    id: int
    incident: int
    agency: str
    until_ms: int


class HandoverSummary(Shape):
    """What the next shift must know."""

    made_at_ms: int
    since_ms: int
    incidents: list[OpenIncident]
    units: list[UnitOut]
    shelves: list[ShelvedSource]
    dead_callbacks: list[DeadCallback]
    notes: list[NoteSince]
    plan_steps: list[StepWaiting]
    shares: list[ShareOpen]


class HandoverRow(Shape):
    """A handover as it was given; ``taken_by`` is null until somebody has taken over."""

    id: int
    by: str
    role: str
    note: str
    at_ms: int
    taken_by: str | None
    taken_at_ms: int | None
    taken_note: str
    summary: HandoverSummary


class HandoverPage(Shape):
    """How it is now, and the last handover."""

    now: HandoverSummary
    last: HandoverRow | None


class HandoverNew(Shape):
    """What those who go want to say beside the summary."""

    note: Annotated[str, Field(max_length=4000)] = ""


class HandoverTake(Shape):
    """Read, and taken over."""

    note: Text = ""
