"""The neighbours that can be spoken to now: sessions whose other end has shown a passport that matches its transport key.

Owns the hello of each session, its round-trip time and its last word; knows which links lead to which destination. It
decides nothing about envelopes. Called by ``station`` on the event loop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from relay import hop
from relay.errors import NotForUs
from relay.ids import AUTHORITY, NodeId
from relay.kinds.heartbeat import PathHealth
from relay.passport import Passport, Role, SignedPassport
from relay.path import Lane, Session
from relay.scheduler import LinkId, LinkView

UNKNOWN_RTT_MS: Final = 200.0
IDLE_DEADLINE_MS: Final = 12_000
"""Without a word for this long a link is dead; pings go every ``PING_EVERY_MS``."""
PING_EVERY_MS: Final = 2_000


@dataclass(slots=True, kw_only=True)
class Link:
    """A session with a neighbour, and how it is."""

    id: LinkId
    session: Session
    peer: Passport | None = None
    """None until its hello or welcome was accepted."""
    rtt_ms: float = 0.0
    rtt_variation_ms: float = 0.0
    last_heard_ms: int = 0
    bytes_sent: int = 0
    shown: set[NodeId] = field(default_factory=set)
    """Origins whose passports the neighbour has from us."""
    claimed: SignedPassport | None = None
    """Shown with a hello and not proved yet."""
    challenge: bytes = b""
    """What the other end must sign; empty once it has."""
    asked_who_ms: int = -(1 << 60)

    def send(self, parcel: bytes, lane: Lane) -> bool:
        """Hand a parcel to the carrier; False if it takes none now."""
        is_taken = self.session.send(parcel, lane)
        if is_taken:
            self.bytes_sent += len(parcel)
        return is_taken

    def note(self, note: hop.Note) -> bool:
        """Send a note on the urgent lane."""
        return self.send(hop.encode(note), Lane.URGENT)

    def heard(self, now_ms: int) -> None:
        """Something came from it."""
        self.last_heard_ms = now_ms

    def measured(self, rtt_ms: float) -> None:
        """Smooth the round-trip time and its variation (RFC 6298, section 2)."""
        if self.rtt_ms == 0:
            self.rtt_ms, self.rtt_variation_ms = rtt_ms, rtt_ms / 2
            return
        self.rtt_variation_ms = self.rtt_variation_ms * 0.75 + abs(self.rtt_ms - rtt_ms) * 0.25
        self.rtt_ms = self.rtt_ms * 0.875 + rtt_ms * 0.125


class Links:
    """All sessions, and the routes learned from what they carried."""

    def __init__(self) -> None:
        self._links: dict[Session, Link] = {}
        self._next_id = 1
        self._routes: dict[NodeId, NodeId] = {}

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._links.values()))

    def opened(self, session: Session, now_ms: int) -> Link:
        """A new session, not yet introduced."""
        link = self._links[session] = Link(id=LinkId(self._next_id), session=session, last_heard_ms=now_ms)
        self._next_id += 1
        return link

    def closed(self, session: Session) -> Link | None:
        """Forget a session."""
        return self._links.pop(session, None)

    def of(self, session: Session) -> Link | None:
        """The link of a session."""
        return self._links.get(session)

    def by_id(self, link_id: LinkId) -> Link | None:
        """The link with this id, if it still stands."""
        return next((link for link in self._links.values() if link.id == link_id), None)

    def introduce(self, link: Link, passport: Passport) -> None:
        """Accept the other end's passport.

        Raises:
            NotForUs: the transport proved another key than the passport's.
        """
        proved = link.session.transport_key
        if proved and proved != passport.transport_key:
            raise NotForUs(f"{passport.name} showed its passport over a connection that another key made: refused")
        link.peer = passport

    def learn_route(self, origin: NodeId, via: NodeId) -> None:
        """Envelopes of ``origin`` came through ``via``: what goes down to it goes back that way."""
        if origin != via:
            self._routes[origin] = via

    def towards(self, destination: NodeId) -> list[Link]:
        """The introduced links that lead there.

        Up to the authority: every session that we dialed, and any command centre that dialed us. Down to a node: its own
        session, or its neighbour's; and where neither is known, up, for somebody there may know.
        """
        ready = [link for link in self._links.values() if link.peer is not None]
        upwards = [link for link in ready if link.session.is_outgoing or (link.peer and link.peer.role == Role.CENTER)]
        if destination == AUTHORITY:
            return upwards
        route = self._routes.get(destination)
        direct = [link for link in ready if link.peer and link.peer.node_id in {destination, route}]
        return direct or upwards

    def view(self, link: Link) -> LinkView:
        """What the scheduler needs to know of an introduced link."""
        assert link.peer is not None
        return LinkView(
            id=link.id, peer=link.peer.node_id, path=link.session.facts.name, rtt_ms=link.rtt_ms or UNKNOWN_RTT_MS,
            rtt_variation_ms=link.rtt_variation_ms if link.rtt_ms else UNKNOWN_RTT_MS / 2,
            is_metered=link.session.facts.is_metered,
        )  # fmt: skip

    def health_of(self, paths: Sequence[str], now_ms: int) -> tuple[PathHealth, ...]:
        """Each of these dialed paths, up or down."""
        up = {link.session.facts.name: link for link in self if link.peer is not None and link.session.is_outgoing}
        return tuple(
            PathHealth(path=name, is_up=True, rtt_ms=link.rtt_ms, bytes_sent=link.bytes_sent,
                       last_heard_age_ms=max(0, now_ms - link.last_heard_ms))
            if (link := up.get(name)) is not None
            else PathHealth(path=name, is_up=False, rtt_ms=0.0, bytes_sent=0, last_heard_age_ms=0)
            for name in paths
        )  # fmt: skip

    def silent(self, now_ms: int) -> list[Link]:
        """Links without a word for too long."""
        return [link for link in self._links.values() if now_ms - link.last_heard_ms > IDLE_DEADLINE_MS]
