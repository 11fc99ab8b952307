"""When a station says in one small frame that it is there: rarely by any path, and soon after only tiny ones are left.

A full heartbeat comes every few seconds and has no room on a radio or a satellite. A pulse has. While full heartbeats are heard the
center takes no notice of pulses; where they have ceased, a pulse makes its node one that is heard again, by its own slower interval. A relay
passes on the pulses of those that it carries for, each as often as the tiny path allows (``links``).
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from relay.errors import OperatorError
from relay.header import Kind
from relay.kinds import body
from relay.kinds.heartbeat import CameraHealth, Room
from relay.kinds.pulse import MOST_CAMERAS, MOST_PATHS, Pulse
from relay.precedence import Precedence
from relay.station import Station

USUAL_EVERY_S: Final = 1800
"""Where this station has no tiny path of its own; a relay on its way may have one."""
NARROW_FOR_S: Final = 30.0
"""So long only tiny paths have to be up before a pulse is worth its frame: a cable that is plugged in again costs none."""
LOOK_EVERY_S: Final = 5.0
_EXPIRES_AFTER: Final = 2


def interval_of(station: Station) -> int:
    """Seconds between two pulses: as often as the quickest tiny path takes one."""
    own = [facts.heartbeat_every_s for facts in station.path_facts if facts.is_tiny and facts.heartbeat_every_s]
    return min(own, default=USUAL_EVERY_S)


async def compose_pulse(station: Station, *, interval_s: int, cameras: Sequence[CameraHealth] = ()) -> Pulse:
    """How this station is now, in a few bytes."""
    status = await station.status()
    return Pulse(
        interval_s=interval_s, is_narrow=station.is_narrow, alerts_waiting=sum(status.backlog[: Precedence.IMMEDIATE + 1]),
        oldest_waiting_s=status.oldest_waiting_s, room=Room[status.room.upper()],
        cameras=bytes(camera.state for camera in cameras[:MOST_CAMERAS]),
        paths_up=sum(1 << place for place, path in enumerate(status.paths[:MOST_PATHS]) if path.is_up),
    )  # fmt: skip


async def send_pulses(station: Station, cameras: Callable[[], Sequence[CameraHealth]] = tuple) -> None:
    """Until cancelled; a failing disk only costs the pulse that found it failing."""
    interval_s, clock = interval_of(station), station.clock
    last_ms, narrow_since_ms = clock.monotonic_ms(), None
    has_told = False
    while True:
        now_ms = clock.monotonic_ms()
        narrow_since_ms = (now_ms if narrow_since_ms is None else narrow_since_ms) if station.is_narrow else None
        has_told = has_told and narrow_since_ms is not None
        is_news = not has_told and narrow_since_ms is not None and now_ms - narrow_since_ms >= NARROW_FOR_S * 1000
        if is_news or now_ms - last_ms >= interval_s * 1000:
            last_ms, has_told = now_ms, narrow_since_ms is not None
            try:
                pulse = await compose_pulse(station, interval_s=interval_s, cameras=cameras())
                await station.put(station.draft_up(Kind.PULSE, Precedence.ROUTINE, body.encode(pulse),
                                                   ttl_s=_EXPIRES_AFTER * interval_s))  # fmt: skip
            except OperatorError:
                station.counters.refused("pulse_not_spooled")
        await asyncio.sleep(LOOK_EVERY_S)
