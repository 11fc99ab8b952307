"""The MQTT path, the other side: a station that answers on a broker. The topics are described in ``mqtt``.

It connects to the broker as its neighbors do, once a lane, and so needs no open port. A broker that is away keeps nobody from
starting: it is tried for ever. A session costs a name and two short queues; nothing that is said in it is believed for that.
"""

import asyncio
import re
import secrets
from typing import Final

import structlog

from relay.backoff import Backoff
from relay.config import MqttOptions
from relay.counters import Counters
from relay.crew import crew
from relay.errors import Malformed, PathDown
from relay.ids import NodeId
from relay.path import Lane, PathEvents, PathFacts
from relay.paths import parcels
from relay.paths.mqtt import GONE, HERE, KNOCK, SESSION_BYTES, root_of
from relay.paths.mqtt_broker import Broker
from relay.paths.mqtt_connection import BATCH_BYTES, BrokerConnection, connected
from relay.paths.outbox import Outbox

_log = structlog.get_logger("relay.paths.mqtt")

_MAX_SESSIONS: Final = 4_000
_IDLE_S: Final = 45.0
"""Without a word for this long the neighbor is gone."""
_SESSION_NAME: Final = re.compile(f"[0-9a-f]{{{2 * SESSION_BYTES}}}")
_LANES: Final = {str(lane.value): lane for lane in Lane}


class AnsweredSession:
    """A session that a neighbor opened."""

    def __init__(self, listener: "MqttListen", name: str) -> None:
        self._listener = listener
        self.name = name
        self.facts = listener.facts
        self.is_outgoing = False
        self.transport_key = b""
        self.outbox = Outbox()
        self.queued: set[Lane] = set()
        """The lanes on which the neighbor waits for its turn."""
        self.last_heard_s = asyncio.get_running_loop().time()
        self.is_over = False

    def send(self, parcel: bytes, lane: Lane) -> bool:
        """Queue until the neighbor has its turn; False if the lane is full or the session is over."""
        if self.is_over or not self.outbox.put(parcel, lane):
            return False
        self._listener.take_turn(self, lane)
        return True

    def drop(self, reason: str) -> None:
        """End it; the neighbor is told, and knocks again."""
        self._listener.dismiss(self, reason)


class MqttListen:
    """A path that neighbors reach through a broker."""

    def __init__(
        self,
        *,
        facts: PathFacts,
        endpoint: str,
        node_id: NodeId,
        counters: Counters,
        options: MqttOptions | None = None,
    ) -> None:
        options = options or MqttOptions()
        self.facts = facts
        self.endpoint = endpoint
        """The broker's."""
        self._broker = Broker.of(f"listen {facts.name!r}", endpoint, options, marking=facts.marking)
        self._root = root_of(options.prefix, node_id)
        self._counters = counters
        self._sessions: dict[str, AnsweredSession] = {}
        self._turns: dict[Lane, asyncio.Queue[AnsweredSession]] = {}
        self._connections: dict[Lane, BrokerConnection] = {}
        self._incarnation = b""
        self._events: PathEvents | None = None
        self.is_listening = asyncio.Event()

    async def listening(self) -> None:
        """Return once neighbors can come, or the broker has failed us for the first time: the other paths don't wait for it."""
        await self.is_listening.wait()

    def ban(self, transport_keys: set[bytes]) -> None:
        """Nothing to do: no transport key is proved here. A withdrawn passport is refused by the upper floor."""

    async def run(self, events: PathEvents) -> None:
        """Answer on the broker, and come back to it whenever it is lost, until cancelled."""
        self._events = events
        loop = asyncio.get_running_loop()
        backoff = Backoff(least_s=0.3, most_s=10.0, stable_s=15.0)
        said = ""
        while True:
            started = loop.time()
            reason = ""
            try:
                reason = await self._serve()
            except PathDown as error:
                reason = str(error)
            self.is_listening.set()
            # The same words once: a broker that is away for a day is one line.
            (_log.debug if reason == said else _log.warning)("not listening", path=self.facts.name, error=reason)
            said = reason
            backoff.succeeded_for(loop.time() - started)
            await asyncio.sleep(backoff.next_delay_s())

    async def _serve(self) -> str:
        """Be there until the broker is lost. Returns why."""
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._incarnation = secrets.token_hex(8).encode()
        self._turns = {lane: asyncio.Queue() for lane in Lane}
        will = (f"{self._root}/{GONE}", self._incarnation)
        try:
            async with (
                connected(
                    self._broker, Lane.URGENT, farewell=will, heard=self._heard, lost=lost, counters=self._counters
                ) as urgent,
                connected(
                    self._broker, Lane.BULK, farewell=will, heard=self._heard, lost=lost, counters=self._counters
                ) as bulk,
                crew() as members,
            ):
                self._connections = {Lane.URGENT: urgent, Lane.BULK: bulk}
                up = f"{self._root}/up/+"
                await bulk.subscribe(f"{up}/{Lane.BULK.value}")
                await urgent.subscribe(f"{up}/{Lane.URGENT.value}", f"{up}/{KNOCK}", f"{up}/{GONE}")
                bulk.publish(f"{self._root}/{HERE}", self._incarnation)
                for lane, connection in self._connections.items():
                    members.start(self._post(connection, lane), f"mqtt {lane.name.lower()}")
                members.start(self._watch(), "mqtt watch")
                self.is_listening.set()
                return await asyncio.shield(lost)
        finally:
            self._connections = {}
            for session in list(self._sessions.values()):
                self._forget(session, "the broker was lost" if lost.done() else "stopped")

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(5)
            for session in [s for s in self._sessions.values() if loop.time() - s.last_heard_s > _IDLE_S]:
                self.dismiss(session, "no word for too long")

    # ------------------------------------------------------------------ sending

    def take_turn(self, session: AnsweredSession, lane: Lane) -> None:
        """A session has something to send: it goes to the end of the lane's queue, once."""
        if lane not in session.queued:
            session.queued.add(lane)
            self._turns[lane].put_nowait(session)

    async def _post(self, connection: BrokerConnection, lane: Lane) -> None:
        """One batch of each session in turn: who receives much doesn't keep the others waiting."""
        turns = self._turns[lane]
        while True:
            session = await turns.get()
            await connection.room()
            batch = [] if session.is_over else session.outbox.take(lane, BATCH_BYTES[lane])
            if batch:
                connection.publish(f"{self._root}/down/{session.name}/{lane.value}", parcels.join(batch))
                turns.put_nowait(session)
            else:
                session.queued.discard(lane)

    def _tell(self, name: str, word: str, payload: bytes = b"") -> None:
        """A word to one neighbor, where there is room: strangers can ask for any number."""
        connection = self._connections.get(Lane.URGENT)
        if connection is not None and connection.takes_words:
            connection.publish(f"{self._root}/down/{name}/{word}", payload)
        else:
            self._counters.refused("too_many_knocks")

    def dismiss(self, session: AnsweredSession, reason: str) -> None:
        """End a session and tell the neighbor."""
        if not session.is_over:
            self._tell(session.name, GONE)
        self._forget(session, reason)

    def _forget(self, session: AnsweredSession, reason: str) -> None:
        session.is_over = True
        if self._sessions.pop(session.name, None) is not None and self._events is not None:
            self._events.session_closed(session, reason)

    # ------------------------------------------------------------------ hearing

    def _heard(self, topic: str, payload: bytes) -> None:
        """A message, from whomever."""
        name, _, what = topic.removeprefix(f"{self._root}/up/").partition("/")
        if _SESSION_NAME.fullmatch(name) is None:
            self._counters.refused("unexpected_topic")
        elif what == KNOCK:
            self._knocked(name)
        elif what == GONE:
            session = self._sessions.get(name)
            if session is not None:
                self._forget(session, "the neighbor has gone")
        elif what in _LANES:
            self._parcels_arrived(name, payload)
        else:
            self._counters.refused("unexpected_topic")

    def _knocked(self, name: str) -> None:
        if name not in self._sessions:
            if len(self._sessions) >= _MAX_SESSIONS or self._events is None:
                self._counters.refused("too_many_sessions")
                return
            session = self._sessions[name] = AnsweredSession(self, name)
            self._events.session_opened(session)
        self._tell(name, HERE, self._incarnation)

    def _parcels_arrived(self, name: str, payload: bytes) -> None:
        session = self._sessions.get(name)
        if session is None or self._events is None:
            self._counters.refused("unknown_session")
            self._tell(name, GONE)
            return
        session.last_heard_s = asyncio.get_running_loop().time()
        try:
            arrived = parcels.split(payload)
        except Malformed as error:
            self._counters.refused(error.reason)
            return
        for parcel in arrived:
            self._events.session_received(session, parcel)
