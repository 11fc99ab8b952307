"""``/api/v1/snapshots``: pictures by the SHA-256 that was signed, encoded anew before a browser sees them.

What a node sent is a stranger's file: a browser gets pixels of ours, never its bytes. The bytes as signed are in the evidence export.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Path
from fastapi.responses import Response

from command_center import pictures
from command_center.api.access import Parts, PictureViewer
from command_center.api.shapes import Problem
from command_center.errors import NotFound
from command_center.services import Services

router = APIRouter(prefix="/api/v1/snapshots", tags=["snapshots"], responses={401: {"model": Problem}})

_SMALL_PX: Final = 800
_LARGEST_PX: Final = 1920


@router.get("/{sha256}", response_class=Response,
            responses={200: {"content": {"image/jpeg": {}}}, 404: {"model": Problem}})  # fmt: skip
async def snapshot(
    sha256: Annotated[str, Path(pattern="^[0-9a-f]{64}$")], person: PictureViewer, parts: Parts
) -> Response:
    """One picture; looking at it is journalled."""
    digest = bytes.fromhex(sha256)
    row = await parts.readers.run(
        lambda connection: connection.execute(
            "SELECT 1 FROM stored_object WHERE sha256 = ? AND media_type LIKE 'image/%'", (digest,)
        ).fetchone()
    )
    if row is None:
        raise NotFound("this picture is not here: it has not come yet, or was refused")
    await parts.viewings.note(person, f"object:{sha256}")
    data = await pictures.small(parts.blobs.file_of(digest), _LARGEST_PX)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=31536000, immutable"})


async def small(parts: Services, incident_id: int) -> Response:
    """An incident's snapshot for a small page, re-encoded. Who may look, and that they did, is the caller's part.

    Raises:
        NotFound: there is none, or it can't be shown.
    """
    row = await parts.readers.run(
        lambda connection: connection.execute(
            "SELECT snapshot_sha256 FROM incident WHERE id = ?", (incident_id,)
        ).fetchone()
    )
    if row is None or row[0] is None:
        raise NotFound("there is no picture of it yet")
    data = await pictures.small(parts.blobs.file_of(row[0]), _SMALL_PX)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})
