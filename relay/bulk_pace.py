"""How fast bulk may go on one link: what keeps the link busy and leaves nothing standing in its queue. Pure arithmetic.

Urgent parcels have a connection of their own but share the link, so whatever bulk piles up before a thin uplink holds an alert
up all the same. So bulk goes at the pace at which the link was seen to deliver, one parcel after another, and what is in flight
is bounded: what travels (the least round trip) and 100 ms of the link's goodput, or one parcel where that is more. TCP would
fill whatever buffer the modem has: seconds.

The rate is measured as BBR does (Cardwell et al., draft-cardwell-iccrg-bbr-congestion-control, section 4.1.1): bytes delivered
between two answers, over the time in which they were sent or answered, whichever is longer; the best of the last rounds
counts, and what came while less was sent than might have been, an alert was under way or the clip was at its end, counts only
where it is more. The answer is a pong to a ping that follows the parcels on their own lane, so it tells when the last byte has
come through, and no disk's commit is in it.

At the start the rate doubles with each round. On a satellite a round is long, and what doubles once too often stands in the queue for most
of a second; so beyond what a lone parcel's answer, later than a ping's by the time that it took to send, says that the link carries, it
grows by quarters. Then a round at 1.25 times the pace finds out now and again whether there is more, and one at 0.75 lets drain what that
piled up; where there was more, the rate doubles again, and where a parcel came sooner than it could at that rate: a busy machine makes answers
late, never early, so what a moment of it has broken off is taken up again. Where the answers come 100 ms later than they need, the newest rate is believed
and not the best: the link has become slower, or its carrier stood still for a moment (a TCP that repeats, or probes for its round
trip), which looks the same. So, when answers are in time again, what it carried before is sought once more.

A ``BulkPace`` lives as long as a session; ``links`` owns it, ``striping`` reads its ``BulkRoom``.
"""

import math
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

QUEUE_MS: Final = 100.0
"""How much of the link's time may stand in its queue, beyond a parcel that is being sent."""
FIRST_TOKEN: Final = 1 << 60
"""Pings of bulk carry tokens from here on; no clock shows such a time."""
PARCEL_BYTES: Final = 5_334
"""A chunk's envelope; until something larger was sent, the most that is let go at once."""
_START_GAIN: Final = 2.89
"""2 / ln 2: doubles the rate with each round, though the pace follows what was answered and not what was sent."""
_PROBE_GAIN: Final = 1.25
_PROBE_PAID: Final = 1.08
"""A probe that found so much more, and no queue: the link has room. Less is what two measurements of a full one differ by."""
_AFTER_PROBE_GAIN: Final = 0.75
_DRAIN_GAIN: Final = 0.85
_SPREAD: Final = 1.15
"""What encryption adds to a parcel, and slack: the carrier must not become what is measured."""
_SPREAD_SEEKING: Final = 2.0
"""The same, where a parcel that comes early is to say how much more there is."""
_ROUNDS_A_CYCLE: Final = 8
_TURNS_AFTER_START: Final = 6
"""Of these; then comes the first probe."""
_TURNS_THAT_TELL: Final = frozenset({1, 2})
"""What was sent in the probe, turn 0, is answered in these."""
_STANDING_MS: Final = 15.0
"""A queue that never got shorter than this in a whole round is let run dry; less can't be told from a busy machine."""
_EARLY_MS: Final = 8.0
_EARLY_SHARE: Final = 0.2
"""A parcel that came sooner by this, and by a fifth of the time that it takes at the rate, shows that the rate is too low."""
_FULL_MS: Final = 30.0
"""While more than the rate is sought, a queue of this says that the link is full."""
_LEAST_MEMORY_MS: Final = 3_000
_ROUNDS_REMEMBERED: Final = 10
_RETURNED: Final = 0.9
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
    """What the link delivers, and while that is still found out what is tried next: a link that is judged by one parcel a round trip gets
    no second one beside faster ones, and never shows more. 0 if unknown."""
    idle_ms: int = 1 << 40
    """Since something was last sent on it."""

    @property
    def travels_bytes(self) -> float:
        """What is on the way when it is full; 0 where that is not measured."""
        return self.window_bytes if math.isfinite(self.window_bytes) else 0.0

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
    """Nothing else was in flight."""
    is_short: bool
    """More could have been sent before it and was not, an alert was under way or nothing waited: the link was not full, and what it
    showed is less than it can."""


class _Phase(Enum):
    STARTING = auto()
    """How much it carries is to be found out."""
    CYCLING = auto()
    """It is known; by turns it is looked whether there is more."""
    RETURNING = auto()
    """What it carried before it fell behind is sought."""


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
        """When each was measured; those only than which none that is newer is higher, so the first is the best."""
        self._short_until_bytes = -1
        """What is sent before more than this is delivered is short."""
        self._phase = _Phase.STARTING
        self._has_started = False
        """Its rate has been found once."""
        self._turn = 0
        """The round's place in the cycle. The first finds out whether there is more, the second lets drain what that piled up, if it did."""
        self._probed_from = 0.0
        """The rate at which the last probe began."""
        self._round_ends_at = 0
        """Delivered bytes at which what was sent in this round has come through."""
        self._standing_ms = 0.0
        self._least_queue_ms = float("inf")
        """The shortest queue that was seen in this round; the last round's is ``_standing_ms``."""
        self._queue_ms = 0.0
        """As the last answer found it."""
        self._is_behind = False
        """Something was late, and nothing has been in time since."""
        self._lone_rate = 0.0
        """What the link carries if nothing but a parcel itself made its answer later than a ping's: the most that one has shown."""
        self._lost_rate = 0.0
        """What the link carried before it fell behind: sought again when something is in time."""
        self._allowance_bytes = 1.0
        self._allowance_ms = now_ms
        self._last_sent_ms = now_ms - (1 << 40)

    @property
    def rate_bytes_s(self) -> float:
        """The best of the last rounds; 0 until something was answered."""
        return self._rates[0][1] if self._rates else 0.0

    def sent(self, size_bytes: int, largest_bytes: int, least_rtt_ms: float, now_ms: int) -> int:
        """So much was handed to the carrier. Returns the token of the ping that is to follow it."""
        self._grow(least_rtt_ms, now_ms)
        was_idle = not self._sent
        if was_idle:
            self._delivered_ms = self._first_sent_ms = now_ms
        token, self._next_token = self._next_token, self._next_token + 1
        self._sent.append(_Sent(token=token, size_bytes=size_bytes, sent_ms=now_ms, delivered_bytes=self._delivered_bytes,
                                delivered_ms=self._delivered_ms, first_sent_ms=self._first_sent_ms, was_idle=was_idle,
                                is_short=was_idle or self._delivered_bytes <= self._short_until_bytes))  # fmt: skip
        self._in_flight_bytes += size_bytes
        self._largest_bytes = max(self._largest_bytes, largest_bytes)
        self._allowance_bytes -= size_bytes
        self._last_sent_ms = now_ms
        return token

    def answered(self, token: int, least_rtt_ms: float, now_ms: int) -> bool:
        """A pong came: all up to it has come through. False if nobody waits for it."""
        if not self._sent or not self._sent[0].token <= token <= self._sent[-1].token:
            return False
        self._grow(least_rtt_ms, now_ms)
        while self._sent and self._sent[0].token <= token:
            last = self._sent.popleft()
            self._in_flight_bytes -= last.size_bytes
            self._delivered_bytes += last.size_bytes
        self._delivered_ms, self._first_sent_ms = now_ms, last.sent_ms
        self._note_queue(last, least_rtt_ms, now_ms)
        self._believe(last, least_rtt_ms, now_ms)
        if last.delivered_bytes >= self._round_ends_at:
            self._end_round(is_short=last.is_short)
        return True

    def room(self, least_rtt_ms: float, now_ms: int) -> BulkRoom:
        """What may be sent now."""
        self._give_up_the_lost(least_rtt_ms, now_ms)
        self._grow(least_rtt_ms, now_ms)
        rate = self.rate_bytes_s
        allowance_bytes = self._allowance_bytes if rate > 0 else float(not self._sent)
        return BulkRoom(in_flight_bytes=self._in_flight_bytes, window_bytes=self.window_bytes(least_rtt_ms), allowance_bytes=allowance_bytes,
                        rate_bytes_s=self._sought_bytes_s(), idle_ms=now_ms - self._last_sent_ms)  # fmt: skip

    def window_bytes(self, least_rtt_ms: float) -> float:
        """How much may be in flight: what travels, and ``QUEUE_MS`` of it; 0 where nothing was measured yet.

        Half a parcel more than the rule says: in whole ones, a link on which two travel would never be seen to carry three.
        """
        sought = self._sought_bytes_s()
        if sought == 0:
            return 0.0
        return max(sought * (least_rtt_ms + QUEUE_MS) / 1000 + self._largest_bytes / 2, float(self._largest_bytes))

    def spread_bytes_s(self) -> int:
        """At what rate a carrier that can should let a parcel's packets go: a little above the pace; 0 while nothing is known of the link."""
        match self._phase:
            case _Phase.CYCLING:
                return int(self._pace_bytes_s() * _SPREAD)
            case _Phase.RETURNING:
                return int(self._lost_rate * _SPREAD)
            case _Phase.STARTING:
                return int(self._sought_bytes_s() * _SPREAD_SEEKING) if self._has_started else 0

    # ------------------------------------------------------------------ how fast, and how much

    def _sought_bytes_s(self) -> float:
        """What the link may carry: what it was seen to deliver, and more where that is still to be found out."""
        rate = self.rate_bytes_s
        if self._phase is _Phase.CYCLING:
            return rate
        more = min(rate * _START_GAIN, max(self._lone_rate, rate * _PROBE_GAIN))
        return more if self._phase is _Phase.STARTING else min(more, self._lost_rate)

    def _pace_bytes_s(self) -> float:
        sought = self._sought_bytes_s()
        if self._phase is not _Phase.CYCLING:
            return sought
        if self._turn == 0:
            return sought * _PROBE_GAIN
        if self._turn == 1 and self._queue_ms > _STANDING_MS:
            return sought * _AFTER_PROBE_GAIN
        return sought * (_DRAIN_GAIN if self._standing_ms > _STANDING_MS else 1.0)

    def _grow(self, least_rtt_ms: float, now_ms: int) -> None:
        """Let the allowance grow at the pace; what was not used while there was nothing to send is not saved up."""
        pace = self._pace_bytes_s()
        most = max(_LEAST_CREDIT_BYTES, pace * _LATE_CREDIT_MS / 1000)
        grown = self._allowance_bytes + pace * max(0, now_ms - self._allowance_ms) / 1000
        if grown > most and self._in_flight_bytes <= self.window_bytes(least_rtt_ms):
            self._short_until_bytes = self._delivered_bytes + self._in_flight_bytes
        self._allowance_bytes = min(most, grown)
        self._allowance_ms = now_ms

    # ------------------------------------------------------------------ what an answer says

    def _note_queue(self, last: _Sent, least_rtt_ms: float, now_ms: int) -> None:
        beyond_ms = now_ms - last.sent_ms - least_rtt_ms
        came_bytes_s = self._rate_of(last, now_ms)
        self._queue_ms = beyond_ms - last.size_bytes / max(came_bytes_s, self.rate_bytes_s, 1.0) * 1000
        self._least_queue_ms = min(self._least_queue_ms, self._queue_ms)
        self._lone_rate = max(self._lone_rate, last.size_bytes / max(1.0, beyond_ms) * 1000)

    def _rate_of(self, last: _Sent, now_ms: int) -> float:
        took_ms = max(1, now_ms - last.delivered_ms, last.sent_ms - last.first_sent_ms)
        return (self._delivered_bytes - last.delivered_bytes) / took_ms * 1000

    def _believe(self, last: _Sent, least_rtt_ms: float, now_ms: int) -> None:
        before = self.rate_bytes_s
        is_late = self._queue_ms > QUEUE_MS + self._largest_bytes / max(before, 1.0) * 1000 and not last.was_idle
        rate = self._rate_of(last, now_ms)
        if is_late:
            self._fall_behind(before)
        if is_late or not last.is_short or rate >= before:
            self._remember(rate, least_rtt_ms, now_ms)
        if self._queue_ms > _FULL_MS and not last.was_idle:
            self._stop_seeking()
        elif self._is_behind and self._queue_ms <= _STANDING_MS:
            self._is_behind = False
            if self.rate_bytes_s < _RETURNED * self._lost_rate:
                self._phase = _Phase.RETURNING

    def _remember(self, rate: float, least_rtt_ms: float, now_ms: int) -> None:
        while self._rates and self._rates[-1][1] <= rate:
            self._rates.pop()
        self._rates.append((now_ms, rate))
        while now_ms - self._rates[0][0] > max(_LEAST_MEMORY_MS, _ROUNDS_REMEMBERED * least_rtt_ms):
            self._rates.popleft()

    def _fall_behind(self, rate_before: float) -> None:
        """The link is full, or its carrier has stood still: what it delivers now is what it can, until it shows otherwise."""
        if not self._is_behind:
            self._lost_rate = rate_before
        self._is_behind = True
        self._lone_rate = 0.0
        self._rates.clear()

    def _stop_seeking(self) -> None:
        if self._phase is _Phase.STARTING:
            self._turn, self._has_started = _TURNS_AFTER_START, True
        self._phase = _Phase.CYCLING

    # ------------------------------------------------------------------ rounds

    def _end_round(self, *, is_short: bool) -> None:
        self._standing_ms, self._least_queue_ms = self._least_queue_ms, float("inf")
        self._round_ends_at = self._delivered_bytes
        rate = self.rate_bytes_s
        match self._phase:
            case _Phase.RETURNING:
                if rate >= _RETURNED * self._lost_rate:
                    self._stop_seeking()
            case _Phase.CYCLING:
                self._next_turn(rate, is_short=is_short)
            case _Phase.STARTING:
                pass  # its first queue ends it: more than the rate is sent, so a full link can't be without one

    def _next_turn(self, rate: float, *, is_short: bool) -> None:
        has_paid = self._queue_ms <= _STANDING_MS and rate >= _PROBE_PAID * self._probed_from and not is_short
        early_ms = max(_EARLY_MS, _EARLY_SHARE * self._largest_bytes / max(rate, 1.0) * 1000)
        if (self._turn in _TURNS_THAT_TELL and has_paid) or self._standing_ms < -early_ms:
            self._phase = _Phase.STARTING
            return
        self._turn = (self._turn + 1) % _ROUNDS_A_CYCLE
        if self._turn == 0:
            self._probed_from = rate

    def _give_up_the_lost(self, least_rtt_ms: float, now_ms: int) -> None:
        """A carrier that lost the ping or its answer must not keep the window shut for ever."""
        if self._sent and now_ms - self._sent[0].sent_ms > max(_LOST_AFTER_MS, 8 * least_rtt_ms):
            self._sent.clear()
            self._in_flight_bytes = 0
            self._rates = deque([(now_ms, self.rate_bytes_s / 2)])
            self._round_ends_at = self._delivered_bytes
