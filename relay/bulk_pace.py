"""How fast bulk may go on one link: what keeps the link busy and leaves nothing standing in its queue. Pure arithmetic.

Urgent parcels have a connection of their own but share the link, so whatever bulk piles up before a thin uplink holds an alert
up all the same. So bulk goes at the pace at which the link was seen to deliver, one parcel after another, and what is in flight
is bounded: what travels (the least round trip) and 100 ms of the link's goodput, or one parcel where that is more. TCP would
fill whatever buffer the modem has: seconds.

The rate is measured as BBR does (Cardwell et al., draft-cardwell-iccrg-bbr-congestion-control, section 4.1.1): bytes delivered
between two answers, over the time in which they were sent or answered, whichever is longer; the best of the last rounds
counts. The answer is a pong to a ping that follows the parcels on their own lane, so it tells when the last byte has come
through, and no disk's commit is in it. A round at 1.25 times the pace finds out whether there is more; one at 0.75 lets drain
what that piled up. Where the answers come 100 ms later than they need, the newest rate is believed and not the best.

A ``BulkPace`` lives as long as a session; ``links`` owns it, ``striping`` reads its ``BulkRoom``.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

QUEUE_MS: Final = 100.0
"""How much of the link's time may stand in its queue, beyond a parcel that is being sent."""
FIRST_TOKEN: Final = 1 << 60
"""Pings of bulk carry tokens from here on; no clock shows such a time."""
PARCEL_BYTES: Final = 4_400
"""A chunk's envelope; until something larger was sent, the most that is let go at once."""
_START_GAIN: Final = 2.0
_CYCLE: Final = (1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
_SPREAD: Final = 1.15
"""What encryption adds to a parcel, and slack: the carrier must not become what is measured."""
_DRAIN_GAIN: Final = 0.85
_STANDING_MS: Final = 15.0
"""A queue that never got shorter than this in a whole round is let run dry; less can't be told from a busy machine."""
_LEAST_MEMORY_MS: Final = 3_000
_ROUNDS_REMEMBERED: Final = 10
_STARTED_AFTER: Final = 3
"""Rounds without a quarter's growth: the link is full."""
_LATE_CREDIT_MS: Final = 20
_LEAST_CREDIT_BYTES: Final = 2_048
_LOST_AFTER_MS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRoom:
    """What a link takes of bulk now."""

    in_flight_bytes: int = 0
    window_bytes: float = float("inf")
    """More may be sent while no more than this is in flight."""
    allowance_bytes: float = float("inf")
    """More may be sent while this is above zero; it grows at the pace."""
    rate_bytes_s: float = 0.0
    """What the link delivers; 0 if unknown."""
    idle_ms: int = 1 << 40
    """Since something was last sent on it."""

    @property
    def is_open(self) -> bool:
        """Whether a parcel may go now."""
        return self.allowance_bytes > 0 and self.in_flight_bytes <= self.window_bytes

    def opens_in_ms(self) -> float:
        """When the pace lets the next one go; infinite where only an answer can."""
        if self.in_flight_bytes > self.window_bytes or self.rate_bytes_s <= 0:
            return float("inf")
        return max(0.0, -self.allowance_bytes / self.rate_bytes_s * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    token: int
    size_bytes: int
    sent_ms: int
    delivered_bytes: int
    delivered_ms: int
    first_sent_ms: int
    was_idle: bool
    """Nothing else was in flight: the link was not full, and what it showed is less than it can."""


class BulkPace:
    """Of one session. ``rate_bytes_s`` may be what an earlier session of the same path measured."""

    def __init__(self, *, rate_bytes_s: float = 0.0, now_ms: int = 0) -> None:
        self._sent: deque[_Sent] = deque()
        self._next_token = FIRST_TOKEN
        self._in_flight_bytes = 0
        self._largest_bytes = PARCEL_BYTES
        self._delivered_bytes = 0
        self._delivered_ms = now_ms
        self._first_sent_ms = now_ms
        self._rates: deque[tuple[int, float]] = deque([(now_ms, rate_bytes_s)] if rate_bytes_s > 0 else [])
        self._is_starting = True
        self._full_rate = 0.0
        self._rounds_without_growth = 0
        self._round = 0
        self._round_ends_at = 0
        """Delivered bytes at which what was sent in this round has come through."""
        self._standing_ms = 0.0
        self._least_queue_ms = float("inf")
        """The shortest queue that was seen in this round; the last round's is ``_standing_ms``."""
        self._allowance_bytes = 1.0
        self._allowance_ms = now_ms
        self._last_sent_ms = now_ms - (1 << 40)

    @property
    def rate_bytes_s(self) -> float:
        """The best of the last rounds; 0 until something was answered."""
        return max((rate for _, rate in self._rates), default=0.0)

    def sent(self, size_bytes: int, largest_bytes: int, now_ms: int) -> int:
        """So much was handed to the carrier. Returns the token of the ping that is to follow it."""
        self._grow(now_ms)
        was_idle = not self._sent
        if was_idle:
            self._delivered_ms = self._first_sent_ms = now_ms
        token, self._next_token = self._next_token, self._next_token + 1
        self._sent.append(_Sent(token=token, size_bytes=size_bytes, sent_ms=now_ms, delivered_bytes=self._delivered_bytes,
                                delivered_ms=self._delivered_ms, first_sent_ms=self._first_sent_ms, was_idle=was_idle))  # fmt: skip
        self._in_flight_bytes += size_bytes
        self._largest_bytes = max(self._largest_bytes, largest_bytes)
        self._allowance_bytes -= size_bytes
        self._last_sent_ms = now_ms
        return token

    def answered(self, token: int, least_rtt_ms: float, now_ms: int) -> bool:
        """A pong came: all up to it has come through. False if nobody waits for it."""
        if not self._sent or not self._sent[0].token <= token <= self._sent[-1].token:
            return False
        while self._sent and self._sent[0].token <= token:
            last = self._sent.popleft()
            self._in_flight_bytes -= last.size_bytes
            self._delivered_bytes += last.size_bytes
        self._delivered_ms, self._first_sent_ms = now_ms, last.sent_ms
        took_ms = max(1, last.sent_ms - last.first_sent_ms, now_ms - last.delivered_ms)
        rate = (self._delivered_bytes - last.delivered_bytes) / took_ms * 1000
        before = self.rate_bytes_s
        self._grow(now_ms)
        queue_ms = now_ms - last.sent_ms - least_rtt_ms - last.size_bytes / max(rate, before, 1.0) * 1000
        self._least_queue_ms = min(self._least_queue_ms, queue_ms)
        self._believe(rate, last, queue_ms, least_rtt_ms, now_ms)
        if last.delivered_bytes >= self._round_ends_at:
            self._end_round()
        return True

    def room(self, least_rtt_ms: float, now_ms: int) -> BulkRoom:
        """What may be sent now."""
        self._give_up_the_lost(least_rtt_ms, now_ms)
        self._grow(now_ms)
        rate = self.rate_bytes_s
        window_bytes = rate * (least_rtt_ms + QUEUE_MS) / 1000 * (_START_GAIN if self._is_starting else 1.0)
        if rate > 0:
            window_bytes = max(window_bytes, float(self._largest_bytes))
        allowance_bytes = self._allowance_bytes if rate > 0 else float(not self._sent)
        return BulkRoom(in_flight_bytes=self._in_flight_bytes, window_bytes=window_bytes, allowance_bytes=allowance_bytes,
                        rate_bytes_s=rate, idle_ms=now_ms - self._last_sent_ms)  # fmt: skip

    def spread_bytes_s(self) -> int:
        """At what rate a carrier that can should let a parcel's packets go: a little above the pace; 0 while that is sought."""
        return 0 if self._is_starting else int(self.rate_bytes_s * self._gain() * _SPREAD)

    # ------------------------------------------------------------------ inside

    def _gain(self) -> float:
        if self._is_starting:
            return _START_GAIN
        gain = _CYCLE[self._round % len(_CYCLE)]
        if self._standing_ms > _STANDING_MS and gain <= 1.0:
            return _DRAIN_GAIN
        return gain

    def _grow(self, now_ms: int) -> None:
        """Let the allowance grow at the pace; what was not used while there was nothing to send is not saved up."""
        pace = self.rate_bytes_s * self._gain()
        most = max(_LEAST_CREDIT_BYTES, pace * _LATE_CREDIT_MS / 1000)
        self._allowance_bytes = min(most, self._allowance_bytes + pace * max(0, now_ms - self._allowance_ms) / 1000)
        self._allowance_ms = now_ms

    def _believe(self, rate: float, last: _Sent, queue_ms: float, least_rtt_ms: float, now_ms: int) -> None:
        is_late = queue_ms > QUEUE_MS + self._largest_bytes / max(self.rate_bytes_s, 1.0) * 1000
        if is_late and not last.was_idle:
            self._rates.clear()  # the link is full: what it delivers now is what it can
            self._is_starting = False
        elif last.was_idle and rate < self.rate_bytes_s:
            return
        memory_ms = max(_LEAST_MEMORY_MS, _ROUNDS_REMEMBERED * least_rtt_ms)
        self._rates.append((now_ms, rate))
        while now_ms - self._rates[0][0] > memory_ms:
            self._rates.popleft()

    def _end_round(self) -> None:
        self._round += 1
        self._standing_ms, self._least_queue_ms = self._least_queue_ms, float("inf")
        self._round_ends_at = self._delivered_bytes
        if not self._is_starting:
            return
        if self.rate_bytes_s >= self._full_rate * 1.25:
            self._full_rate, self._rounds_without_growth = self.rate_bytes_s, 0
        else:
            self._rounds_without_growth += 1
        self._is_starting = self._rounds_without_growth < _STARTED_AFTER

    def _give_up_the_lost(self, least_rtt_ms: float, now_ms: int) -> None:
        """A carrier that lost the ping or its answer must not keep the window shut for ever."""
        if self._sent and now_ms - self._sent[0].sent_ms > max(_LOST_AFTER_MS, 8 * least_rtt_ms):
            self._sent.clear()
            self._in_flight_bytes = 0
            self._rates = deque([(now_ms, self.rate_bytes_s / 2)])
            self._round_ends_at = self._delivered_bytes
