"""One end of a ZeroMQ path as a program of its own, for tests in network namespaces: tells on stdout what happens.

``python -m tests.relay.zeromq_end listen ENDPOINT`` or ``dial ENDPOINT [INTERFACE]``.
"""

import asyncio
import sys
import time

from relay.counters import Counters
from relay.identity import Identity
from relay.path import Lane, PathFacts, Session
from relay.paths.zeromq import AcceptedSession, ZeroMqDial, ZeroMqListen

LISTENER = Identity.from_seed(b"L" * 32)
DIALER = Identity.from_seed(b"D" * 32)
FACTS = PathFacts(name="test", mtu_bytes=65536)


def tell(*words: object) -> None:
    print(f"{time.monotonic():.3f}", *words, flush=True)


class Teller:
    """Tells what happens; a dialer speaks on both lanes as soon as it may, a listener answers on the same lane."""

    def session_opened(self, session: Session) -> None:
        tell("opened")
        if session.is_outgoing:
            for lane in Lane:
                session.send(lane.name.encode(), lane)

    def session_received(self, session: Session, parcel: bytes) -> None:
        if isinstance(session, AcceptedSession):
            lane = Lane[parcel.decode()]
            address = session.connections[lane][1]
            tell("received", parcel.decode(), address[0] if isinstance(address, tuple) else "?")
            session.send(parcel, lane)
        else:
            tell("answered", parcel.decode())

    def session_closed(self, session: Session, reason: str) -> None:
        tell("closed", reason)


async def main() -> None:
    role, endpoint, *rest = sys.argv[1:]
    if role == "listen":
        listener = ZeroMqListen(facts=FACTS, endpoint=endpoint, identity=LISTENER, counters=Counters())
        async with asyncio.TaskGroup() as group:
            group.create_task(listener.run(Teller()), name="listen")
            await listener.is_listening.wait()
            tell("listening", listener.endpoint)
    else:
        await ZeroMqDial(facts=FACTS, endpoint=endpoint, server_key=LISTENER.transport_key, identity=DIALER,
                         interface=rest[0] if rest else "").run(Teller())  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main())
