"""All the center's stations in other agencies' fleets, kept running, and what those agencies said taken into the center's own records.

What can't be opened, or fails, keeps nobody from dispatching: it is logged, counted, shown among the witnesses, and tried again. A folder that
``command-center witness join`` makes meanwhile is found by itself.
"""

import asyncio
import sqlite3
from pathlib import Path
from typing import Final

import structlog
from nacl.signing import SigningKey

from command_center import checkpoint, journal, merkle
from command_center.checkpoint import Checkpoint
from command_center.custody import publishing
from command_center.metrics import Metrics
from command_center.witness.cosigning import Submission
from command_center.witness.outstation import CONFIG_FILE, Outstation, Word, open_station
from relay.clock import Clock
from relay.crew import crew
from relay.database import Database
from relay.errors import HeardError

_log = structlog.get_logger("command_center.outstations")
FOLDER: Final = "agencies"
_LOOKED_EVERY_S: Final = 5.0
_AGAIN_AFTER_S: Final = 30.0


class Outstations:
    """``run`` keeps them; ``submit`` gives them a checkpoint."""

    def __init__(
        self, state_dir: Path, *, database: Database, clock: Clock, metrics: Metrics, origin: str, signing: SigningKey
    ) -> None:
        self._dir = state_dir / FOLDER
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._origin = origin
        self._signing = signing
        self._running: dict[str, Outstation] = {}
        self._known: set[str] = set()
        self._stirred = asyncio.Event()

    @property
    def is_any(self) -> bool:
        """Whether there is one, be it running or not."""
        return bool(self._known)

    def is_open(self, name: str) -> bool:
        """Whether the station in this agency's fleet runs."""
        return name in self._running

    async def run(self) -> None:
        """Open what is there and what comes, and take in what is said; for as long as the center runs."""
        async with crew() as members:
            members.start(self._heed(), "words of agencies")
            while True:
                for config_file in sorted(self._dir.glob(f"*/{CONFIG_FILE}")):
                    name = config_file.parent.name
                    if name not in self._known:
                        self._known.add(name)
                        members.start(self._keep(name, config_file), f"station at {name}")
                await asyncio.sleep(_LOOKED_EVERY_S)

    async def submit(self, made: Checkpoint) -> None:
        """Give a checkpoint to every agency whose word on the last one has come."""
        for outstation in list(self._running.values()):
            try:
                problem = await self._submit_to(outstation, made)
            except HeardError as error:
                problem = f"not submitted: {error}"
            if problem:
                await self._say(outstation.target, problem)
                self._metrics.count("checkpoints_not_published")
                _log.error("checkpoint not submitted", target=outstation.target, size=made.size, why=problem)

    async def _submit_to(self, outstation: Outstation, made: Checkpoint) -> str:
        """Why it could not be given; empty where it was, or need not be."""
        known = await outstation.known_size()
        if known is None or known == made.size:
            return ""
        if known > made.size:
            return f"it has a checkpoint of {known} entries, and {made.size} are here: entries were cut off"
        submission = await self._database.run(lambda connection: submission_from(connection, known, made))
        await outstation.submit(
            submission, made, checkpoint.verifier_key(self._origin, bytes(self._signing.verify_key))
        )
        self._metrics.count("checkpoints_submitted")
        return ""

    async def _keep(self, name: str, config_file: Path) -> None:
        while True:
            try:
                async with open_station(
                    config_file, clock=self._clock, metrics=self._metrics, after_commit=self._stirred.set
                ) as made:
                    self._running[name] = made
                    self._stirred.set()
                    await asyncio.Event().wait()
            except Exception as error:  # noqa: BLE001  another agency's station must not end the dispatch
                is_ours = isinstance(error, HeardError)
                problem = str(error) if is_ours else f"an error of the program: {type(error).__name__}"
                self._metrics.count("outstations_failed")
                _log.error(
                    "no checkpoints go to this agency", agency=name, why=problem, exc_info=None if is_ours else error
                )
                await self._say(f"relay:{name}", problem)
            finally:
                self._running.pop(name, None)
            await asyncio.sleep(_AGAIN_AFTER_S)

    async def _say(self, target: str, problem: str) -> None:
        """Among the witnesses; a full disk ends nothing."""
        try:
            await self._database.run(
                lambda connection: _note_problem(connection, target, problem, self._clock.wall_ms())
            )
        except HeardError as error:
            _log.error("not noted", target=target, problem=problem, why=str(error))

    async def _heed(self) -> None:
        """Words that came, and agencies that never had a checkpoint: they get one at once."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            for outstation in list(self._running.values()):
                try:
                    await self._take_in(outstation)
                    if await outstation.is_new():
                        await self._submit_to(outstation, await self._database.run(self._sign))
                except HeardError as error:
                    _log.error(
                        "not done, will try again", work="words of an agency", agency=outstation.name, why=str(error)
                    )

    def _sign(self, connection: sqlite3.Connection) -> Checkpoint:
        return journal.sign_checkpoint(
            connection, origin=self._origin, signing=self._signing, at_ms=self._clock.wall_ms()
        )

    async def _take_in(self, outstation: Outstation) -> None:
        words = await outstation.words()
        if not words:
            return
        await self._database.run(lambda connection: self._note(connection, outstation.target, words))
        await outstation.noted(words)
        for word in words:
            self._metrics.count("checkpoints_published" if word.cosignature else "checkpoints_not_published")
            if word.problem:
                _log.error("checkpoint not cosigned", target=outstation.target, size=word.size, why=word.problem)

    def _note(self, connection: sqlite3.Connection, target: str, words: list[Word]) -> None:
        now = self._clock.wall_ms()
        for word in words:
            connection.execute("INSERT OR REPLACE INTO witness_word VALUES (?, ?, ?, ?, ?)",
                               (target, word.known_size, now, word.cosignature, word.problem))  # fmt: skip
            if word.cosignature:
                publishing.note_cosigned(connection, size=word.size, witness=target, line=word.cosignature)
                publishing.note_published(
                    connection, size=word.size, note=word.note, to=[target], actor="center", at_ms=now
                )


def submission_from(connection: sqlite3.Connection, old_size: int, made: Checkpoint) -> Submission:
    """What a witness that has the checkpoint of ``old_size`` gets: the new one, and the proof that it grew."""
    old_size = min(old_size, made.size)
    hash_at = journal.hash_reader(connection)
    proof = merkle.consistency_proof(old_size, made.size, hash_at) if 0 < old_size < made.size else []
    return Submission(old_size=old_size, proof=tuple(proof), note=made.note)


def _note_problem(connection: sqlite3.Connection, target: str, problem: str, at_ms: int) -> None:
    connection.execute(
        "INSERT INTO witness_word (target, at_ms, problem) VALUES (?1, ?2, ?3) ON CONFLICT (target) DO UPDATE SET at_ms = ?2, problem = ?3",
        (target, at_ms, problem),
    )
