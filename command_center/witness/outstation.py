"""This center's station in another agency's fleet: it carries checkpoints there and cosignatures back, store and forward.

Its folder lies in ``agencies/`` of the state folder, made by ``command-center witness join``: keys of its own, the passport that the other agency
signed, ``relay.toml`` with the paths to it, a spool. Over any carrier, through any outage; a USB stick will do, too.

A submission waits in the spool for as long as it takes; the next one is made when the word on it has come, or after a day without.
Kept apart from the center's own database: what another agency's network does to this spool is no business of the dispatch.
"""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog

from command_center.checkpoint import Checkpoint
from command_center.metrics import Metrics
from command_center.witness.cosigning import Submission, cosigned_at
from relay import config as configs
from relay import envelope as envelopes
from relay.arrival import Arrival
from relay.clock import Clock
from relay.config import StationConfig
from relay.crew import crew
from relay.errors import SenderError
from relay.header import Kind
from relay.identity import Identity
from relay.kinds import body as bodies
from relay.kinds.checkpoint import SubmittedCheckpoint
from relay.kinds.cosignature import Cosignature
from relay.passport import Passport
from relay.precedence import Precedence
from relay.service import beat
from relay.spool import Spooled
from relay.station import Station

_log = structlog.get_logger("command_center.outstation")
CONFIG_FILE: Final = "relay.toml"
_WORD_WITHIN_MS: Final = 86_400_000
_KEPT: Final = 1000
_SCHEMA: Final = (
    """
CREATE TABLE submission (                   -- checkpoints that were sent to this agency, and what it made of them
  number      INTEGER PRIMARY KEY,
  envelope_id BLOB    NOT NULL UNIQUE,
  size        INTEGER NOT NULL,
  note        TEXT    NOT NULL,
  at_ms       INTEGER NOT NULL,
  known_size  INTEGER,                      -- what the witness has, as it says; NULL: no word yet
  cosignature TEXT    NOT NULL DEFAULT '',
  problem     TEXT    NOT NULL DEFAULT '',
  is_noted    INTEGER NOT NULL DEFAULT 0    -- the center's own database has it
) STRICT;
""",
)


class OutstationConfig(StationConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Its ``relay.toml``."""

    heartbeat_interval_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What an agency made of one checkpoint."""

    number: int
    size: int
    note: str
    known_size: int
    cosignature: str
    problem: str


class Outstation:
    """One of them, running. Made by ``open_station``."""

    def __init__(self, name: str, station: Station, clock: Clock) -> None:
        self.name = name
        self._station = station
        self._clock = clock

    @property
    def target(self) -> str:
        """As the list of witnesses names it."""
        return f"relay:{self.name}"

    async def known_size(self) -> int | None:
        """What the agency has; None while its word on the last checkpoint is still awaited."""
        now = self._clock.wall_ms()

        def read(connection: sqlite3.Connection) -> int | None:
            newest = connection.execute(
                "SELECT at_ms, known_size FROM submission ORDER BY number DESC LIMIT 1"
            ).fetchone()
            if newest is not None and newest[1] is None and 0 <= now - newest[0] < _WORD_WITHIN_MS:
                return None
            row = connection.execute(
                "SELECT known_size FROM submission WHERE known_size IS NOT NULL ORDER BY number DESC LIMIT 1"
            ).fetchone()
            return row[0] if row else 0

        return await self._station.database.run(read)

    async def is_new(self) -> bool:
        """Whether it never got a checkpoint."""
        query = "SELECT 1 FROM submission LIMIT 1"
        return await self._station.database.run(lambda connection: connection.execute(query).fetchone() is None)

    async def submit(self, submission: Submission, made: Checkpoint, verifier_key: str) -> None:
        """Put a checkpoint into the spool; durable when this returns.

        Raises:
            SpoolFull: no room; nothing was submitted.
        """
        body = bodies.encode(
            SubmittedCheckpoint(
                note=submission.note, key=verifier_key, old_size=submission.old_size, proof=submission.proof
            )
        )
        draft = self._station.draft_up(Kind.CHECKPOINT, Precedence.ROUTINE, body)
        now = self._clock.wall_ms()

        def work(connection: sqlite3.Connection) -> Spooled:
            spooled = self._station.spool.put(connection, draft)
            connection.execute("INSERT INTO submission (envelope_id, size, note, at_ms) VALUES (?, ?, ?, ?)",
                               (spooled.envelope.id, made.size, made.note, now))  # fmt: skip
            connection.execute(
                "DELETE FROM submission WHERE number <= (SELECT MAX(number) FROM submission) - ?", (_KEPT,)
            )
            return spooled

        self._station.announce([await self._station.database.run(work)])

    async def words(self) -> list[Word]:
        """Answers that the center's own database does not have yet, in order."""

        def read(connection: sqlite3.Connection) -> list[Word]:
            rows = connection.execute(
                "SELECT number, size, note, known_size, cosignature, problem FROM submission "
                "WHERE known_size IS NOT NULL AND NOT is_noted ORDER BY number"
            )
            return [
                Word(number=r[0], size=r[1], note=r[2], known_size=r[3], cosignature=r[4], problem=r[5]) for r in rows
            ]

        return await self._station.database.run(read)

    async def noted(self, words: Sequence[Word]) -> None:
        """They are in the center's own database now."""

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "UPDATE submission SET is_noted = 1 WHERE number = ?", [(word.number,) for word in words]
            )

        await self._station.database.run(write)


class _Inbox:
    """Takes cosignatures; each is checked against the checkpoint and the other center's key before it counts."""

    def __init__(self, identity: Identity, metrics: Metrics, after_commit: Callable[[], None]) -> None:
        self._identity = identity
        self._metrics = metrics
        self._after_commit = after_commit

    def accept(self, connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
        for arrival in arrivals:
            try:
                self._take(connection, arrival)
            except SenderError as error:
                self._metrics.count("agency_words_refused")
                _log.warning(
                    "can't use what an agency sent", kind=arrival.envelope.header.kind.name.lower(), why=str(error)
                )

    def committed(self, arrivals: Sequence[Arrival]) -> None:
        self._after_commit()

    def _take(self, connection: sqlite3.Connection, arrival: Arrival) -> None:
        kind = arrival.envelope.header.kind
        if kind is not Kind.COSIGNATURE:
            raise SenderError(f"expected cosignatures from another agency, found {kind.name}: it was not followed")
        secret = self._identity.shared_secret(arrival.passport.sealing_key)
        word = bodies.decode(envelopes.open_body(arrival.envelope, secret), Cosignature)
        row = connection.execute("SELECT note FROM submission WHERE envelope_id = ?", (word.submission_id,)).fetchone()
        if row is None:
            raise SenderError("expected a word on a checkpoint that was sent there, found one on something else")
        line, problem = word.line, word.problem
        if line and cosigned_at(row[0], line, origin_of(arrival.passport), arrival.passport.signing_key) is None:
            line, problem = "", "it sent a cosignature that its key did not make over this checkpoint"
        connection.execute("UPDATE submission SET known_size = ?, cosignature = ?, problem = ? WHERE envelope_id = ? AND known_size IS NULL",
                           (word.size, line.strip(), problem or ("" if line else "not signed, and no reason given"), word.submission_id))  # fmt: skip


def origin_of(passport: Passport) -> str:
    """The name under which a center signs."""
    return f"heard/{passport.node_id.hex()}"


@contextlib.asynccontextmanager
async def open_station(
    config_file: Path, *, clock: Clock, metrics: Metrics, after_commit: Callable[[], None]
) -> AsyncIterator[Outstation]:
    """Open the station of one folder and let it say that it lives, for the block.

    Raises:
        OperatorError: its configuration, keys or spool are not as they must be.
    """
    config = configs.load(config_file, OutstationConfig)
    inbox = _Inbox(Identity.load(config.state_dir / "identity.key"), metrics, after_commit)
    async with (
        Station.open(config, inbox=inbox, extra_parts={"submissions": _SCHEMA}, clock=clock) as station,
        crew() as members,
    ):
        name = config_file.parent.name
        members.start(beat(station, interval_s=config.heartbeat_interval_s), f"heartbeat to {name}")
        yield Outstation(name, station, clock)
