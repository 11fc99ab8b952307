"""The NATS path, both sides: for sites that run a NATS server or a leaf node already. Both ends call it, so neither needs an open port.

Subjects, under ``<prefix>.<listener's node id>``: ``knock`` (a request, answered with ``here``), ``up.<session>.<lane>``,
``down.<session>.<lane>``, ``down.<session>.gone`` and ``up.<session>.bye``. A session is 16 random bytes' name and believed for nothing:
``relay.introduction`` proves both ends. Each lane has a connection of its own. NATS keeps nothing for us (no JetStream): the spool is the
queue, and at most one batch a lane is on its way to the server before it has said that it took it.
"""

import asyncio
import contextlib
import re
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import nats
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from relay.backoff import Backoff
from relay.counters import Counters
from relay.crew import crew
from relay.errors import ConfigError, Malformed, PathDown
from relay.ids import NodeId
from relay.path import Lane, PathEvents, PathFacts
from relay.path_options import NatsOptions
from relay.paths import parcels
from relay.paths.outbox import Outbox

_log = structlog.get_logger("relay.paths.nats")

_CONNECT_S: Final = 8
_TAKEN_S: Final = {Lane.URGENT: 10, Lane.BULK: 60}
_BATCH_BYTES: Final = {Lane.URGENT: parcels.MAX_BATCH_BYTES // 2, Lane.BULK: 16 * 1024}
_MOST_SESSIONS: Final = 4_000
_PENDING_BYTES: Final = 8 * 1024 * 1024
_NAME: Final = re.compile("[0-9a-f]{32}")
_LANES: Final = {str(lane.value): lane for lane in Lane}
_FAILED: Final = (nats.errors.Error, OSError, TimeoutError)


class NatsServer:
    """Where the server is and how we log in there. The password goes nowhere else."""

    def __init__(self, where: str, endpoint: str, options: NatsOptions) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme not in {"nats", "tls"} or not parts.hostname or parts.username or parts.password:
            raise ConfigError(
                f"{where}: expected an endpoint like nats://host:4222 or tls://host:4222, without a login in it"
            )
        if not re.fullmatch(r"[\w-]+(\.[\w-]+)*", options.prefix):
            raise ConfigError(f"{where}: expected a subject like heard as `nats.prefix`, found {options.prefix!r}")
        self._endpoint = endpoint
        self._tls = _tls_of(where, options.ca_file) if parts.scheme == "tls" else None
        self._username = options.username
        self._password = _first_line(where, options.password_file)

    @contextlib.asynccontextmanager
    async def connections(self, lost: Callable[[str], None], counters: Counters) -> AsyncIterator[dict[Lane, Client]]:
        """One connection a lane, for the block.

        Raises:
            PathDown: the server is not there, or refuses us.
        """

        async def gone() -> None:
            lost("the connection to the server was lost")

        async def failed(error: Exception) -> None:
            counters.refused("nats_slow_consumer" if isinstance(error, nats.errors.SlowConsumerError) else "nats_error")

        login: dict[str, Any] = {"user": self._username, "password": self._password} if self._username else {}
        async with contextlib.AsyncExitStack() as stack:
            found: dict[Lane, Client] = {}
            for lane in Lane:
                client = Client()
                try:
                    async with asyncio.timeout(2 * _CONNECT_S):
                        await client.connect(
                            self._endpoint, allow_reconnect=False, connect_timeout=_CONNECT_S, closed_cb=gone, disconnected_cb=gone,
                            error_cb=failed, tls=self._tls, ping_interval=20, **login,
                        )  # fmt: skip
                except _FAILED as error:
                    _hang_up(client)
                    raise PathDown(f"no login at {self._endpoint}: {error or type(error).__name__}") from error
                stack.push_async_callback(_close, client)
                found[lane] = client
            yield found


class NatsSession:
    """Either end's session."""

    def __init__(
        self, *, facts: PathFacts, name: str, is_outgoing: bool, filled: Callable[["NatsSession", Lane], None]
    ) -> None:
        self.facts = facts
        self.name = name
        self.is_outgoing = is_outgoing
        self.transport_key = b""
        self.outbox = Outbox()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._filled = filled

    def send(self, parcel: bytes, lane: Lane) -> bool:
        """Queue for the next message; False if the lane is full or the session over."""
        if self.lost.done() or not self.outbox.put(parcel, lane):
            return False
        self._filled(self, lane)
        return True

    def drop(self, reason: str) -> None:
        """End it."""
        if not self.lost.done():
            self.lost.set_result(reason)


class _NatsPath:
    """What both sides do: have the server, lose it, come back."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, where: str, root_id: NodeId, options: NatsOptions, counters: Counters
    ) -> None:
        self.facts = facts
        self.endpoint = endpoint
        self._server = NatsServer(where, endpoint, options)
        self._root = f"{options.prefix}.{root_id.hex()}"
        self._counters = counters
        self._turns: dict[Lane, asyncio.Queue[NatsSession]] = {}

    async def _keep(self, serve: Callable[[dict[Lane, Client], "asyncio.Future[str]"], Awaitable[str]]) -> None:
        loop = asyncio.get_running_loop()
        backoff, said = Backoff(least_s=0.3, most_s=15.0, stable_s=15.0), ""
        while True:
            started, lost = loop.time(), loop.create_future()

            def lose(reason: str, lost: "asyncio.Future[str]" = lost) -> None:
                if not lost.done():
                    lost.set_result(reason)

            try:
                async with self._server.connections(lose, self._counters) as clients:
                    reason = await serve(clients, lost)
            except PathDown as error:
                reason = str(error)
            except _FAILED as error:
                reason = str(error) or type(error).__name__
            (_log.debug if reason == said else _log.warning)("no session", path=self.facts.name, error=reason)
            said = reason
            backoff.succeeded_for(loop.time() - started)
            await asyncio.sleep(backoff.next_delay_s())

    def _take_turn(self, session: NatsSession, lane: Lane) -> None:
        self._turns[lane].put_nowait(session)

    async def _post(self, client: Client, lane: Lane, direction: str, lost: "asyncio.Future[str]") -> None:
        """Send batches in the order in which their sessions asked, each when the server has taken the one before."""
        while True:
            session = await self._turns[lane].get()
            batch = session.outbox.take(lane, _BATCH_BYTES[lane])
            if not batch:
                continue
            try:
                await client.publish(f"{self._root}.{direction}.{session.name}.{lane.value}", parcels.join(batch))
                await client.flush(_TAKEN_S[lane])
            except _FAILED as error:
                if not lost.done():
                    lost.set_result(f"sending failed: {error or type(error).__name__}")
                return

    def _arrived(self, events: PathEvents, session: NatsSession, data: bytes) -> None:
        try:
            arrived = parcels.split(data)
        except Malformed as error:
            self._counters.refused(error.reason)
            return
        for parcel in arrived:
            events.session_received(session, parcel)


class NatsDial(_NatsPath):
    """A path to a station that answers on a NATS server."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, listener: NodeId, options: NatsOptions, counters: Counters
    ) -> None:
        super().__init__(
            facts=facts,
            endpoint=endpoint,
            where=f"path {facts.name!r}",
            root_id=listener,
            options=options,
            counters=counters,
        )

    async def run(self, events: PathEvents) -> None:
        """Knock, serve until lost, wait, knock again."""
        await self._keep(lambda clients, lost: self._one_session(clients, lost, events))

    async def _one_session(self, clients: dict[Lane, Client], lost: "asyncio.Future[str]", events: PathEvents) -> str:
        self._turns = {lane: asyncio.Queue() for lane in Lane}
        session = NatsSession(facts=self.facts, name=secrets.token_hex(16), is_outgoing=True, filled=self._take_turn)
        lost.add_done_callback(lambda done: session.drop(done.result()))

        async def came(message: Msg) -> None:
            self._arrived(events, session, message.data)

        async def gone(_: Msg) -> None:
            session.drop("the other side has forgotten us")

        for lane, client in clients.items():
            await _subscribe(client, f"{self._root}.down.{session.name}.{lane.value}", came)
        await _subscribe(clients[Lane.URGENT], f"{self._root}.down.{session.name}.gone", gone)
        for client in clients.values():
            await client.flush(_CONNECT_S)
        try:
            answer = await clients[Lane.URGENT].request(
                f"{self._root}.knock", session.name.encode(), timeout=_CONNECT_S
            )
        except nats.errors.NoRespondersError as error:
            raise PathDown(
                "nobody answers for this station on the server: is it running, under this `prefix`?"
            ) from error
        if answer.data != b"here":
            raise PathDown("the station has no room for another session now")
        events.session_opened(session)
        reason = "stopped"
        try:
            async with crew() as members:
                for lane, client in clients.items():
                    members.start(self._post(client, lane, "up", lost), f"nats {lane.name.lower()}")
                reason = await asyncio.shield(session.lost)
        finally:
            session.drop(reason)
            events.session_closed(session, reason)
            with contextlib.suppress(*_FAILED):
                await clients[Lane.URGENT].publish(f"{self._root}.up.{session.name}.bye", b"")
        return reason


class NatsListen(_NatsPath):
    """A station that neighbors reach through a NATS server."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, node_id: NodeId, options: NatsOptions, counters: Counters
    ) -> None:
        super().__init__(
            facts=facts,
            endpoint=endpoint,
            where=f"listen {facts.name!r}",
            root_id=node_id,
            options=options,
            counters=counters,
        )
        self._sessions: dict[str, NatsSession] = {}
        self._last_words: set[asyncio.Future[None]] = set()
        self._is_listening = asyncio.Event()

    async def listening(self) -> None:
        """Return once neighbors can come, or the server has failed us for the first time: the other paths don't wait for it."""
        await self._is_listening.wait()

    def ban(self, transport_keys: set[bytes]) -> None:
        """Nothing to do: no transport key is proved here. A withdrawn passport is refused by the upper floor."""

    async def run(self, events: PathEvents) -> None:
        """Answer on the server, and come back to it whenever it is lost, until cancelled."""
        async with crew() as members:
            members.start(self._keep(lambda clients, lost: self._serve(clients, lost, events)), "nats listener")
            await asyncio.sleep(0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CONNECT_S / 2):
                    await self._is_listening.wait()
            self._is_listening.set()
            await asyncio.get_running_loop().create_future()

    async def _serve(self, clients: dict[Lane, Client], lost: "asyncio.Future[str]", events: PathEvents) -> str:
        self._turns = {lane: asyncio.Queue() for lane in Lane}
        urgent = clients[Lane.URGENT]

        async def knocked(message: Msg) -> None:
            name = message.data.decode("latin-1")
            if not _NAME.fullmatch(name) or len(self._sessions) >= _MOST_SESSIONS:
                self._counters.refused("malformed" if len(self._sessions) < _MOST_SESSIONS else "too_many_sessions")
                await message.respond(b"no")
                return
            if name not in self._sessions:
                session = self._sessions[name] = NatsSession(
                    facts=self.facts, name=name, is_outgoing=False, filled=self._take_turn
                )
                session.lost.add_done_callback(lambda done: self._ended(session, done.result(), urgent, events))
                events.session_opened(session)
            await message.respond(b"here")

        async def came(message: Msg) -> None:
            *_, name, what = message.subject.split(".")
            session = self._sessions.get(name)
            if session is None:
                self._counters.refused("unknown_session")
                if _NAME.fullmatch(name) and what != "bye":
                    await urgent.publish(f"{self._root}.down.{name}.gone", b"")
            elif what == "bye":
                session.drop("it said good-bye")
            elif what in _LANES:
                self._arrived(events, session, message.data)
            else:
                self._counters.refused("unexpected_topic")

        reason = "stopped"
        try:
            async with crew() as members:
                for lane, client in clients.items():
                    await _subscribe(client, f"{self._root}.up.*.{lane.value}", came)
                    members.start(self._post(client, lane, "down", lost), f"nats {lane.name.lower()}")
                await _subscribe(urgent, f"{self._root}.up.*.bye", came)
                await _subscribe(urgent, f"{self._root}.knock", knocked)
                for client in clients.values():
                    await client.flush(_CONNECT_S)
                self._is_listening.set()
                reason = await asyncio.shield(lost)
        finally:
            for session in list(self._sessions.values()):
                session.drop(reason)
            await asyncio.sleep(0)  # the sessions' last words are put on the connection
        return reason

    def _ended(self, session: NatsSession, reason: str, client: Client, events: PathEvents) -> None:
        self._sessions.pop(session.name, None)
        events.session_closed(session, reason)
        self._say_gone(client, session.name)

    def _say_gone(self, client: Client, name: str) -> None:
        async def say() -> None:
            with contextlib.suppress(*_FAILED):
                await client.publish(f"{self._root}.down.{name}.gone", b"")

        if client.is_connected:
            task = asyncio.ensure_future(say())
            self._last_words.add(task)
            task.add_done_callback(self._last_words.discard)


async def _subscribe(client: Client, subject: str, came: Callable[[Msg], Awaitable[None]]) -> None:
    await client.subscribe(subject, cb=came, pending_msgs_limit=4096, pending_bytes_limit=_PENDING_BYTES)


def _hang_up(client: Client) -> None:
    """Close what a login that failed has opened: nats-py 2.16 leaves it to the garbage collector."""
    writer = getattr(client._transport, "_bare_io_writer", None)  # noqa: SLF001
    if writer is not None:
        writer.close()


async def _close(client: Client) -> None:
    with contextlib.suppress(*_FAILED):
        async with asyncio.timeout(3):
            await client.close()


def _tls_of(where: str, ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{where}: can't read the certificates in `ca_file` {ca_file}: {error}") from error


def _first_line(where: str, password_file: Path | None) -> str:
    if password_file is None:
        return ""
    try:
        return password_file.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: can't read `password_file` {password_file}: {error}") from error
