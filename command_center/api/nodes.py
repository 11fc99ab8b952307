"""``/api/v1/nodes``: the fleet, and what administrators make of it."""

from typing import Annotated

from fastapi import APIRouter, Path

from command_center.api import queries
from command_center.api.access import FleetManager, FleetReader, Parts
from command_center.api.membership_shapes import (
    Approve,
    Approved,
    InviteOrder,
    MadeInvite,
    StandbyState,
    StandingOrder,
    WaitingList,
    WaitingMachine,
)
from command_center.api.shapes import NodeList, Problem
from command_center.errors import BadRequest, NotPossible
from command_center.fleet import Standing
from command_center.membership import ENROLLS
from relay.ids import NodeId

router = APIRouter(prefix="/api/v1/nodes", tags=["nodes"], responses={401: {"model": Problem}})
_ANSWERS: dict[int | str, dict[str, object]] = {code: {"model": Problem} for code in (403, 404, 409, 422)}
NodeHex = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]


@router.get("")
async def fleet(_: FleetReader, parts: Parts) -> NodeList:
    """Every node: when it was last heard, and what has not come."""
    return await parts.readers.run(lambda connection: NodeList(nodes=list(queries.nodes(connection, parts.clock))))


@router.get("/standby")
async def standby(_: FleetReader, parts: Parts) -> StandbyState:
    """Whether another machine has all that this center has."""
    leader = parts.standby.leader
    if leader is None:
        return StandbyState(address="", is_in_step=False, why_not="", since_ms=None)
    return StandbyState(address=parts.config.standby.address, is_in_step=leader.is_in_step,
                        why_not="" if leader.is_in_step else leader.why_not, since_ms=leader.since_ms)  # fmt: skip


@router.get("/waiting", responses={403: {"model": Problem}})
async def waiting(_: FleetReader, parts: Parts) -> WaitingList:
    """Machines that asked to join and wait for an administrator."""
    found = await parts.membership.waiting()
    return WaitingList(
        waiting=[WaitingMachine(name=one.name, role=one.role, site=one.site, node=one.node) for one in found]
    )


@router.post("/waiting/{name}/approval", status_code=201, responses=_ANSWERS)
async def approve(name: str, body: Approve, person: FleetManager, parts: Parts) -> Approved:
    """Let a machine in. It gets its passport with its next question."""
    try:
        passport = await parts.membership.approve(name, by=f"user:{person.username}", node=body.node)
    except BadRequest as error:
        raise NotPossible(str(error)) from error
    return Approved(id=passport.node_id.hex(), name=passport.name, serial=passport.serial)


@router.post("/invites", status_code=201, responses=_ANSWERS)
async def invite(body: InviteOrder, person: FleetManager, parts: Parts) -> MadeInvite:
    """Make a one-time enrollment code."""
    try:
        made = await parts.membership.invite(name=body.name, role=body.role, site=body.site, minutes=body.minutes,
                                             is_preapproved=body.is_preapproved, by=f"user:{person.username}")  # fmt: skip
    except BadRequest as error:
        raise NotPossible(str(error)) from error
    return MadeInvite(
        code=made.code, command=ENROLLS[body.role].format(code=made.code), expires_at_ms=made.expires_at_ms
    )


@router.put("/{node}/standing", responses=_ANSWERS)
async def set_standing(node: NodeHex, body: StandingOrder, person: FleetManager, parts: Parts) -> NodeList:
    """Quarantine a node, take it back, or withdraw it for good; its connections are cut then."""
    try:
        await parts.membership.set_standing(NodeId(bytes.fromhex(node)), Standing(body.standing), body.reason.strip(), by=f"user:{person.username}",
                                            was=Standing(body.was))  # fmt: skip
    except BadRequest as error:
        raise NotPossible(str(error)) from error
    return await fleet(person, parts)
