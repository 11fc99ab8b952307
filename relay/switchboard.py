"""Sorts what comes in from the neighbors: notes, receipts, envelopes; and says what is answered at once.

It is what the paths call (``PathEvents``). It owns no envelope: those go to ``receiver``, receipts to ``settler``, and who is
who to ``introduction``. A refusal is counted, logged and answered here, and goes no further.
"""

import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from relay import envelope, hop, receipt, trust
from relay.clock import Clock
from relay.conduct import Conduct, is_worth_a_line
from relay.counters import Counters
from relay.crew import Crew
from relay.database import Database
from relay.errors import HeardError, SenderError
from relay.flood_window import FIRST_TOKEN as FLOOD_TOKENS
from relay.ids import EnvelopeId, NodeId
from relay.introduction import Introducer
from relay.kinds.roster import Roster, RosterStatement
from relay.ledger import Ledger
from relay.links import Link, Links
from relay.passport import Passport, SignedPassport
from relay.path import Session
from relay.receiver import Receiver
from relay.sender import Sender
from relay.settler import Settler
from relay.spool import Spool
from relay.survey import Surveyor
from relay.timeline import Timeline
from relay.trust import TrustBook

_log = structlog.get_logger("relay.switchboard")
_RECEIPTS_TO_NEIGHBOR = 500


class Switchboard:
    """One for a station. All methods run on the event loop."""

    def __init__(
        self, *, links: Links, introducer: Introducer, trust_book: TrustBook, database: Database, spool: Spool,
        ledger: Ledger, sender: Sender, settler: Settler, receiver: Receiver, clock: Clock, counters: Counters,
        conduct: Conduct, timeline: Timeline, surveyor: Surveyor, members: Crew, spread: Callable[[Roster, RosterStatement], Coroutine[Any, Any, None]],
        on_cut_off: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._links = links
        self._introducer = introducer
        self._trust = trust_book
        self._database = database
        self._spool = spool
        self._ledger = ledger
        self._sender = sender
        self._settler = settler
        self._receiver = receiver
        self._clock = clock
        self._counters = counters
        self._conduct = conduct
        self._timeline = timeline
        self._surveyor = surveyor
        self._crew = members
        self._spread = spread
        self._on_cut_off = on_cut_off

    def session_opened(self, session: Session) -> None:
        """Introduce ourselves where we called."""
        link = self._links.opened(session, self._clock.monotonic_ms())
        if link.known is not None:
            link.known.on_room = self._sender.wake
        try:
            if self._introducer.begin(link) and link.peer is not None:
                if link.known is None:
                    self._say_over(link)
                self._opened(link, link.peer)
        except SenderError as error:
            self._counters.refused(error.reason)
            session.drop(str(error))

    def session_closed(self, session: Session, reason: str) -> None:
        """Forget it; what went by it without an answer is due again, on the path's other session or on the next one."""
        link = self._links.closed(session)
        if link is not None:
            self._sender.link_closed(link.id)
        if link is not None and link.peer is not None:
            _log.info("link closed", peer=link.peer.name, path=session.facts.name, reason=reason)
            if session.is_outgoing and self._links.is_cut_off():
                self._on_cut_off(session.facts.name)

    def session_received(self, session: Session, parcel: bytes) -> None:
        """Sort a parcel: note, receipt or envelope. A refusal is counted, logged and answered; it never goes further."""
        link = self._links.of(session)
        if link is None:
            return
        link.heard(len(parcel), self._clock.monotonic_ms())
        try:
            if hop.is_note(parcel):
                self._note_arrived(link, hop.decode(parcel))
            elif link.peer is None:
                self._ask_who(link)
            else:
                self._take(link, parcel)
        except SenderError as error:
            self._refused(link, error)

    def _refused(self, link: Link, error: SenderError) -> None:
        self._counters.refused(error.reason)
        peer = link.peer.name if link.peer else "not introduced"
        by = error.node_id or (link.peer.node_id if link.peer else b"")
        known = self._conduct.noted(NodeId(by), error.reason) if by else 0
        count = (
            known or self._counters[f"refused_{error.reason}"]
        )  # of strangers, and of more nodes than are told apart: all of them together
        if is_worth_a_line(count):
            _log.warning("refused", reason=error.reason, detail=str(error), peer=peer, path=link.session.facts.name,
                         times=count)  # fmt: skip

    def _take(self, link: Link, parcel: bytes) -> None:
        try:
            self._receiver.offer(link, parcel, self._refused)
        except SenderError as error:
            if error.reason == "unknown_sender" and not receipt.is_receipt(parcel):
                link.note(hop.Unknown(envelope.parse(parcel).header.origin))
            raise

    def _ask_who(self, link: Link) -> None:
        now_ms = self._clock.monotonic_ms()
        if now_ms - link.asked_who_ms > 500:
            link.asked_who_ms = now_ms
            link.note(hop.Who())
        self._counters.refused("not_introduced")

    def _note_arrived(self, link: Link, note: hop.Note) -> None:
        match note:
            case hop.Ping() if note.sent_ms >= FLOOD_TOKENS and self._receiver.holds_back(link, note.sent_ms):
                pass
            case hop.Ping():
                link.note(hop.Pong(note.sent_ms) if link.peer or link.session.is_outgoing else hop.Who())
            case hop.Pong():
                if link.pong(note.sent_ms, self._clock.monotonic_ms()):
                    self._sender.came_through()
            case hop.Who():
                self._links.doubt(link)
                self._introducer.greet(link)
            case hop.Hello() | hop.Welcome() | hop.Proved():
                self._introduction_arrived(link, note)
            case hop.Passports():
                for wire in note.passports:
                    self._learn(self._trust.admit(wire))
            case hop.RosterNote():
                roster = Roster(statement=note.statement, signature=note.signature)
                statement = self._trust.follow(roster)
                if statement is not None:
                    self._attend(lambda: self._spread(roster, statement), "roster_not_kept")
            case _ if link.peer is not None:
                self._custody_note_arrived(link, link.peer, note)
            case _:
                self._counters.refused("not_introduced")

    def _introduction_arrived(self, link: Link, note: hop.Hello | hop.Welcome | hop.Proved) -> None:
        match note:
            case hop.Hello():
                self._introduced(link, self._introducer.hello_arrived(link, note), note.roster_number)
            case hop.Welcome():
                was_presumed = link.is_presumed
                signed = self._introducer.welcome_arrived(link, note)
                self._introduced(link, signed, note.roster_number, was_presumed=was_presumed)
            case hop.Proved():
                self._introduced(link, self._introducer.proved_arrived(link, note), self._trust.roster_number)

    def _custody_note_arrived(self, link: Link, peer: Passport, note: hop.Note) -> None:
        match note:
            case hop.Over():
                link.told = note
            case hop.Probe():
                self._surveyor.answer(link, peer.node_id, note)
            case hop.Echo():
                self._surveyor.echoed(link, note)
            case hop.Stored():
                self._timeline.stored_there(peer.node_id, link.path, [EnvelopeId(known) for known in note.ids])
                self._settler.held(peer, [EnvelopeId(identifier) for identifier in note.ids])
            case hop.Holds():
                self._attend(lambda: self._told_what_is_held(link, peer, note), "holds_not_taken")
            case hop.Refused():
                name = f"sent_but_refused_{note.reason if note.reason in hop.REASONS else 'other'}"
                self._counters.count(name)
                if is_worth_a_line(self._counters[name]):
                    _log.warning("refused there", peer=peer.name, envelope=note.id.hex(), reason=note.reason, detail=note.detail,
                                 times=self._counters[name])  # fmt: skip
            case hop.Unknown():
                link.shown.discard(NodeId(note.origin))
                self._introducer.show_passport(link, NodeId(note.origin))
                self._sender.ask_again(peer.node_id, NodeId(note.origin))
            case _:
                self._counters.refused("unexpected_note")

    def _introduced(
        self, link: Link, signed: SignedPassport | None, roster_number: int, *, was_presumed: bool = False
    ) -> None:
        """Start working with a neighbor, or go on where that was begun; None: it has not proved itself yet."""
        if self._trust.roster is not None and roster_number < self._trust.roster_number:
            link.note(hop.RosterNote(self._trust.roster.statement, self._trust.roster.signature))
        if signed is None:
            return
        self._learn(signed)
        link.ping(self._clock.monotonic_ms())
        if was_presumed:
            self._sender.became_known()
        else:
            self._say_over(link)
            self._opened(link, signed.passport)
        self._attend(lambda: self._send_known_receipts(link, signed.passport.node_id), "known_receipts_not_read")

    @staticmethod
    def _say_over(link: Link) -> None:
        if link.session.is_outgoing:
            facts = link.session.facts
            link.note(hop.Over(facts.name, facts.kind, facts.provider[:48]))

    def _opened(self, link: Link, peer: Passport) -> None:
        older = self._links.older_of(link)
        if any(other.peer is not None and not other.silence.is_suspect for other in older):
            link.session.drop("the session that it was to replace answers again")
            return
        for other in older:
            other.session.drop("a newer session has taken its place")
        _log.info("link open", peer=peer.name, path=link.session.facts.name)
        self._sender.link_opened(peer.node_id, link.session.facts.name)

    async def _send_known_receipts(self, link: Link, node_id: NodeId) -> None:
        """What this neighbor may have missed while it was away."""
        wires = await self._database.run(lambda connection: self._spool.receipts_to(connection, node_id))
        if link.session.facts.is_detour:  # it may hold copies of ours and of others', and nobody else tells it
            wires += await self._database.run(
                lambda connection: self._spool.receipts(connection, _RECEIPTS_TO_NEIGHBOR)
            )
        for wire in wires:
            link.send_receipt(receipt.parse(wire))
        for state in await self._database.run(lambda connection: self._ledger.streams(connection, node_id)):
            self._receiver.send_receipt(state)
        if not link.session.facts.is_tiny:
            origins = self._links.origins_by(node_id)
            link.note(await self._database.run(lambda connection: holds(connection, self._spool, origins)))

    async def _told_what_is_held(self, link: Link, peer: Passport, note: hop.Holds) -> None:
        """Let bulk go, when the receipts that came before the note have done their work."""
        await self._settler.drained()
        self._settler.holds(peer, note)
        link.has_told = True
        self._sender.wake()

    def _learn(self, signed: SignedPassport) -> None:
        self._attend(lambda: self._keep(signed), "passport_not_kept")

    async def _keep(self, signed: SignedPassport) -> None:
        await self._database.run(lambda connection: trust.keep_passport(connection, signed))

    def _attend(self, work: Callable[[], Coroutine[Any, Any, None]], failure: str) -> None:
        """Do something beside the parcels. What a full disk prevents is counted and comes up again; it stops nothing."""

        async def guarded() -> None:
            try:
                await work()
            except HeardError as error:
                self._counters.refused(failure)
                _log.error(failure.replace("_", " "), error=str(error))

        self._crew.start(guarded(), failure)


def holds(connection: sqlite3.Connection, spool: Spool, origins: Sequence[NodeId]) -> hop.Holds:
    """What of these origins waits here; as much of it as fits into a note."""
    said: list[hop.HeldSeries] = []
    for origin in origins:
        for (destination, series), numbers in spool.held(connection, origin).items():
            said.append(hop.HeldSeries(origin, destination, series, tuple(numbers)[:64]))
            if len(said) == 64:
                return hop.Holds(tuple(said))
    return hop.Holds(tuple(said))
