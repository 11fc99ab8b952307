"""The MQTT path, our side: for sites that run a broker already. The neighbor answers on the same broker, by ``mqtt_listen``.

A session is 16 random bytes that we choose, and two connections to the broker, urgent and bulk, so that a chunk never holds an
alert up. Under ``<prefix>/<the listener's node id>/``:

* ``up/<session>/knock``     we ask to speak; ``down/<session>/here`` is the answer, with the listener's incarnation
* ``up/<session>/<lane>``    parcels, joined; ``down/<session>/<lane>`` is the way back
* ``up/<session>/gone``      our Last Will on both connections, and our farewell; ``down/<session>/gone`` says: I don't know you
* ``here``, ``gone``         the listener came, with its incarnation; the listener went: its Last Will

Nothing is retained. The broker and its other clients are strangers: they can drop, repeat and invent, which ends sessions and
wastes our time, and no more. Who the neighbor is, and who we are, is proved by ``relay.introduction``.
"""

import asyncio
import contextlib
import random
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
from relay.paths.mqtt_broker import Broker
from relay.paths.mqtt_connection import BATCH_BYTES, BrokerConnection, connected
from relay.paths.outbox import Outbox
from relay.redial import Redial

_log = structlog.get_logger("relay.paths.mqtt")

SESSION_BYTES: Final = 16
KNOCK, HERE, GONE = "knock", "here", "gone"
_KNOCK_AGAIN_S: Final = (1.0, 20.0)
"""The first wait and the longest; a listener that comes says so, and is knocked at once."""
_SPREAD_S: Final = 0.3
"""A thousand nodes that hear a listener come do not knock in the same moment."""


def root_of(prefix: str, listener: NodeId) -> str:
    """What all topics of a listener begin with."""
    return f"{prefix}/{listener.hex()}"


class MqttSession:
    """A session that we opened."""

    def __init__(self, facts: PathFacts, lost: "asyncio.Future[str]") -> None:
        self.facts = facts
        self.is_outgoing = True
        self.transport_key = b""
        self.outbox = Outbox()
        self.lost = lost
        self.bulk: BrokerConnection | None = None
        """The bulk lane's connection, once the listener has answered."""

    def send(self, parcel: bytes, lane: Lane) -> bool:
        """Queue for the next batch; False if the lane is full or the session is over."""
        return not self.lost.done() and self.outbox.put(parcel, lane)

    def pace(self, bytes_s: int) -> None:
        """Spread what goes on the bulk lane evenly over time."""
        if self.bulk is not None:
            self.bulk.pace(bytes_s)

    def drop(self, reason: str) -> None:
        """End it; the path opens another after its back-off."""
        if not self.lost.done():
            self.lost.set_result(reason)


class MqttDial:
    """A path to a listener behind a broker, for as long as it runs."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, listener: NodeId, counters: Counters, options: MqttOptions | None = None,
        interface: str = "",
    ) -> None:  # fmt: skip
        options = options or MqttOptions()
        self.facts = facts
        self._broker = Broker.of(f"path {facts.name!r}", endpoint, options, interface, facts.marking)
        self._root = root_of(options.prefix, listener)
        self._counters = counters
        self.redial = Redial(Backoff(least_s=0.3, most_s=15.0, stable_s=15.0))

    async def run(self, events: PathEvents) -> None:
        """Open a session, serve until it is lost, wait, open the next."""
        said = ""

        async def attempt() -> None:
            nonlocal said
            try:
                await self._one_attempt(events)
                said = ""
            except PathDown as error:
                # The same words once: a broker that is away for a day is one line.
                (_log.debug if str(error) == said else _log.warning)(
                    "no session", path=self.facts.name, error=str(error)
                )
                said = str(error)

        await self.redial.keep(attempt)

    async def _one_attempt(self, events: PathEvents) -> None:
        attempt = _Attempt(self.facts, self._root, events, self._counters)
        will = (f"{self._root}/up/{attempt.name}/{GONE}", b"")
        async with (
            connected(
                self._broker,
                Lane.URGENT,
                farewell=will,
                heard=attempt.heard,
                lost=attempt.lost,
                counters=self._counters,
            ) as urgent,
            connected(
                self._broker, Lane.BULK, farewell=will, heard=attempt.heard, lost=attempt.lost, counters=self._counters
            ) as bulk,
        ):
            down = f"{self._root}/down/{attempt.name}"
            await bulk.subscribe(f"{down}/{Lane.BULK.value}")
            await urgent.subscribe(
                f"{down}/{Lane.URGENT.value}",
                f"{down}/{HERE}",
                f"{down}/{GONE}",
                f"{self._root}/{HERE}",
                f"{self._root}/{GONE}",
            )
            await attempt.knock_until_answered(bulk)
            with self.redial.standing():
                await attempt.serve({Lane.URGENT: urgent, Lane.BULK: bulk})


class _Attempt:
    """One session, from the first knock to its end."""

    def __init__(self, facts: PathFacts, root: str, events: PathEvents, counters: Counters) -> None:
        self.name = secrets.token_hex(SESSION_BYTES)
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._events = events
        self._counters = counters
        self._root = root
        self._up = f"{root}/up/{self.name}"
        self._down = f"{root}/down/{self.name}"
        self._session = MqttSession(facts, self.lost)
        self._incarnation = b""
        self._is_open = False
        self._stirred = asyncio.Event()
        self._somebody_came = False

    async def knock_until_answered(self, connection: BrokerConnection) -> None:
        """Return when the listener has answered.

        Raises:
            PathDown: the broker was lost first.
        """
        wait_s, longest_s = _KNOCK_AGAIN_S
        self.lost.add_done_callback(lambda _: self._stirred.set())
        while not self._incarnation:
            connection.publish(f"{self._up}/{KNOCK}", b"")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._stirred.wait()
            if self.lost.done():
                raise PathDown(self.lost.result())
            self._stirred.clear()
            if self._somebody_came and not self._incarnation:
                self._somebody_came = False
                await asyncio.sleep(random.uniform(0, _SPREAD_S))  # noqa: S311  spreading load needs no secret randomness
            wait_s = min(longest_s, wait_s * 2)

    async def serve(self, connections: dict[Lane, BrokerConnection]) -> None:
        """Carry parcels until the session is lost."""
        self._is_open = True
        self._session.bulk = connections[Lane.BULK]
        self._events.session_opened(self._session)
        reason = "stopped"
        try:
            async with crew() as members:
                for lane, connection in connections.items():
                    members.start(self._post(connection, lane), f"mqtt {lane.name.lower()}")
                reason = await asyncio.shield(self.lost)
        finally:
            self._is_open = False
            self._session.drop(reason)
            self._events.session_closed(self._session, reason)

    async def _post(self, connection: BrokerConnection, lane: Lane) -> None:
        outbox = self._session.outbox
        while True:
            await outbox.filled(lane)
            await connection.room()
            connection.publish(f"{self._up}/{lane.value}", parcels.join(outbox.take(lane, BATCH_BYTES[lane])))

    def heard(self, topic: str, payload: bytes) -> None:
        """A message, from whomever."""
        if topic == f"{self._down}/{HERE}":
            self._incarnation = self._incarnation or payload[:64]
            self._stirred.set()
        elif topic == f"{self._root}/{HERE}":
            if self._incarnation and payload != self._incarnation:
                self._session.drop("the listener was started again")
            self._somebody_came = True
            self._stirred.set()
        elif topic == f"{self._root}/{GONE}":
            if payload == self._incarnation:
                self._session.drop("the listener has gone")
        elif topic == f"{self._down}/{GONE}":
            if self._is_open:
                self._session.drop("the listener does not know us any more")
        elif self._is_open:
            self._parcels_arrived(topic, payload)

    def _parcels_arrived(self, topic: str, payload: bytes) -> None:
        if topic.rpartition("/")[0] != self._down:
            self._counters.refused("unexpected_topic")
            return
        try:
            arrived = parcels.split(payload)
        except Malformed as error:
            self._counters.refused(error.reason)
            return
        for parcel in arrived:
            self._events.session_received(self._session, parcel)
