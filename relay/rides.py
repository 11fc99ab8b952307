"""Receipts that ride: each that went on a link goes there once more, with the next thing that does.

A receipt is cumulative, so any may be lost; but until the next one comes, its sender waits, tries again, and in the end falls back on
itself. So what was said once is said a second time, a while later, behind whatever goes the same way: an acknowledgement, an
instruction, a pong. It asks for nothing of its own: on a link where nothing else goes, nothing rides. A newer receipt of its series
takes its place, the same one never goes a third time, and what the carrier did not take goes with the very next thing.

Owned by each ``links.Link`` but the tiny ones, where a byte costs more (``paths/tiny_session``). Bytes only; nothing here is believed or decided.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from relay.clock import Clock
from relay.counters import Counters
from relay.ids import NodeId
from relay.path import Lane
from relay.receipt import Receipt

KEPT: Final = 128
"""Receipts of one link that wait for a ride: a neighbor with more numberings behind it loses no more than this repair."""
AT_ONCE: Final = 4
"""Behind one parcel: 400 bytes, so that the parcel after it hardly waits."""
LEAST_WAIT_MS: Final = 100
"""Between a receipt and its repetition, and as long as the link's answers take where that is more: what spoils one spoils what
follows on its heels, and in a flow the next receipt says it all."""

Series = tuple[NodeId, NodeId, int]
"""Signer, origin, series."""
Send = Callable[[bytes, Lane], bool]


@dataclass(slots=True)
class _Rider:
    wire: bytes
    due_ms: int
    was_taken: bool


class Rides:
    """Of one link."""

    def __init__(self, clock: Clock, counters: Counters) -> None:
        self._clock = clock
        self._counters = counters
        self._waiting: OrderedDict[Series, _Rider] = OrderedDict()
        self._over: OrderedDict[Series, bytes] = OrderedDict()
        """What has been said twice."""
        self._is_giving = False

    def __len__(self) -> int:
        return len(self._waiting)

    def say(self, receipt: Receipt, send: Send, wait_ms: float) -> None:
        """Send a receipt now, and remember it for its ride, ``wait_ms`` from now at the earliest."""
        series = (receipt.signer, receipt.origin, receipt.series)
        before = self._waiting.pop(series, None)  # first of all: the older one must not ride on the newer
        was_taken = send(receipt.wire, Lane.URGENT)
        if self._over.get(series) == receipt.wire:
            return
        if was_taken and before is not None and before.was_taken and before.wire == receipt.wire:
            self._end(series, receipt.wire)
            return
        self._wait(series, receipt.wire, wait_ms, was_taken=was_taken)

    def give(self, send: Send, wait_ms: float) -> None:
        """Something just went on the link: let those ride that are due."""
        if not self._waiting or self._is_giving:
            return
        now_ms = self._clock.monotonic_ms()
        self._is_giving = True  # a rider gives no rides
        try:
            for _ in range(AT_ONCE):
                series, rider = next(iter(self._waiting.items()), (None, None))
                if series is None or rider is None or rider.due_ms > now_ms or not send(rider.wire, Lane.URGENT):
                    return
                del self._waiting[series]
                self._counters.count("receipts_rode")
                if rider.was_taken:
                    self._end(series, rider.wire)
                else:  # this was its first time
                    self._wait(series, rider.wire, wait_ms, was_taken=True)
        finally:
            self._is_giving = False

    def _wait(self, series: Series, wire: bytes, wait_ms: float, *, was_taken: bool) -> None:
        now_ms = self._clock.monotonic_ms()
        due_ms = now_ms + max(LEAST_WAIT_MS, int(wait_ms)) if was_taken else now_ms
        self._waiting[series] = _Rider(wire=wire, due_ms=due_ms, was_taken=was_taken)
        if not was_taken:
            self._waiting.move_to_end(series, last=False)
        if len(self._waiting) > KEPT:
            self._waiting.popitem(last=not was_taken)
            self._counters.count("receipts_without_ride")

    def _end(self, series: Series, wire: bytes) -> None:
        self._over[series] = wire
        self._over.move_to_end(series)
        if len(self._over) > KEPT:
            self._over.popitem(last=False)
