"""The neighbors that can be spoken to now: sessions whose other end has shown a passport that matches its transport key.

Owns the hello of each session, its round-trip time and its last word; knows which links lead to which destination. It
decides nothing about envelopes. Called by ``station`` on the event loop.
"""

import asyncio
import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from relay import flood_window, hop, limits
from relay.acquaintance import Acquaintance
from relay.attempts import LinkId, LinkView
from relay.budget import Purse
from relay.bulk_pace import FIRST_TOKEN, BulkPace, BulkRoom
from relay.clock import Clock
from relay.counters import Counters
from relay.errors import NotForUs
from relay.flood_window import FloodWindow
from relay.header import Kind
from relay.ids import AUTHORITY, EnvelopeId, NodeId
from relay.passport import Passport, Role, SignedPassport
from relay.path import KnownSession, Lane, PacedSession, Session
from relay.path_health import PathMeter
from relay.receipt import Receipt
from relay.rides import Rides
from relay.routes import Routes
from relay.silence import Silence

UNKNOWN_RTT_MS: Final = 200.0
IDLE_DEADLINE_MS: Final = 12_000
"""Without a word for this long a link is dead; pings go every ``PING_EVERY_MS``."""
HOLDS_AWAITED_MS: Final = 2_000
PING_EVERY_MS: Final = 2_000
TINY_KINDS: Final = frozenset({Kind.ALERT, Kind.RETRACTION, Kind.ACKNOWLEDGEMENT})
"""What a tiny path carries beside receipts, small notes and a rare pulse; and any path before its other end has answered our hello."""
_STORED_BYTES: Final = 34
"""One id in a note."""


def _costs_nothing(size_bytes: int) -> None:
    """Of a link that a neighbor dialed: whoever dials pays."""


@dataclass(slots=True, kw_only=True)
class Link:
    """A session with a neighbor, and how it is."""

    id: LinkId
    session: Session
    counters: Counters = field(default_factory=Counters)
    peer: Passport | None = None
    """None until its hello or welcome was accepted, or its welcome is presumed."""
    acquaintance: Acquaintance = Acquaintance.NONE
    meter: PathMeter = field(default_factory=PathMeter)
    """Of the path, where we dialed it; of the one connection, where the neighbor did."""
    spend: Callable[[int], None] = _costs_nothing
    """Told the size of every parcel, both ways."""
    last_heard_ms: int = 0
    told: hop.Over | None = None
    """What the neighbor calls the path, where it dialed."""
    shown: set[NodeId] = field(default_factory=set)
    """Origins whose passports the neighbor has from us."""
    claimed: SignedPassport | None = None
    """Shown with a hello and not proved yet."""
    challenge: bytes = b""
    """What the other end must sign; empty once it has."""
    asked_who_ms: int = -(1 << 60)
    introduced_ms: int = -(1 << 60)
    has_told: bool = False
    """It has said what it holds of ours."""
    silence: Silence = field(default_factory=Silence)
    pace: BulkPace = field(default_factory=BulkPace)
    flood: FloodWindow = field(default_factory=FloodWindow)
    spread_bytes_s: int = 0
    """What the carrier was told last."""
    pulses: dict[tuple[str, NodeId], int] = field(default_factory=dict)
    """When a node's last pulse went over a path, ms; shared by all links, for a modem that comes again is the same modem."""
    rides: Rides | None = None
    """Receipts that go on it once more; None on a tiny path, whose session sees to that."""
    known: KnownSession | None = field(init=False)
    """The session, where its other end is known without a hello."""

    def __post_init__(self) -> None:
        """Once: asking a protocol costs as much as sending, and every alert sent would ask."""
        self.known = self.session if isinstance(self.session, KnownSession) else None

    def takes(self, kind: int, size_bytes: int, now_ms: int, origin: NodeId) -> bool:
        """Whether an envelope may go on it: small enough, and on a tiny path only what is worth it."""
        facts = self.session.facts
        if size_bytes > facts.mtu_bytes or (self.is_presumed and kind not in TINY_KINDS):
            return False
        if facts.is_tiny and kind == Kind.PULSE:
            last_ms = self.pulses.get((facts.name, origin))
            return last_ms is None or now_ms - last_ms >= facts.heartbeat_every_s * 1000
        return not facts.is_tiny or kind in TINY_KINDS

    def note_sent(self, kind: int, now_ms: int, origin: NodeId) -> None:
        """Remember when a node's last pulse went."""
        if kind == Kind.PULSE and self.session.facts.is_tiny:
            self.pulses[self.session.facts.name, origin] = now_ms

    @property
    def is_known(self) -> bool:
        """Whether its other end has said who it is."""
        return self.acquaintance is Acquaintance.KNOWN

    @property
    def is_presumed(self) -> bool:
        """Whether its welcome has not come yet, and is not waited for."""
        return self.acquaintance is Acquaintance.PRESUMED

    @property
    def is_usable(self) -> bool:
        """Whether envelopes may go on it."""
        return self.peer is not None and self.acquaintance is not Acquaintance.NONE

    @property
    def path(self) -> str:
        """The path's name: as we call it where we dialed, as the neighbor calls it where it did."""
        return self.told.path if self.told is not None and not self.session.is_outgoing else self.session.facts.name

    def send(self, parcel: bytes, lane: Lane) -> bool:
        """Hand a parcel to the carrier; False if it takes none now, or never one of this size."""
        if len(parcel) > self.session.facts.mtu_bytes:
            self.counters.count("over_mtu")
            return False
        is_taken = self.session.send(parcel, lane)
        if is_taken:
            self.meter.sent(len(parcel))
            self.spend(len(parcel))
            if self.rides and lane == Lane.URGENT:
                self.rides.give(self.send, self.p95_ms)
        return is_taken

    def send_receipt(self, receipt: Receipt) -> None:
        """Say what is stored, now and behind the next thing that goes here: it may be lost."""
        if self.rides is None:
            self.send(receipt.wire, Lane.URGENT)
        else:
            self.rides.say(receipt, self.send, self.p95_ms)

    def note(self, note: hop.Note) -> bool:
        """Send a note on the urgent lane."""
        return self.send(hop.encode(note), Lane.URGENT)

    def note_stored(self, ids: Sequence[EnvelopeId]) -> None:
        """Say that these are durable here, in as many notes as it takes."""
        at_once = max(1, min(512, (self.session.facts.mtu_bytes - 16) // _STORED_BYTES))
        for at in range(0, len(ids), at_once):
            self.note(hop.Stored(ids=tuple(ids[at : at + at_once])))

    def heard(self, size_bytes: int, now_ms: int) -> None:
        """A parcel came from it."""
        self.last_heard_ms = now_ms
        if self.silence.asked_ms is not None:
            self.silence.heard(now_ms, self.meter.least_rtt_ms)
        self.meter.received(size_bytes, now_ms)
        self.spend(size_bytes)

    @property
    def p95_ms(self) -> float:
        """When nearly every answer to a small question has come."""
        if not self.meter.rtt_ms:
            return 3 * (self.session.facts.expected_rtt_ms or UNKNOWN_RTT_MS)
        return self.meter.rtt_ms + 4 * self.meter.rtt_variation_ms

    def ping(self, now_ms: int) -> None:
        """Ask whether it is there."""
        if self.note(hop.Ping(now_ms)):
            self.meter.asked(now_ms)
            self.silence.asked(now_ms, is_ping=True)

    def pong(self, token: int, now_ms: int) -> bool:
        """The answer to a ping, or to what followed a piece of bulk; True if there may be room for more of that."""
        if token < FIRST_TOKEN:
            self.meter.answered(token, now_ms)
            self.flood.measured(float(max(0, now_ms - token)), now_ms)
            return False
        if token >= flood_window.FIRST_TOKEN:
            return self.flood.answered(token, now_ms)
        is_awaited = self.pace.answered(token, self.meter.least_rtt_ms, now_ms)
        self.meter.goodput_up_bytes_s = self.pace.rate_bytes_s
        return is_awaited

    @property
    def is_paced(self) -> bool:
        """Whether bulk is asked after; a carrier of tiny parcels paces itself and has none to spare for that."""
        return self.session.facts.mtu_bytes >= limits.MAX_ENVELOPE_BYTES and not self.session.facts.is_tiny

    def bulk_sent(self, size_bytes: int, largest_bytes: int, now_ms: int) -> None:
        """Bulk was handed to the carrier: ask when it has come through, on its own lane."""
        if self.is_paced:
            self._spread()
            self.send(
                hop.encode(hop.Ping(self.pace.sent(size_bytes, largest_bytes, self.meter.least_rtt_ms, now_ms))),
                Lane.BULK,
            )

    def flood_sent(self, size_bytes: int, now_ms: int) -> None:
        """Alerts were handed to the carrier while a node has more than a few: ask when they have come through."""
        if self.is_paced and (token := self.flood.sent(size_bytes, now_ms)) is not None:
            self.send(hop.encode(hop.Ping(token)), Lane.URGENT)

    def _spread(self) -> None:
        bytes_s = self.pace.spread_bytes_s()
        if isinstance(self.session, PacedSession) and abs(bytes_s - self.spread_bytes_s) > self.spread_bytes_s / 50:
            self.spread_bytes_s = bytes_s
            self.session.pace(bytes_s)

    def bulk_room(self, now_ms: int) -> BulkRoom:
        """What it takes of bulk now: nothing before it has said what it holds already, or ought to have."""
        if not self.has_told and now_ms - self.introduced_ms < HOLDS_AWAITED_MS:
            return BulkRoom(allowance_bytes=0.0)
        return self.pace.room(self.meter.least_rtt_ms, now_ms) if self.is_paced else BulkRoom()


class Links:
    """All sessions, and the routes learned from what they carried."""

    def __init__(self, *, purse: Purse, clock: Clock, counters: Counters | None = None) -> None:
        self._counters = counters or Counters()
        self._purse = purse
        self._clock = clock
        self._meters: dict[str, PathMeter] = {}
        """Of dialed paths, by name."""
        self._links: dict[Session, Link] = {}
        self._pulses: dict[tuple[str, NodeId], int] = {}
        self._of_peer: dict[NodeId, dict[LinkId, Link]] = {}
        """Introduced links; a receipt for one of a thousand nodes does not look at all of theirs."""
        self._next_id = 1
        self._routes = Routes(clock)
        self.asked = asyncio.Event()
        """A question went out on a path that we dial."""

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._links.values()))

    def opened(self, session: Session, now_ms: int) -> Link:
        """A new session, not yet introduced."""
        link = self._links[session] = Link(
            id=LinkId(self._next_id), session=session, last_heard_ms=now_ms, counters=self._counters, pulses=self._pulses,
            rides=None if session.facts.is_tiny else Rides(self._clock, self._counters),
        )  # fmt: skip
        self._next_id += 1
        if session.is_outgoing:
            link.meter = self.meter_of(session.facts.name)
            link.meter.session_lost()
            link.pace = BulkPace(rate_bytes_s=link.meter.goodput_up_bytes_s / 2, now_ms=now_ms)
            if self._purse.counts(session.facts.name):
                link.spend = functools.partial(self._spend, session.facts.name)
        return link

    def meter_of(self, path: str) -> PathMeter:
        """What was measured on a dialed path, over this connection and those before it."""
        return self._meters.setdefault(path, PathMeter())

    def _spend(self, path: str, size_bytes: int) -> None:
        self._purse.spend(path, size_bytes, self._clock.monotonic_ms())

    def closed(self, session: Session) -> Link | None:
        """Forget a session."""
        link = self._links.pop(session, None)
        if link is not None:
            self._set_peer(link, None)
        return link

    def of(self, session: Session) -> Link | None:
        """The link of a session."""
        return self._links.get(session)

    def by_id(self, link_id: LinkId) -> Link | None:
        """The link with this id, if it still stands."""
        return next((link for link in self._links.values() if link.id == link_id), None)

    def introduce(self, link: Link, passport: Passport, *, is_presumed: bool = False) -> None:
        """Accept the other end's passport; ``is_presumed``: before it has shown it over this connection.

        Raises:
            NotForUs: the transport proved another key than the passport's.
        """
        proved = link.session.transport_key
        if proved and proved != passport.transport_key:
            raise NotForUs(f"{passport.name} showed its passport over a connection that another key made: refused")
        self._set_peer(link, passport)
        link.acquaintance = Acquaintance.PRESUMED if is_presumed else Acquaintance.KNOWN
        if not link.session.facts.is_tiny:
            link.introduced_ms = self._clock.monotonic_ms()

    def trust_local(self, link: Link, passport: Passport) -> None:
        """A link to something on this machine: it speaks in our own name."""
        self._set_peer(link, passport)
        link.acquaintance = Acquaintance.KNOWN

    def doubt(self, link: Link) -> None:
        """Its welcome was presumed, and it asks who we are: nothing more goes there before it has come."""
        if link.is_presumed:
            link.acquaintance = Acquaintance.NONE

    def _set_peer(self, link: Link, passport: Passport | None) -> None:
        if link.peer is not None:
            known = self._of_peer.get(link.peer.node_id, {})
            known.pop(link.id, None)
            if not known:
                self._of_peer.pop(link.peer.node_id, None)
        if passport is not None:
            link.peer = passport
            self._of_peer.setdefault(passport.node_id, {})[link.id] = link

    def learn_route(self, origin: NodeId, via: NodeId) -> None:
        """Envelopes of ``origin`` came through ``via``: what goes down to it goes back that way, and by the others that brought some lately."""
        self._routes.learn(origin, via)

    def routes_to(self, origin: NodeId) -> list[NodeId]:
        """The neighbors behind which an origin is; itself among them where it called."""
        return self._routes.to(origin)

    def note_asked(self, link: Link, now_ms: int) -> None:
        """An alert was sent: if we dialed, silence is noticed from now on."""
        if link.session.is_outgoing and not link.session.facts.is_tiny:
            link.silence.asked(now_ms)
            self.asked.set()

    def is_cut_off(self) -> bool:
        """Whether none of our own paths leads anywhere now, as far as we can tell."""
        return not any(link.session.is_outgoing and link.is_known and not link.silence.is_suspect for link in self._links.values())  # fmt: skip

    def is_narrow(self) -> bool:
        """Whether our own paths lead somewhere, and only by tiny ones."""
        up = [link.session.facts for link in self._links.values() if link.session.is_outgoing and link.is_known]
        return bool(up) and all(facts.is_tiny for facts in up)

    def origins_by(self, neighbor: NodeId) -> list[NodeId]:
        """A neighbor, and whose envelopes came through it."""
        return [neighbor, *self._routes.behind(neighbor)]

    def older_of(self, link: Link) -> list[Link]:
        """Sessions with the same neighbor, of the same dialed path, that a newer one replaces."""
        return [other for other in self._links.values() if link.session.is_outgoing and other.session.is_outgoing
                and other.id < link.id and other.session.facts.name == link.session.facts.name
                and other.session.transport_key == link.session.transport_key]  # fmt: skip

    def towards(self, destination: NodeId) -> list[Link]:
        """The links that lead there and whose other end is known, or presumed.

        Up to the authority: every session that we dialed, and any command center that dialed us. Down to a node: its own
        session, and every neighbor's that brought its envelopes lately; and where none is known, up, for somebody there may know.
        """
        if destination != AUTHORITY:
            near = dict.fromkeys((destination, *self.routes_to(destination)))
            direct = [link for peer in near for link in self._of_peer.get(peer, {}).values() if link.is_usable]
            if direct:
                return direct
        return [link for link in self._links.values()
                if link.peer is not None and link.is_usable and (link.session.is_outgoing or link.peer.role == Role.CENTER)]  # fmt: skip

    def back_to(self, origin: NodeId, *, is_urgent: bool, came_by: Collection[LinkId] = ()) -> list[Link]:
        """The links on which an origin is told that its envelopes are stored: every one that leads there.

        A tiny one only for what came by it, or is urgent; and if it costs money, where no free one is there.
        """
        links = self.towards(origin)
        has_free = any(not link.session.facts.is_metered for link in links)
        return [
            link for link in links
            if not (facts := link.session.facts).is_tiny or link.id in came_by
            or (is_urgent and not (facts.is_metered and has_free))
        ]  # fmt: skip

    def detours(self) -> list[Link]:
        """The introduced links to stations that carry for us only because they are near."""
        return [link for link in self._links.values() if link.is_known and link.session.facts.is_detour]

    def view(self, link: Link, beside: Sequence[Link] = ()) -> LinkView:
        """What the scheduler needs to know of an introduced link; ``beside`` are all that lead to the same place.

        A detour counts as a way that costs while a straight one is there.
        """
        assert link.peer is not None
        facts, meter, now_ms = link.session.facts, link.meter, self._clock.monotonic_ms()
        unmeasured_ms = facts.expected_rtt_ms or UNKNOWN_RTT_MS
        has_straight = any(not other.session.facts.is_detour for other in beside)
        budget_left = float("inf")
        if facts.is_metered and link.session.is_outgoing:
            budget_left = self._purse.left_bytes(facts.name, now_ms)
        return LinkView(
            id=link.id, peer=link.peer.node_id, path=facts.name, rtt_ms=meter.rtt_ms or unmeasured_ms,
            rtt_variation_ms=meter.rtt_variation_ms if meter.rtt_ms else unmeasured_ms / 2,
            is_metered=facts.is_metered or (facts.is_detour and has_straight), cost_per_mb=facts.cost_per_mb,
            is_suspect=link.silence.is_suspect,
            flood_left_bytes=link.flood.left_bytes(now_ms) if link.is_paced else float("inf"),
            budget_left_bytes=budget_left, bulk=link.bulk_room(now_ms),
        )  # fmt: skip

    def silent(self, now_ms: int) -> list[Link]:
        """Links without a word for too long; on tiny ones nobody speaks without need."""
        return [link for link in self._links.values()
                if now_ms - link.last_heard_ms > IDLE_DEADLINE_MS and not link.session.facts.is_tiny]  # fmt: skip
