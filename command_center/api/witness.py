"""``/api/v1/witness``: other centers' checkpoints are kept and signed here (C2SP tlog-witness), and who keeps ours."""

import sqlite3
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from command_center.api.access import JournalReader, Parts
from command_center.api.evidence_shapes import WitnessedLog, WitnessList, WitnessWord
from command_center.api.shapes import Problem
from command_center.errors import BadRequest, NotFound, NotPossible
from command_center.witness import desk
from command_center.witness.cosigning import MAX_REQUEST_BYTES, parse_key, parse_request

router = APIRouter(prefix="/api/v1/witness", tags=["evidence"])
_ANSWERS: Final[dict[int | str, dict[str, object]]] = {
    400: {"description": "Not such a request."}, 403: {"description": "Not signed by that log."}, 404: {"description": "Unknown log."},
    409: {"description": "The size that this witness has."}, 422: {"description": "No proof that the log only grew."},
}  # fmt: skip


@router.post("/add-checkpoint", response_class=PlainTextResponse, responses=_ANSWERS)
async def add_checkpoint(request: Request, parts: Parts) -> Response:
    """Keep and sign a known log's checkpoint. Nobody signs in: the checkpoint's own signature and the proof are what counts."""
    body = await request.body()
    if len(body) > MAX_REQUEST_BYTES:
        return PlainTextResponse("too large\n", status_code=413)
    known = [parse_key(text) for text in parts.config.witness.known]
    try:
        submission = parse_request(body)
    except BadRequest as error:
        return PlainTextResponse(f"{error}\n", status_code=400)
    try:
        line = await parts.database.run(
            lambda connection: desk.witness(connection, submission, known, name=parts.journal_origin, signing=parts.identity.signing,
                                            clock=parts.clock)
        )  # fmt: skip
        return PlainTextResponse(desk.require_signed(line))
    except desk.StaleSize as error:
        return PlainTextResponse(f"{error.size}\n", status_code=409, media_type="text/x.tlog.size")
    except NotFound as error:
        return PlainTextResponse(f"{error}\n", status_code=404)
    except BadRequest as error:
        return PlainTextResponse(f"{error}\n", status_code=403)
    except NotPossible as error:
        return PlainTextResponse(f"{error}\n", status_code=422)


@router.get("", responses={401: {"model": Problem}, 403: {"model": Problem}})
async def words(_: JournalReader, parts: Parts) -> WitnessList:
    """Who has our checkpoints and what came of it, and whose we keep."""

    def read(connection: sqlite3.Connection) -> WitnessList:
        ours = connection.execute("SELECT target, size, at_ms, cosignature, problem FROM witness_word ORDER BY target")
        theirs = connection.execute("SELECT origin, size, note, at_ms FROM witnessed ORDER BY origin")
        return WitnessList(
            every_s=parts.config.witness.every_s,
            ours=[WitnessWord(target=r[0], size=r[1], at_ms=r[2], cosignature=r[3], problem=r[4]) for r in ours],
            theirs=[WitnessedLog(origin=r[0], size=r[1], note=r[2], at_ms=r[3]) for r in theirs],
        )

    return await parts.readers.run(read)
