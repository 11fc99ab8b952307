"""How many alerts of one node may be on their way on one link at once, when it sends more than a few. Pure arithmetic.

Alerts of several nodes share a link, and what is in flight stands before everything else: 512 of a flood on 1 Mbit/s are more than a
second. So who has more than a few without an answer is held to what travels, and an eighth of a round trip more (10 ms at least):
then nobody else's alert needs much longer than without the flood, and the link stays busy. What is held back waits in the spool. Where
nobody else's alerts go, as from a node itself, there is nobody to hold it back for but what comes next: it may have a second round trip on the
way (60 ms at least), so that a backlog fills the link however late a busy machine's loop is.

The rate is what was delivered between two answers, over the time that took; the best of the last rounds counts. The answer is a
pong to a ping that follows the alerts on their own lane, so no disk's commit is in it; but a neighbor that can't read fast enough is.
The window is the rate times what it may fill, so it grows by up to an eighth each round trip while there is more to be had; that alone
finds out. Every ten seconds it is halved for a moment, to see the round trip without a queue.

A ``FloodWindow`` lives as long as a session; ``links`` owns it, ``striping`` is told what it leaves. ``Speakers`` tells whether several
nodes' alerts go here; ``sender`` owns that.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

FIRST_TOKEN: Final = 1 << 61
"""Pings that follow alerts carry tokens from here on, above those of bulk."""
FIRST_BYTES: Final = 5_600
"""Before anything was measured: four segments."""
LEAST_BYTES: Final = 1_400
LEAST_QUEUE_MS: Final = 10.0
LEAST_OWN_QUEUE_MS: Final = 60.0
"""Where nobody else's alerts go: what is held back would be held back for nobody, and a busy machine's loop may be late by this."""
OWN_QUEUE_SHARE: Final = 1.0
FIRST_OWN_BYTES: Final = 14_000
"""TCP's own first window."""
QUEUE_SHARE: Final = 0.125
"""Of the round trip."""
_PINGS_A_WINDOW: Final = 12
_LEAST_BETWEEN_PINGS_BYTES: Final = 600
_STARTED_AFTER: Final = 3
"""Round trips without a quarter's growth: the link is full. Until then the window is twice as large."""
_FILLED_AFTER: Final = 3
"""Answers in a row that were late: likewise."""
_IDLE_MS: Final = 5_000
_LATELY_MS: Final = 500
_LATELY_LEAST: Final = 6
"""So long, and in so many answers, the least must be late before that is taken for a queue: a busy machine makes single ones late."""
_MEMORY_MS: Final = 400
_ROUNDS_REMEMBERED: Final = 4
_RTT_MEMORY_MS: Final = 60_000
_DRAIN_EVERY_MS: Final = 10_000
_DRAIN_MS: Final = 200
_LOST_AFTER_MS: Final = 5_000


SPOKE_MS: Final = 600_000
"""Whose alert went so lately may have another one at any moment."""


class Speakers:
    """Whether alerts of several nodes go by this station."""

    def __init__(self) -> None:
        self._last: bytes | None = None
        self._several_ms: int | None = None
        """When an alert was last another node's than the one before it."""

    def spoke(self, origin: bytes, now_ms: int) -> None:
        """An alert of this node is to be sent."""
        if self._last not in {None, origin}:
            self._several_ms = now_ms
        self._last = origin

    def are_several(self, now_ms: int) -> bool:
        """Whether more than one node spoke within the last ten minutes."""
        return self._several_ms is not None and now_ms - self._several_ms < SPOKE_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    token: int
    size_bytes: int
    began_ms: int
    """When the first alert that it stands for was sent."""
    sent_ms: int
    delivered_bytes: int
    delivered_ms: int


class FloodWindow:
    """Of one session."""

    def __init__(self) -> None:
        self.is_shared = True
        """Whether alerts of several nodes go on the link."""
        self._sent: deque[_Sent] = deque()
        self._next_token = FIRST_TOKEN
        self._unasked_bytes = 0
        """Sent since the last ping."""
        self._unasked_ms = 0
        """And since when."""
        self._in_flight_bytes = 0
        self._delivered_bytes = 0
        self._delivered_ms = 0
        self._rates: deque[tuple[int, float]] = deque()
        """(ms, bytes/ms)."""
        self._trips: deque[tuple[int, float]] = deque()
        """(ms, ms there and back), ascending from the least."""
        self._lately: deque[tuple[int, float]] = deque()
        """(ms, ms there and back) of the last answers."""
        self._drain_ms = 0
        self._is_starting = True
        self._full_rate = 0.0
        self._full_ms = 0
        """When the rate last grew by a quarter, and to what."""

    def sent(self, size_bytes: int, now_ms: int) -> int | None:
        """So much was handed to the carrier. Returns the token of the ping that is to follow it, if one is."""
        if not self._unasked_bytes:
            self._unasked_ms = now_ms
        self._in_flight_bytes += size_bytes
        self._unasked_bytes += size_bytes
        if self._sent and (
            self._unasked_bytes < _LEAST_BETWEEN_PINGS_BYTES
            or self._unasked_bytes < self._window_bytes(now_ms) / _PINGS_A_WINDOW
        ):
            return None
        if not self._sent:
            if now_ms - self._delivered_ms > _IDLE_MS:
                self._start_over(now_ms)
            self._delivered_ms = now_ms
        token, self._next_token = self._next_token, self._next_token + 1
        self._sent.append(_Sent(token=token, size_bytes=self._unasked_bytes, began_ms=self._unasked_ms, sent_ms=now_ms,
                                delivered_bytes=self._delivered_bytes, delivered_ms=self._delivered_ms))  # fmt: skip
        self._unasked_bytes = 0
        return token

    def answered(self, token: int, now_ms: int) -> bool:
        """A pong came: all up to it has come through. False if nobody waits for it."""
        if not self._sent or not self._sent[0].token <= token <= self._sent[-1].token:
            return False
        while self._sent and self._sent[0].token <= token:
            last = self._sent.popleft()
            self._in_flight_bytes -= last.size_bytes
            self._delivered_bytes += last.size_bytes
        self._delivered_ms = now_ms
        self._note_trip(max(0.0, now_ms - last.sent_ms - self._own_ms(last)), now_ms)
        rate = (self._delivered_bytes - last.delivered_bytes) / max(1, now_ms - last.delivered_ms)
        least_ms = self._trips[0][1]
        if self._is_late(least_ms + 1.5 * self._queue_ms(least_ms) + last.size_bytes / max(rate, 0.001), now_ms):
            self._rates.clear()  # more stands there than may: what it delivers now is what it can
            self._lately.clear()
            self._is_starting = False
        while self._rates and self._rates[-1][1] <= rate:
            self._rates.pop()
        self._rates.append((now_ms, rate))
        while now_ms - self._rates[0][0] > max(_MEMORY_MS, _ROUNDS_REMEMBERED * least_ms):
            self._rates.popleft()
        self._end_start(least_ms + self._queue_ms(least_ms) + last.size_bytes / max(rate, 0.001), now_ms)
        return True

    def measured(self, trip_ms: float, now_ms: int) -> None:
        """A small question by itself took so long: the round trip without anything that went along with it."""
        self._note_least(trip_ms, now_ms)

    def left_bytes(self, now_ms: int) -> float:
        """What more may be sent now; below zero if too much is on its way."""
        if self._sent and now_ms - self._sent[0].sent_ms > max(_LOST_AFTER_MS, 8 * self._least_ms):
            self._sent.clear()  # a carrier that lost the ping or its answer must not keep the window shut for ever
            self._in_flight_bytes = self._unasked_bytes = 0
        left_bytes = self._window_bytes(now_ms) - self._in_flight_bytes
        # What followed the last ping is asked after by the next one only. With none out, a window that has shrunk meanwhile lets one
        # alert through, and its ping: else it would stay shut for as long as the session lasts.
        return left_bytes if self._sent else max(1.0, left_bytes)

    # ------------------------------------------------------------------ inside

    def _start_over(self, now_ms: int) -> None:
        self._rates.clear()
        self._is_starting, self._full_rate, self._full_ms = True, 0.0, now_ms

    def _end_start(self, bound_ms: float, now_ms: int) -> None:
        if not self._is_starting:
            return
        newest = list(self._lately)[-_FILLED_AFTER:]
        if len(newest) == _FILLED_AFTER and min(trip_ms for _, trip_ms in newest) > bound_ms:
            self._is_starting = False
        if self._rates[0][1] >= self._full_rate * 1.25:
            self._full_rate, self._full_ms = self._rates[0][1], now_ms
        elif now_ms - self._full_ms > _STARTED_AFTER * max(1, self._least_ms):
            self._is_starting = False

    @property
    def _least_ms(self) -> float:
        return self._trips[0][1] if self._trips else 0.0

    def _window_bytes(self, now_ms: int) -> float:
        first_bytes = FIRST_BYTES if self.is_shared else FIRST_OWN_BYTES
        if not self._rates:
            return first_bytes
        filled = self._rates[0][1] * (self._least_ms + self._queue_ms(self._least_ms)) + _LEAST_BETWEEN_PINGS_BYTES / 2
        if self._is_starting:
            return max(first_bytes, 2 * filled)
        if now_ms - self._drain_ms > _DRAIN_EVERY_MS:
            self._drain_ms = now_ms
        if now_ms - self._drain_ms < max(_DRAIN_MS, 2 * self._least_ms):
            filled /= 2
        return max(LEAST_BYTES, filled)

    def _is_late(self, bound_ms: float, now_ms: int) -> bool:
        while self._lately and now_ms - self._lately[0][0] > _LATELY_MS and len(self._lately) > _LATELY_LEAST:
            self._lately.popleft()
        return len(self._lately) >= _LATELY_LEAST and min(trip_ms for _, trip_ms in self._lately) > bound_ms

    def _note_trip(self, trip_ms: float, now_ms: int) -> None:
        self._lately.append((now_ms, trip_ms))
        self._note_least(trip_ms, now_ms)

    def _note_least(self, trip_ms: float, now_ms: int) -> None:
        while self._trips and self._trips[-1][1] >= trip_ms:
            self._trips.pop()
        self._trips.append((now_ms, trip_ms))
        while now_ms - self._trips[0][0] > _RTT_MEMORY_MS:
            self._trips.popleft()

    def _own_ms(self, last: _Sent) -> float:
        """Of a trip, what the link needed for the alerts that went along with the ping, and not for what stood before them.

        No more than half of the queue that is allowed: where the rate is thought too low the window grows all the same.
        """
        if self._is_starting or not self._rates:
            return 0.0
        own_ms = last.size_bytes / self._rates[0][1] - (last.sent_ms - last.began_ms)
        return min(max(0.0, own_ms), self._queue_ms(self._least_ms) / 2)

    def _queue_ms(self, least_ms: float) -> float:
        if self.is_shared:
            return max(LEAST_QUEUE_MS, QUEUE_SHARE * least_ms)
        return max(LEAST_OWN_QUEUE_MS, OWN_QUEUE_SHARE * least_ms)
