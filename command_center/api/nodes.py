"""``/api/v1/nodes``: the fleet."""

from fastapi import APIRouter

from command_center.api import queries
from command_center.api.access import FleetReader, Parts
from command_center.api.shapes import NodeList, Problem

router = APIRouter(prefix="/api/v1/nodes", tags=["nodes"], responses={401: {"model": Problem}})


@router.get("")
async def fleet(_: FleetReader, parts: Parts) -> NodeList:
    """Every node: when it was last heard, and what has not come."""
    return await parts.readers.run(lambda connection: NodeList(nodes=list(queries.nodes(connection, parts.clock))))
