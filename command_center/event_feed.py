"""What consoles are told: numbered events, written in the transaction of what they tell, fanned out after its commit.

An event only names what changed; what consoles receive is that thing as it is now, so ten changes in one burst cost one
message. A console that lost its connection names the last number it saw and gets everything after it, or ``reset``
where that is too long ago. Each console has a bounded queue; one that does not read is disconnected, counted, and
resumes like any other.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog

from command_center.metrics import Metrics
from command_center.readers import Readers
from relay.errors import OperatorError
from relay.row_insert import insert_rows

_log = structlog.get_logger("command_center.events")

QUEUE_EVENTS: Final = 256
_BATCH: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A row of the event table."""

    id: int
    kind: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What goes to consoles: ``data`` is JSON."""

    id: int
    kind: str
    data: str


Render = Callable[[sqlite3.Connection, Event], str | None]
"""An event's subject as it is now, as JSON; None where it is gone."""


def note(connection: sqlite3.Connection, kind: str, subject: str | int) -> None:
    """Write an event; consoles hear of it after the commit, when somebody calls ``EventFeed.wake``."""
    connection.execute("INSERT INTO event (kind, subject) VALUES (?, ?)", (kind, str(subject)))


def note_all(connection: sqlite3.Connection, kind: str, subjects: Iterable[str | int]) -> None:
    """``note`` for several subjects of one kind."""
    note_changes(connection, [(kind, str(subject)) for subject in subjects])


def note_changes(connection: sqlite3.Connection, changes: Sequence[tuple[str, str]]) -> None:
    """``note`` for many (kind, subject), in order."""
    insert_rows(connection, "event (kind, subject)", changes)


def watermark(connection: sqlite3.Connection) -> int:
    """The id of the latest event; resuming after it misses nothing and repeats nothing."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
    return int(row[0]) if row else 0


def prune(connection: sqlite3.Connection, keep: int) -> None:
    """Forget events further back than a console may resume from."""
    connection.execute("DELETE FROM event WHERE id <= ?", (watermark(connection) - keep,))


@dataclass(eq=False, slots=True)
class Subscription:
    """One console's queue."""

    queue: "asyncio.Queue[Message | None]" = field(default_factory=lambda: asyncio.Queue(QUEUE_EVENTS))
    is_cut: bool = False
    is_ended: bool = False
    """By us, because its session or the center is over."""

    def offer(self, message: Message | None) -> bool:
        """Queue a message; False if the console does not keep up."""
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            self.is_cut = True
            return False
        return True

    def end(self) -> None:
        """End the stream now; what waits in the queue is worth less than that."""
        while not self.offer(None):
            self.queue.get_nowait()
        self.is_ended = True


class EventFeed:
    """Reads new events once, renders them once, and hands them to every console."""

    def __init__(self, *, readers: Readers, render: Render, metrics: Metrics) -> None:
        self._readers = readers
        self._render = render
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._subscriptions: set[Subscription] = set()
        self._sent_upto = 0
        self._is_closed = False

    async def run(self) -> None:
        """Fan out until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while self._subscriptions and (
                    messages := await self._readers.run(lambda connection: self._read(connection, self._sent_upto))
                ):
                    self._sent_upto = messages[-1].id
                    self._fan_out(messages)
            except OperatorError as error:  # nothing is lost: the events are in the table, and are read again
                self._metrics.count("event_feed_postponed")
                _log.error("events not read, will try again", error=str(error))
                await asyncio.sleep(1.0)
                self._wake.set()

    def wake(self) -> None:
        """Something was committed."""
        self._wake.set()

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        self._is_closed = True
        for subscription in self._subscriptions:
            subscription.end()

    @property
    def is_closed(self) -> bool:
        """The center stops: streams end for that, and resume when it is back."""
        return self._is_closed

    @property
    def consoles(self) -> int:
        """How many streams are open."""
        return len(self._subscriptions)

    @asynccontextmanager
    async def subscribe(
        self, after: int | None, subscription: Subscription | None = None
    ) -> AsyncIterator[AsyncIterator[Message | None]]:
        """A stream of messages after an event id; after now where it is None. Yields None when nothing came for 5 s.

        The first message is of kind ``reset`` where events after that id are no longer kept. Whoever must be able to end the
        stream from outside brings the subscription.
        """
        subscription = subscription or Subscription()
        if (
            not self._subscriptions
        ):  # while nobody listens nothing is read; from here on it is, and this one catches up by itself
            latest = await self._readers.run(watermark)
            if not self._subscriptions:
                self._sent_upto = max(self._sent_upto, latest)
        self._subscriptions.add(subscription)  # before catching up: what comes meanwhile waits in the queue
        try:
            yield self._stream(subscription, after)
        finally:
            self._subscriptions.discard(subscription)

    async def _stream(self, subscription: Subscription, after: int | None) -> AsyncIterator[Message | None]:
        upto, is_kept = await self._readers.run(lambda connection: _resume_point(connection, after))
        if not is_kept:
            yield Message(id=upto, kind="reset", data="{}")
        while not self._is_closed and not subscription.is_ended:
            caught_up = await self._readers.run(lambda connection, since=upto: self._read(connection, since))  # type: ignore[misc]
            for message in caught_up:
                yield message
                upto = message.id
            if not caught_up:
                break
        while not self._is_closed and not subscription.is_cut and not subscription.is_ended:
            try:
                async with asyncio.timeout(5):
                    item = await subscription.queue.get()
            except TimeoutError:
                yield None
                continue
            if item is None:
                return
            if item.id > upto:
                yield item
                upto = item.id

    def _read(self, connection: sqlite3.Connection, after: int) -> Sequence[Message]:
        """The next events, each subject once, at its last place."""
        rows = connection.execute(
            "SELECT id, kind, subject FROM event WHERE id > ? ORDER BY id LIMIT ?", (after, _BATCH)
        ).fetchall()
        latest: dict[tuple[str, str], Event] = {}
        for row in rows:
            latest[row[1], row[2]] = Event(id=row[0], kind=row[1], subject=row[2])
        messages: list[Message] = []
        for event in sorted(latest.values(), key=lambda event: event.id):
            data = self._render(connection, event)
            if data is not None or event.id == rows[-1][0]:
                kind = event.kind if data is not None else "gone"
                messages.append(Message(id=event.id, kind=kind, data=data or "{}"))
        return messages

    def _fan_out(self, messages: Sequence[Message]) -> None:
        for subscription in list(self._subscriptions):
            for message in messages:
                if not subscription.offer(message):
                    self._metrics.count("consoles_cut_off")
                    self._subscriptions.discard(subscription)
                    break


def _resume_point(connection: sqlite3.Connection, after: int | None) -> tuple[int, bool]:
    """Where to go on from, and whether everything after the asked id is still kept."""
    latest = watermark(connection)
    if after is None:
        return latest, True
    first = connection.execute("SELECT MIN(id) FROM event").fetchone()[0]
    oldest = latest + 1 if first is None else first
    if after > latest or after + 1 < oldest:
        return latest, False
    return after, True
