"""``/api/v1/nodes``: the fleet."""

from fastapi import APIRouter

from command_center.api import queries
from command_center.api.access import Parts, Person
from command_center.api.shapes import NodeList, Problem

router = APIRouter(prefix="/api/v1/nodes", tags=["nodes"], responses={401: {"model": Problem}})


@router.get("")
async def fleet(_: Person, parts: Parts) -> NodeList:
    """Every node: when it was last heard, and what has not come."""
    return await parts.readers.run(lambda connection: NodeList(nodes=list(queries.nodes(connection, parts.clock))))
