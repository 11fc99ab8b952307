"""Carries deliveries out: one task for each receiver, so that a slow or dead one delays nobody else.

How is the carrier's part, one for each kind of receiver. Taken is delivered; "gone" disables the receiver; "never" is a dead letter at
once; anything else goes down the ladder.
"""

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Final

import httpx
import structlog
from nacl.signing import SigningKey

from command_center import facts, journal
from command_center.callbacks import ladder, signing, store, writer
from command_center.callbacks.carrier import Carried, Carrier, Verdict
from command_center.callbacks.guard import Forbidden
from command_center.callbacks.kinds import ReceiverKind
from command_center.callbacks.mail_carrier import MailCarrier
from command_center.callbacks.store import Delivery, Receiver
from command_center.callbacks.tak_carrier import TakCarrier
from command_center.callbacks.web_carrier import FeedCarrier, WebCarrier
from command_center.callbacks.writer import Origin
from command_center.clock_leaps import ClockLeaps
from command_center.facts import Remark
from command_center.metrics import Metrics
from command_center.readers import Readers
from relay.clock import Clock
from relay.crew import Crew, crew
from relay.database import Database
from relay.errors import OperatorError

_log = structlog.get_logger("command_center.callbacks")
TIMEOUT_S: Final = 15.0
_LOOK_EVERY_S: Final = 0.5
Carriers = Mapping[ReceiverKind, Carrier]


def carriers_of(client: httpx.AsyncClient, key: SigningKey, clock: Clock) -> Carriers:
    """One for each kind of receiver."""
    return {
        ReceiverKind.WEBHOOK: WebCarrier(client, key, clock), ReceiverKind.TAK: TakCarrier(),
        ReceiverKind.SMTP: MailCarrier(TIMEOUT_S), ReceiverKind.CAP: FeedCarrier(),
    }  # fmt: skip


class Postman:
    """Owns the tasks. ``run`` goes on for as long as the center does."""

    def __init__(self, *, database: Database, readers: Readers, clock: Clock, metrics: Metrics, key: SigningKey,
                 origin: Origin, after_commit: Callable[[], None]) -> None:  # fmt: skip
        self._database = database
        self._readers = readers
        self._clock = clock
        self._metrics = metrics
        self._key = key
        self._origin = origin
        self._after_commit = after_commit
        self._busy: set[str] = set()
        self._dice = random.SystemRandom()
        self._leaps = ClockLeaps(clock)

    @property
    def base_url(self) -> str:
        """Where people reach this center: links begin with it."""
        return self._origin.base_url

    @property
    def public_key(self) -> str:
        """With which receivers check."""
        return signing.public_text(self._key)

    async def run(self) -> None:
        """Turn journal entries into deliveries, and start a task for each receiver that has something due."""
        # No bound on connections: a receiver has one at most, and with a bound the dead ones would keep the others waiting.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=16)
        async with (
            httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False, limits=limits) as client,
            crew() as members,
        ):
            carriers = carriers_of(client, self._key, self._clock)
            while True:
                try:
                    await self._look(carriers, members)
                except OperatorError as error:  # a full disk: it is all in the database, and looked at again
                    self._metrics.count("callbacks_postponed")
                    _log.error("callbacks postponed", error=str(error))
                await asyncio.sleep(_LOOK_EVERY_S)

    def _catch_up(self, connection: sqlite3.Connection) -> int:
        return writer.catch_up(connection, self._origin, now_ms=self._clock.wall_ms())

    async def _look(self, carriers: Carriers, members: Crew) -> None:
        while await self._readers.run(writer.is_behind):
            if not await self._readers.run(
                writer.tells_anybody
            ):  # only the cursor moves, and alerts need their commits
                await self._database.run_along(self._catch_up, within_s=_LOOK_EVERY_S)
                break
            self._metrics.count("callbacks_made", await self._database.run(self._catch_up))
        if self._leaps.leapt_ms < 0:
            await self._database.run(self._bring_forward)
        now_ms = self._clock.wall_ms()

        def waiting(connection: sqlite3.Connection) -> list[Receiver]:
            return [receiver for receiver in store.receivers(connection) if not receiver.disabled_why
                    and store.due(connection, receiver.name, now_ms, ladder.LONGEST_MS) is not None]  # fmt: skip

        for receiver in await self._readers.run(waiting):
            if receiver.name not in self._busy:
                self._busy.add(receiver.name)
                members.start(self._serve(carriers, receiver), f"callbacks to {receiver.name}")

    def _bring_forward(self, connection: sqlite3.Connection) -> None:
        """A wall clock that was set back by an hour lets nobody wait an hour longer: rather once too early."""
        leapt_ms, now_ms = self._leaps.forget(), self._clock.wall_ms()
        connection.execute(
            "UPDATE delivery SET next_at_ms = MIN(next_at_ms, MAX(?, next_at_ms + ?)) WHERE state = 'pending'",
            (now_ms, min(0, leapt_ms)),
        )

    async def _serve(self, carriers: Carriers, receiver: Receiver) -> None:
        """Send what is due, one after the other, until nothing is or one fails."""
        try:
            while True:
                now_ms = self._clock.wall_ms()
                delivery = await self._readers.run(
                    lambda connection, now_ms=now_ms: store.due(connection, receiver.name, now_ms, ladder.LONGEST_MS)  # type: ignore[misc]
                )
                if delivery is None or not await self._deliver(carriers, receiver, delivery):
                    return
        except OperatorError as error:
            self._metrics.count("callbacks_postponed")
            _log.error("callback not noted, it will be sent again", receiver=receiver.name, error=str(error))
        finally:
            self._busy.discard(receiver.name)

    async def _deliver(self, carriers: Carriers, receiver: Receiver, delivery: Delivery) -> bool:
        carried = await self._carry(carriers[receiver.kind], receiver, delivery)
        is_delivered = carried.verdict is Verdict.TAKEN
        wait_ms = None
        if carried.verdict is Verdict.AGAIN:
            wait_ms = ladder.wait_ms(delivery.attempts + 1, self._dice, carried.asked_s)
        now_ms = self._clock.wall_ms()
        state = "delivered" if is_delivered else "dead" if wait_ms is None else "pending"

        def note(connection: sqlite3.Connection) -> None:
            settled = None if state == "pending" else now_ms
            connection.execute(
                "UPDATE delivery SET attempts = attempts + 1, state = ?, last_answer = ?, next_at_ms = ?, settled_at_ms = ? "
                "WHERE number = ? AND state = 'pending'",
                (state, carried.words, now_ms + (wait_ms or 0), settled, delivery.number),
            )
            if carried.verdict is Verdict.GONE:
                connection.execute(
                    "UPDATE receiver SET disabled_why = 'it answered 410: gone' WHERE name = ?", (receiver.name,)
                )
            if state != "pending" and delivery.incident:
                journal.append(connection, at_ms=now_ms, kind=f"callback-{state}", actor="center",
                               subject=f"incident:{delivery.incident}",
                               payload=facts.encode(Remark(what=delivery.event, detail=f"{receiver.name}: {carried.words}")))  # fmt: skip

        await self._database.run(note)
        self._metrics.count(f"callbacks_{'failed' if state == 'pending' else state}")
        if state != "delivered":
            _log.warning(
                "callback not taken", receiver=receiver.name, told=delivery.event, answer=carried.words, state=state
            )
        self._after_commit()
        return is_delivered or carried.verdict is Verdict.NEVER  # what was refused for good is in nobody's way

    @staticmethod
    async def _carry(carrier: Carrier, receiver: Receiver, delivery: Delivery) -> Carried:
        """One attempt, bounded in time; whatever goes wrong on the way is an answer in words."""
        started_s = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await carrier.carry(receiver, delivery)
        except (Forbidden, OSError, httpx.HTTPError, httpx.InvalidURL, TimeoutError, UnicodeError, ValueError) as error:
            took_s = time.monotonic() - started_s
            return Carried(verdict=Verdict.AGAIN, words=f"{type(error).__name__} after {took_s:.1f} s: {error}"[:300])
