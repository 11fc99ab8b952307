"""A path whose far end is a login page for a while: it must not wait for an answer that can't come. Needs no root."""

import asyncio
import time

from relay.counters import Counters
from relay.crew import crew
from relay.identity import Identity
from relay.path import PathFacts, Session
from relay.paths.zeromq import ZeroMqDial, ZeroMqListen
from tests.relay.house import until

FACTS = PathFacts(name="test", mtu_bytes=65536)


class Opened:
    """Counts sessions."""

    def __init__(self) -> None:
        self.count = 0

    def session_opened(self, session: Session) -> None:
        self.count += 1

    def session_received(self, session: Session, parcel: bytes) -> None:
        pass

    def session_closed(self, session: Session, reason: str) -> None:
        pass


async def test_path_is_up_soon_after_the_login_page_has_gone() -> None:
    # libzmq gives an endpoint up for good when it answers what is no ZMTP: the attempt must end then, not at its deadline.
    calls = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://login.hotel/\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server, dialer = Identity.generate(), Identity.generate()
    page = await asyncio.start_server(answer, "127.0.0.1", 0)
    endpoint = f"tcp://127.0.0.1:{page.sockets[0].getsockname()[1]}"
    dialed = Opened()
    async with crew() as members:
        members.start(
            ZeroMqDial(facts=FACTS, endpoint=endpoint, server_key=server.transport_key, identity=dialer).run(dialed),
            "dial",
        )
        await until(lambda: calls >= 2, "both lanes to be answered")
        await asyncio.sleep(0.1)
        page.close()
        await page.wait_closed()
        gone_s = time.monotonic()
        members.start(
            ZeroMqListen(facts=FACTS, endpoint=endpoint, identity=server, counters=Counters()).run(Opened()), "listen"
        )
        await until(lambda: dialed.count == 1, "the session", timeout_s=14)
        assert time.monotonic() - gone_s < 3
