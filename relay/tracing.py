"""Tells traces upwards, keeps them on this machine's disk, and answers ``alert-relay trace``.

A trace is ROUTINE and expires after an hour: it never stands before an alert, and a lost one is only a lost measurement. Started
by the service that runs a node or a relay; a station by itself tells nothing.
"""

import asyncio
import sqlite3
from typing import Final

import msgspec
import structlog

from relay.errors import HeardError, Malformed
from relay.header import Kind
from relay.ids import NodeId
from relay.kinds import body
from relay.kinds.trace import UNKNOWN
from relay.precedence import Precedence
from relay.station import Station
from relay.timeline import Stay, traces_of

_log = structlog.get_logger("relay.tracing")

TELL_EVERY_S: Final = 5.0
_TTL_S: Final = 3_600
_KEPT: Final = 20_000
"""Alerts whose way is kept on this machine's disk, newest first."""
_ANSWERED_MOST: Final = 20


class LegTold(msgspec.Struct, frozen=True, kw_only=True):
    """One leg, for people. Times are ms since the alert was durable here."""

    path: str
    carrier: str
    provider: str
    to: str
    sent_after_ms: int | None
    answered_after_ms: int | None
    """Since it was sent; null: no answer yet."""
    answer: str
    """``stored``, ``receipt``, or empty."""
    tries: int


class AlertWay(msgspec.Struct, frozen=True, kw_only=True):
    """How one alert went through this station."""

    alert: str
    station: str
    came_from: str
    """The neighbor's name; empty: raised here, or before this process started."""
    came_over: str
    durable_at_wall_ms: int | None
    """By this machine's wall clock, whose quality is beside it."""
    clock_quality: str
    legs: tuple[LegTold, ...]
    heard_after_ms: int | None
    """Until the command center's receipt was settled here, since durable; null: not yet."""


def way_through(station: Station, stay: Stay) -> AlertWay:
    """A stay in words."""
    wall_ms, monotonic_ms = station.clock.wall_ms(), station.clock.monotonic_ms()
    had_ms = stay.had_ms if stay.had_ms != UNKNOWN else None

    def since_durable(at_ms: int) -> int | None:
        return None if had_ms is None or at_ms == UNKNOWN else at_ms - had_ms

    def name_of(node_id: NodeId) -> str:
        return station.trust.name_of(node_id)

    return AlertWay(
        alert=stay.alert.hex(), station=station.passport.name,
        came_from=name_of(stay.came_from) if stay.came_from else "", came_over=stay.came_over,
        durable_at_wall_ms=None if had_ms is None else wall_ms - (monotonic_ms - had_ms),
        clock_quality=station.clock.quality().name.lower(),
        legs=tuple(
            LegTold(path=leg.facts.name, carrier=leg.facts.kind, provider=leg.facts.provider, to=name_of(leg.to),
                    sent_after_ms=since_durable(leg.sent_ms),
                    answered_after_ms=None if leg.answered_ms == UNKNOWN else leg.answered_ms - leg.sent_ms,
                    answer="" if leg.answered_ms == UNKNOWN else "receipt" if leg.is_receipt else "stored",
                    tries=leg.tries)
            for leg in stay.legs.values()
        ),
        heard_after_ms=since_durable(stay.heard_ms),
    )  # fmt: skip


async def tell(station: Station, *, every_s: float = TELL_EVERY_S) -> None:
    """Tell what is new, now and then, until cancelled."""
    while True:
        await asyncio.sleep(every_s)
        news = station.timeline.take_news()
        if not news:
            continue
        ways = [(stay.alert, msgspec.json.encode(way_through(station, stay))) for stay in news]
        drafts = [station.draft_up(Kind.TRACE, Precedence.ROUTINE, body.encode(said), ttl_s=_TTL_S)
                  for said in traces_of(news)]  # fmt: skip
        try:
            await station.database.run(lambda connection, ways=ways: _keep(connection, ways))  # type: ignore[misc]
            await station.put_all(drafts)
        except HeardError as error:  # a full disk: alerts come first, and a lost measurement is only that
            station.counters.refused("trace_not_kept")
            station.timeline.put_back(news)
            _log.error("trace not kept", error=str(error))


def _keep(connection: sqlite3.Connection, ways: list[tuple[bytes, bytes]]) -> None:
    connection.executemany(
        "INSERT INTO way_of_alert (alert, told) VALUES (?, ?) ON CONFLICT (alert) DO UPDATE SET told = excluded.told",
        ways,
    )
    connection.execute("DELETE FROM way_of_alert WHERE number <= (SELECT MAX(number) FROM way_of_alert) - ?", (_KEPT,))


class TraceQuestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which alert: its id, or how it begins."""

    alert: str


def wanted_in(raw: msgspec.Raw) -> str:
    """The first digits of an alert's id that the door was asked for.

    Raises:
        Malformed: not the beginning of an id.
    """
    try:
        wanted = msgspec.json.decode(raw, type=TraceQuestion).alert.lower()
        bytes.fromhex(wanted.ljust(64, "0"))
    except (msgspec.DecodeError, ValueError) as error:
        raise Malformed(f"expected an alert's id or its first digits, hexadecimal: {error}") from error
    if not 8 <= len(wanted) <= 64:
        raise Malformed(f"expected 8 to 64 digits of an alert's id, found {len(wanted)}")
    return wanted


async def answer(station: Station, raw: msgspec.Raw) -> list[AlertWay]:
    """The door's ``trace``: every alert here whose id begins so, newest first.

    Raises:
        Malformed: not the beginning of an id.
    """
    wanted = wanted_in(raw)
    live = {stay.alert.hex(): way_through(station, stay) for stay in station.timeline.of(bytes.fromhex(wanted[: len(wanted) & ~1]))
            if stay.alert.hex().startswith(wanted)}  # fmt: skip

    def read(connection: sqlite3.Connection) -> list[bytes]:
        rows = connection.execute(
            "SELECT told FROM way_of_alert WHERE alert >= ? AND alert <= ? ORDER BY number DESC LIMIT ?",
            (bytes.fromhex(wanted.ljust(64, "0")), bytes.fromhex(wanted.ljust(64, "f")), _ANSWERED_MOST),
        )
        return [row[0] for row in rows]

    kept = [msgspec.json.decode(told, type=AlertWay) for told in await station.database.run(read)]
    return [*live.values(), *(way for way in kept if way.alert not in live)][:_ANSWERED_MOST]
