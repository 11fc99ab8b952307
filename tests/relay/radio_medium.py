"""One radio channel with several LoRa modems on it, each a KISS modem on a pseudo-terminal, in real time.

A modem listens before it sends (slot time and persistence, as its host told it). Who sends does not hear; of two frames that overlap where
both are heard, neither is received; distance (``hears``) makes hidden stations; the rest is lost at random, seeded.
"""

import asyncio
import contextlib
import os
import random
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from relay.paths import radio_frames
from relay.paths.radio_air import Modulation
from tests.relay.pseudo_modem import PseudoModem

FAST = Modulation(spreading_factor=7, bandwidth_hz=500_000)
"""A full frame takes 0.09 s: the tests are no slower than they must be."""


@dataclass(eq=False)
class Transmission:
    """One frame on the air."""

    station: "RadioModem"
    frame: bytes
    spoiled_at: set["RadioModem"] = field(default_factory=set)


class Medium:
    """The channel."""

    def __init__(self, *, seed: int = 1, loss: float = 0.0, modulation: Modulation = FAST) -> None:
        self.modulation = modulation
        self.loss = loss
        self.chance = random.Random(seed)
        self.stations: list[RadioModem] = []
        self.on_air: list[Transmission] = []
        self.deaf: set[tuple[RadioModem, RadioModem]] = set()
        """(who sends, who does not hear it)."""
        self.frames: list[tuple[RadioModem, bytes]] = []
        self.lose_next_to: RadioModem | None = None
        """It does not receive the next frame that it hears."""
        self.collisions = 0
        self.lost = 0
        self.airtime_s = 0.0

    def hears(self, listener: "RadioModem", sender: "RadioModem") -> bool:
        return listener is not sender and (sender, listener) not in self.deaf

    def is_busy_for(self, station: "RadioModem") -> bool:
        return any(self.hears(station, other.station) for other in self.on_air)

    async def send(self, station: "RadioModem", frame: bytes) -> None:
        mine = Transmission(station=station, frame=frame)
        for other in self.on_air:
            for listener in self.stations:
                if self.hears(listener, station) and self.hears(listener, other.station):
                    self.collisions += listener not in mine.spoiled_at
                    mine.spoiled_at.add(listener)
                    other.spoiled_at.add(listener)
            mine.spoiled_at.add(other.station)  # it sends, and does not hear us
            other.spoiled_at.add(station)
        self.on_air.append(mine)
        self.frames.append((station, frame))
        airtime_s = self.modulation.airtime_s(len(frame))
        self.airtime_s += airtime_s
        try:
            await asyncio.sleep(airtime_s)
        finally:
            self.on_air.remove(mine)
        for listener in self.stations:
            if self.hears(listener, station) and listener not in mine.spoiled_at:
                if self.chance.random() < self.loss or self.lose_next_to is listener:
                    self.lost += 1
                    self.lose_next_to = None if self.lose_next_to is listener else self.lose_next_to
                else:
                    listener.write(radio_frames.to_line(frame))


class RadioModem(PseudoModem):
    """One modem."""

    def __init__(self, medium: Medium) -> None:
        super().__init__()
        self.medium = medium
        medium.stations.append(self)
        self.persistence = 1.0
        self.slot_s = 0.0
        self._line = radio_frames.LineDecoder()
        self._queue: deque[bytes] = deque()
        self._filled = asyncio.Event()

    @contextlib.asynccontextmanager
    async def plugged_in(self) -> AsyncIterator["RadioModem"]:
        async with super().plugged_in():
            sending = asyncio.create_task(self._send(), name="radio modem")
            try:
                yield self
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            for command, content in self._line.feed(os.read(self._master, 4096)):
                if command == 0:
                    self._queue.append(content)
                    self._filled.set()
                elif command == 2:
                    self.persistence = (content[0] + 1) / 256
                elif command == 3:
                    self.slot_s = content[0] / 100

    async def _send(self) -> None:
        while True:
            await self._filled.wait()
            while self._queue:
                frame = self._queue.popleft()
                while self.medium.is_busy_for(self) or self.medium.chance.random() > self.persistence:  # noqa: ASYNC110  it polls, as modems do
                    await asyncio.sleep(self.slot_s)
                await self.medium.send(self, frame)
            self._filled.clear()
