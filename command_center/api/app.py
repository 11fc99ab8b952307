"""The application: routers, error answers, the console's pages. Made by ``create_app``; ``center`` serves it."""

from typing import Final

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from command_center.api import (
    account,
    accounts,
    aid_page,
    audit,
    callbacks,
    cap_feed,
    clips,
    console_files,
    custody,
    enrollments,
    events,
    exports,
    handovers,
    health,
    incidents,
    journal,
    live,
    maps,
    nodes,
    phone,
    places,
    quality,
    responses,
    session,
    shelves,
    snapshots,
    suppressions,
    unit_page,
    units,
    witness,
)
from command_center.api.hardening import Hardening
from command_center.api.read_only import auditors_only_look
from command_center.errors import AccessDenied, ActionRefused, LostRace, NotFound, NotPossible
from command_center.services import Services
from relay.errors import OperatorError

_MOST_MISTAKES: Final = 20
_MOST_CHARACTERS: Final = 200


def create_app(services: Services) -> FastAPI:
    """The ASGI application. Interactive docs are off: they would load scripts from elsewhere."""
    app = FastAPI(
        title="Heard command center",
        version="1",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(auditors_only_look)],
    )
    app.state.services = services
    app.add_middleware(Hardening)
    app.add_exception_handler(AccessDenied, _denied)
    app.add_exception_handler(NotFound, _not_found)
    app.add_exception_handler(NotPossible, _refused)
    app.add_exception_handler(LostRace, _refused)
    app.add_exception_handler(OperatorError, _unavailable)
    app.add_exception_handler(OverflowError, _out_of_range)
    app.add_exception_handler(UnicodeEncodeError, _no_text)
    app.add_exception_handler(RequestValidationError, _misshapen)
    for noun in (
        session,
        account,
        accounts,
        incidents,
        nodes,
        snapshots,
        clips,
        events,
        live,
        journal,
        enrollments,
        health,
        shelves,
        quality,
        callbacks,
        unit_page,
        exports,
        audit,
        custody,
        witness,
        phone,
        aid_page,
        cap_feed,
        units,
        handovers,
        responses,
        places,
        maps,
        suppressions,
    ):
        app.include_router(noun.router)
    app.mount("/", console_files.ConsoleFiles(), name="console")
    return app


async def _denied(_: Request, error: Exception) -> JSONResponse:
    status = error.status if isinstance(error, AccessDenied) else 401
    headers = {"Retry-After": "900"} if status == 429 else None
    return JSONResponse({"detail": str(error)}, status_code=status, headers=headers)


async def _not_found(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=404)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ActionRefused)
    return JSONResponse({"detail": str(error)}, status_code=409 if isinstance(error, LostRace) else 422)


async def _out_of_range(_: Request, __: Exception) -> JSONResponse:
    """A number that no row can have: SQLite's integers end at 2^63."""
    return JSONResponse({"detail": "a number in this request is larger than any that exists here"}, status_code=422)


async def _no_text(_: Request, __: Exception) -> JSONResponse:
    """JSON can name half a character (a lone surrogate); no file and no row can hold one."""
    return JSONResponse({"detail": "a text in this request holds half a character"}, status_code=422)


async def _misshapen(_: Request, error: Exception) -> JSONResponse:
    """Where a request is not as its address expects, and why. What was sent is not said back: it may be no text, or no JSON."""
    assert isinstance(error, RequestValidationError)
    told = [{"type": item["type"], "loc": [_plain(part) for part in item["loc"]], "msg": _plain(item["msg"])}
            for item in error.errors()[:_MOST_MISTAKES]]  # fmt: skip
    return JSONResponse({"detail": told}, status_code=422)


def _plain(part: int | str) -> int | str:
    return part if isinstance(part, int) else part.encode("utf-8", "replace").decode()[:_MOST_CHARACTERS]


async def _unavailable(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=503)
