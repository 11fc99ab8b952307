"""A station: keys, spool, neighbors, sender and receiver under one roof. Nodes, relays and the center are built on it.

It is the composition root of this package: ``Station.open`` reads top to bottom as the start order, and the stop order is
the reverse by construction. Everything runs on the caller's event loop but SQLite, which has its own thread.
"""

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version

import structlog

from relay import budget, hop, ledger, link_reports, spool, timeline, trust, upkeep
from relay.arrival import Arrival
from relay.budget import Purse, Tariff
from relay.clock import Clock, SystemClock
from relay.conduct import Conduct
from relay.config import PathConfig, StationConfig
from relay.counters import Counters
from relay.crew import Crew, crew
from relay.database import LOG_PAGES, Database
from relay.enrollment import Enrollment
from relay.errors import ConfigError, SpoolFull
from relay.header import Kind
from relay.identity import AuthorityKeys, Identity
from relay.ids import AUTHORITY, NodeId
from relay.intake_log import FILE_NAME as INTAKE_LOG_NAME
from relay.intake_log import IntakeLog, open_if_room
from relay.introduction import Introducer
from relay.kinds.heartbeat import Room
from relay.kinds.roster import Roster, RosterStatement
from relay.latency import Latencies
from relay.links import Links
from relay.passport import Role, SignedPassport
from relay.path import PathFacts, Session
from relay.path_health import PathReport
from relay.paths import catalog
from relay.precedence import Precedence
from relay.receiver import Inbox, Receiver
from relay.redial import Redials
from relay.sender import Sender
from relay.settler import Answer, AnswerLevel, Settler
from relay.spool import Draft, Spool, Spooled
from relay.spool_room import SpoolLimits
from relay.status import StationStatus
from relay.survey import Surveyor, SurveyOrder
from relay.survey_report import SurveyReport
from relay.switchboard import Switchboard
from relay.timeline import Timeline
from relay.trust import TrustBook
from relay.verifiers import Verifiers

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
        clock: Clock, members: Crew, verifiers: int, intake_log: IntakeLog | None,
    ) -> None:  # fmt: skip
        self.identity = identity
        self.passport = enrollment.own_passport().passport
        self.authority: AuthorityKeys = enrollment.authority
        self.database, self.intake_log = database, intake_log
        self.clock = clock
        self.counters = Counters()
        self.conduct = Conduct()
        self.latencies = Latencies()
        self.timeline = Timeline(clock=clock, counters=self.counters, latencies=self.latencies)
        self._started_ms = clock.monotonic_ms()
        self._capacity_bytes = config.spool.capacity_bytes
        self._release = version("heard")
        self.ledger = ledger.Ledger()
        self.trust = TrustBook(authority=self.authority, clock=clock)
        limits = SpoolLimits(capacity_bytes=config.spool.capacity_bytes, reserve_bytes=config.spool.reserve_bytes,
                             node_share=config.spool.node_share)  # fmt: skip
        self.spool = Spool(identity=identity, clock=clock, limits=limits, is_disk_short=lambda: database.is_short)
        self._purse = Purse({item.name: tariff_of(item) for item in config.path if item.is_metered})
        self._links = Links(purse=self._purse, clock=clock, counters=self.counters)
        self._introducer = Introducer(
            identity=identity, own_passport=enrollment.passport, trust=self.trust, links=self._links
        )
        self._crew = members
        self._verifiers = Verifiers(verifiers, self.counters)
        self.sender = Sender(database=database, spool=self.spool, links=self._links, clock=clock,
                             counters=self.counters, show_passport=self._introducer.show_passport,
                             timeline=self.timeline)  # fmt: skip
        self._settler = Settler(own_id=identity.node_id, database=database, spool=self.spool, links=self._links,
                                sender=self.sender, trust=self.trust, clock=clock, counters=self.counters,
                                timeline=self.timeline)  # fmt: skip
        self.receiver = Receiver(
            identity=identity, role=self.passport.role, trust=self.trust, database=database, spool=self.spool,
            ledger=self.ledger, links=self._links, inbox=inbox, clock=clock, counters=self.counters,
            conduct=self.conduct, timeline=self.timeline, on_carried=self._carried, on_receipt=self._settler.arrived,
            verifiers=self._verifiers, intake_log=intake_log,
        )  # fmt: skip
        self._surveyor = Surveyor(links=self._links, clock=clock, counters=self.counters)
        self._switchboard = Switchboard(
            links=self._links, introducer=self._introducer, trust_book=self.trust, database=database, spool=self.spool,
            ledger=self.ledger, sender=self.sender, settler=self._settler, receiver=self.receiver, clock=clock,
            counters=self.counters, conduct=self.conduct, timeline=self.timeline, surveyor=self._surveyor, members=members, spread=self._spread,
            on_cut_off=self._hurry,
        )  # fmt: skip
        for peer in (enrollment.passport, *enrollment.peers):
            self.trust.admit(peer)
        self._listeners = [
            catalog.listen(item, identity=identity, counters=self.counters, peer_named=self.trust.named, authority=self.authority)
            for item in config.listen
        ]  # fmt: skip
        self._dials = [
            catalog.dial_named(item, trust=self.trust, identity=self.identity, counters=self.counters) for item in config.path
        ]  # fmt: skip
        for dial in self._dials:
            if isinstance(dial, Redials):
                dial.redial.is_cut_off = self._links.is_cut_off

    def _hurry(self, lost: str) -> None:
        """The last path is gone: those that wait out a long back-off try soon, each at a moment of its own."""
        for dial in self._dials:
            if isinstance(dial, Redials) and dial.facts.name != lost:
                asyncio.get_running_loop().call_later(random.uniform(0.05, 1.0), dial.redial.nudge)  # noqa: S311

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, config: StationConfig, *, inbox: Inbox | None = None, extra_parts: Mapping[str, Sequence[str]] | None = None,
        clock: Clock | None = None, database_name: str = "spool.sqlite", log_pages: int = LOG_PAGES, verifiers: int = 0,
        has_intake_log: bool = False,
    ) -> "AsyncIterator[Station]":  # fmt: skip
        """Open the keys and the spool, start listening, dialing, sending and receiving; stop all on leaving.

        ``verifiers``: processes that check signatures beside this one, once there is a flow. ``has_intake_log``: receipts of what comes alone
        do not wait for the inbox; whoever asks for that calls ``receiver.recover`` when its inbox can take what an earlier run left.

        Raises:
            KeyFileError, SpoolBusy, SpoolDamaged, SpoolFull, ConfigError, EndpointInUse: before anything was sent.
        """
        identity = Identity.load(config.state_dir / "identity.key")
        enrollment = Enrollment.load(config.state_dir)
        if inbox is None and enrollment.own_passport().passport.role == Role.CENTER:
            # It would sign receipts for what nobody keeps.
            raise ConfigError(
                f"{config.state_dir} belongs to a command center: start that, a bare station can't stand in for it"
            )
        parts = {
            "spool": spool.SCHEMA,
            "ledger": ledger.SCHEMA,
            "trust": trust.SCHEMA,
            "budget": budget.SCHEMA,
            "timeline": timeline.SCHEMA,
            **(extra_parts or {}),
        }
        database = Database.open(
            config.state_dir / database_name,
            parts=parts,
            ballast_bytes=config.spool.ballast_bytes,
            log_pages=log_pages,
            gives_way=has_intake_log,
        )
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.closing(database))
            intake_log = open_if_room(config.state_dir / INTAKE_LOG_NAME) if has_intake_log else None
            if intake_log is not None:
                stack.enter_context(contextlib.closing(intake_log))
            async with crew() as members:
                station = cls(config=config, identity=identity, enrollment=enrollment, database=database,
                              inbox=inbox or NoInbox(), clock=clock or SystemClock(), members=members,
                              verifiers=verifiers, intake_log=intake_log)  # fmt: skip
                await station._start()
                yield station

    async def _start(self) -> None:
        await self.database.run(self.spool.start)
        await self.database.run(self.trust.load)
        await self.database.run(lambda connection: self._purse.load(connection, self.clock.boot_id, self.clock.monotonic_ms()))  # fmt: skip
        self.enforce_roster()
        for number, path in enumerate([*self._listeners, *self._dials]):
            self._crew.start(path.run(self._switchboard), f"path {number} {path.facts.name}")
        self._crew.start(self.sender.run(), "sender")
        self._crew.start(self.receiver.run(), "receiver")
        self._crew.start(self._verifiers.run(), "verifiers")
        self._crew.start(self._settler.run(), "settler")
        self._crew.start(upkeep.watch_links(self._links, self._introducer, self.clock), "watch links")
        self._crew.start(
            upkeep.mind_silence(self._links, self._dials, self.clock, self.counters, self._hurry), "mind silence"
        )
        self._crew.start(upkeep.heed_interfaces(self._dials, self._links, self.clock, self.counters), "interfaces")
        self._crew.start(upkeep.expire(self.database, self.spool, self.sender, self.counters), "expire")
        self._crew.start(upkeep.keep_ballast(self.database, self.counters), "ballast")
        self._crew.start(upkeep.write_spending(self.database, self._purse, self.clock, self.counters), "spending")
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
        try:
            spooled = await self.database.run(lambda connection: self.spool.put_all(connection, drafts))
        except SpoolFull as error:
            self.counters.refused(error.reason)
            raise
        self.announce(spooled)
        return spooled

    def announce(self, spooled: Iterable[Spooled]) -> None:
        """Send what was just committed by ``spool.put`` in a transaction of the caller's."""
        spooled = list(spooled)
        self.counters.count("envelopes_spooled", len(spooled))
        for item in spooled:
            self.timeline.durable(item.envelope.id, item.envelope.header.kind)
        self.sender.offer(spooled)
        self._dial_for(spooled)

    def _carried(self, carried: Iterable[tuple[Spooled, NodeId]]) -> None:
        carried = list(carried)
        self.sender.offer_carried(carried)
        self._dial_for(spooled for spooled, _ in carried)

    def _dial_for(self, spooled: Iterable[Spooled]) -> None:
        """A life at risk waits for no back-off: where no path is up, all of them dial."""
        is_flash = any(item.envelope.header.precedence is Precedence.FLASH for item in spooled)
        if not is_flash or any(not link.silence.is_suspect for link in self._links.towards(AUTHORITY)):
            return
        for dial in self._dials:
            if isinstance(dial, Redials):
                self.counters.count("dialed_for_an_alert")
                dial.redial.nudge()

    def on_answer(self, callback: Callable[[Answer], None]) -> None:
        """Be told, on the event loop, when own envelopes are relayed and heard."""
        self._settler.callbacks.append(callback)

    @property
    def listening_on(self) -> tuple[str, ...]:
        """The endpoints that neighbors can reach us at."""
        return tuple(listener.endpoint for listener in self._listeners)

    async def status(self) -> StationStatus:
        """How things are now."""

        def read(
            connection: sqlite3.Connection,
        ) -> tuple[tuple[int, ...], int, int, list[tuple[int, int]], dict[str, int], Room]:
            backlog, size_bytes = self.spool.backlog(connection)
            return (backlog, size_bytes, self.spool.oldest_alert_age_s(connection), list(self.spool.forgone(connection)),
                    self.spool.tallies(connection), self.spool.room(connection))  # fmt: skip

        backlog, size_bytes, oldest_s, forgone, tallies, room = await self.database.run(read)
        return StationStatus(
            name=self.passport.name, role=self.passport.role.name.lower(), site=self.passport.site,
            node_id=self.identity.node_id.hex(), backlog=backlog, oldest_waiting_s=oldest_s, spool_bytes=size_bytes,
            forgone=tuple(forgone), paths=self.path_health(),
            neighbors=tuple(sorted({link.peer.name for link in self._links if link.peer and link.is_known})),
            counters=dict(self.counters.snapshot()), left_without_receipt=tallies, listening_on=self.listening_on,
            conduct=dict(self.conduct.told(self.trust.name_of)),
            links=link_reports.report(self._links, self.clock.monotonic_ms()), spool_capacity_bytes=self._capacity_bytes,
            uptime_s=max(0, self.clock.monotonic_ms() - self._started_ms) // 1000, release=self._release, room=room.name.lower(),
        )  # fmt: skip

    async def survey(self, order: SurveyOrder) -> SurveyReport:
        """Measure the dialed paths; takes about half a minute for each.

        Raises:
            OperatorError: another survey runs, or there is no such path.
        """
        return await self._surveyor.survey(self.passport.name, self.path_facts, order)

    @property
    def path_facts(self) -> tuple[PathFacts, ...]:
        """What is known of each dialed path."""
        return tuple(dial.facts for dial in self._dials)

    @property
    def bulk_travels_bytes(self) -> float:
        """What of a clip is on the way up when every link that carries it is full: whoever puts chunks keeps more than that in the spool."""
        return link_reports.bulk_travels_bytes(self._links)

    @property
    def is_narrow(self) -> bool:
        """Whether only tiny paths are up."""
        return self._links.is_narrow()

    def path_health(self) -> tuple[PathReport, ...]:
        """Each dialed path, up or down."""
        return link_reports.health_of(self._links, self._purse, self.path_facts, self.clock.monotonic_ms())

    # ------------------------------------------------------------------ trust

    async def admit(self, wire: bytes) -> SignedPassport:
        """Believe a passport and keep it."""
        signed = self.trust.admit(wire)
        await self.database.run(lambda connection: trust.keep_passport(connection, signed))
        return signed

    async def publish_roster(self, roster: Roster) -> None:
        """Follow a roster, keep it, enforce it, and tell every neighbor."""
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

    # ------------------------------------------------------------------ what lies on this machine

    @contextlib.contextmanager
    def local_session(self, session: Session) -> Iterator[None]:
        """A session with something on this machine, such as a stick, that needs no introduction."""
        self._switchboard.session_opened(session)
        link = self._links.of(session)
        assert link is not None
        self._links.trust_local(link, self.passport)
        try:
            yield
        finally:
            self._switchboard.session_closed(session, "done")

    def take_local(self, session: Session, parcel: bytes) -> None:
        """Verify and queue a parcel of a local session.

        Raises:
            SenderError: refused, and why.
        """
        link = self._links.of(session)
        assert link is not None
        self.receiver.take(link, parcel)

    def receive_local(self, session: Session, parcel: bytes) -> None:
        """Sort any parcel of a local session; a refusal is counted and logged."""
        self._switchboard.session_received(session, parcel)

    async def settled(self) -> None:
        """Return when every receipt that has arrived is settled."""
        await self._settler.drained()

    def passport_wire_of(self, node_id: NodeId) -> bytes | None:
        """A node's signed passport, to show to others; our own included."""
        return self._introducer.passport_wire_of(node_id)


def tariff_of(config: PathConfig) -> Tariff:
    """What a ``[[path]]`` says about money."""
    return Tariff(
        cost_per_mb=config.cost_per_mb, day_bytes=config.budget.day_bytes, month_bytes=config.budget.month_bytes,
        day_money=config.budget.day_money, month_money=config.budget.month_money,
    )  # fmt: skip
