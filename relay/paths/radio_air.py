"""Time on the air: how long a LoRa frame takes, and how much of an hour a station may still use. Pure; the caller says what time it is.

Sources: Semtech SX1276/77/78/79 datasheet, section 4.1.1.6 and 4.1.1.7 (also AN1200.13); ETSI EN 300 220-2 annex B (duty cycle over one
hour: 1 % in most of 863–870 MHz).
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

HOUR_S: Final = 3600.0
_SLOW_SYMBOL_S: Final = 0.016
"""From here the low data rate optimization is mandatory."""
_REST_SHARE: Final = 0.5
"""Of the hour's allowance for what is neither alert nor receipt: the other half is kept for these."""
_ASSUMED_SHARE: Final = 0.5
"""Of the allowance that counts as used before the process started: a restart must not make a new hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Modulation:
    """What the radios are set to."""

    spreading_factor: int
    """7 … 12."""
    bandwidth_hz: int
    coding_rate: int = 5
    """The denominator of 4/5 … 4/8."""
    preamble_symbols: int = 8

    @property
    def symbol_s(self) -> float:
        """One symbol."""
        return float(2**self.spreading_factor / self.bandwidth_hz)

    @property
    def slot_s(self) -> float:
        """Until a frame that has just begun is noticed: its preamble and header."""
        return (self.preamble_symbols + 4.25 + 8) * self.symbol_s

    def airtime_s(self, size_bytes: int) -> float:
        """A frame of so many bytes, with explicit header and CRC."""
        is_slow = self.symbol_s > _SLOW_SYMBOL_S
        bits = 8 * size_bytes - 4 * self.spreading_factor + 28 + 16
        groups = max(0, math.ceil(bits / (4 * (self.spreading_factor - 2 * is_slow))))
        return (self.preamble_symbols + 4.25 + 8 + groups * self.coding_rate) * self.symbol_s


class DutyCycle:
    """A sliding hour of what was sent."""

    def __init__(self, *, percent: float, now_s: float) -> None:
        self._allowed_s = HOUR_S * percent / 100
        self._is_unlimited = percent >= 100
        self._sent: deque[tuple[float, float]] = deque()
        self._used_s = 0.0
        if not self._is_unlimited:
            self.sent(self._allowed_s * _ASSUMED_SHARE, now_s)

    def sent(self, airtime_s: float, now_s: float) -> None:
        """A frame went out."""
        self._sent.append((now_s, airtime_s))
        self._used_s += airtime_s

    def used_s(self, now_s: float) -> float:
        """Time on the air in the last hour."""
        while self._sent and now_s - self._sent[0][0] >= HOUR_S:
            self._used_s -= self._sent.popleft()[1]
        return max(0.0, self._used_s)

    def pause_s(self, airtime_s: float, now_s: float, *, is_urgent: bool) -> float:
        """How long to wait before so much may be sent; 0: now. What is not urgent leaves half of the allowance to what is."""
        if self._is_unlimited:
            return 0.0
        allowed_s = (
            self._allowed_s if is_urgent else self._allowed_s * (_ASSUMED_SHARE + (1 - _ASSUMED_SHARE) * _REST_SHARE)
        )
        excess_s = self.used_s(now_s) + airtime_s - allowed_s
        if excess_s <= 1e-9:
            return 0.0
        for at_s, spent_s in self._sent:
            excess_s -= spent_s
            if excess_s <= 1e-9:
                return max(0.0, at_s + HOUR_S - now_s)
        return HOUR_S
