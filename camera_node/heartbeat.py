"""The node's word on itself: at every interval, and at once when a camera's state changes."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from camera_node.weights import Weights
from relay.errors import OperatorError
from relay.kinds.heartbeat import CameraHealth
from relay.service import compose_heartbeat, put_heartbeat
from relay.station import Station

_AT_MOST_EVERY_S: Final = 1.0


class HeartbeatSender:
    """``run`` owns it."""

    def __init__(self, station: Station, *, weights: Weights, interval_s: int,
                 cameras: Callable[[], Sequence[CameraHealth]]) -> None:  # fmt: skip
        self._station = station
        self._weights = weights
        self._interval_s = interval_s
        self._cameras = cameras
        self._soon = asyncio.Event()
        self._started_ms = station.clock.monotonic_ms()

    def send_soon(self) -> None:
        """Something changed that the center should know before the next interval."""
        self._soon.set()

    async def run(self) -> None:
        """Until cancelled; a failing disk only costs the heartbeat that found it failing."""
        while True:
            self._soon.clear()
            try:
                await self._send()
            except OperatorError:
                self._station.counters.count("heartbeats_not_spooled")
            await asyncio.sleep(min(_AT_MOST_EVERY_S, self._interval_s))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._interval_s - _AT_MOST_EVERY_S)):
                    await self._soon.wait()

    async def _send(self) -> None:
        heartbeat = await compose_heartbeat(
            self._station, interval_s=self._interval_s, started_monotonic_ms=self._started_ms,
            cameras=tuple(self._cameras())[:64], model=self._weights.name, model_sha256=self._weights.sha256,
        )  # fmt: skip
        await put_heartbeat(self._station, heartbeat)
