"""How much bulk may be under way to whoever acknowledges it: what keeps the link busy, and little that waits in its queue.

Urgent parcels have a connection of their own but share the link, so what bulk piles up before a thin uplink holds them up all
the same. The delay of the acks tells how long that queue is: as LEDBAT (RFC 6817) does, the window grows while they come soon
after the fastest ever seen, and shrinks when they don't. Pure arithmetic; called by ``mqtt_connection``.
"""

from typing import Final

LEAST: Final = 2
"""One under way and one behind it: with a single one the link idles for a round trip each time."""
FIRST: Final = 8
"""A link's pace is found by ``bulk_pace``, which begins with one; this must not be what it finds."""
MOST: Final = 64
_GROW_BELOW_S: Final = 0.15
_SHRINK_ABOVE_S: Final = 0.20
"""Above the fastest ack. A chunk of 5 KiB alone takes 0.17 s on 256 kbit/s, so less would leave that link idle."""
_SHRINK_BY: Final = 0.7


class AckWindow:
    """Counts batches. Decides once a round trip, by its least delay: two batches sent together are no queue yet."""

    def __init__(self) -> None:
        self._size = float(FIRST)
        self._fastest_s = float("inf")
        self._least_wait_s = float("inf")
        self._round_began_s = float("-inf")
        self._is_starting = True

    @property
    def size(self) -> int:
        """Batches that may be under way now."""
        return int(self._size)

    def acked(self, *, sent_at_s: float, now_s: float) -> None:
        """A batch was acknowledged."""
        took_s = now_s - sent_at_s
        self._fastest_s = min(self._fastest_s, took_s)
        self._least_wait_s = min(self._least_wait_s, took_s - self._fastest_s)
        if sent_at_s >= self._round_began_s:
            self._decide()
            self._least_wait_s, self._round_began_s = float("inf"), now_s

    def _decide(self) -> None:
        if self._least_wait_s > _SHRINK_ABOVE_S:
            # A link that became ten times thinner shows it a tenth as often: cut to what it takes, at once.
            fits = (self._fastest_s + _GROW_BELOW_S) / (self._fastest_s + self._least_wait_s)
            self._size = max(LEAST, self._size * min(_SHRINK_BY, fits))
        elif self._least_wait_s < _GROW_BELOW_S:
            self._size = min(MOST, self._size * 1.5 if self._is_starting else self._size + 1)
            return
        self._is_starting = False
