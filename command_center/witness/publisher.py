"""Gives this center's checkpoints to others from time to time: folders, addresses, witnesses. Each failure is counted and kept in words.

Whoever can rewrite this machine can't rewrite what lies there; bags prove that history still begins with each of them.
"""

import asyncio
import contextlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import structlog
from nacl.signing import SigningKey

from command_center import journal
from command_center.checkpoint import Checkpoint
from command_center.config import WitnessConfig
from command_center.custody import publishing
from command_center.metrics import Metrics
from command_center.witness.cosigning import MAX_REQUEST_BYTES, request
from command_center.witness.outstations import Outstations, submission_from
from relay.clock import Clock
from relay.database import Database
from relay.errors import OperatorError
from relay.identity import sync_dir

_log = structlog.get_logger("command_center.witness")
_TEXT: Final = {"Content-Type": "text/plain; charset=utf-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Word:
    target: str
    is_taken: bool
    size: int
    """The last one that it has, as far as is known."""
    cosignature: str = ""
    problem: str = ""


class Publisher:
    """``publish`` once in a while."""

    def __init__(self, config: WitnessConfig, *, database: Database, clock: Clock, metrics: Metrics, origin: str,
                 signing: SigningKey, outstations: Outstations | None = None) -> None:  # fmt: skip
        self._config = config
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._origin = origin
        self._signing = signing
        self._outstations = outstations

    @property
    def is_wanted(self) -> bool:
        """Whether anybody is configured, or an agency is reached by relay."""
        by_relay = self._outstations is not None and self._outstations.is_any
        return bool(self._config.folders or self._config.urls or self._config.witnesses) or by_relay

    async def publish(self) -> int:
        """Give the checkpoint of now to everybody; returns how many have it. Those that it reaches by relay say so later."""
        if not self.is_wanted:
            return 0
        made = await self._database.run(
            lambda c: journal.sign_checkpoint(
                c, origin=self._origin, signing=self._signing, at_ms=self._clock.wall_ms()
            )
        )
        words = [await asyncio.to_thread(_write, folder, made) for folder in self._config.folders]
        async with httpx.AsyncClient(timeout=self._config.timeout_s) as client:
            words += [await self._post(client, url, made) for url in self._config.urls]
            words += [await self._submit(client, url, made) for url in self._config.witnesses]
        await self._database.run(lambda connection: self._note(connection, made, words))
        for word in words:
            self._metrics.count("checkpoints_published" if word.is_taken else "checkpoints_not_published")
            if word.problem:
                _log.error("checkpoint not published", target=word.target, size=made.size, why=word.problem)
        if self._outstations is not None:
            await self._outstations.submit(made)
        return sum(word.is_taken for word in words)

    async def _post(self, client: httpx.AsyncClient, url: str, made: Checkpoint) -> _Word:
        try:
            answer = await client.post(url, content=made.note.encode(), headers=_TEXT)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return _Word(target=url, is_taken=False, size=0, problem=str(error) or type(error).__name__)
        problem = "" if answer.is_success else f"expected 2xx, found {answer.status_code}: {answer.text[:200]}"
        return _Word(
            target=url, is_taken=answer.is_success, size=made.size if answer.is_success else 0, problem=problem
        )

    async def _submit(self, client: httpx.AsyncClient, url: str, made: Checkpoint) -> _Word:
        """C2SP tlog-witness; a witness that has another size than we think says which, and is told again from there."""
        known = await self._database.run(lambda connection: _known_size(connection, url))
        for _ in range(2):
            submission = await self._database.run(lambda connection, old=known: submission_from(connection, old, made))  # type: ignore[misc]
            try:
                answer = await client.post(
                    f"{url.rstrip('/')}/add-checkpoint", content=request(submission), headers=_TEXT
                )
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                return _Word(target=url, is_taken=False, size=known, problem=str(error) or type(error).__name__)
            said = answer.text[:MAX_REQUEST_BYTES].strip()
            if answer.status_code == 200:
                return _Word(target=url, is_taken=True, size=made.size, cosignature=said)
            if answer.status_code != 409 or not said.isdecimal():
                return _Word(target=url, is_taken=False, size=known, problem=f"{answer.status_code}: {said[:300]}")
            known = int(said)
            if known > made.size:
                return _Word(target=url, is_taken=False, size=known,
                             problem=f"it has a checkpoint of {known} entries, and {made.size} are here: entries were cut off")  # fmt: skip
        return _Word(target=url, is_taken=False, size=known, problem="it says another size each time")

    def _note(self, connection: sqlite3.Connection, made: Checkpoint, words: list[_Word]) -> None:
        now = self._clock.wall_ms()
        for word in words:
            connection.execute("INSERT OR REPLACE INTO witness_word VALUES (?, ?, ?, ?, ?)",
                               (word.target, word.size, now, word.cosignature, word.problem))  # fmt: skip
            publishing.note_cosigned(connection, size=made.size, witness=word.target, line=word.cosignature)
        if taken := [word.target for word in words if word.is_taken]:
            publishing.note_published(connection, size=made.size, note=made.note, to=taken, actor="center", at_ms=now)


def _known_size(connection: sqlite3.Connection, target: str) -> int:
    row = connection.execute("SELECT size FROM witness_word WHERE target = ?", (target,)).fetchone()
    return row[0] if row else 0


def _write(folder: str, made: Checkpoint) -> _Word:
    """``checkpoint`` is the newest, ``checkpoint-SIZE`` stays; both are whole or absent."""
    target_dir = Path(folder)
    try:
        for name in (f"checkpoint-{made.size}", "checkpoint"):
            partial_file = target_dir / f".{name}.partial"
            try:
                with partial_file.open("wb") as stream:
                    stream.write(made.note.encode())
                    stream.flush()
                    os.fsync(stream.fileno())
                partial_file.rename(target_dir / name)
            finally:
                with contextlib.suppress(OSError):
                    partial_file.unlink(missing_ok=True)
        sync_dir(target_dir)
    except (OSError, OperatorError) as error:
        return _Word(target=folder, is_taken=False, size=0, problem=f"can't write: {error}")
    return _Word(target=folder, is_taken=True, size=made.size)
