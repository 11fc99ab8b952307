"""The radio path, both sides: a LoRa-class modem on a serial port, where there is neither cable nor network.

One parcel that matters is one frame: an alert, a receipt; what else waits fills it up. Everybody shares one channel, so a station listens
before it talks (the modem does, by KISS's slot time and persistence, and so do we for the answer that follows a frame to somebody else),
begins at a random time, and waits longer each time it says the same again. What the law leaves of an hour is counted (``radio_air``), and
half of it kept for alerts and receipts. A lost frame is not repeated here: the relay offers its parcel again until the receipt is there.

Framing: see ``radio_frames``. The modem's modulation is set with its own tools and must be the same at all stations.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from relay.backoff import Backoff
from relay.counters import Counters
from relay.crew import Crew, crew
from relay.errors import ConfigError, Malformed, PathDown
from relay.identity import Identity
from relay.passport import Passport
from relay.path import PathEvents, PathFacts
from relay.paths import radio_frames, serial_port
from relay.paths.assembly import Assembly
from relay.paths.radio_air import DutyCycle, Modulation
from relay.paths.serial_port import SerialPort, device_of
from relay.paths.tiny_neighbors import PeerNamed, TinyNeighbors
from relay.paths.tiny_seal import TinySeal
from relay.paths.tiny_session import Batch, TinySession, no_room

_log = structlog.get_logger("relay.paths.serial_radio")

MTU: Final = radio_frames.MTU
_PERSISTENCE: Final = 0.25
_SLOTS_WAITED: Final = (1 - _PERSISTENCE) / _PERSISTENCE
"""By the modem before it sends on a free channel, on average."""
_FRAMES_WAITED_MOST: Final = 8
_RECEIPT_BYTES: Final = 111
_FIRST_WINDOW_SLOTS: Final = 4
_MOST_DOUBLINGS: Final = 3
_REPEATS_KEPT: Final = 256
_PIECE_AGE_S: Final = 120.0
_LOOK_AGAIN_S: Final = 30.0


def expected_rtt_ms(modulation: Modulation) -> float:
    """An alert, its receipt, and half a contention window each."""
    air_s = modulation.airtime_s(radio_frames.FRAME_BYTES) + modulation.airtime_s(_RECEIPT_BYTES)
    return 1000 * (air_s + _FIRST_WINDOW_SLOTS * modulation.slot_s) + 200


class _Channel:
    """The shared air behind one modem: when to talk, and what was heard."""

    def __init__(self, *, modulation: Modulation, duty: DutyCycle, counters: Counters) -> None:
        self._modulation = modulation
        self._duty = duty
        self._counters = counters
        self._decoder = radio_frames.LineDecoder()
        self._assembly = Assembly(most_groups=32, most_age_s=_PIECE_AGE_S)
        self._chance = random.SystemRandom()
        self._turn = asyncio.Lock()
        self._quiet_until_s = 0.0
        self._said_until_s = 0.0
        """When the modem will have sent what it was given, as far as we know. It does not say, and what waits in it can't be overtaken."""
        self._said_at_most_s = 0.0
        """And by when it will have, however busy the channel."""
        self._transfers = self._chance.randrange(256)
        self._repeats: OrderedDict[bytes, int] = OrderedDict()
        """How often each of the last parcels was said."""

    def heard(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """What the modem received: (tag, sealed parcel) of each that is whole."""
        damaged, found = self._decoder.damaged, list[tuple[bytes, bytes]]()
        now_s = asyncio.get_running_loop().time()
        for command, frame in self._decoder.feed(data):
            if not radio_frames.is_data(command):
                self._counters.refused("radio_command")
                continue
            self._counters.count("radio_frames_heard")
            if now_s < self._said_until_s:  # the modem had to wait for this one
                self._said_until_s = min(
                    self._said_at_most_s, self._said_until_s + self._modulation.airtime_s(len(frame))
                )
            try:
                piece = radio_frames.parse(frame)
                whole = piece.data if piece.total == 1 else self._assembly.add(
                    (piece.tag, piece.transfer), number=piece.number, total=piece.total, piece=piece.data, now_s=now_s)  # fmt: skip
            except Malformed as error:
                self._counters.refused(error.reason)
                continue
            if whole is not None:
                found.append((piece.tag, whole))
        for _ in range(self._decoder.damaged - damaged):
            self._counters.refused("radio_frame_damaged")
        return found

    def leave_room_for_an_answer(self) -> None:
        """A frame went to somebody else, who is about to answer."""
        now_s = asyncio.get_running_loop().time()
        self._quiet_until_s = max(
            self._quiet_until_s, now_s + self._modulation.airtime_s(_RECEIPT_BYTES) + self._modulation.slot_s
        )

    async def serve(self, session: TinySession, port: SerialPort) -> None:
        """Say what waits in a session, when it may be said, for as long as the session lasts."""
        loop = asyncio.get_running_loop()
        while not session.lost.done():
            await session.filled.wait()
            looked_at = session.arrivals
            waiting = session.peek()
            if waiting is None:
                continue
            parcel, is_urgent = waiting
            frames = self._frames(session, Batch(parcels=(parcel,)))
            airtime_s = sum(self._modulation.airtime_s(len(frame)) for frame in frames)
            pause_s = self._duty.pause_s(airtime_s, loop.time(), is_urgent=is_urgent)
            if pause_s > 0:
                self._counters.count("radio_waited_for_its_hour")
                await session.more(looked_at, within_s=min(pause_s, _LOOK_AGAIN_S))
                continue
            async with self._turn:
                await self._wait_for_a_slot(parcel, airtime_s)
                if session.peek() != waiting:
                    continue  # it has its answer, or something more urgent came meanwhile
                if (batch := self._filled(session, len(frames), is_urgent=is_urgent)) is not None:
                    await self._say(self._frames(session, batch), port)

    def _filled(self, session: TinySession, frames: int, *, is_urgent: bool) -> Batch | None:
        """What goes in so many frames: all that fits, if the hour has room for them to be full."""
        full_s, now_s = frames * self._modulation.airtime_s(radio_frames.FRAME_BYTES), asyncio.get_running_loop().time()
        may_fill = self._duty.pause_s(full_s, now_s, is_urgent=is_urgent) == 0
        with_rest = self._duty.pause_s(full_s, now_s, is_urgent=False) == 0
        return session.next_batch(radio_frames.room if may_fill else no_room, with_rest=with_rest)

    def _frames(self, session: TinySession, batch: Batch) -> list[bytes]:
        return radio_frames.frames_of(session.tag, session.sealed(batch), self._transfers)

    async def _say(self, frames: Sequence[bytes], port: SerialPort) -> None:
        self._transfers = (self._transfers + 1) & 0xFF
        for frame in frames:
            loop = asyncio.get_running_loop()
            port.write(radio_frames.to_line(frame))
            self._duty.sent(self._modulation.airtime_s(len(frame)), loop.time())
            self._counters.count("radio_frames_sent")
            self._said_until_s = loop.time() + self._takes_s(len(frame))
            self._said_at_most_s = loop.time() + _FRAMES_WAITED_MOST * self._takes_s(radio_frames.FRAME_BYTES)
            while (left_s := self._said_until_s - loop.time()) > 0:  # noqa: ASYNC110  a time that others put off, no event
                await asyncio.sleep(left_s)

    def _takes_s(self, size_bytes: int) -> float:
        return self._modulation.airtime_s(size_bytes) + _SLOTS_WAITED * self._modulation.slot_s

    async def _wait_for_a_slot(self, parcel: bytes, airtime_s: float) -> None:
        """A random time, and until the answer to others had its own.

        A few slots at first, for the modem listens. What is said again was perhaps spoiled by a station that we don't hear: then only
        time apart helps: eight frames long, and twice as many each time.
        """
        loop = asyncio.get_running_loop()
        repeats = self._repeats.pop(parcel, -1) + 1
        self._repeats[parcel] = repeats
        if len(self._repeats) > _REPEATS_KEPT:
            self._repeats.popitem(last=False)
        window_s = (
            airtime_s * (4 << min(repeats, _MOST_DOUBLINGS))
            if repeats
            else _FIRST_WINDOW_SLOTS * self._modulation.slot_s
        )
        await asyncio.sleep(self._chance.uniform(0, window_s))
        while (left_s := self._quiet_until_s - loop.time()) > 0:  # noqa: ASYNC110  a time that others put off, no event
            await asyncio.sleep(left_s)


class _Side(Protocol):
    """What the two ends of a radio path do differently."""

    def take(self, events: PathEvents, tag: bytes, sealed: bytes) -> bool:
        """A sealed parcel came; whether it was for us."""

    async def serve(self, events: PathEvents, channel: _Channel, port: SerialPort, members: Crew) -> None:
        """Speak over this port for as long as it is there."""

    def ended(self, events: PathEvents, reason: str) -> None:
        """The port is gone."""


class _Station:
    """Has the modem, loses it, takes it up again; the same for both sides."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, where: str, baud: int, modulation: Modulation, duty_cycle_percent: float,
        counters: Counters,
    ) -> None:  # fmt: skip
        self._name = facts.name
        self._device = device_of(where, endpoint)
        self._baud = baud
        self._modulation = modulation
        self._duty_cycle_percent = duty_cycle_percent
        self._counters = counters

    async def run(self, events: PathEvents, side: _Side) -> None:
        """Serve until cancelled."""
        try:
            await self._keep_serving(events, side)
        finally:
            side.ended(events, "stopped")

    async def _keep_serving(self, events: PathEvents, side: _Side) -> None:
        loop = asyncio.get_running_loop()
        backoff, said = Backoff(least_s=0.5, most_s=30.0, stable_s=30.0), ""
        duty = DutyCycle(percent=self._duty_cycle_percent, now_s=loop.time())
        while True:
            started = loop.time()
            channel = _Channel(modulation=self._modulation, duty=duty, counters=self._counters)

            def received(data: bytes, channel: _Channel = channel) -> None:
                for tag, sealed in channel.heard(data):
                    if not side.take(events, tag, sealed):
                        channel.leave_room_for_an_answer()

            try:
                async with serial_port.opened(self._device, self._baud, received) as port, crew() as members:
                    port.write(radio_frames.settings_to_line(persistence=_PERSISTENCE, slot_s=self._modulation.slot_s))
                    members.start(side.serve(events, channel, port, members), "radio")
                    reason = await port.lost()
            except PathDown as error:
                reason = str(error)
            side.ended(events, reason)
            (_log.debug if reason == said else _log.warning)("no session", path=self._name, error=reason)
            said = reason
            backoff.succeeded_for(loop.time() - started)
            await asyncio.sleep(backoff.next_delay_s())


class RadioDial:
    """A path to the neighbor on the same channel, for as long as it runs."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, baud: int, modulation: Modulation, duty_cycle_percent: float, identity: Identity,
        peer: Passport, counters: Counters,
    ) -> None:  # fmt: skip
        self.facts = facts
        self._station = _Station(facts=facts, endpoint=endpoint, where=f"path {facts.name!r}", baud=baud, modulation=modulation,
                                 duty_cycle_percent=duty_cycle_percent, counters=counters)  # fmt: skip
        self._counters = counters
        self._seal = TinySeal(identity, peer)
        self._peer = peer.name
        self._session: TinySession | None = None

    async def run(self, events: PathEvents) -> None:
        """Serve until cancelled."""
        await self._station.run(events, self)

    def take(self, events: PathEvents, tag: bytes, sealed: bytes) -> bool:
        """A sealed parcel came; whether it was for us."""
        if tag != self._seal.tag:
            self._counters.count("radio_for_others")
            return False
        if self._session is not None:
            self._session.arrived(events, sealed)
        return True

    async def serve(self, events: PathEvents, channel: _Channel, port: SerialPort, members: Crew) -> None:
        """One session with the neighbor."""
        session = TinySession(
            facts=self.facts, seal=self._seal, is_outgoing=True, counters=self._counters, name=self._peer
        )
        self._session = session
        events.session_opened(session)
        await channel.serve(session, port)
        self.ended(events, session.lost.result())
        raise PathDown(session.lost.result())

    def ended(self, events: PathEvents, reason: str) -> None:
        """The port is gone, and the session with it."""
        session, self._session = self._session, None
        if session is not None:
            session.drop(reason)
            events.session_closed(session, reason)


class RadioListen:
    """A path that neighbors on the same channel come by."""

    def __init__(
        self, *, facts: PathFacts, endpoint: str, peers: tuple[str, ...], baud: int, modulation: Modulation, duty_cycle_percent: float,
        identity: Identity, peer_named: PeerNamed, counters: Counters,
    ) -> None:  # fmt: skip
        where = f"listen {facts.name!r}"
        self.facts = facts
        self.endpoint = endpoint
        self._station = _Station(facts=facts, endpoint=endpoint, where=where, baud=baud, modulation=modulation,
                                 duty_cycle_percent=duty_cycle_percent, counters=counters)  # fmt: skip
        if not peers:
            raise ConfigError(
                f"{where}: expected `serial_radio.peers`, the names of the neighbors that may speak here, found none"
            )
        self._neighbors = TinyNeighbors(facts=facts, identity=identity, addresses={name: name for name in peers}, peer_named=peer_named,
                                        counters=counters)  # fmt: skip
        self._is_listening = asyncio.Event()

    async def listening(self) -> None:
        """Return at once: a station does not wait for its radio."""
        await self._is_listening.wait()

    def ban(self, transport_keys: set[bytes]) -> None:
        """Nothing to do: a withdrawn passport is refused by the upper floor when its session opens."""

    async def run(self, events: PathEvents) -> None:
        """Serve until cancelled."""
        self._is_listening.set()
        await self._station.run(events, self)

    def take(self, events: PathEvents, tag: bytes, sealed: bytes) -> bool:
        """A sealed parcel came; whether it was for us."""
        return self._neighbors.arrived_with(tag, sealed)

    async def serve(self, events: PathEvents, channel: _Channel, port: SerialPort, members: Crew) -> None:
        """A session with each neighbor that speaks."""

        async def serve(session: TinySession, name: str) -> None:
            await channel.serve(session, port)

        self._neighbors.begin(events, members, serve)
        await port.lost()

    def ended(self, events: PathEvents, reason: str) -> None:
        """The port is gone, and all sessions with it."""
        self._neighbors.end(reason)
