"""What waits for a carrier that takes parcels in batches: two short queues, urgent first. Short, because the spool is the queue."""

import asyncio
from collections import deque
from typing import Final

from relay.path import Lane
from relay.paths.parcels import MAX_BATCH_BYTES

_DEPTH: Final = {Lane.URGENT: 256, Lane.BULK: 16}


class Outbox:
    """Bounded by depth; a full lane takes nothing, and the sender tries again shortly."""

    def __init__(self) -> None:
        self._lanes: dict[Lane, deque[bytes]] = {lane: deque() for lane in Lane}
        self._filled = {lane: asyncio.Event() for lane in Lane}
        self.any_filled = asyncio.Event()

    def put(self, parcel: bytes, lane: Lane) -> bool:
        """Queue a parcel; False if its lane is full."""
        queue = self._lanes[lane]
        if len(queue) >= _DEPTH[lane]:
            return False
        queue.append(parcel)
        self._filled[lane].set()
        self.any_filled.set()
        return True

    async def filled(self, lane: Lane) -> None:
        """Return when the lane holds something."""
        await self._filled[lane].wait()

    def take(self, lane: Lane, most_bytes: int = MAX_BATCH_BYTES // 2) -> list[bytes]:
        """Take a batch from one lane."""
        queue, batch, size = self._lanes[lane], list[bytes](), 0
        while queue and (not batch or size + len(queue[0]) <= most_bytes):
            size += len(queue[0])
            batch.append(queue.popleft())
        if not queue:
            self._filled[lane].clear()
        if not any(self._lanes.values()):
            self.any_filled.clear()
        return batch

    def give_back(self, batch: list[bytes], lane: Lane) -> None:
        """Put a batch that could not be sent in front again."""
        self._lanes[lane].extendleft(reversed(batch))
        if batch:
            self._filled[lane].set()
            self.any_filled.set()
