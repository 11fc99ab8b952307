"""The HTTPS path, the other side: takes parcels by POST and hands them out to long polls.

A session is an unguessable name and two short queues. Nothing that is said in it is believed for that: the hello and its proof
come first, and every envelope carries its signature. Bounds on sessions and bytes keep a stranger from costing much.
"""

import asyncio
import secrets
import ssl
import urllib.parse
from pathlib import Path
from typing import Final

from aiohttp import web

from relay.counters import Counters
from relay.errors import ConfigError, EndpointInUse, Malformed
from relay.marking import Marking
from relay.path import Lane, PathEvents, PathFacts
from relay.paths import parcels
from relay.paths.https import POLL_S, ROUTE, TAKES_ANSWERS
from relay.paths.outbox import Outbox
from relay.retransmission import hasten

_MAX_SESSIONS: Final = 4_000
_IDLE_S: Final = 45.0
"""Without a poll for this long the neighbor is gone."""
_ANSWER_S: Final = 0.02
"""What an alert's receipt takes on a good disk; a later one goes by the next poll."""


class PolledSession:
    """A session that a neighbor opened."""

    def __init__(self, listener: "HttpsListen", name: str) -> None:
        self._listener = listener
        self.name = name
        self.facts = listener.facts
        self.is_outgoing = False
        self.transport_key = b""
        self.outbox = Outbox()
        self.last_poll_s = asyncio.get_running_loop().time()
        self.polls = 0
        """That wait for something now."""
        self.is_over = False

    def send(self, parcel: bytes, lane: Lane) -> bool:
        """Queue for the next poll; False if the lane is full or the session is over."""
        return not self.is_over and self.outbox.put(parcel, lane)

    def drop(self, reason: str) -> None:
        """End it; the neighbor's next request is answered with 404."""
        self._listener.forget(self, reason)


class HttpsListen:
    """A path that neighbors reach over HTTP(S)."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, counters: Counters, certificate_file: Path | None = None,
        key_file: Path | None = None,
    ) -> None:  # fmt: skip
        self.facts = facts
        self.endpoint = endpoint
        """What we listen on; once running, with the real port where 0 was asked for."""
        self._counters = counters
        self._parts = urllib.parse.urlsplit(endpoint)
        try:
            is_place = bool(self._parts.hostname) and self._parts.port is not None
        except ValueError:  # a port that is no number, or over 65535
            is_place = False
        if self._parts.scheme not in {"http", "https"} or not is_place:
            raise ConfigError(
                f"listen {facts.name!r}: expected an endpoint like https://0.0.0.0:5743, found {endpoint!r}"
            )
        self._tls = _server_context(facts.name, certificate_file, key_file) if self._parts.scheme == "https" else None
        self._sessions: dict[str, PolledSession] = {}
        self._events: PathEvents | None = None
        self.is_listening = asyncio.Event()

    async def listening(self) -> None:
        """Return once neighbors can come."""
        await self.is_listening.wait()

    def ban(self, transport_keys: set[bytes]) -> None:
        """Nothing to do: no transport key is proved here. A withdrawn passport is refused by the upper floor."""

    async def run(self, events: PathEvents) -> None:
        """Listen until cancelled.

        Raises:
            EndpointInUse: somebody else listens there.
        """
        self._events = events
        app = web.Application(client_max_size=parcels.MAX_BATCH_BYTES)
        app.add_routes([
            web.post(ROUTE, self._open), web.get(f"{ROUTE}/{{name}}", self._poll),
            web.post(f"{ROUTE}/{{name}}/{{lane}}", self._post),
        ])  # fmt: skip
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(
                runner, self._parts.hostname, self._parts.port, ssl_context=self._tls, reuse_address=True
            )
            try:
                await site.start()
            except OSError as error:
                raise EndpointInUse(
                    f"can't listen on {self.endpoint}: {error.strerror or error}; stop what uses it (`ss -ltnp` names it), or "
                    "listen elsewhere"
                ) from error
            port = runner.addresses[0][1]
            self.endpoint = f"{self._parts.scheme}://{self._parts.hostname}:{port}"
            self.is_listening.set()
            await self._watch()
        finally:
            for session in list(self._sessions.values()):
                self.forget(session, "stopped")
            await runner.cleanup()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(5)
            for session in [s for s in self._sessions.values() if loop.time() - s.last_poll_s > _IDLE_S]:
                self.forget(session, "no poll for too long")

    def forget(self, session: PolledSession, reason: str) -> None:
        """Drop what we know of a session."""
        session.is_over = True
        session.outbox.any_filled.set()  # wakes a waiting poll, which then says 404
        if self._sessions.pop(session.name, None) is not None and self._events is not None:
            self._events.session_closed(session, reason)

    # ------------------------------------------------------------------ requests

    async def _open(self, request: web.Request) -> web.Response:
        if len(self._sessions) >= _MAX_SESSIONS or self._events is None:
            self._counters.refused("too_many_sessions")
            return web.Response(status=503, headers={"Retry-After": "30"})
        _mark(request, self.facts.marking, Lane.URGENT)
        session = PolledSession(self, secrets.token_hex(16))
        self._sessions[session.name] = session
        self._events.session_opened(session)
        return web.Response(status=201, text=session.name)

    async def _post(self, request: web.Request) -> web.Response:
        session = self._sessions.get(request.match_info["name"])
        if session is None or self._events is None:
            return web.Response(status=404)
        try:
            arrived = parcels.split(await request.read())
        except web.HTTPRequestEntityTooLarge:
            self._counters.refused("oversized")
            raise
        except Malformed as error:
            self._counters.refused(error.reason)
            return web.Response(status=400)
        for parcel in arrived:
            self._events.session_received(session, parcel)
        lane = Lane.BULK if request.match_info["lane"] == str(Lane.BULK.value) else Lane.URGENT
        batch = await self._answers(session) if lane == Lane.URGENT and request.query_string == TAKES_ANSWERS else []
        if batch and (request.transport is None or request.transport.is_closing()):
            session.outbox.give_back(batch, Lane.URGENT)
            batch = []
        _mark(request, self.facts.marking, lane)
        return web.Response(status=200 if batch else 204, body=parcels.join(batch))

    @staticmethod
    async def _answers(session: PolledSession) -> list[bytes]:
        """What is urgent and no poll waits for: a welcome, or a receipt, is there a round trip sooner, or two where the poll has yet to connect."""
        if session.polls and not session.outbox.any_filled.is_set():
            return []  # the poll has nothing to say yet, and waits for whatever comes
        await asyncio.sleep(_ANSWER_S)
        return [] if session.polls or session.is_over else session.outbox.take(Lane.URGENT)

    async def _poll(self, request: web.Request) -> web.Response:
        session = self._sessions.get(request.match_info["name"])
        if session is None:
            return web.Response(status=404)
        loop = asyncio.get_running_loop()
        session.last_poll_s = loop.time()
        session.polls += 1
        try:
            async with asyncio.timeout(POLL_S):
                await session.outbox.any_filled.wait()
        except TimeoutError:  # nothing to say: the neighbor asks again
            pass
        finally:
            session.polls -= 1
        session.last_poll_s = loop.time()
        if session.is_over:
            return web.Response(status=404)
        lane = Lane.URGENT
        batch = session.outbox.take(lane)
        if not batch:
            lane = Lane.BULK
            batch = session.outbox.take(lane)
        if request.transport is None or request.transport.is_closing():
            session.outbox.give_back(batch, lane)  # the neighbor hung up while we waited
            return web.Response(status=204)
        _mark(request, self.facts.marking, lane if batch else Lane.URGENT)
        return web.Response(status=200 if batch else 204, body=parcels.join(batch))


def _mark(request: web.Request, marking: Marking, lane: Lane) -> None:
    """Mark what this connection sends from now on, and let it send what is urgent again soon."""
    connection = request.transport.get_extra_info("socket") if request.transport is not None else None
    if connection is not None:
        marking.put_on(connection, lane)
        if lane == Lane.URGENT:
            hasten(connection)


def _server_context(name: str, certificate_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    if certificate_file is None:
        raise ConfigError(f"listen {name!r}: an https endpoint needs certificate_file (and key_file): give them, or listen on "
                          "http:// behind a TLS proxy")  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate_file, key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"listen {name!r}: can't use the certificate {certificate_file}: {error}") from error
    return context
