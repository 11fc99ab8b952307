"""A neighbor that says whatever a test wants, over a real CURVE connection: what a hostile or broken machine is."""

import contextlib
import hashlib
from collections.abc import AsyncIterator

from relay import envelope, hop, receipt
from relay.clock import ClockQuality
from relay.crew import crew
from relay.envelope import Envelope
from relay.header import Header, Kind
from relay.identity import Identity
from relay.ids import AUTHORITY, NodeId
from relay.kinds.alert import Alert, Rule
from relay.path import Lane, PathFacts, Session
from relay.paths.zeromq import ZeroMqDial
from relay.precedence import Precedence
from tests.relay.house import House, until


class Neighbor:
    """Hears everything; says what it is told to."""

    def __init__(self, hello: hop.Hello | None) -> None:
        self.hello = hello
        self.session: Session | None = None
        self.notes: list[hop.Note] = []
        self.receipts: list[receipt.Receipt] = []
        self.envelopes: list[Envelope] = []
        self.closed: list[str] = []

    def session_opened(self, session: Session) -> None:
        self.session = session
        if self.hello is not None:
            self.say(self.hello)

    def session_received(self, session: Session, parcel: bytes) -> None:
        if hop.is_note(parcel):
            self.notes.append(hop.decode(parcel))
            if isinstance(self.notes[-1], hop.Ping):
                self.say(hop.Pong(self.notes[-1].sent_ms))
        elif receipt.is_receipt(parcel):
            self.receipts.append(receipt.parse(parcel))
        else:
            self.envelopes.append(envelope.parse(parcel))

    def session_closed(self, session: Session, reason: str) -> None:
        self.session = None
        self.closed.append(reason)

    def say(self, what: hop.Note | bytes, lane: Lane = Lane.URGENT) -> None:
        assert self.session is not None, f"the session is gone: {self.closed}"
        assert self.session.send(what if isinstance(what, bytes) else hop.encode(what), lane)

    @property
    def is_welcome(self) -> bool:
        return any(isinstance(note, hop.Welcome) for note in self.notes)


@contextlib.asynccontextmanager
async def neighbor(
    house: House, name: str, endpoint: str, *, to: str = "center", identity: Identity | None = None,
    expect_welcome: bool = True, says_hello: bool = True,
) -> AsyncIterator[Neighbor]:  # fmt: skip
    """Dial a station and show the passport of ``name``; ``identity`` is who really holds the connection."""
    speaker = Neighbor(hop.Hello(house.passports[name].wire, 0, bytes(16)) if says_hello else None)
    dial = ZeroMqDial(facts=PathFacts(name="test", mtu_bytes=65536), endpoint=endpoint,
                      server_key=house.identities[to].transport_key, identity=identity or house.identities[name])  # fmt: skip
    async with crew() as members:
        members.start(dial.run(speaker), "neighbor")
        await until(lambda: speaker.session is not None, "the connection")
        if expect_welcome:
            await until(lambda: speaker.is_welcome, "the welcome")
        yield speaker


def said_by(
    identity: Identity, sequence: int, *, kind: Kind = Kind.ALERT, series: int = 77, body: bytes | None = None,
    destination: NodeId = AUTHORITY, signing: Identity | None = None, peer_sealing_key: bytes = b"",
) -> Envelope:  # fmt: skip
    """An envelope as the holder of ``identity`` would make it; ``signing`` is who really signs."""
    content = (
        body
        or Alert(label="handgun", camera="gate", confidence=0.9, rule=Rule.CLASS_OF_INTEREST, salt=b"the same").encode()
    )
    header = Header(
        kind=kind, quality=ClockQuality.SYNCHRONIZED, precedence=Precedence.FLASH, origin=identity.node_id,
        destination=destination, series=series, boot=1, sequence=sequence, wall_ms=1_790_000_000_000,
        monotonic_ms=1000, ttl_s=0, link=bytes(8), body_sha256=hashlib.sha256(content).digest(),
    )  # fmt: skip
    secret = identity.shared_secret(peer_sealing_key) if peer_sealing_key else bytes(32)
    return envelope.seal(header, content, signing=(signing or identity).signing, shared_secret=secret)
