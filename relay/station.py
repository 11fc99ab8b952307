"""A station: keys, spool, neighbours, sender and receiver under one roof. Nodes, relays and the centre are built on it.

It is the composition root of this package: ``Station.open`` reads top to bottom as the start order, and the stop order is
the reverse by construction. Everything runs on the caller's event loop but SQLite, which has its own thread.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any

import structlog

from relay import envelope, hop, ledger, receipt, spool, trust, upkeep
from relay.clock import Clock, SystemClock
from relay.config import PathConfig, StationConfig
from relay.counters import Counters
from relay.crew import Crew, crew
from relay.database import Database
from relay.enrollment import Enrollment
from relay.errors import ConfigError, HeardError, SenderError
from relay.header import Kind
from relay.identity import AuthorityKeys, Identity
from relay.ids import EnvelopeId, NodeId
from relay.introduction import Introducer
from relay.kinds.heartbeat import PathHealth
from relay.kinds.roster import Roster, RosterStatement
from relay.links import Link, Links
from relay.passport import Passport, Role, SignedPassport
from relay.path import Lane, Path, Session
from relay.paths import catalog
from relay.precedence import Precedence
from relay.receiver import Arrival, Inbox, Receiver
from relay.sender import Sender
from relay.settler import Answer, AnswerLevel, Settler
from relay.spool import Draft, Spool, Spooled, SpoolLimits
from relay.status import StationStatus
from relay.trust import TrustBook

__all__ = ["Answer", "AnswerLevel", "Arrival", "Inbox", "NoInbox", "Station", "StationStatus"]

_log = structlog.get_logger("relay.station")


class NoInbox:
    """For a relay: nothing is addressed to it but what the station itself understands."""

    def accept(self, connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
        """Nothing to store."""

    def committed(self, arrivals: Sequence[Arrival]) -> None:
        """Nothing to do."""


class Station:
    """Made by ``Station.open``; see the module's docstring."""

    def __init__(
        self, *, config: StationConfig, identity: Identity, enrollment: Enrollment, database: Database, inbox: Inbox,
        clock: Clock, members: Crew,
    ) -> None:  # fmt: skip
        self.identity = identity
        self.passport = enrollment.own_passport().passport
        self.authority: AuthorityKeys = enrollment.authority
        self.database = database
        self.clock = clock
        self.counters = Counters()
        self.ledger = ledger.Ledger()
        self.trust = TrustBook(authority=self.authority, clock=clock)
        limits = SpoolLimits(capacity_bytes=config.spool.capacity_bytes, reserve_bytes=config.spool.reserve_bytes)
        self.spool = Spool(identity=identity, clock=clock, limits=limits)
        self._own_passport_wire = enrollment.passport
        self._links = Links()
        self._introducer = Introducer(
            identity=identity, own_passport=enrollment.passport, trust=self.trust, links=self._links
        )
        self._crew = members
        self.sender = Sender(database=database, spool=self.spool, links=self._links, clock=clock,
                             counters=self.counters, show_passport=self._show_passport)  # fmt: skip
        self._settler = Settler(own_id=identity.node_id, database=database, spool=self.spool, links=self._links,
                                sender=self.sender, trust=self.trust, clock=clock, counters=self.counters)  # fmt: skip
        self.receiver = Receiver(
            identity=identity, role=self.passport.role, trust=self.trust, database=database, spool=self.spool,
            ledger=self.ledger, links=self._links, inbox=inbox, clock=clock, counters=self.counters,
            on_carried=self.sender.offer, on_receipt=self._settler.arrived,
        )  # fmt: skip
        for peer in (enrollment.passport, *enrollment.peers):
            self.trust.admit(peer)
        self._listeners = [catalog.listen(item, identity=identity, counters=self.counters) for item in config.listen]
        self._dials = [self._dial(item) for item in config.path]

    def _dial(self, item: PathConfig) -> Path:
        peer = self.trust.named(item.peer)
        if peer is None:
            known = ", ".join(sorted(self.trust.names() - {self.passport.name})) or "none"
            raise ConfigError(
                f"path {item.name!r} leads to {item.peer!r}, which has no passport here (known: {known}): correct `peer`, "
                "or enroll this machine again after that one has been enrolled"
            )
        return catalog.dial(item, peer=peer, identity=self.identity, counters=self.counters)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, config: StationConfig, *, inbox: Inbox | None = None, extra_parts: Mapping[str, Sequence[str]] | None = None,
        clock: Clock | None = None, database_name: str = "spool.sqlite",
    ) -> "AsyncIterator[Station]":  # fmt: skip
        """Open the keys and the spool, start listening, dialing, sending and receiving; stop all on leaving.

        Raises:
            KeyFileError, SpoolBusy, SpoolDamaged, SpoolFull, ConfigError, EndpointInUse: before anything was sent.
        """
        identity = Identity.load(config.state_dir / "identity.key")
        enrollment = Enrollment.load(config.state_dir)
        if inbox is None and enrollment.own_passport().passport.role == Role.CENTER:
            # It would sign receipts for what nobody keeps.
            raise ConfigError(
                f"{config.state_dir} belongs to a command centre: start that, a bare station can't stand in for it"
            )
        parts = {"spool": spool.SCHEMA, "ledger": ledger.SCHEMA, "trust": trust.SCHEMA, **(extra_parts or {})}
        database = Database.open(config.state_dir / database_name, parts=parts)
        with contextlib.closing(database):
            async with crew() as members:
                station = cls(config=config, identity=identity, enrollment=enrollment, database=database,
                              inbox=inbox or NoInbox(), clock=clock or SystemClock(), members=members)  # fmt: skip
                await station._start()
                yield station

    async def _start(self) -> None:
        await self.database.run(self.spool.start)
        await self.database.run(self.trust.load)
        self.enforce_roster()
        for number, path in enumerate([*self._listeners, *self._dials]):
            self._crew.start(path.run(self), f"path {number} {path.facts.name}")
        self._crew.start(self.sender.run(), "sender")
        self._crew.start(self.receiver.run(), "receiver")
        self._crew.start(self._settler.run(), "settler")
        self._crew.start(upkeep.watch_links(self._links, self._introducer, self.clock), "watch links")
        self._crew.start(upkeep.heed_interfaces(self._dials, self._links, self.clock, self.counters), "interfaces")
        self._crew.start(upkeep.expire(self.database, self.spool, self.sender, self.counters), "expire")
        async with asyncio.timeout(10):
            for listener in self._listeners:
                await listener.listening()

    # ------------------------------------------------------------------ saying something

    def draft_up(self, kind: Kind, precedence: Precedence, body: bytes, ttl_s: int = 0) -> Draft:
        """A draft addressed to the authority."""
        return Draft(kind=kind, precedence=precedence, body=body, ttl_s=ttl_s,
                     peer_sealing_key=self.authority.sealing_key)  # fmt: skip

    async def put(self, draft: Draft) -> Spooled:
        """Number, sign, seal and store; durable when it returns, and sending starts at once.

        Raises:
            SpoolFull: no room in the spool or on the disk; nothing was stored.
        """
        return (await self.put_all([draft]))[0]

    async def put_all(self, drafts: Sequence[Draft]) -> list[Spooled]:
        """Several in one commit, in order."""
        spooled = await self.database.run(lambda connection: [self.spool.put(connection, draft) for draft in drafts])
        self.announce(spooled)
        return spooled

    def announce(self, spooled: Iterable[Spooled]) -> None:
        """Send what was just committed by ``spool.put`` in a transaction of the caller's."""
        spooled = list(spooled)
        self.counters.count("envelopes_spooled", len(spooled))
        self.sender.offer(spooled)

    def on_answer(self, callback: Callable[[Answer], None]) -> None:
        """Be told, on the event loop, when own envelopes are relayed and heard."""
        self._settler.callbacks.append(callback)

    @property
    def listening_on(self) -> tuple[str, ...]:
        """The endpoints that neighbours can reach us at."""
        return tuple(listener.endpoint for listener in self._listeners)

    async def status(self) -> StationStatus:
        """How things are now."""

        def read(
            connection: sqlite3.Connection,
        ) -> tuple[tuple[int, ...], int, int, list[tuple[int, int]], dict[str, int]]:
            backlog, size_bytes = self.spool.backlog(connection)
            return (backlog, size_bytes, self.spool.oldest_alert_age_s(connection),
                    list(self.spool.forgone(connection)), self.spool.tallies(connection))  # fmt: skip

        backlog, size_bytes, oldest_s, forgone, tallies = await self.database.run(read)
        return StationStatus(
            name=self.passport.name, role=self.passport.role.name.lower(), site=self.passport.site,
            node_id=self.identity.node_id.hex(), backlog=backlog, oldest_waiting_s=oldest_s, spool_bytes=size_bytes,
            forgone=tuple(forgone), paths=self.path_health(),
            neighbours=tuple(sorted({link.peer.name for link in self._links if link.peer})),
            counters=dict(self.counters.snapshot()), left_without_receipt=tallies, listening_on=self.listening_on,
        )  # fmt: skip

    def path_health(self) -> tuple[PathHealth, ...]:
        """Each dialed path, up or down."""
        return self._links.health_of([dial.facts.name for dial in self._dials], self.clock.monotonic_ms())

    # ------------------------------------------------------------------ trust

    async def admit(self, wire: bytes) -> SignedPassport:
        """Believe a passport and keep it."""
        signed = self.trust.admit(wire)
        await self._keep_passport(signed)
        return signed

    async def _keep_passport(self, signed: SignedPassport) -> None:
        await self.database.run(lambda connection: trust.keep_passport(connection, signed))

    async def publish_roster(self, roster: Roster) -> None:
        """Follow a roster, keep it, enforce it, and tell every neighbour."""
        statement = self.trust.follow(roster)
        if statement is not None:
            await self._spread(roster, statement)

    async def _spread(self, roster: Roster, statement: RosterStatement) -> None:
        await self.database.run(lambda connection: trust.keep_roster(connection, roster, statement.number))
        self.enforce_roster()
        for link in self._links:
            if link.peer is not None:
                link.note(hop.RosterNote(roster.statement, roster.signature))

    def enforce_roster(self) -> None:
        """Cut the connections of the withdrawn and refuse their transport keys."""
        keys = {signed.passport.transport_key for signed in self.trust.withdrawn()}
        for listener in self._listeners:
            listener.ban(keys)
        for link in self._links:
            if link.peer is not None and self.trust.is_revoked(link.peer.node_id):
                link.session.drop("its passport was withdrawn")

    # ------------------------------------------------------------------ what the paths tell us

    def session_opened(self, session: Session) -> None:
        """Introduce ourselves where we called."""
        link = self._links.opened(session, self.clock.monotonic_ms())
        if session.is_outgoing:
            self._introducer.greet(link)

    def session_closed(self, session: Session, reason: str) -> None:
        """Forget it; what was under way is sent again on the next one."""
        link = self._links.closed(session)
        if link is not None and link.peer is not None:
            _log.info("link closed", peer=link.peer.name, path=session.facts.name, reason=reason)
        self.sender.wake()

    @contextlib.contextmanager
    def local_session(self, session: Session) -> Iterator[None]:
        """A session with something on this machine, such as a stick, that needs no introduction."""
        self.session_opened(session)
        link = self._links.of(session)
        assert link is not None
        link.peer = self.passport
        try:
            yield
        finally:
            self.session_closed(session, "done")

    def take_local(self, session: Session, parcel: bytes) -> None:
        """Verify and queue a parcel of a local session.

        Raises:
            SenderError: refused, and why.
        """
        link = self._links.of(session)
        assert link is not None
        self.receiver.take(link, parcel)

    async def settled(self) -> None:
        """Return when every receipt that has arrived is settled."""
        await self._settler.drained()

    def passport_wire_of(self, node_id: NodeId) -> bytes | None:
        """A node's signed passport, to show to others; our own included."""
        return self._own_passport_wire if node_id == self.identity.node_id else self.trust.wire_of(node_id)

    def session_received(self, session: Session, parcel: bytes) -> None:
        """Sort a parcel: note, receipt or envelope. A refusal is counted, logged and answered; it never goes further."""
        link = self._links.of(session)
        if link is None:
            return
        link.heard(self.clock.monotonic_ms())
        try:
            if hop.is_note(parcel):
                self._note_arrived(link, hop.decode(parcel))
            elif link.peer is None:
                self._ask_who(link)
            else:
                self._take(link, parcel)
        except SenderError as error:
            self.counters.refused(error.reason)
            peer = link.peer.name if link.peer else "not introduced"
            _log.warning("refused", reason=error.reason, detail=str(error), peer=peer, path=session.facts.name)

    def _take(self, link: Link, parcel: bytes) -> None:
        try:
            self.receiver.take(link, parcel)
        except SenderError as error:
            if error.reason == "unknown_sender" and not receipt.is_receipt(parcel):
                link.note(hop.Unknown(envelope.parse(parcel).header.origin))
            raise

    def _ask_who(self, link: Link) -> None:
        now_ms = self.clock.monotonic_ms()
        if now_ms - link.asked_who_ms > 500:
            link.asked_who_ms = now_ms
            link.note(hop.Who())
        self.counters.refused("not_introduced")

    def _note_arrived(self, link: Link, note: hop.Note) -> None:
        match note:
            case hop.Ping():
                link.note(hop.Pong(note.sent_ms) if link.peer or link.session.is_outgoing else hop.Who())
            case hop.Pong():
                link.measured(max(0.0, self.clock.monotonic_ms() - note.sent_ms))
            case hop.Who():
                self._introducer.greet(link)
            case hop.Hello():
                self._introduced(link, self._introducer.hello_arrived(link, note), note.roster_number)
            case hop.Welcome():
                self._introduced(link, self._introducer.welcome_arrived(link, note), note.roster_number)
            case hop.Proved():
                self._introduced(link, self._introducer.proved_arrived(link, note), self.trust.roster_number)
            case hop.Passports():
                for wire in note.passports:
                    self._learn(self.trust.admit(wire))
            case hop.RosterNote():
                roster = Roster(statement=note.statement, signature=note.signature)
                statement = self.trust.follow(roster)
                if statement is not None:
                    self._attend(self._spread(roster, statement), "roster_not_kept")
            case _ if link.peer is not None:
                self._custody_note_arrived(link, link.peer, note)
            case _:
                self.counters.refused("not_introduced")

    def _custody_note_arrived(self, link: Link, peer: Passport, note: hop.Note) -> None:
        match note:
            case hop.Stored():
                self._settler.held(peer, [EnvelopeId(identifier) for identifier in note.ids])
            case hop.Refused():
                self.counters.count(f"sent_but_refused_{note.reason[:40]}")
                _log.warning(
                    "refused there", peer=peer.name, envelope=note.id.hex(), reason=note.reason, detail=note.detail
                )
            case hop.Unknown():
                link.shown.discard(NodeId(note.origin))
                self._show_passport(link, NodeId(note.origin))
                self.sender.ask_again(peer.node_id, NodeId(note.origin))
            case _:
                self.counters.refused("unexpected_note")

    def _introduced(self, link: Link, signed: SignedPassport | None, roster_number: int) -> None:
        """Start working with a neighbour; None: it has not proved itself yet."""
        if self.trust.roster is not None and roster_number < self.trust.roster_number:
            link.note(hop.RosterNote(self.trust.roster.statement, self.trust.roster.signature))
        if signed is None:
            return
        self._learn(signed)
        link.note(hop.Ping(self.clock.monotonic_ms()))
        _log.info("link open", peer=signed.passport.name, path=link.session.facts.name)
        self.sender.link_opened(signed.passport.node_id, link.session.facts.name)
        self._attend(self._send_known_receipts(link, signed.passport.node_id), "known_receipts_not_read")

    async def _send_known_receipts(self, link: Link, node_id: NodeId) -> None:
        """What this neighbour may have missed while it was away."""
        wires = await self.database.run(lambda connection: self.spool.receipts_to(connection, node_id))
        for wire in wires:
            link.send(wire, Lane.URGENT)
        for state in await self.database.run(lambda connection: self.ledger.streams(connection, node_id)):
            self.receiver.send_receipt(state)

    def _learn(self, signed: SignedPassport) -> None:
        self._attend(self._keep_passport(signed), "passport_not_kept")

    def _attend(self, work: Coroutine[Any, Any, None], failure: str) -> None:
        """Do something beside the parcels. What a full disk prevents is counted and comes up again; it stops nothing."""

        async def guarded() -> None:
            try:
                await work
            except HeardError as error:
                self.counters.refused(failure)
                _log.error(failure.replace("_", " "), error=str(error))

        self._crew.start(guarded(), failure)

    def _show_passport(self, link: Link, origin: NodeId) -> None:
        """Show an origin's passport to a neighbour once a session, before its first envelope."""
        if origin in link.shown:
            return
        wire = self.passport_wire_of(origin)
        if wire is not None and link.note(hop.Passports((wire,))):
            link.shown.add(origin)
