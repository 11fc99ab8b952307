"""The fleet: which nodes there are, whether the center hears them, and what it has not yet heard.

Standing (approved, quarantined, revoked) follows from the journal. The last word (when, and the last heartbeat) does
not: a journal entry for each heartbeat would be 3 MB a day and node that say "as before". A heartbeat is journalled,
whole, whenever what it says *changed* (``notable``), and the last one is always kept in ``last_word``.
"""

import enum
import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import msgspec

from command_center.errors import BadRequest, NotFound
from relay import passport as passports
from relay.clock import Clock
from relay.ids import NodeId
from relay.kinds.heartbeat import CameraState, Heartbeat
from relay.kinds.pulse import Pulse
from relay.passport import Passport, Role, SignedPassport
from relay.schema_steps import steps_in

SCHEMA: Final = steps_in(files("command_center").joinpath("schema", "fleet"))

DEFAULT_INTERVAL_S: Final = 10
_CAMERA_STATES: Final = frozenset(CameraState)
SILENT_AFTER_INTERVALS: Final = 5


class Standing(enum.Enum):
    """What the administrators, or a fork, made of a node."""

    APPROVED = "approved"
    QUARANTINED = "quarantined"
    REVOKED = "revoked"


class Hearing(enum.Enum):
    """Whether the center hears a node."""

    WAITING = "waiting"
    """Never heard."""
    LIVE = "live"
    LATE = "late"
    """More than two heartbeat intervals without a word."""
    SILENT = "silent"
    """More than five."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node as the center knows it."""

    id: NodeId
    passport: Passport
    wire: bytes
    standing: Standing
    reason: str
    last_heard_wall_ms: int | None
    last_heard_age_ms: int | None
    hearing: Hearing
    heartbeat: Heartbeat | None

    @property
    def state(self) -> str:
        """Standing where it matters more than hearing."""
        return self.hearing.value if self.standing is Standing.APPROVED else self.standing.value

    @property
    def interval_s(self) -> int:
        """How often it promised to speak."""
        return self.heartbeat.interval_s if self.heartbeat and self.heartbeat.interval_s else DEFAULT_INTERVAL_S


def hearing_at(age_ms: int | None, interval_s: int) -> Hearing:
    """Live, late or silent, from the age of the last word."""
    if age_ms is None:
        return Hearing.WAITING
    if age_ms <= 2 * interval_s * 1000:
        return Hearing.LIVE
    return Hearing.LATE if age_ms <= SILENT_AFTER_INTERVALS * interval_s * 1000 else Hearing.SILENT


def notable(heartbeat: Heartbeat) -> bytes:
    """A digest of what is worth a journal entry when it changes."""
    said = (
        heartbeat.release, heartbeat.model, heartbeat.model_sha256, heartbeat.interval_s, list(heartbeat.forgone),
        [(camera.camera, int(camera.state)) for camera in heartbeat.cameras],
        [(path.path, path.is_up) for path in heartbeat.paths], int(heartbeat.room),
    )  # fmt: skip
    return hashlib.sha256(msgspec.msgpack.encode(said)).digest()


def with_pulse(said: Heartbeat | None, pulse: Pulse, age_ms: int | None) -> Heartbeat | None:
    """The last heartbeat as a pulse changes it, ``age_ms`` after the last word; None: it changes nothing.

    While full heartbeats come, and nothing says that they will cease, a pulse says no more than that the node is there. Where they have ceased, the node is heard by
    the pulse's own interval from now on, until a full one comes again.
    """
    if said is None:
        said = Heartbeat(release="", uptime_s=0, interval_s=0, backlog=(0,) * 5, oldest_waiting_s=0, spool_bytes=0,
                         disk_free_bytes=0, refused=0, forgone=())  # fmt: skip
    elif (
        not pulse.is_narrow
        and said.interval_s < pulse.interval_s
        and hearing_at(age_ms, said.interval_s or DEFAULT_INTERVAL_S) is Hearing.LIVE
    ):
        return None
    cameras = said.cameras
    if len(cameras) == len(pulse.cameras) and all(state in _CAMERA_STATES for state in pulse.cameras):
        cameras = tuple(
            msgspec.structs.replace(camera, state=CameraState(state), frames_per_s=0.0)
            for camera, state in zip(cameras, pulse.cameras, strict=True)
        )
    paths = tuple(
        msgspec.structs.replace(path, is_up=bool(pulse.paths_up >> place & 1), rtt_ms=0.0)
        for place, path in enumerate(said.paths)
    )
    return msgspec.structs.replace(
        said, interval_s=pulse.interval_s, backlog=(pulse.alerts_waiting, 0, *said.backlog[2:]),
        oldest_waiting_s=pulse.oldest_waiting_s, room=pulse.room, cameras=cameras, paths=paths,
    )  # fmt: skip


def admit(connection: sqlite3.Connection, signed: SignedPassport) -> None:
    """Note an approved node, or a newer passport of one that is known."""
    passport = signed.passport
    connection.execute(
        "INSERT INTO node VALUES (?, ?, ?, ?, ?, '', ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name, "
        "role = excluded.role, site = excluded.site, serial = excluded.serial, passport = excluded.passport "
        "WHERE excluded.serial > serial",
        (passport.node_id, passport.name, passport.role, passport.site, Standing.APPROVED.value, passport.serial,
         signed.wire),
    )  # fmt: skip


def set_standing(connection: sqlite3.Connection, node_id: bytes, standing: Standing, reason: str) -> None:
    """Change what is made of a node."""
    connection.execute("UPDATE node SET standing = ?, reason = ? WHERE id = ?", (standing.value, reason, node_id))


def standing_of(connection: sqlite3.Connection, node_id: bytes) -> Standing | None:
    """None: not known here yet."""
    row = connection.execute("SELECT standing FROM node WHERE id = ?", (node_id,)).fetchone()
    return Standing(row[0]) if row else None


def hear(connection: sqlite3.Connection, node_id: bytes, clock: Clock, *, received_wall_ms: int,
         received_monotonic_ms: int, heartbeat: Heartbeat | Pulse | None) -> bool:  # fmt: skip
    """Note a word from a node; returns whether its heartbeat says something new (and must be journalled)."""
    row = connection.execute(
        "SELECT notable, heartbeat, at_wall_ms, at_monotonic_ms, boot_id FROM last_word WHERE node = ?", (node_id,)
    ).fetchone()
    if isinstance(heartbeat, Pulse):
        before = msgspec.msgpack.decode(row[1], type=Heartbeat) if row and row[1] else None
        heartbeat = with_pulse(before, heartbeat, None if row is None else _age_ms(clock, *row[2:]))
    digest = notable(heartbeat) if heartbeat else (row[0] if row else b"")
    body = None if heartbeat is None else msgspec.msgpack.encode(heartbeat)
    connection.execute(
        "INSERT INTO last_word VALUES (?, ?, ?, ?, ?, ?, 'waiting') ON CONFLICT (node) DO UPDATE SET "
        "at_wall_ms = excluded.at_wall_ms, at_monotonic_ms = excluded.at_monotonic_ms, boot_id = excluded.boot_id, "
        "heartbeat = COALESCE(excluded.heartbeat, heartbeat), notable = excluded.notable",
        (node_id, received_wall_ms, received_monotonic_ms, clock.boot_id, body, digest),
    )
    return heartbeat is not None and (row is None or row[0] != digest)


def hear_alerts(connection: sqlite3.Connection, boot_id: str, heard: Mapping[bytes, tuple[int, int]]) -> None:
    """Note words of several nodes that are no heartbeats. ``heard``: node to (wall ms, monotonic ms) of its last word."""
    connection.executemany(
        "INSERT INTO last_word VALUES (?, ?, ?, ?, NULL, x'', 'waiting') ON CONFLICT (node) DO UPDATE SET "
        "at_wall_ms = excluded.at_wall_ms, at_monotonic_ms = excluded.at_monotonic_ms, boot_id = excluded.boot_id",
        [(node, wall_ms, monotonic_ms, boot_id) for node, (wall_ms, monotonic_ms) in heard.items()],
    )


def next_serial(connection: sqlite3.Connection) -> int:
    """The next passport's serial number; 1 is the center's own."""
    return int(connection.execute("SELECT COALESCE(MAX(serial), 1) + 1 FROM node").fetchone()[0])


def nodes(connection: sqlite3.Connection, clock: Clock, node_id: bytes | None = None) -> Iterator[Node]:
    """Every node, by name; or only the one with this id."""
    rows = connection.execute(
        "SELECT n.id, n.passport, n.standing, n.reason, w.at_wall_ms, w.at_monotonic_ms, w.boot_id, w.heartbeat "
        "FROM node n LEFT JOIN last_word w ON w.node = n.id WHERE ?1 IS NULL OR n.id = ?1 ORDER BY n.name, n.serial",
        (node_id,),
    )
    for row in rows.fetchall():
        heartbeat = msgspec.msgpack.decode(row[7], type=Heartbeat) if row[7] else None
        age_ms = _age_ms(clock, row[4], row[5], row[6])
        interval_s = heartbeat.interval_s if heartbeat and heartbeat.interval_s else DEFAULT_INTERVAL_S
        yield Node(id=NodeId(row[0]), passport=_passport_in(row[1]), wire=row[1], standing=Standing(row[2]), reason=row[3],
                   last_heard_wall_ms=row[4], last_heard_age_ms=age_ms, hearing=hearing_at(age_ms, interval_s),
                   heartbeat=heartbeat)  # fmt: skip


def find(connection: sqlite3.Connection, clock: Clock, name_or_id: str) -> Node:
    """The node that a person means: by name, or by the first digits of its id.

    Raises:
        NotFound: none.
        BadRequest: more than one.
    """
    candidates = [
        n for n in nodes(connection, clock) if n.passport.name == name_or_id and n.standing is not Standing.REVOKED
    ]
    if not candidates:
        candidates = [n for n in nodes(connection, clock)
                      if n.passport.name == name_or_id or (len(name_or_id) >= 4 and n.id.hex().startswith(name_or_id))]  # fmt: skip
    if not candidates:
        raise NotFound(f"there is no node {name_or_id!r}: command-center node list shows them")
    if len(candidates) > 1:
        raise BadRequest(f"{len(candidates)} nodes match {name_or_id!r}: give its id instead")
    return candidates[0]


def peers_for(connection: sqlite3.Connection, clock: Clock, site: str) -> list[bytes]:
    """Passports that a new node needs to know its first neighbors: the relays of its site."""
    return [n.wire for n in nodes(connection, clock)
            if n.passport.role is Role.RELAY and n.passport.site == site and n.standing is Standing.APPROVED]  # fmt: skip


def hearing_changes(connection: sqlite3.Connection, clock: Clock) -> list[tuple[NodeId, Hearing]]:
    """Nodes that became late, silent or live since consoles were last told; notes that they are told now."""
    changed: list[tuple[NodeId, Hearing]] = []
    shown = dict(connection.execute("SELECT node, shown FROM last_word").fetchall())
    for node in nodes(connection, clock):
        if node.id in shown and shown[node.id] != node.hearing.value:
            connection.execute("UPDATE last_word SET shown = ? WHERE node = ?", (node.hearing.value, node.id))
            changed.append((node.id, node.hearing))
    return changed


def _age_ms(clock: Clock, wall_ms: int | None, monotonic_ms: int | None, boot_id: str | None) -> int | None:
    if wall_ms is None or monotonic_ms is None:
        return None
    if boot_id == clock.boot_id:
        return max(0, clock.monotonic_ms() - monotonic_ms)
    return max(0, clock.wall_ms() - wall_ms)  # this machine restarted since: its wall clock is all there is


_statement_decoder: Final = msgspec.msgpack.Decoder(tuple[bytes, bytes])


def _passport_in(wire: bytes) -> Passport:
    """The statement of a passport that was verified before it was stored."""
    return msgspec.msgpack.decode(_statement_decoder.decode(wire)[0], type=passports.Passport)
