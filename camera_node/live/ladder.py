"""Which quality a viewer gets: a state machine without I/O, fed with what was measured, asked every second.

Down at once when a line can't carry what is sent; up only after it has been good for a while, and after each climb that
failed only after twice that while: a line at its limit would swing for ever otherwise. Estimates are lower bounds (what
arrived), so a jump down may skip rungs and a climb never does.
"""

import enum
from dataclasses import dataclass
from typing import Final

BAD_LOSS: Final = 0.08
GOOD_LOSS: Final = 0.02
RTT_BAD_MS: Final = 1500.0
RTT_SLACK_MS: Final = 400.0
SILENT_AFTER_MS: Final = 4000
"""Receivers report at least every 1.5 s: after this their line is cut, or full."""
CLIMB_AFTER_MS: Final = 10_000
MOST_CLIMB_AFTER_MS: Final = 160_000
CLIMB_FAILED_WITHIN_MS: Final = 15_000
BAD_REPORTS: Final = 2
GOOD_STILLS: Final = 3
CHANNEL_DEAD_AFTER_MS: Final = 8000
_HEADROOM: Final = 1.5


class Rung(enum.StrEnum):
    """From the best to what always works."""

    MAIN = "main"
    SUB = "sub"
    """A smaller encoding, shared by all who need it."""
    STILLS = "stills"
    """Single pictures over the data channel."""
    RELAY_STILLS = "relay-stills"
    """Single pictures through the relay, as everything else goes."""


_ORDER: Final = tuple(Rung)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineReport:
    """What the viewer's receiver says of the video, and what was sent since."""

    loss: float
    """Share of packets lost, 0 … 1, in the receiver's last interval."""
    rtt_ms: float | None
    age_ms: int
    """Since the receiver last said anything."""
    sent_kbps: float


class Ladder:
    """One viewer's. Times are monotonic ms."""

    def __init__(self, *, has_channel: bool, main_kbps: float, sub_kbps: float, now_ms: int,
                 is_connected: bool = True) -> None:  # fmt: skip
        self.has_channel = has_channel
        """Whether stills can go over a data channel now; the owner keeps it up to date."""
        self.main_kbps = main_kbps
        """What the main stream takes; the owner keeps it up to date."""
        self._sub_kbps = sub_kbps
        self.rung = Rung.MAIN if is_connected else Rung.RELAY_STILLS
        self.why = ""
        self._since_ms = now_ms
        self._good_since_ms = now_ms
        self._climb_after_ms = CLIMB_AFTER_MS
        self._climbed_ms: int | None = None
        self._bad = 0
        self._best_rtt_ms: float | None = None
        self._good_stills = 0

    def video_report(self, report: LineReport, now_ms: int) -> Rung:
        """A second of video went by."""
        if report.rtt_ms is not None:
            self._best_rtt_ms = min(self._best_rtt_ms or report.rtt_ms, report.rtt_ms)
        why = self._trouble(report, now_ms)
        if why:
            self._bad += 1
            self._good_since_ms = now_ms
            is_desperate = report.loss >= 0.5 or report.age_ms > SILENT_AFTER_MS
            if self._bad >= BAD_REPORTS or is_desperate:
                self._go_down(self._fitting(report), why, now_ms)
        elif report.loss <= GOOD_LOSS:
            self._bad = 0
            self._climb(now_ms)
        else:
            self._bad = 0
            self._good_since_ms = now_ms
        return self.rung

    def still_arrived(self, size_bytes: int, took_ms: int, now_ms: int) -> Rung:
        """The viewer confirmed a still that was sent over the data channel."""
        kbps = size_bytes * 8 / max(1, took_ms)
        if self.rung is Rung.RELAY_STILLS:
            self._go(Rung.STILLS, "the data channel carries again", now_ms)
            return self.rung
        if self.rung is not Rung.STILLS:
            return self.rung
        self._good_stills = self._good_stills + 1 if kbps >= self._sub_kbps * _HEADROOM else 0
        if self._good_stills < GOOD_STILLS:
            self._good_since_ms = now_ms
        self._climb(now_ms)
        return self.rung

    def still_is_late(self, waited_ms: int, now_ms: int) -> Rung:
        """A still was sent over the data channel and is not confirmed yet."""
        if self.rung is Rung.STILLS and waited_ms > CHANNEL_DEAD_AFTER_MS:
            self._go_down(Rung.RELAY_STILLS, f"nothing has come through for {waited_ms / 1000:.0f} s", now_ms)
        return self.rung

    def disconnected(self, why: str, now_ms: int) -> Rung:
        """There is no connection."""
        if self.rung is not Rung.RELAY_STILLS:
            self._go_down(Rung.RELAY_STILLS, why, now_ms)
        return self.rung

    # ------------------------------------------------------------------ how

    def _trouble(self, report: LineReport, now_ms: int) -> str:
        if report.age_ms > SILENT_AFTER_MS and now_ms - self._since_ms > SILENT_AFTER_MS:
            return f"the viewer has said nothing for {report.age_ms / 1000:.0f} s"
        if report.loss > BAD_LOSS:
            return f"{report.loss:.0%} of packets are lost"
        best = self._best_rtt_ms
        if report.rtt_ms is not None and best is not None:
            if report.rtt_ms > RTT_BAD_MS:
                return f"the round trip takes {report.rtt_ms:.0f} ms"
            if report.rtt_ms > 3 * best + RTT_SLACK_MS:
                return f"the line is filling up: {report.rtt_ms:.0f} ms instead of {best:.0f}"
        return ""

    def _fitting(self, report: LineReport) -> Rung:
        """One rung down, or as far as what arrives allows."""
        arrives_kbps = report.sent_kbps * (1 - report.loss)
        if report.age_ms > SILENT_AFTER_MS:
            arrives_kbps = 0.0
        below = _ORDER[min(_ORDER.index(self.rung) + 1, len(_ORDER) - 1)]
        if below is Rung.SUB and arrives_kbps < self._sub_kbps and self.has_channel:
            return Rung.STILLS
        if below is Rung.STILLS and not self.has_channel:
            return Rung.SUB  # a client without a data channel keeps the smallest stream there is
        return below

    def _go_down(self, rung: Rung, why: str, now_ms: int) -> None:
        if rung is self.rung:
            return
        if self._climbed_ms is not None and now_ms - self._climbed_ms < CLIMB_FAILED_WITHIN_MS:
            self._climb_after_ms = min(MOST_CLIMB_AFTER_MS, self._climb_after_ms * 2)
        self._climbed_ms = None
        self._go(rung, why, now_ms)

    def _climb(self, now_ms: int) -> None:
        if self._climbed_ms is not None and now_ms - self._climbed_ms >= 2 * CLIMB_FAILED_WITHIN_MS:
            self._climb_after_ms, self._climbed_ms = CLIMB_AFTER_MS, None  # it held
        if self.rung is Rung.MAIN or now_ms - self._good_since_ms < self._climb_after_ms:
            return
        self._climbed_ms = now_ms
        self._go(_ORDER[_ORDER.index(self.rung) - 1], "the line has been good for a while", now_ms)

    def _go(self, rung: Rung, why: str, now_ms: int) -> None:
        self.rung, self.why = rung, why
        self._since_ms = self._good_since_ms = now_ms
        self._bad = self._good_stills = 0
        self._best_rtt_ms = None
