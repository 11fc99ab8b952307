"""The HTTPS path, our side: for networks that let nothing else out, through a proxy where there is one.

Up: each lane POSTs its parcels in batches over its own connection, so a chunk never holds an alert up. Down: one long poll is
always open; while it is not, what is urgent comes in the answer to a POST (``TAKES_ANSWERS``). The listener hands out the session's unguessable name. TLS proves the server's host name only; who the neighbor
is, and who we are, is proved by ``relay.introduction``.
"""

import asyncio
import os
import socket as socket_module
import ssl
import urllib.parse
from pathlib import Path
from typing import Any, Final

import aiohttp
import structlog

from relay.backoff import Backoff
from relay.counters import Counters
from relay.crew import crew
from relay.errors import ConfigError, Malformed, Oversized, PathDown
from relay.path import Lane, PathEvents, PathFacts
from relay.paths import parcels
from relay.paths.bulk_socket import BulkSockets
from relay.paths.outbox import Outbox
from relay.redial import Redial
from relay.retransmission import hasten

_log = structlog.get_logger("relay.paths.https")

ROUTE: Final = "/v1/hop"
POLL_S: Final = 20.0
"""The listener answers an empty poll after this; middleboxes drop idle connections after a minute or more."""
TAKES_ANSWERS: Final = "answers"
"""The query of a POST whose sender reads parcels in its answer."""
_TURNS: Final = 3
"""Of the event loop; no time passes."""
_CONNECT_S: Final = 8.0
_POST_S: Final = {Lane.URGENT: 10.0, Lane.BULK: 90.0}


class HttpsSession:
    """A session that we opened."""

    def __init__(self, facts: PathFacts, bulk: BulkSockets) -> None:
        self.facts = facts
        self.is_outgoing = True
        self.transport_key = b""
        self.outbox = Outbox()
        self.bulk = bulk
        """That the bulk lane's requests go over. Told no pace: a request ends before the next begins, so the slower one goes the less the lane is seen to
        carry, down to nothing: 0.06 of 4 Mbit/s at 50 ms, where it has 0.4."""
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def send(self, parcel: bytes, lane: Lane) -> bool:
        """Queue for the next request; False if the lane is full or the session is over."""
        if self.lost.done() or not self.outbox.put(parcel, lane):
            return False
        if lane == Lane.BULK:
            self.bulk.steer()
        return True

    def drop(self, reason: str) -> None:
        """End it; the path opens another after its back-off."""
        if not self.lost.done():
            self.lost.set_result(reason)


def _is_address(endpoint: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(endpoint)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or over 65535
        return False


class HttpsDial:
    """A path to a listener over HTTP(S), for as long as it runs."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, counters: Counters, proxy: str = "", ca_file: Path | None = None,
        interface: str = "",
    ) -> None:  # fmt: skip
        if not _is_address(endpoint):
            raise ConfigError(f"path {facts.name!r}: expected an endpoint like https://host:5743, found {endpoint!r}")
        self.facts = facts
        self._counters = counters
        self._base = endpoint.rstrip("/") + ROUTE
        self._proxy = proxy or None
        self._tls = _tls_context(facts.name, ca_file)
        self._interface = interface
        self.redial = Redial(Backoff(least_s=0.3, most_s=15.0, stable_s=15.0))

    async def run(self, events: PathEvents) -> None:
        """Open a session, serve until it is lost, wait, open the next."""

        async def attempt() -> None:
            try:
                await self._one_session(events)
            except (aiohttp.ClientError, TimeoutError, OSError, PathDown, Malformed) as error:
                _log.info("no session", path=self.facts.name, error=str(error) or type(error).__name__)

        await self.redial.keep(attempt)

    async def _one_session(self, events: PathEvents) -> None:
        sockets = BulkSockets()
        async with self._client(Lane.URGENT) as client, self._client(Lane.BULK, sockets) as bulk:
            async with asyncio.timeout(_CONNECT_S + 7), client.post(self._base, proxy=self._proxy) as reply:
                if reply.status != 201:
                    raise PathDown(f"expected 201 from {self._base}, found {reply.status}: is that a Heard listener?")
                url = f"{self._base}/{_session_name(await reply.content.read(200))}"
            with self.redial.standing():
                await self._serve(
                    HttpsSession(self.facts, sockets), url, {Lane.URGENT: client, Lane.BULK: bulk}, events
                )

    async def _serve(
        self, session: HttpsSession, url: str, clients: dict[Lane, aiohttp.ClientSession], events: PathEvents
    ) -> None:
        events.session_opened(session)
        reason = "stopped"
        try:
            async with crew() as members:
                for lane, client in clients.items():
                    members.start(self._post(client, url, session, lane, events), f"https {lane.name.lower()}")
                members.start(self._poll(clients[Lane.URGENT], url, session, events), "https poll")
                reason = await session.lost
        finally:
            session.drop(reason)
            events.session_closed(session, reason)

    def _client(self, lane: Lane, sockets: BulkSockets | None = None) -> aiohttp.ClientSession:
        """Connections of a lane's own, marked as it is and pinned where the path is; ``sockets`` hears of each."""

        def make_socket(address: tuple[Any, ...]) -> socket_module.socket:
            made = socket_module.socket(address[0], address[1], address[2])
            try:
                self.facts.marking.put_on(made, lane)
                if lane == Lane.URGENT:
                    hasten(made)
                if self._interface:
                    made.setsockopt(
                        socket_module.SOL_SOCKET, socket_module.SO_BINDTODEVICE, os.fsencode(self._interface)
                    )
                if sockets is not None:
                    sockets.made(made)
            except OSError:
                made.close()
                raise
            return made

        connector = aiohttp.TCPConnector(
            ssl=self._tls, limit=4, enable_cleanup_closed=False, socket_factory=make_socket
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
        return aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=self._proxy is None)

    async def _post(
        self, client: aiohttp.ClientSession, url: str, session: HttpsSession, lane: Lane, events: PathEvents
    ) -> None:
        where = f"{url}/{lane.value}" + (f"?{TAKES_ANSWERS}" if lane == Lane.URGENT else "")
        while True:
            await session.outbox.filled(lane)
            # The proof that opens a session wakes the sender: its first alerts go along, and not a round trip later.
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            data = parcels.join(session.outbox.take(lane))
            try:
                async with asyncio.timeout(_POST_S[lane]), client.post(where, data=data, proxy=self._proxy) as reply:
                    arrived = parcels.split(await _bounded_answer(reply))
            except (aiohttp.ClientError, TimeoutError, OSError, PathDown, Malformed) as error:
                self._lose(session, "sending", error)
                return
            for parcel in arrived:
                events.session_received(session, parcel)

    async def _poll(self, client: aiohttp.ClientSession, url: str, session: HttpsSession, events: PathEvents) -> None:
        while True:
            try:
                async with asyncio.timeout(POLL_S + 10), client.get(url, proxy=self._proxy) as reply:
                    arrived = parcels.split(await _bounded_answer(reply))
            except (aiohttp.ClientError, TimeoutError, OSError, PathDown, Malformed) as error:
                self._lose(session, "polling", error)
                return
            for parcel in arrived:
                events.session_received(session, parcel)

    def _lose(self, session: HttpsSession, doing: str, error: Exception) -> None:
        """End a session that a request failed in; what the other end said wrong is counted."""
        if isinstance(error, Malformed):
            self._counters.refused(error.reason)
        session.drop(f"{doing} failed: {str(error) or type(error).__name__}")


def _session_name(data: bytes) -> str:
    name = data.decode("ascii", errors="replace").strip()
    if len(name) != 32 or not all(digit in "0123456789abcdef" for digit in name):
        raise PathDown(
            f"expected a session's name of 32 hexadecimal digits, found {name[:40]!r}: is that a Heard listener?"
        )
    return name


async def _bounded_answer(reply: aiohttp.ClientResponse) -> bytes:
    """The body of a good answer.

    Raises:
        PathDown: the listener has forgotten us, or something else answers in its place.
        Oversized: over the bound.
    """
    if reply.status not in {200, 204}:
        raise PathDown(f"expected 200 or 204, found {reply.status}")
    data = bytearray()
    async for piece in reply.content.iter_any():
        data += piece
        if len(data) > parcels.MAX_BATCH_BYTES:
            raise Oversized(f"expected at most {parcels.MAX_BATCH_BYTES} bytes in one answer, found more")
    return bytes(data)


def _tls_context(name: str, ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"path {name!r}: can't read the certificates in {ca_file}: {error}") from error
