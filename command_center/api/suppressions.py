"""``/api/v1/suppressions``: false alarms that nodes are told not to tell again, and until when."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from command_center import suppressing
from command_center.api.access import Parts, Person, Suppressor
from command_center.api.shapes import Problem
from command_center.suppressing import LEAST_S, MOST_S, InForce, OutcomeName

router = APIRouter(prefix="/api/v1/suppressions", tags=["suppressions"], responses={401: {"model": Problem}})
_ANSWERS: dict[int | str, dict[str, object]] = {code: {"model": Problem} for code in (403, 404, 409, 422)}


class SuppressAlarm(BaseModel):
    """Do not tell this false alarm again for a while."""

    incident: int = Field(ge=1)
    """Closed as a false alarm."""
    for_s: int = Field(ge=LEAST_S, le=MOST_S)
    reason: str = Field(min_length=3, max_length=200)


class Suppression(BaseModel):
    """One that is in force, or whose end its node has not confirmed."""

    alert_id: str
    incident: int
    node: str
    camera: str
    label: str
    by: str
    reason: str
    since_ms: int
    until_ms: int
    """0: it was ended."""
    outcome: OutcomeName
    """What its node answered to the order; empty: nothing yet."""
    outcome_detail: str


class SuppressionList(BaseModel):
    """The newest first."""

    suppressions: list[Suppression]
    """In force."""
    ending: list[Suppression]
    """Ended by a person, and their nodes have not said so: the false alarm may go untold there until they do."""


@router.get("")
async def suppressions(_: Person, parts: Parts) -> SuppressionList:
    """What is not told again now, and until when."""
    now = parts.clock.wall_ms()
    held, ending = await parts.readers.run(lambda c: (suppressing.in_force(c, now), suppressing.ending(c, now)))
    return SuppressionList(suppressions=[_shown(one) for one in held], ending=[_shown(one) for one in ending])


def _shown(one: InForce) -> Suppression:
    return Suppression(
        alert_id=one.fact.alert_id.hex(), incident=one.fact.incident, node=one.fact.node.hex(), camera=one.fact.camera,
        label=one.fact.label, by=one.fact.by, reason=one.fact.reason, since_ms=one.at_ms, until_ms=one.fact.until_ms,
        outcome=one.outcome, outcome_detail=one.outcome_detail,
    )  # fmt: skip


@router.post("", status_code=201, responses=_ANSWERS)
async def suppress(body: SuppressAlarm, person: Suppressor, parts: Parts) -> SuppressionList:
    """Tell the node."""
    await parts.suppressing.suppress(body.incident, for_s=body.for_s, reason=body.reason, person=person)
    return await suppressions(person, parts)


@router.delete("/{alert_id}", responses=_ANSWERS)
async def end(
    alert_id: Annotated[str, Path(pattern="^[0-9a-f]{64}$")], person: Suppressor, parts: Parts
) -> SuppressionList:
    """Have it told again."""
    await parts.suppressing.end(bytes.fromhex(alert_id), person)
    return await suppressions(person, parts)
