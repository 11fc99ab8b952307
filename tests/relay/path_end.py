"""One end of a ZeroMQ or TLS path as a program of its own, for tests in network namespaces: tells on stdout what happens.

``python -m tests.relay.path_end listen ENDPOINT`` or ``dial ENDPOINT [INTERFACE]``. The endpoint's scheme says which carrier it is.
"""

import asyncio
import sys
import time

from relay import passport
from relay.counters import Counters
from relay.identity import Identity
from relay.passport import Role
from relay.path import Lane, Path, PathFacts, Session
from relay.paths.tls import SCHEME, TlsDial
from relay.paths.tls_listen import AcceptedTlsSession, TlsListen
from relay.paths.zeromq import AcceptedSession, ZeroMqDial, ZeroMqListen

AUTHORITY = Identity.from_seed(b"A" * 32)
LISTENER = Identity.from_seed(b"L" * 32)
DIALER = Identity.from_seed(b"D" * 32)
PEER = passport.issue(AUTHORITY.signing, role=Role.CENTER, name="center", site="yard", agency="city",
                      keys=(LISTENER.signing_key, LISTENER.sealing_key, LISTENER.transport_key),
                      not_before_ms=0, not_after_ms=1 << 47, serial=1).passport  # fmt: skip
FACTS = PathFacts(name="test", mtu_bytes=65536)
_AGAIN_S = 0.05


def tell(*words: object) -> None:
    print(f"{time.monotonic():.3f}", *words, flush=True)


def far_address(session: AcceptedSession | AcceptedTlsSession, lane: Lane) -> str:
    """Where a lane's connection comes from."""
    if isinstance(session, AcceptedTlsSession):
        socket = session.connections[lane].socket
        return str(socket.getpeername()[0]) if socket is not None else "?"
    address = session.connections[lane][1]
    return address[0] if isinstance(address, tuple) else "?"


class Teller:
    """Tells what happens; a dialer speaks on both lanes as soon as it may, a listener answers on the same lane."""

    def __init__(self) -> None:
        self._open: set[int] = set()

    def session_opened(self, session: Session) -> None:
        tell("opened")
        self._open.add(id(session))
        if session.is_outgoing:
            for lane in Lane:
                self._speak(session, lane)

    def _speak(self, session: Session, lane: Lane) -> None:
        """A lane may be up later than its session."""
        if id(session) in self._open and not session.send(lane.name.encode(), lane):
            asyncio.get_running_loop().call_later(_AGAIN_S, self._speak, session, lane)

    def session_received(self, session: Session, parcel: bytes) -> None:
        if isinstance(session, AcceptedSession | AcceptedTlsSession):
            lane = Lane[parcel.decode()]
            tell("received", parcel.decode(), far_address(session, lane))
            session.send(parcel, lane)
        else:
            tell("answered", parcel.decode())

    def session_closed(self, session: Session, reason: str) -> None:
        self._open.discard(id(session))
        tell("closed", reason)


def dial_to(endpoint: str, interface: str) -> Path:
    if endpoint.startswith(f"{SCHEME}:"):
        return TlsDial(
            facts=FACTS, endpoint=endpoint, peer=PEER, identity=DIALER, counters=Counters(), interface=interface
        )
    return ZeroMqDial(
        facts=FACTS, endpoint=endpoint, server_key=LISTENER.transport_key, identity=DIALER, interface=interface
    )


def listener_at(endpoint: str) -> ZeroMqListen | TlsListen:
    kind = TlsListen if endpoint.startswith(f"{SCHEME}:") else ZeroMqListen
    return kind(facts=FACTS, endpoint=endpoint, identity=LISTENER, counters=Counters())


async def main() -> None:
    role, endpoint, *rest = sys.argv[1:]
    if role == "listen":
        listener = listener_at(endpoint)
        async with asyncio.TaskGroup() as group:
            group.create_task(listener.run(Teller()), name="listen")
            await listener.is_listening.wait()
            tell("listening", listener.endpoint)
    else:
        await dial_to(endpoint, rest[0] if rest else "").run(Teller())


if __name__ == "__main__":
    asyncio.run(main())
