"""What every running station does beside carrying: beat, and answer at its local door."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from importlib.metadata import version

import msgspec

from relay import courier, limits, tracing
from relay.door import Verb
from relay.emitter import EmitRequest, Emitted, RetractRequest, emitted, snapshot_drafts
from relay.errors import Malformed, OperatorError, SpoolFull
from relay.header import Kind
from relay.kinds import body
from relay.kinds.heartbeat import CameraHealth, Heartbeat, Room
from relay.precedence import Precedence
from relay.spool import Spooled
from relay.station import Station
from relay.survey import order_of


async def compose_heartbeat(
    station: Station, *, interval_s: int, started_monotonic_ms: int, cameras: tuple[CameraHealth, ...] = (),
    model: str = "", model_sha256: bytes = b"",
) -> Heartbeat:  # fmt: skip
    """How this station is now."""
    status = await station.status()
    return Heartbeat(
        release=version("heard"), uptime_s=max(0, station.clock.monotonic_ms() - started_monotonic_ms) // 1000,
        interval_s=interval_s, backlog=status.backlog, oldest_waiting_s=status.oldest_waiting_s,
        spool_bytes=status.spool_bytes, disk_free_bytes=shutil.disk_usage(station.database.file.parent).free,
        refused=station.counters.refused_total, forgone=status.forgone[: limits.MAX_FORGONE_RANGES], cameras=cameras,
        paths=tuple(path.for_heartbeat() for path in status.paths[:16]), model=model, model_sha256=model_sha256,
        room=Room[status.room.upper()], refusals=station.counters.refusals(limits.MAX_REFUSALS_TOLD),
    )  # fmt: skip


async def put_heartbeat(station: Station, heartbeat: Heartbeat) -> None:
    """Spool a heartbeat; it expires after three intervals, the next one says the same and more."""
    draft = station.draft_up(Kind.HEARTBEAT, Precedence.ROUTINE, body.encode(heartbeat), ttl_s=3 * heartbeat.interval_s)
    try:
        await station.put(draft)
    except SpoolFull:  # alerts have the room; the spool has said so itself, and the next beat tries again
        station.counters.refused("heartbeat_spool_full")


async def beat(station: Station, *, interval_s: int) -> None:
    """A relay's heart: one heartbeat now, and one every interval."""
    started_ms = station.clock.monotonic_ms()
    while True:
        await put_heartbeat(
            station, await compose_heartbeat(station, interval_s=interval_s, started_monotonic_ms=started_ms)
        )
        await asyncio.sleep(interval_s)


async def is_well(station: Station) -> str:
    """What keeps a station from its work, for a service manager's watchdog; empty: its spool answers."""
    try:
        await station.database.run(_read_nothing)
    except OperatorError as error:
        return str(error)
    return ""


Alongside = Callable[[sqlite3.Connection, Spooled, EmitRequest], None]


async def emit_alert(station: Station, request: EmitRequest, alongside: Alongside | None = None) -> Emitted:
    """Spool an alert first and alone, then its picture; durable when this returns.

    ``alongside`` writes what else belongs to the alert, in the transaction that spools it.

    Raises:
        Malformed: a field is outside its bounds.
        OperatorError: the spool has no room, or its disk fails.
    """
    sealing_key = station.authority.sealing_key
    draft = request.alert_draft(sealing_key)

    def put(connection: sqlite3.Connection) -> Spooled:
        spooled = station.spool.put(connection, draft)
        if alongside is not None:
            alongside(connection, spooled, request)
        return spooled

    try:
        spooled = await station.database.run(put)
    except SpoolFull as error:
        station.counters.refused(error.reason)
        raise
    station.announce([spooled])
    result = emitted(spooled)
    if request.snapshot:
        await station.put_all(
            snapshot_drafts(request.snapshot, alert_id=spooled.envelope.id, sealing_key=sealing_key,
                            captured_wall_ms=station.clock.wall_ms() - request.age_ms,
                            captured_monotonic_ms=max(0, station.clock.monotonic_ms() - request.age_ms))
        )  # fmt: skip
    return result


async def retract_alert(station: Station, request: RetractRequest) -> Emitted:
    """Spool a retraction.

    Raises:
        Malformed, OperatorError: as ``emit_alert``.
    """
    return emitted(await station.put(request.draft(station.authority.sealing_key)))


def emit_verb(station: Station, alongside: Alongside | None = None) -> Verb:
    """The door's ``emit``."""

    async def emit(raw: msgspec.Raw) -> Emitted:
        try:
            request = msgspec.json.decode(raw, type=EmitRequest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"expected the fields of an alert: {error}") from error
        return await emit_alert(station, request, alongside)

    return emit


def retract_verb(station: Station) -> Verb:
    """The door's ``retract``: takes back an alert that was raised here."""

    async def retract(raw: msgspec.Raw) -> Emitted:
        try:
            request = msgspec.json.decode(raw, type=RetractRequest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"expected the fields of a retraction: {error}") from error
        return await retract_alert(station, request)

    return retract


def carrying_verbs(station: Station) -> Mapping[str, Verb]:
    """What any station answers at its door, the center's too: its status, and carrying by hand."""

    async def carry(raw: msgspec.Raw) -> object:
        return await courier.carry(station, courier.order_of(raw))

    async def deliver(raw: msgspec.Raw) -> object:
        return await courier.deliver(station, courier.order_of(raw))

    async def status(_: msgspec.Raw) -> object:
        return await station.status()

    async def survey(raw: msgspec.Raw) -> object:
        return await station.survey(order_of(raw))

    async def trace(raw: msgspec.Raw) -> object:
        return await tracing.answer(station, raw)

    async def ping(_: msgspec.Raw) -> object:
        await station.database.run(_read_nothing)
        return "here"

    return {"status": status, "ping": ping, "trace": trace, "survey": survey, "carry": carry, "deliver": deliver}


def station_verbs(station: Station) -> Mapping[str, Verb]:
    """What a relay or a node answers at its door."""
    return {**carrying_verbs(station), "emit": emit_verb(station), "retract": retract_verb(station)}


def _read_nothing(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT 1 FROM stream LIMIT 1").fetchone()
