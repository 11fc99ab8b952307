"""How good the connection to a camera is, in one word, over the last hour. Pure; times are monotonic milliseconds.

A camera that works most of the time is the one that nobody looks after. Bounds as in Frigate's ``connection_quality``: excellent is
no reconnect, nine tenths of the promised frames and fewer than five stalls in the hour.
"""

import enum
from collections import deque
from typing import Final

_HOUR_MS: Final = 3_600_000
_STALL_MS: Final = 1_000
"""Between two frames of a camera that gives ten a second or more; slower ones get four frames' time."""
_MOST: Final = 1_000


class Grade(enum.StrEnum):
    """Best first."""

    UNKNOWN = "unknown"
    """Less than ten seconds of it were seen."""
    EXCELLENT = "excellent"
    FAIR = "fair"
    POOR = "poor"
    UNUSABLE = "unusable"


class ConnectionGrade:
    """For one camera. ``note`` is called about every second."""

    def __init__(self) -> None:
        self._began_ms: int | None = None
        self._reconnects: deque[int] = deque(maxlen=_MOST)
        self._stalls: deque[int] = deque(maxlen=_MOST)
        self._frames: deque[tuple[int, int]] = deque(maxlen=4 * _MOST)
        self._known_reconnects = 0
        self._is_stalled = False
        self.frames_per_s = 0.0
        """Delivered over the last minute."""

    def note(
        self, now_ms: int, *, reconnects: int, frames: int, last_frame_ms: int | None, promised_per_s: float
    ) -> Grade:
        """Take the capture's counts; the grade as of now. ``promised_per_s`` 0: the stream does not say."""
        if self._began_ms is None:
            self._began_ms = now_ms
        self._reconnects.extend([now_ms] * min(10, reconnects - self._known_reconnects))
        self._known_reconnects = reconnects
        stall_ms = max(_STALL_MS, 4_000 / promised_per_s if promised_per_s > 0 else 0)
        is_stalled = last_frame_ms is not None and now_ms - last_frame_ms > stall_ms
        if is_stalled and not self._is_stalled:
            self._stalls.append(now_ms)
        self._is_stalled = is_stalled
        self._frames.append((now_ms, frames))
        while len(self._frames) > 1 and now_ms - self._frames[0][0] > 60_000:
            self._frames.popleft()
        for events in (self._reconnects, self._stalls):
            while events and now_ms - events[0] > _HOUR_MS:
                events.popleft()
        return self._graded(now_ms, promised_per_s)

    def _graded(self, now_ms: int, promised_per_s: float) -> Grade:
        assert self._began_ms is not None
        (first_ms, first), (last_ms, last) = self._frames[0], self._frames[-1]
        passed_s = (last_ms - first_ms) / 1000
        self.frames_per_s = (last - first) / passed_s if passed_s > 0 else 0.0
        if now_ms - self._began_ms < 10_000:
            return Grade.UNKNOWN
        share = min(1.0, self.frames_per_s / promised_per_s) if promised_per_s > 0 else 1.0
        reconnects, stalls = len(self._reconnects), len(self._stalls)
        if self.frames_per_s < 0.1 or share < 0.1 or reconnects > 10 or stalls > 100:
            return Grade.UNUSABLE
        if share < 0.5 or reconnects > 4 or stalls > 30:
            return Grade.POOR
        if share < 0.9 or reconnects or stalls >= 5:
            return Grade.FAIR
        return Grade.EXCELLENT
