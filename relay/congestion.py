"""Which congestion control a bulk connection runs under: TCP's own; BBR where packets are lost for other reasons than a full queue, and on thin links.

How fast bulk goes is ``bulk_pace``'s to say, from what the link delivers and how long that takes; the kernel's own idea of it is a second
opinion that may only be in the way. CUBIC (RFC 9438) keeps out of it while nothing is lost. BBR does not: every ten seconds it lets no more
than four packets travel for 0.2 s and a round trip, to see the shortest one (draft-cardwell-iccrg-bbr-congestion-control, ProbeRTT), and
what drains and fills again around that is a seventh of a satellite's time: 0.82 of 2 Mbit/s at 600 ms, where CUBIC has 0.97. Yet where
one packet in a hundred is lost, CUBIC takes each for a full queue: 0.51 of 4 Mbit/s at 50 ms, where BBR has 0.94 (``tests/network/bulk.py`` on such links).

And where two segments take long, an alert that meets them waits for both: Linux lets BBR send them one by one below 1.2 Mbit/s
(``bbr_min_tso_segs``), and all others by two. On 256 kbit/s the median of an alert's round trip beside a clip was 12 % longer for that. Where the way is
short, BBR's pauses are, too.

So a connection begins with CUBIC, and changes when it was seen to lose, soon where it loses much, or to be thin, if the kernel has BBR and lets us. Pure; the carriers in
``relay/paths`` read what the kernel counts and set what this says. The urgent lane's is ``retransmission``'s part.
"""

from typing import Final

from relay.retransmission import PACES
from relay.tcp_info import TcpInfo

LOSSLESS: Final = PACES
"""In this order; the second is allowed everywhere."""
LOSSY: Final = (b"bbr", *LOSSLESS)
THIN_BYTES_S: Final = 100_000
"""Two segments take 30 ms there."""
_STAYS_THIN: Final = 1.5
"""A pace is probed up and down; a change with each probe would begin anew each time."""
SHORT_MS: Final = 200.0
"""Round trip up to which a pause of BBR's, two of them and 0.2 s, takes 6 % of its ten seconds at the most."""
LOOK_AFTER_SEGMENTS: Final = 500
"""Some 700 kB: fewer can't tell a loss of one in five hundred."""
_PLAINLY_LOSSY_FROM: Final = 0.01
_PLAINLY_TIMES: Final = 3
"""So often losses came again, after a look that found no new ones, and more than one segment in a hundred is lost by then: no full queue does
that, whose losses come in one go. 4 in 100 show within a hundred segments."""
_LOSSY_FROM: Final = 0.003
"""Share of the segments that were sent again. At this CUBIC has 80 packets on their way (RFC 9438, section 5.1), a link of some Mbit/s more."""
_LOSSLESS_UNTIL: Final = 0.0005
_LOOK_EVERY_PARCELS: Final = 128


class Congestion:
    """Of one bulk connection."""

    def __init__(self) -> None:
        self._is_lossy = False
        self._is_thin = False
        self._pace_bytes_s = 0
        self._parcels = 0
        self._sent_segments = 0
        self._resent_segments = 0
        self._resent_so_far = 0
        self._is_losing = False
        self._times_it_lost = 0

    def is_due(self) -> bool:
        """Another parcel goes: whether to look, with each of the first and then now and again."""
        self._parcels += 1
        return self._parcels < _LOOK_EVERY_PARCELS or self._parcels % _LOOK_EVERY_PARCELS == 1

    def paced(self, bytes_s: int) -> None:
        """At what rate its packets go now; 0 where that is not known yet, or not held."""
        if bytes_s:
            if not self._pace_bytes_s and bytes_s < THIN_BYTES_S:
                self.look_again()
            self._pace_bytes_s = bytes_s

    def look_again(self) -> None:
        """With the next parcel: the link has turned out thin, or there was no connection to look at yet."""
        self._parcels = 0

    def choice(self, info: TcpInfo | None) -> tuple[bytes, ...]:
        """What to run under from now on, the first that the kernel has and allows; ``info`` is None where it does not count."""
        if info is None:
            return LOSSLESS
        self._weigh(info)
        self._is_thin = 0 < self._pace_bytes_s < THIN_BYTES_S * (_STAYS_THIN if self._is_thin else 1.0)
        return LOSSY if self._is_lossy or (self._is_thin and 0 < info.least_rtt_ms <= SHORT_MS) else LOSSLESS

    def _weigh(self, info: TcpInfo) -> None:
        sent = info.sent_segments - self._sent_segments
        resent = info.resent_segments - self._resent_segments
        was_losing, self._is_losing = self._is_losing, info.resent_segments > self._resent_so_far
        self._resent_so_far = info.resent_segments
        self._times_it_lost += self._is_losing and not was_losing
        if sent < LOOK_AFTER_SEGMENTS:
            self._is_lossy |= self._times_it_lost >= _PLAINLY_TIMES and resent > sent * _PLAINLY_LOSSY_FROM
            return
        self._is_lossy = resent / sent > (_LOSSLESS_UNTIL if self._is_lossy else _LOSSY_FROM)
        self._sent_segments, self._resent_segments = info.sent_segments, info.resent_segments
        self._times_it_lost = 0
