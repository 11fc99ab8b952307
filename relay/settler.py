"""What a receipt does: frees the copies that it covers, travels on towards the origin, and answers the owner.

Receipts are cumulative, so of those that came while the last commit ran only the furthest of each series counts; and each that is full,
which may name what no other does.
"""

import asyncio
import enum
import sqlite3
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import structlog

from relay import hop
from relay.clock import Clock
from relay.counters import Counters
from relay.database import Database
from relay.errors import HeardError, NotForUs
from relay.ids import AUTHORITY, EnvelopeId, NodeId
from relay.links import TINY_KINDS, Links
from relay.passport import Passport, Role
from relay.receipt import Receipt
from relay.sender import Sender
from relay.spool import Freed, Spool
from relay.timeline import Timeline
from relay.trust import TrustBook

SERIES_KEPT: Final = 16
"""Numberings of one other origin whose receipts are kept."""
PASSED_ON_AGAIN_MS: Final = 1_000
"""An alert is sent again after a second at the earliest: a receipt that answers that one goes on, too."""
PASSED_ON_KEPT: Final = 4_096
_log = structlog.get_logger("relay.settler")


class AnswerLevel(enum.IntEnum):
    """How far one of our own envelopes has got, as far as we know."""

    SPOOLED = 1
    RELAYED = 2
    """A neighbor holds it."""
    HEARD = 3
    """The destination has stored it durably: its signed receipt is here."""
    SEEN = 4
    """A person has acknowledged it."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One of our own envelopes reached a level."""

    envelope_id: EnvelopeId
    sequence: int
    kind: int
    destination: NodeId
    level: AnswerLevel
    at_monotonic_ms: int
    at_wall_ms: int
    by: str
    """The neighbor, or who signed the receipt."""


class Settler:
    """Owns the queue of verified receipts, and who is told of answers."""

    def __init__(
        self, *, own_id: NodeId, database: Database, spool: Spool, links: Links, sender: Sender, trust: TrustBook,
        clock: Clock, counters: Counters, timeline: Timeline,
    ) -> None:  # fmt: skip
        self._own_id = own_id
        self._database = database
        self._spool = spool
        self._links = links
        self._sender = sender
        self._trust = trust
        self._clock = clock
        self._counters = counters
        self._timeline = timeline
        self._queue: list[tuple[Receipt, NodeId]] = []
        self._wake = asyncio.Event()
        self._is_busy = False
        self._passed_on: dict[tuple[NodeId, NodeId, int], tuple[bytes, int]] = {}
        """The last receipt of each series that went on, and when, ms; the newest at the end."""
        self.callbacks: list[Callable[[Answer], None]] = []

    def arrived(self, receipt: Receipt) -> None:
        """Queue a verified receipt. A center signs for the authority's streams, a node for those addressed to it.

        Raises:
            UnknownSender, Revoked: the signer may not speak now.
            NotForUs: the signer is no center, and what it claims to have stored does not come from one.
        """
        signer = self._trust.passport_of(receipt.signer)
        destination = AUTHORITY if signer.role == Role.CENTER else signer.node_id
        if destination != AUTHORITY and self._trust.passport_of(receipt.origin).role != Role.CENTER:
            raise NotForUs(
                f"only a command center receipts what {self._trust.name_of(receipt.origin)} sends up, and {signer.name} "
                f"is a {signer.role.name}: its receipt frees nothing"
            )
        self._queue.append((receipt, destination))
        if not self._was_just_passed_on(receipt):
            self._pass_on(receipt, is_tiny=False)
        self._wake.set()

    async def run(self) -> None:
        """Settle, group by group; for as long as the station runs."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._is_busy = True
            group, self._queue = self._queue, []
            furthest: dict[tuple[NodeId, NodeId, int, bytes], tuple[Receipt, NodeId]] = {}
            for receipt, destination in group:
                key = (receipt.origin, destination, receipt.series, receipt.wire if receipt.is_full else b"")
                if key not in furthest or furthest[key][0].ranges().count <= receipt.ranges().count:
                    furthest[key] = (receipt, destination)
            try:
                async with asyncio.TaskGroup() as settling:  # side by side: one commit for all
                    for receipt, destination in furthest.values():
                        settling.create_task(self._settle(receipt, destination), name="settle")
            finally:  # also when it is stopped: ``drained`` would wait for ever
                self._is_busy = False

    async def drained(self) -> None:
        """Return when every receipt that has arrived is settled."""
        while self._queue or self._is_busy:  # noqa: ASYNC110  two facts, and only a stick ever asks
            await asyncio.sleep(0.005)

    async def _settle(self, receipt: Receipt, destination: NodeId) -> None:
        def work(connection: sqlite3.Connection) -> list[Freed] | None:
            freed = self._spool.settle(connection, receipt, destination)
            if freed is not None:
                forget_least(connection, receipt.origin, destination, receipt.series)
            return freed

        try:
            freed = await self._database.run(work)
        except HeardError as error:  # a full disk: the envelopes stay, and their receipt comes again
            self._counters.refused("not_settled")
            _log.error("receipt not kept", error=str(error))
            return
        self._pass_on(receipt, is_tiny=True, is_urgent=any(item.kind in TINY_KINDS for item in freed or ()))
        if not freed:
            return
        for link in self._links.detours():  # they may hold copies, and this is news: it goes round once
            if link.peer is not None and link.peer.node_id not in {receipt.signer, receipt.origin}:
                link.send_receipt(receipt)
        self._counters.count("envelopes_receipted", len(freed))
        self._sender.freed([item.number for item in freed])
        self._timeline.receipted([item.id for item in freed], receipt.signer)
        by = self._trust.name_of(receipt.signer)
        for item in freed:
            if item.origin == self._own_id:
                self._tell(item.id, item.sequence, item.kind, destination, AnswerLevel.HEARD, by)

    def _was_just_passed_on(self, receipt: Receipt) -> bool:
        """Whether these very bytes went on within the last second: they come back on every path that leads down, and once is enough."""
        now_ms, key = self._clock.monotonic_ms(), (receipt.origin, receipt.signer, receipt.series)
        wire, at_ms = self._passed_on.pop(key, (b"", 0))
        is_echo = wire == receipt.wire and now_ms - at_ms < PASSED_ON_AGAIN_MS
        self._passed_on[key] = (receipt.wire, at_ms if is_echo else now_ms)
        if len(self._passed_on) > PASSED_ON_KEPT:
            del self._passed_on[next(iter(self._passed_on))]
        return is_echo

    def _pass_on(self, receipt: Receipt, *, is_tiny: bool, is_urgent: bool = False) -> None:
        """Send somebody else's receipt on towards its origin, news or not: the last hop may have lost it.

        Not after our own commit but when it comes: it proves itself, and behind a flood our disk may be busy with others' receipts. On a
        tiny path only when the commit has said what it covers.
        """
        if receipt.origin == self._own_id:
            return
        for link in self._links.back_to(receipt.origin, is_urgent=is_urgent):
            if link.session.facts.is_tiny == is_tiny and link.peer is not None and link.peer.node_id != receipt.signer:
                link.send_receipt(receipt)

    def held(self, peer: Passport, ids: Iterable[EnvelopeId]) -> None:
        """A neighbor says that it holds these."""
        for waiting in self._sender.held_by(peer.node_id, ids):
            if waiting.origin == self._own_id:
                self._tell(
                    waiting.id, waiting.sequence, waiting.kind, waiting.destination, AnswerLevel.RELAYED, peer.name
                )

    def holds(self, peer: Passport, note: hop.Holds) -> None:
        """A neighbor says what it holds of a whole numbering: as if it had said so of each."""
        for waiting in self._sender.neighbor_holds(peer.node_id, note):
            if waiting.origin == self._own_id:
                self._tell(
                    waiting.id, waiting.sequence, waiting.kind, waiting.destination, AnswerLevel.RELAYED, peer.name
                )

    def _tell(
        self, identifier: EnvelopeId, sequence: int, kind: int, destination: NodeId, level: AnswerLevel, by: str
    ) -> None:
        answer = Answer(envelope_id=identifier, sequence=sequence, kind=kind, destination=destination, level=level,
                        at_monotonic_ms=self._clock.monotonic_ms(), at_wall_ms=self._clock.wall_ms(), by=by)  # fmt: skip
        for callback in self.callbacks:
            callback(answer)


def forget_least(connection: sqlite3.Connection, origin: NodeId, destination: NodeId, newest: int) -> None:
    """Keep the receipts of a node's few longest numberings, of the newest, and of our own current one; forget the others.

    A node begins a new numbering when its disk is replaced; one that begins thousands would fill our disk. What is forgotten
    costs a delivery that the destination answers with its receipt again: nothing is lost, nothing is shown twice. A receipt that a node
    signs for numberings which we never had towards it is one of these, too.
    """
    connection.execute(
        "DELETE FROM receipt WHERE origin = ?1 AND destination = ?2 "
        "AND series NOT IN (SELECT series FROM stream WHERE destination = ?2) AND series NOT IN "
        "(SELECT series FROM receipt WHERE origin = ?1 AND destination = ?2 ORDER BY series = ?3 DESC, stored DESC LIMIT ?4)",
        (origin, destination, newest, SERIES_KEPT),
    )
