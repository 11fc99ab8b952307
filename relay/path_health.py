"""How a path is: round trip, loss, what it carries, what it has cost. Pure arithmetic; the caller says what happened and when.

A ``PathMeter`` belongs to a path by name and outlives its sessions; ``links`` feeds it, ``scheduler`` and ``status`` read it.
It decides nothing and reads no clock.
"""

from collections import deque
from typing import Final

import msgspec

from relay.kinds.heartbeat import PathHealth

LEAST_WAIT_MS: Final = 1_000
"""A question that is answered within this is never counted as lost, however short the round trip."""
_LOSS_WEIGHT: Final = 1 / 16
"""Of the newest answer. A ping goes every 2 s, so half of what is told is at most 22 s old."""
_ASKED_MOST: Final = 64
_SECONDS_KEPT: Final = 60
_RTT_KEPT_MS: Final = 30_000
OVERHEAD_BYTES: Final = 78
"""What TCP/IP (52) and CURVE with ZMTP (26) add to a parcel that has a segment of its own; counted as spent where bytes cost."""


class BudgetUse(msgspec.Struct, frozen=True, kw_only=True):
    """One of a path's budgets and how much of it is used."""

    period: str
    """``day`` or ``month``: 24 hours or 30 days of this machine's own running time."""
    unit: str
    """``bytes`` or ``money``, the latter in whatever unit ``cost_per_mb`` has."""
    limit: float
    used: float


class PathReport(msgspec.Struct, frozen=True, kw_only=True):
    """One dialed path, as status, metrics and survey show it."""

    path: str
    is_up: bool
    is_metered: bool = False
    rtt_ms: float = 0.0
    """Smoothed (RFC 6298); 0 when unknown."""
    rtt_variation_ms: float = 0.0
    loss: float = 0.0
    """Share of pings that were not answered in time, 0 … 1, the newest weighing most."""
    goodput_up_bytes_s: float = 0.0
    """What the path delivers towards the neighbor, bytes/s of parcels; 0 until enough was sent to tell."""
    goodput_down_bytes_s: float = 0.0
    """The most that came in any one second of the last minute, bytes."""
    bytes_up: int = 0
    """Parcels sent since this process started, all sessions."""
    bytes_down: int = 0
    spent: float = 0.0
    """Money in this month, both directions, every precedence."""
    budget_left: float | None = None
    """Share of the tightest budget that is left, 0 … 1; None where there is no budget."""
    budgets: tuple[BudgetUse, ...] = ()
    last_word_age_ms: int = 0
    """Since anything came over it; 0 while it is down."""
    carrier: str = ""
    provider: str = ""
    interface: str = ""

    def for_heartbeat(self) -> PathHealth:
        """The part of it that a node's heartbeat tells the center."""
        return PathHealth(path=self.path, is_up=self.is_up, rtt_ms=self.rtt_ms, bytes_sent=self.bytes_up,
                          last_heard_age_ms=self.last_word_age_ms)  # fmt: skip


class PathMeter:
    """What is measured on one path, over all its sessions."""

    def __init__(self) -> None:
        self.rtt_ms = 0.0
        self.rtt_variation_ms = 0.0
        self.loss = 0.0
        self.bytes_up = 0
        self.bytes_down = 0
        self.goodput_up_bytes_s = 0.0
        self._asked: deque[int] = deque(maxlen=_ASKED_MOST)
        self._lately: deque[tuple[int, float]] = deque()
        self._came: deque[tuple[int, int]] = deque()
        """(second, bytes that came in it), the last minute's."""

    # ------------------------------------------------------------------ round trip and loss

    def asked(self, now_ms: int) -> None:
        """A ping was sent; those before it that had their time and no answer are lost."""
        wait_ms = max(LEAST_WAIT_MS, self.rtt_ms + 4 * self.rtt_variation_ms)
        while self._asked and now_ms - self._asked[0] > wait_ms:
            self._asked.popleft()
            self._counted(is_lost=True)
        self._asked.append(now_ms)

    def answered(self, asked_ms: int, now_ms: int) -> None:
        """A ping came back. One that was counted as lost already still tells the round trip."""
        if asked_ms in self._asked:
            self._asked.remove(asked_ms)
            self._counted(is_lost=False)
        self.measured(float(max(0, now_ms - asked_ms)), now_ms)

    def session_lost(self) -> None:
        """What was asked on the session before can't be answered any more, and says nothing about the path's loss."""
        self._asked.clear()

    def measured(self, rtt_ms: float, now_ms: int) -> None:
        """Smooth the round-trip time and its variation (RFC 6298, section 2)."""
        self._lately.append((now_ms, rtt_ms))
        while now_ms - self._lately[0][0] > _RTT_KEPT_MS:
            self._lately.popleft()
        if self.rtt_ms == 0:
            self.rtt_ms, self.rtt_variation_ms = rtt_ms, rtt_ms / 2
            return
        self.rtt_variation_ms = self.rtt_variation_ms * 0.75 + abs(self.rtt_ms - rtt_ms) * 0.25
        self.rtt_ms = self.rtt_ms * 0.875 + rtt_ms * 0.125

    @property
    def least_rtt_ms(self) -> float:
        """The shortest of the last half minute: the way there and back without what waits in its queues; 0 if unknown."""
        return min((rtt_ms for _, rtt_ms in self._lately), default=self.rtt_ms)

    def _counted(self, *, is_lost: bool) -> None:
        self.loss += (float(is_lost) - self.loss) * _LOSS_WEIGHT

    # ------------------------------------------------------------------ bytes

    def sent(self, size_bytes: int) -> None:
        """A parcel was handed to the carrier."""
        self.bytes_up += size_bytes

    def received(self, size_bytes: int, now_ms: int) -> None:
        """A parcel came."""
        self.bytes_down += size_bytes
        second = now_ms // 1000
        if self._came and self._came[-1][0] == second:
            self._came[-1] = (second, self._came[-1][1] + size_bytes)
            return
        self._came.append((second, size_bytes))
        while second - self._came[0][0] >= _SECONDS_KEPT:
            self._came.popleft()

    def goodput_down_bytes_s(self, now_ms: int) -> float:
        """The most that came in one second of the last minute."""
        since = now_ms // 1000 - _SECONDS_KEPT
        return float(max((size_bytes for second, size_bytes in self._came if second > since), default=0))
