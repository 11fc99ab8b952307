"""Time as the system can honestly know it: a wall clock with its quality, and a clock that never steps.

Order, age, dwell and expiry use ``monotonic_ms`` and the boot id. Wall time is carried with a statement of how
good it is; nothing decides by it. Callers take a ``Clock`` as an argument, tests pass ``SimulatedClock``.
"""

import ctypes
import enum
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

PLAUSIBLE_SINCE_MS: Final = 1_735_689_600_000
"""2025-01-01: a wall clock that shows an earlier time was never set (boards without a battery start in 1970)."""


_QUALITY_KEPT_MS: Final = 1_000
"""Asked for with every envelope; a system call each time costs an eighth of the receiving thread."""


class ClockQuality(enum.IntEnum):
    """How far a node trusts its own wall clock when it signs. 4 bits on the wire."""

    UNSET = 0
    """The time is not plausible: the clock was never set."""
    FREE_RUNNING = 1
    """Plausible, but nothing says it is synchronised."""
    SYNCHRONIZED = 2
    """The kernel reports that a time service disciplines it."""
    SATELLITE = 3
    """Disciplined by a GNSS receiver."""


class Clock(Protocol):
    """What the system may ask about time."""

    @property
    def boot_id(self) -> str:
        """Differs whenever ``monotonic_ms`` started anew."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC, as far as this machine knows."""

    def monotonic_ms(self) -> int:
        """Milliseconds since boot, suspension included; never steps."""

    def quality(self) -> ClockQuality:
        """How good ``wall_ms`` is now."""


class _Timex(ctypes.Structure):
    """``struct timex`` of adjtimex(2), as far as we read it; the rest is room for the kernel to write into."""

    _fields_ = (("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long),
                ("maxerror", ctypes.c_long), ("esterror", ctypes.c_long), ("status", ctypes.c_int),
                ("rest", ctypes.c_byte * 256))  # fmt: skip


_STA_UNSYNC: Final = 0x40
_TIME_ERROR: Final = 5


def _find_adjtimex() -> Callable[[object], int] | None:
    try:
        found: Callable[[object], int] = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):  # not Linux, or not glibc: we can't know, so we don't claim it
        return None
    return found


_adjtimex: Final = _find_adjtimex()


def _kernel_says_synchronized() -> bool:
    """Ask adjtimex(2) without changing anything (modes = 0)."""
    if _adjtimex is None:
        return False
    timex = _Timex()
    state = _adjtimex(ctypes.byref(timex))
    return state not in {-1, _TIME_ERROR} and not timex.status & _STA_UNSYNC


def _read_boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # not Linux: then each start counts as a boot, which only makes ages start anew
        return str(uuid.uuid4())


class SystemClock:
    """The machine's own clocks: CLOCK_REALTIME, and CLOCK_BOOTTIME, which goes on while suspended."""

    def __init__(self) -> None:
        self._boot_id = _read_boot_id()
        self._monotonic_clock: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        self._asked_kernel_ms = -_QUALITY_KEPT_MS
        self._is_synchronized = False

    @property
    def boot_id(self) -> str:
        """The kernel's boot id."""
        return self._boot_id

    def wall_ms(self) -> int:
        """Milliseconds since 1970, from CLOCK_REALTIME; never negative."""
        return max(0, time.time_ns() // 1_000_000)

    def monotonic_ms(self) -> int:
        """Milliseconds since boot."""
        return time.clock_gettime_ns(self._monotonic_clock) // 1_000_000

    def quality(self) -> ClockQuality:
        """UNSET before 2025, SYNCHRONIZED if the kernel says so, else FREE_RUNNING."""
        if self.wall_ms() < PLAUSIBLE_SINCE_MS:
            return ClockQuality.UNSET
        now_ms = self.monotonic_ms()
        if now_ms - self._asked_kernel_ms >= _QUALITY_KEPT_MS:
            self._asked_kernel_ms, self._is_synchronized = now_ms, _kernel_says_synchronized()
        return ClockQuality.SYNCHRONIZED if self._is_synchronized else ClockQuality.FREE_RUNNING


class SimulatedClock:
    """A clock that moves only when told to. Public: tests of other packages use it too."""

    def __init__(self, *, wall_ms: int = 1_790_000_000_000, monotonic_ms: int = 1_000,
                 quality: ClockQuality = ClockQuality.SYNCHRONIZED) -> None:  # fmt: skip
        self._boot = 1
        self._wall_ms = wall_ms
        self._monotonic_ms = monotonic_ms
        self._quality = quality

    @property
    def boot_id(self) -> str:
        """Changes with ``reboot``."""
        return f"simulated-{self._boot}"

    def wall_ms(self) -> int:
        """The simulated wall time."""
        return self._wall_ms

    def monotonic_ms(self) -> int:
        """The simulated time since boot."""
        return self._monotonic_ms

    def quality(self) -> ClockQuality:
        """The simulated quality."""
        return self._quality

    def advance(self, milliseconds: int) -> None:
        """Let time pass: both clocks move."""
        self._wall_ms += milliseconds
        self._monotonic_ms += milliseconds

    def step_wall(self, to_ms: int, quality: ClockQuality | None = None) -> None:
        """Set the wall clock, as a time service does; the monotonic clock goes on undisturbed."""
        self._wall_ms = to_ms
        if quality is not None:
            self._quality = quality

    def reboot(self, *, wall_ms: int | None = None, quality: ClockQuality | None = None) -> None:
        """Start the monotonic clock anew; the wall clock keeps, or loses, its time."""
        self._boot += 1
        self._monotonic_ms = 1_000
        if wall_ms is not None:
            self._wall_ms = wall_ms
        if quality is not None:
            self._quality = quality
