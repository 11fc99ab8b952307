"""What comes in: bounds, passport, signature, then the transaction, then the receipt. In that order, always.

Signatures are checked by ``verification``, and envelopes stored in groups on the database thread; whatever arrives while
one group is being committed makes up the next. Only after the commit, or where a center logs it after that one
(``receipts_ahead``), does anybody hear "stored". A sender's mistake is
counted under its name and answered with it; it never stops the loop.
"""

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec
import structlog

from relay import entitlement, hop, receipt
from relay import envelope as envelopes
from relay.arrival import Arrival
from relay.attempts import LinkId
from relay.clock import Clock
from relay.conduct import Conduct
from relay.counters import Counters
from relay.database import Database
from relay.envelope import Envelope
from relay.errors import Flooding, HeardError, OperatorError, SenderError, SpoolFull
from relay.held_pongs import HeldPongs
from relay.identity import Identity
from relay.ids import AUTHORITY, EnvelopeId, NodeId
from relay.intake import GATHER_S, TURN_BESIDE_OTHERS, Intake, Turn
from relay.intake_log import IntakeLog
from relay.ledger import Ledger, Novelty, StreamState
from relay.links import Link, Links
from relay.passport import Role
from relay.receipt_issuer import ReceiptIssuer
from relay.receipts_ahead import Group, ReceiptsAhead
from relay.spool import Carried, Spool, Spooled
from relay.stored_group import News, Outcome, without_what_can_wait
from relay.timeline import Timeline
from relay.trust import TrustBook
from relay.verification import Claim, OnRefused, Verification
from relay.verified_receipts import VerifiedReceipts
from relay.verifiers import Verifiers

_log = structlog.get_logger("relay.receiver")
CLOSE_MS: Final = 5
"""What comes this soon after the last envelope may be one of many: those are better stored together."""
FEW: Final = 3
"""So many in close succession are no flow yet."""


class Inbox(Protocol):
    """Who takes what is addressed to this machine."""

    def accept(self, connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
        """Store new arrivals: on the database thread, inside the transaction. Must keep what it can't read, and say so."""

    def committed(self, arrivals: Sequence[Arrival]) -> None:
        """They are durable: on the event loop, before the receipts go out."""


class Receiver:
    """Owns the queue between the paths and the database."""

    def __init__(
        self, *, identity: Identity, role: Role, trust: TrustBook, database: Database, spool: Spool, ledger: Ledger,
        links: Links, inbox: Inbox, clock: Clock, counters: Counters, conduct: Conduct, timeline: Timeline,
        on_carried: Callable[[Iterable[tuple[Spooled, NodeId]]], None],
        on_receipt: Callable[[receipt.Receipt], None], verifiers: Verifiers, intake_log: IntakeLog | None = None,
    ) -> None:  # fmt: skip
        """``intake_log``: a center's, for receipts that do not wait for its journal."""
        self._identity = identity
        self._role = role
        self._trust = trust
        self._database = database
        self._spool = spool
        self._ledger = ledger
        self._links = links
        self._inbox = inbox
        self._clock = clock
        self._counters = counters
        self._conduct = conduct
        self._timeline = timeline
        self._on_carried = on_carried
        self._on_receipt = on_receipt
        self._waiting: Intake[tuple[Arrival, Link]] = Intake()
        self._verification = Verification(verifiers, self._verified)
        self._receipts = VerifiedReceipts()
        self._issuer = ReceiptIssuer(identity=identity, links=links, clock=clock, counters=counters)
        self._ahead: ReceiptsAhead[Outcome] | None = None
        if intake_log is not None:
            self._ahead = ReceiptsAhead(log=intake_log, database=database, clock=clock, counters=counters,
                                        receipts=self._issuer, again=self._put_back, store=self._store, stored=self._after_commit)  # fmt: skip
        self._from: Counter[LinkId] = Counter()
        """Of what waits, by link."""
        self._held_pongs = HeldPongs()
        self._wake = asyncio.Event()
        self._came_ms = 0
        """When the last envelope came."""
        self._in_succession = 0
        """How many have come, each soon after the one before."""
        self._is_storing = False
        """Some are with the journal: what it says of them is not known yet."""

    def take(self, link: Link, parcel: bytes) -> None:
        """Verify a receipt or an envelope from an introduced neighbor, now, and queue it.

        Raises:
            SenderError: refused, and why; the caller counts it and tells the neighbor.
        """
        arrival = self._arrival(link, parcel)
        if arrival is not None:
            envelopes.verify(arrival.envelope, arrival.passport.signing_key)
            self._verified(Claim(arrival=arrival, link=link, on_refused=_never))

    def offer(self, link: Link, parcel: bytes, on_refused: OnRefused) -> None:
        """``take``, with the signature checked beside where there is a flow: if it does not hold there, ``on_refused`` hears of it.

        Raises:
            SenderError: refused at once.
        """
        if self._ahead is None or self._in_succession > FEW:
            self._offered(link, parcel, on_refused)
            return
        self._database.right_of_way.take()
        try:
            self._offered(link, parcel, on_refused)
        finally:
            self._database.right_of_way.leave()

    def _offered(self, link: Link, parcel: bytes, on_refused: OnRefused) -> None:
        arrival = self._arrival(link, parcel)
        if arrival is None:
            return
        last_ms, self._came_ms = self._came_ms, arrival.received_monotonic_ms
        self._in_succession = self._in_succession + 1 if self._came_ms - last_ms < CLOSE_MS else 1
        if self._ahead is None or self._in_succession > FEW or not self._is_idle():
            self._verification.put(Claim(arrival=arrival, link=link, on_refused=on_refused))
            return
        # Nobody to take turns with: without a detour by the event loop.
        envelopes.verify(arrival.envelope, arrival.passport.signing_key)
        if self._is_welcome(arrival) and not self._ahead.take([(arrival, link)]):
            self._put(arrival, link)

    def _is_idle(self) -> bool:
        """Whether nothing is on the longer way to the disk: what comes now overtakes nobody."""
        return not (self._is_storing or self._waiting) and self._verification.is_idle

    def _arrival(self, link: Link, parcel: bytes) -> Arrival | None:
        """What an envelope will be if its signature holds; None for a receipt, which is dealt with."""
        if receipt.is_receipt(parcel):
            self._on_receipt(self._verified_receipt(parcel))
            return None
        envelope = envelopes.parse(parcel)
        header = envelope.header
        passport = self._trust.passport_of(header.origin)
        entitlement.require_may_send(passport, header.kind)
        assert link.peer is not None
        turn = Turn(link.id, link.peer.node_id, header.origin)
        if not self._waiting.has_room(turn) or not self._verification.has_room(
            turn, beside=self._waiting.count_of(turn)
        ):
            raise Flooding(
                f"{passport.name} sends faster than its envelopes can be stored: it keeps them and tries again",
                node_id=header.origin,
            )
        return Arrival(
            envelope=envelope, passport=passport, via=link.peer.node_id, path=link.path,
            received_wall_ms=self._clock.wall_ms(), received_monotonic_ms=self._clock.monotonic_ms(),
        )  # fmt: skip

    def _verified(self, claim: Claim) -> None:
        if self._is_welcome(claim.arrival):
            self._put(claim.arrival, claim.link)

    def _is_welcome(self, arrival: Arrival) -> bool:
        """Note the way to its origin; False for one of our own."""
        header = arrival.envelope.header
        if header.origin == self._identity.node_id:
            self._counters.count("own_came_back")
            return False
        self._links.learn_route(header.origin, arrival.via)
        if not self.is_for_us(arrival.envelope):
            self._timeline.came(header, arrival.envelope.id, arrival.via, arrival.path)
        return True

    def _put(self, arrival: Arrival, link: Link) -> None:
        turn = Turn(link.id, arrival.via, arrival.envelope.header.origin)
        self._waiting.put(turn, (arrival, link), behind=self._verification.count_of(turn))
        self._from[link.id] += 1
        self._wake.set()

    def _put_back(self, group: Group) -> None:
        for arrival, link in group:
            if link is not None:
                self._put(arrival, link)

    @property
    def waiting_count(self) -> int:
        """Envelopes that came and are not where they belong yet."""
        return len(self._verification) + len(self._waiting) + (0 if self._ahead is None else len(self._ahead))

    def holds_back(self, link: Link, token: int) -> bool:
        """Whether a ping that follows a neighbor's flood (``flood_window``) is answered later: it tells the pace at which more may come.

        Beside others' alerts that is the pace at which we store, and not the one at which we can read and verify.
        """
        behind = len(self._verification) if self._from[link.id] else 0
        if self._from[link.id] + behind <= TURN_BESIDE_OTHERS or not self._waiting.is_flooded(
            self._clock.monotonic_ms()
        ):
            return False
        self._held_pongs.hold(link, token, self._from[link.id] + behind - TURN_BESIDE_OTHERS)
        return True

    def _taken(self, group: list[tuple[Arrival, Link]]) -> None:
        for _, link in group:
            self._from[link.id] -= 1
            left = self._from[link.id]
            if not left:
                del self._from[link.id]  # links come and go for years
            self._held_pongs.taken(link.id, is_little_left=left <= TURN_BESIDE_OTHERS)

    def _verified_receipt(self, parcel: bytes) -> receipt.Receipt:
        parsed = receipt.parse(parcel)
        passport = self._trust.passport_of(parsed.signer)
        self._receipts.require(parsed, passport.signing_key)
        return parsed

    def is_for_us(self, envelope: Envelope) -> bool:
        """Whether this machine is where the envelope ends."""
        destination = envelope.header.destination
        return destination == self._identity.node_id or (destination == AUTHORITY and self._role == Role.CENTER)

    async def run(self) -> None:
        """Store what was verified, group by group; for as long as the station runs.

        What comes alone is stored at once. In a flow each group waits a moment for more: a commit, its events and a signed
        receipt for every series cost the same for one envelope as for many.
        """
        try:
            while True:
                await self._wake.wait()
                if self._waiting.is_worth_a_wait(self._clock.monotonic_ms()):
                    await asyncio.sleep(GATHER_S)
                if (hold_ms := self._waiting.due_in_ms(self._clock.monotonic_ms())) > 0:
                    self._wake.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(hold_ms / 1000):
                            await self._wake.wait()
                    self._wake.set()
                    continue
                group = self._waiting.take(paced_ms=self._clock.monotonic_ms())
                if not self._waiting:
                    self._wake.clear()
                if group:
                    self._taken(group)
                    self._is_storing = True
                    await self._store_group(group)
                    self._is_storing = False
        finally:
            if self._ahead is not None:
                self._ahead.flush()

    async def _store_group(self, group: list[tuple[Arrival, Link]]) -> None:
        if self._ahead is not None:
            if self._ahead.take(group):
                return
            await self._ahead.submitted()
        try:
            outcome = await self._database.run(lambda connection: self._store(connection, group))
        except Exception as error:  # noqa: BLE001  whatever one envelope does, the others must be stored
            await self._store_one_by_one(group, error)
        else:
            self._after_commit(outcome)

    async def recover(self) -> None:
        """Have the inbox take what an earlier run of this center receipted and may not have journalled."""
        if self._ahead is not None:
            await self._ahead.recover(self._trust.held)

    async def _store_one_by_one(self, group: list[tuple[Arrival, Link]], error: Exception) -> None:
        """One bad apple must not hold the others back: it alone goes without a receipt, counted."""
        if len(group) > 1:
            for item in group:
                try:
                    outcome = await self._database.run(lambda connection, item=item: self._store(connection, [item]))  # type: ignore[misc]
                except Exception as single:  # noqa: BLE001  the same
                    await self._store_one_by_one([item], single)
                else:
                    self._after_commit(outcome)
            return
        reason = "disk_full" if isinstance(error, OperatorError) else "not_stored"
        self._counters.refused(reason)
        _log.error("not stored", envelope=group[0][0].envelope.id.hex(), error=str(error),
                   exc_info=None if isinstance(error, HeardError) else error)  # fmt: skip

    def _store(self, connection: sqlite3.Connection, group: Sequence[tuple[Arrival, Link | None]]) -> Outcome:
        outcome = Outcome()
        streams: dict[tuple[NodeId, int], News] = {}
        ours = [(arrival, link) for arrival, link in group if self.is_for_us(arrival.envelope)]
        if len(ours) < len(group):
            for arrival, link in group:
                if not self.is_for_us(arrival.envelope):
                    assert link is not None
                    self._carry(connection, arrival.envelope, link, outcome)
        if self._database.is_short:
            ours = without_what_can_wait(ours, outcome)
        novelties = self._ledger.note_all(connection, [arrival.envelope for arrival, _ in ours])
        for (arrival, link), novelty in zip(ours, novelties, strict=True):
            envelope = arrival.envelope
            news = streams.setdefault((envelope.header.origin, envelope.header.series), News())
            news.came_by.update(() if link is None else (link.id,))
            news.numbers.append(envelope.header.sequence)
            news.is_urgent |= envelope.header.precedence.is_alert
            if novelty == Novelty.FORK:
                outcome.forks.append(envelope)
            if novelty == Novelty.DUPLICATE:
                if link is not None:
                    self._counters.count("duplicates_arrived")
                continue
            outcome.arrivals.append(arrival if novelty == Novelty.NEW else _as_fork(arrival))
        extended: dict[tuple[NodeId, int], StreamState] = {}
        if outcome.arrivals:
            self._inbox.accept(connection, outcome.arrivals)
            extended = self._ledger.extend(connection, [arrival.envelope for arrival in outcome.arrivals])
        is_receipted = any(arrival.ahead is not None or link is None for arrival, link in group)
        outcome.streams = [] if is_receipted else [
            (extended.get(key) or self._ledger.state(connection, *key), news) for key, news in streams.items()
        ]  # fmt: skip
        return outcome

    def _carry(self, connection: sqlite3.Connection, envelope: Envelope, link: Link, outcome: Outcome) -> None:
        try:
            became, number, receipt_wire = self._spool.carry(connection, envelope)
        except OperatorError as error:
            outcome.full.append((link, envelope, error))
            return
        if became == Carried.HEARD:
            outcome.heard.append((link, receipt_wire))
            return
        outcome.held.append((link, envelope.id))
        if became == Carried.HELD:
            self._counters.count("duplicates_arrived")
        if became == Carried.FORK:
            outcome.forks.append(envelope)
        if became in {Carried.NEW, Carried.FORK}:
            assert link.peer is not None
            outcome.carried.append((Spooled(envelope=envelope, number=number), link.peer.node_id))

    def _after_commit(self, outcome: Outcome) -> None:
        self._counters.count("envelopes_stored", len(outcome.arrivals))
        self._counters.count("envelopes_carried", len(outcome.carried))
        if outcome.arrivals:
            self._inbox.committed(outcome.arrivals)
        for state, news in outcome.streams:
            settled = state.settled() if self._ahead is None else self._ahead.learn(state)
            issued = self._issuer.issue((state.origin, state.series), settled, answers=news.numbers)
            self._issuer.send(issued, is_urgent=news.is_urgent, came_by=news.came_by)
        for link, wire in outcome.heard:
            link.send_receipt(receipt.parse(wire))
        by_link: dict[int, tuple[Link, list[EnvelopeId]]] = {}
        for link, identifier in outcome.held:
            by_link.setdefault(link.id, (link, []))[1].append(identifier)
        for link, ids in by_link.values():
            link.note_stored(ids)
        for envelope in outcome.forks:
            self._counters.count("chain_forks")
            self._conduct.noted(envelope.header.origin, "chain_fork")
            _log.error("chain fork: one number, two contents", node=self._trust.name_of(envelope.header.origin),
                       series=envelope.header.series, sequence=envelope.header.sequence)  # fmt: skip
        for link, envelope, error in outcome.full:
            reason = error.reason if isinstance(error, SpoolFull) else "disk_full"
            self._counters.refused(reason)
            self._conduct.noted(envelope.header.origin, reason)
            link.note(hop.Refused(id=envelope.id, reason=reason, detail=str(error)[: 40 if link.known else 300]))
        for spooled, _ in outcome.carried:
            self._timeline.durable(spooled.envelope.id, spooled.envelope.header.kind)
        if outcome.carried:
            self._on_carried(outcome.carried)

    def send_receipt(self, state: StreamState) -> None:
        """Say on every link that leads back how much of a series is stored, which nobody has just added to."""
        issued = self._issuer.issue((state.origin, state.series), state.settled(), answers=())
        self._issuer.send(issued, is_urgent=False, came_by=())


def _never(link: Link, error: SenderError) -> None:
    """Of a claim whose signature holds: nobody refuses it any more."""


def _as_fork(arrival: Arrival) -> Arrival:
    return msgspec.structs.replace(arrival, is_fork=True)
