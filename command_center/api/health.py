"""``/healthz``, ``/readyz`` and ``/metrics``: for machines that watch."""

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from command_center import journal
from command_center.api.access import MetricsReader, Parts
from command_center.api.shapes import Problem

router = APIRouter(tags=["health"])


@router.get("/healthz", response_class=PlainTextResponse)
async def healthz() -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok\n")


@router.get("/readyz", response_class=PlainTextResponse, responses={503: {"description": "Not ready, and why."}})
async def readyz(parts: Parts) -> PlainTextResponse:
    """It can store, has room, and receipts go out; 503 where one of them fails, which the text names."""
    found = await parts.liveness.findings()
    lines = [f"{item.name}: {'ok' if item.is_good else 'FAILS'} ({item.detail})" for item in found]
    is_ready = all(item.is_good for item in found)
    return PlainTextResponse(
        "\n".join(["ready" if is_ready else "not ready", *lines, ""]), status_code=200 if is_ready else 503
    )


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
              "consoles": float(parts.feed.consoles), **parts.station_gauges()}  # fmt: skip
    return PlainTextResponse(parts.metrics.text(gauges), media_type="text/plain; version=0.0.4")
