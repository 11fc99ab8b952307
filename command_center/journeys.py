"""How an alert got here, hop by hop, and who owns the delay: put together from the traces of the stations that it came through.

Each station tells of its own time on its own monotonic clock, signed (``relay.kinds.trace``); nobody's wall clock decides. A hop's
duration is what its sender measured from handing the alert over to the other end's answer, so it holds the way there, the other
end's commit, and the way back. From the same three moments follow bounds on how far two stations' wall clocks are apart, as in
Cristian's algorithm: the alert can't have arrived before it was sent, nor after its answer was here.

Owns the tables ``passage`` and ``leg``, which follow from the journal. It believes a station about itself and about nothing else;
what no trace tells is null.
"""

import sqlite3
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from command_center.alert_by_id import entry_between
from relay.envelope import Envelope
from relay.kinds.trace import ALERT_BYTES, UNKNOWN, Trace
from relay.schema_steps import steps_in

SCHEMA: Final = steps_in(files("command_center").joinpath("schema", "journeys"))
TABLES: Final = {"passage": "alert, teller", "leg": "alert, teller, recipient, path"}
_MOST_HOPS: Final = 8
_MOST_LEGS: Final = 32
"""Of one alert at one teller: what is over is not kept."""


def write(connection: sqlite3.Connection, envelope: Envelope, trace: Trace) -> list[int]:
    """Write what a trace tells; returns the incidents whose alerts it speaks of."""
    header, teller = envelope.header, envelope.header.origin
    touched: set[int] = set()
    for passage in trace.passages:
        connection.execute(
            "INSERT OR REPLACE INTO passage VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (passage.alert, teller, passage.came_from, passage.came_over, passage.had_ms, passage.heard_ms,
             header.wall_ms - header.monotonic_ms, int(header.quality)),
        )  # fmt: skip
        for leg in passage.legs:
            if leg.way >= len(trace.ways) or _legs_of(connection, passage.alert, teller) >= _MOST_LEGS:
                continue
            way = trace.ways[leg.way]
            connection.execute(
                "INSERT OR REPLACE INTO leg VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (passage.alert, teller, leg.to, way.path, way.carrier, way.provider, int(way.is_metered), leg.sent_ms,
                 leg.answered_ms, leg.tries, int(leg.is_receipt)),
            )  # fmt: skip
        touched |= _incidents_of(connection, passage.alert)
    return sorted(touched)


def _legs_of(connection: sqlite3.Connection, alert: bytes, teller: bytes) -> int:
    found: int = connection.execute(
        "SELECT count(*) FROM leg WHERE alert = ? AND teller = ?", (alert, teller)
    ).fetchone()[0]
    return found


def _incidents_of(connection: sqlite3.Connection, alert: bytes) -> set[int]:
    rows = connection.execute(
        f"SELECT incident FROM alert WHERE entry = {entry_between('?', '?')}",  # noqa: S608  a constant
        (alert.ljust(32, b"\0"), alert.ljust(32, b"\xff")),
    )
    return {row[0] for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One station's part of an alert's way, and the path to the next one. Milliseconds; None: not known."""

    station: bytes
    to: bytes | None
    """The next station; None: this center."""
    held_ms: int | None
    """Durable there until handed to the path, on that station's clock."""
    path: str
    carrier: str
    provider: str
    is_metered: bool
    answered_ms: int | None
    """Handed over until the answer was back, on the same clock: the way there took at most this."""
    answer: str
    """``stored``, ``receipt``, or empty."""
    tries: int
    clock_ahead_ms: tuple[int, int] | None
    """The next station's wall clock minus this one's lies between these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Another copy that was sent, over another path or to another station."""

    station: bytes
    to: bytes
    path: str
    carrier: str
    provider: str
    sent_after_ms: int | None
    """Since the alert was durable at its sender."""
    answered_ms: int | None
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """An alert's whole way, as far as it is told."""

    hops: tuple[Hop, ...]
    """The way of the first copy that arrived, from its node on."""
    copies: tuple[Copy, ...]
    total_ms: int | None
    """Durable at its node until the receipt was settled there, on that node's clock."""
    owner: str
    """What took longest: ``held:<station's id>`` or ``path:<name>``; empty where nothing is told."""
    is_whole: bool
    """Whether every hop of the way is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """What this center knows by itself of an alert's arrival."""

    alert_id: bytes
    node: bytes
    via: bytes
    path: str
    received_wall_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passage:
    came_from: bytes
    came_over: str
    had_ms: int
    heard_ms: int
    boot_instant_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leg:
    teller: bytes
    recipient: bytes
    path: str
    carrier: str
    provider: str
    is_metered: bool
    sent_ms: int
    answered_ms: int
    tries: int
    is_receipt: bool

    @property
    def took_ms(self) -> int | None:
        """Until its answer."""
        return None if self.answered_ms == UNKNOWN else max(0, self.answered_ms - self.sent_ms)


def journey_of(connection: sqlite3.Connection, arrived: Arrived) -> Journey | None:
    """The way of an alert; None if no station has told anything of it."""
    prefix = arrived.alert_id[:ALERT_BYTES]
    passages = {
        row[0]: _Passage(came_from=row[1], came_over=row[2], had_ms=row[3], heard_ms=row[4], boot_instant_ms=row[5])
        for row in connection.execute(
            "SELECT teller, came_from, came_over, had_ms, heard_ms, boot_instant_ms FROM passage WHERE alert = ?",
            (prefix,),
        )
    }
    legs = [
        _Leg(teller=row[0], recipient=row[1], path=row[2], carrier=row[3], provider=row[4], is_metered=bool(row[5]),
             sent_ms=row[6], answered_ms=row[7], tries=row[8], is_receipt=bool(row[9]))
        for row in connection.execute(
            "SELECT teller, recipient, path, carrier, provider, is_metered, sent_ms, answered_ms, tries, is_receipt "
            "FROM leg WHERE alert = ? ORDER BY sent_ms, path", (prefix,),
        )
    ]  # fmt: skip
    if not passages:
        return None
    chain, is_whole = _chain(passages, arrived)
    taken: list[_Leg | None] = [_leg_between(legs, chain, at, passages, arrived) for at in range(len(chain))]
    hops = tuple(_hop(chain, at, leg, passages, arrived) for at, leg in enumerate(taken))
    own = passages.get(arrived.node)
    total_ms = own.heard_ms - own.had_ms if own and UNKNOWN not in {own.heard_ms, own.had_ms} else None
    trusted = set(chain)
    copies = tuple(_copy(leg, passages) for leg in legs if leg not in taken and leg.teller in trusted)
    return Journey(hops=hops, copies=copies, total_ms=total_ms, owner=_owner(hops),
                   is_whole=is_whole and None not in taken)  # fmt: skip


def _chain(passages: dict[bytes, _Passage], arrived: Arrived) -> tuple[list[bytes], bool]:
    """Back from whoever handed it to us, to its node."""
    chain = [arrived.via]
    while chain[0] != arrived.node and len(chain) < _MOST_HOPS:
        before = passages.get(chain[0])
        if before is None or not before.came_from or before.came_from in chain:
            return [arrived.node, *chain], False  # somebody between them tells nothing
        chain.insert(0, before.came_from)
    return chain, chain[0] == arrived.node


def _leg_between(
    legs: list[_Leg], chain: list[bytes], at: int, passages: dict[bytes, _Passage], arrived: Arrived
) -> _Leg | None:
    """The leg that station ``at`` of the chain used towards the next one."""
    mine = [leg for leg in legs if leg.teller == chain[at]]
    if at + 1 < len(chain):
        after = passages.get(chain[at + 1])
        path, mine = after.came_over if after else "", [leg for leg in mine if leg.recipient == chain[at + 1]]
    else:
        path, mine = arrived.path, [leg for leg in mine if leg.is_receipt or leg.path == arrived.path]
    return next((leg for leg in mine if leg.path == path), mine[0] if mine else None)


def _hop(
    chain: list[bytes], at: int, leg: _Leg | None, passages: dict[bytes, _Passage], arrived: Arrived
) -> Hop:  # fmt: skip
    own = passages.get(chain[at])
    after = passages.get(chain[at + 1]) if at + 1 < len(chain) else None
    there_wall_ms = arrived.received_wall_ms if at + 1 == len(chain) else None
    if after is not None and after.had_ms != UNKNOWN:
        there_wall_ms = after.boot_instant_ms + after.had_ms
    ahead: tuple[int, int] | None = None
    if leg is not None and own is not None and there_wall_ms is not None and leg.took_ms is not None:
        most = there_wall_ms - (own.boot_instant_ms + leg.sent_ms)
        ahead = (most - leg.took_ms, most)
    held_ms = leg.sent_ms - own.had_ms if leg is not None and own is not None and own.had_ms != UNKNOWN else None
    return Hop(
        station=chain[at], to=chain[at + 1] if at + 1 < len(chain) else None,
        held_ms=None if held_ms is None else max(0, held_ms), path=leg.path if leg else "",
        carrier=leg.carrier if leg else "", provider=leg.provider if leg else "",
        is_metered=leg.is_metered if leg else False, answered_ms=leg.took_ms if leg else None,
        answer="" if leg is None or leg.took_ms is None else "receipt" if leg.is_receipt else "stored",
        tries=leg.tries if leg else 0, clock_ahead_ms=ahead,
    )  # fmt: skip


def _copy(leg: _Leg, passages: dict[bytes, _Passage]) -> Copy:
    own = passages.get(leg.teller)
    since_ms = leg.sent_ms - own.had_ms if own is not None and own.had_ms != UNKNOWN else None
    return Copy(station=leg.teller, to=leg.recipient, path=leg.path, carrier=leg.carrier, provider=leg.provider,
                sent_after_ms=since_ms, answered_ms=leg.took_ms, tries=leg.tries)  # fmt: skip


def _owner(hops: tuple[Hop, ...]) -> str:
    parts = [(hop.held_ms, f"held:{hop.station.hex()}") for hop in hops if hop.held_ms is not None]
    parts += [(hop.answered_ms, f"path:{hop.path}") for hop in hops if hop.answered_ms is not None]
    return max(parts, key=lambda part: part[0])[1] if parts else ""
