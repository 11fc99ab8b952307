"""Whether a link that was asked something still answers: when to probe it, and when not to count on it any more. Pure arithmetic.

A path that dies silently takes what is sent on it and says nothing. Ending its session early would punish a slow one, so it is
only *suspected*: then its path dials a second session beside it (``redial``), whichever answers first stays, and who must choose
one way chooses another. The carrier's own heartbeats end a session for good, seconds later.

A ``Silence`` belongs to a session; ``links`` feeds it, ``upkeep`` acts on it, ``scheduler`` avoids whom it suspects.
"""

from dataclasses import dataclass
from typing import Final

LEAST_PROBE_MS: Final = 250
"""An alert's answer waits for the neighbor's disk; a ping's does not. So much beyond the way's p95 before one is sent."""
LEAST_SUSPECT_MS: Final = 500
"""What a busy neighbor may need for a pong, beyond the way's p95."""
_NO_ANSWER_BEFORE: Final = 0.9
"""Of the least round trip: what comes sooner was on its way already when we asked."""


@dataclass(slots=True)
class Silence:
    """Of one session."""

    asked_ms: int | None = None
    """When the first question that is open was sent: an alert, or a ping."""
    last_asked_ms: int = 0
    probed_ms: int | None = None
    """When a ping went out since then."""
    is_suspect: bool = False

    def asked(self, now_ms: int, *, is_ping: bool = False) -> None:
        """Something that is answered at once was sent."""
        self.last_asked_ms = now_ms
        if self.asked_ms is None:
            self.asked_ms = now_ms
        if is_ping and self.probed_ms is None:
            self.probed_ms = now_ms

    def heard(self, now_ms: int, least_rtt_ms: float) -> None:
        """Anything came: it answers what was asked a round trip ago, and nothing that was asked since."""
        answered_ms = now_ms - least_rtt_ms * _NO_ANSWER_BEFORE
        if self.asked_ms is None or self.asked_ms > answered_ms:
            return
        self.asked_ms = self.last_asked_ms if self.last_asked_ms > answered_ms else None
        if self.probed_ms is not None and self.probed_ms <= answered_ms:
            self.probed_ms = None
        self.is_suspect = False

    def look_again_ms(self, p95_ms: float) -> float:
        """When the next step is due: a probe, or the suspicion; infinite while nothing is asked, or it is suspected already."""
        if self.asked_ms is None or self.is_suspect:
            return float("inf")
        if self.probed_ms is None:
            return self.asked_ms + p95_ms + LEAST_PROBE_MS
        return self.probed_ms + p95_ms + LEAST_SUSPECT_MS

    def wants_probe(self, p95_ms: float, now_ms: int) -> bool:
        """Whether a ping is due."""
        return self.probed_ms is None and self.look_again_ms(p95_ms) <= now_ms

    def becomes_suspect(self, p95_ms: float, now_ms: int) -> bool:
        """Whether it is to be suspected from now on; True once."""
        if self.probed_ms is None or self.look_again_ms(p95_ms) > now_ms:
            return False
        self.is_suspect = True
        return True
