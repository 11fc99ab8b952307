"""``/api/v1/shelves``: sources that people keep silent for a while."""

from fastapi import APIRouter

from command_center.api import queries
from command_center.api.access import Parts, Person, Shelver
from command_center.api.shapes import Problem, ShelfList, ShelveSource
from command_center.errors import NotPossible

router = APIRouter(prefix="/api/v1/shelves", tags=["shelves"], responses={401: {"model": Problem}})
_ANSWERS: dict[int | str, dict[str, object]] = {code: {"model": Problem} for code in (403, 404, 409, 422)}


@router.get("")
async def shelves(_: Person, parts: Parts) -> ShelfList:
    """What is silent now, and until when."""
    return ShelfList(shelves=await parts.readers.run(queries.shelves))


@router.post("", status_code=201, responses=_ANSWERS)
async def shelve(body: ShelveSource, person: Shelver, parts: Parts) -> ShelfList:
    """Keep a source silent. FLASH is only when a second person agrees."""
    try:
        node = bytes.fromhex(body.node)
    except ValueError as error:
        raise NotPossible(f"expected a node's id in hexadecimal, found {body.node[:40]!r}") from error
    await parts.shelves.shelve(node=node, camera=body.camera[:64], label=body.label[:64], reason=body.reason[:500],
                               minutes=body.minutes, covers_flash=body.covers_flash, person=person)  # fmt: skip
    return ShelfList(shelves=await parts.readers.run(queries.shelves))


@router.post("/{shelf_id}/agree", responses=_ANSWERS)
async def agree(shelf_id: int, person: Shelver, parts: Parts) -> ShelfList:
    """The second person: FLASH falls silent, too."""
    await parts.shelves.agree(shelf_id, person)
    return ShelfList(shelves=await parts.readers.run(queries.shelves))


@router.delete("/{shelf_id}", responses=_ANSWERS)
async def unshelve(shelf_id: int, person: Shelver, parts: Parts) -> ShelfList:
    """End it now; what waits is annunciated."""
    await parts.shelves.unshelve(shelf_id, person)
    return ShelfList(shelves=await parts.readers.run(queries.shelves))
