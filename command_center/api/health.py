"""``/healthz``, ``/readyz`` and ``/metrics``: for machines that watch."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from command_center import journal
from command_center.accounts import Permission
from command_center.api.access import MetricsReader, Parts, behind, is_beside
from command_center.api.shapes import Problem
from command_center.errors import AccessDenied
from command_center.services import Services

router = APIRouter(tags=["health"])


@router.get("/healthz", response_class=PlainTextResponse)
async def healthz() -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok\n")


@router.get("/readyz", response_class=PlainTextResponse, responses={503: {"description": "Not ready, and why."}})
async def readyz(request: Request, parts: Parts) -> PlainTextResponse:
    """It can store, has room, and receipts go out; 503 where one of them fails.

    Anybody is told whether it is ready and which of the three fails: a load balancer has no token. Figures and folders are for a program
    on this machine and for whoever may read the metrics.
    """
    found = await parts.liveness.findings()
    failing = [item.name for item in found if not item.is_good]
    lines = [f"not ready: {', '.join(failing)}" if failing else "ready"]
    if await _may_know(request, parts):
        lines += [f"{item.name}: {'ok' if item.is_good else 'FAILS'} ({item.detail})" for item in found]
    return PlainTextResponse("\n".join([*lines, ""]), status_code=503 if failing else 200)


async def _may_know(request: Request, parts: Services) -> bool:
    if is_beside(request, parts):
        return True
    try:
        someone = await behind(request, parts)
    except AccessDenied:  # a token that has ended: a watchdog goes on watching, as anybody may
        return False
    return someone is not None and someone.may(Permission.METRICS_READ)


@router.get("/metrics", response_class=PlainTextResponse, responses={401: {"model": Problem}, 403: {"model": Problem}})
async def metrics(parts: Parts, _: MetricsReader) -> PlainTextResponse:
    """Counts and hop latencies, Prometheus text format: for an agent on this machine, or a token with ``metrics.read``."""
    size, unacknowledged = await parts.readers.run(
        lambda connection: (
            journal.size(connection),
            connection.execute("SELECT COUNT(*) FROM incident WHERE state = 'unacknowledged'").fetchone()[0],
        )
    )
    gauges = {"journal_entries": float(size), "incidents_unacknowledged": float(unacknowledged),
              "consoles": float(parts.feed.consoles), "audit_entries_not_indexed": float(max(0, size - parts.audit_index.through)),
              **parts.station_gauges()}  # fmt: skip
    return PlainTextResponse(parts.metrics.text(gauges), media_type="text/plain; version=0.0.4")
