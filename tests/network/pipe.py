"""One direction of an emulated link: what it loses, delays, doubles and swaps. Pure; the clock is passed in.

A packet goes through these steps in order: hard down or blackhole, bursty loss, random loss, the serializer with its
bounded queue, the delay line, doubling. ``emulator.py`` owns the devices and calls ``offer`` and ``due``.
"""

import heapq
import random
from collections.abc import Iterator
from typing import Annotated, Self

import msgspec

Amount = Annotated[float, msgspec.Meta(ge=0)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]


class Impairment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How bad one direction is. The default is a perfect wire."""

    delay_ms: Amount = 0.0
    """One way."""
    jitter_ms: Amount = 0.0
    """Uniform, plus or minus; the order is kept unless ``reorder_pct`` is set."""
    loss_pct: Percent = 0.0
    """Of all packets, independent of each other."""
    burst_start_pct: Percent = 0.0
    """Gilbert-Elliott: the chance, with each packet, that a bad time begins."""
    burst_end_pct: Percent = 100.0
    """The chance, with each packet, that it ends."""
    burst_loss_pct: Percent = 100.0
    """Of the packets in a bad time."""
    rate_kbit: Amount = 0.0
    """Kilobits a second; 0 is unlimited."""
    queue_kb: Amount = 64.0
    """KiB that may wait for the serializer; what comes on top is dropped."""
    duplicate_pct: Percent = 0.0
    reorder_pct: Percent = 0.0
    """Of the packets: they skip the delay line and overtake."""
    is_blackhole: bool = False
    """Swallows everything, and nobody says so: the carrier stays on."""
    is_down: bool = False
    """The same, with the carrier off, as when a cable is pulled."""

    @property
    def is_cut(self) -> bool:
        """Whether nothing gets through."""
        return self.is_blackhole or self.is_down

    def changed(self, to: "dict[str, float | bool]") -> Self:
        """With some values replaced.

        Raises:
            msgspec.ValidationError: an unknown name, or a value outside its bounds.
        """
        return msgspec.convert({**msgspec.structs.asdict(self), **to}, type(self))


class Tally(msgspec.Struct, kw_only=True):
    """What happened to the packets of one direction."""

    offered: int = 0
    passed: int = 0
    passed_bytes: int = 0
    lost: int = 0
    swallowed: int = 0
    """By a blackhole, a link that is down, or an address translation that forgot the connection."""
    tail_dropped: int = 0
    doubled: int = 0
    unwritable: int = 0
    """The device at the far end refused them."""

    def since(self, before: "Tally") -> "Tally":
        """What came on top of an earlier tally."""
        return Tally(**{name: count - getattr(before, name) for name, count in msgspec.structs.asdict(self).items()})


class Pipe:
    """One direction. The same seed and the same packets at the same times give the same result."""

    def __init__(self, impairment: Impairment, *, seed: int | str) -> None:
        self.impairment = impairment
        self.tally = Tally()
        self._random = random.Random(seed)  # a string is hashed the same way in every process
        self._line: list[tuple[float, int, bytes]] = []
        self._count = 0
        self._serializer_free_s = 0.0
        self._last_due_s = 0.0
        self._is_bad_time = False

    def reseed(self, seed: int | str) -> None:
        """Chance begins anew; what is under way stays."""
        self._random.seed(seed)

    def change(self, impairment: Impairment) -> None:
        """From now on. A cut also loses what is under way."""
        self.impairment = impairment
        if impairment.is_cut:
            self.tally.swallowed += len(self._line)
            self._line.clear()
            self._serializer_free_s = self._last_due_s = 0.0

    @property
    def next_due_s(self) -> float | None:
        """When the next packet comes out."""
        return self._line[0][0] if self._line else None

    def due(self, now_s: float) -> Iterator[bytes]:
        """The packets that come out by now, in order."""
        while self._line and self._line[0][0] <= now_s:
            yield heapq.heappop(self._line)[2]

    def offer(self, now_s: float, packet: bytes) -> None:
        """A packet goes in."""
        how, tally = self.impairment, self.tally
        tally.offered += 1
        if how.is_cut:
            tally.swallowed += 1
        elif self._is_lost(how):
            tally.lost += 1
        elif (sent_s := self._sent_at_s(now_s, len(packet), how)) is None:
            tally.tail_dropped += 1
        else:
            self._delay(sent_s, packet, how)

    def _hits(self, percent: float) -> bool:
        return percent > 0 and self._random.random() * 100 < percent

    def _is_lost(self, how: Impairment) -> bool:
        if how.burst_start_pct:
            if self._is_bad_time:
                self._is_bad_time = not self._hits(how.burst_end_pct)
            else:
                self._is_bad_time = self._hits(how.burst_start_pct)
            if self._is_bad_time and self._hits(how.burst_loss_pct):
                return True
        return self._hits(how.loss_pct)

    def _sent_at_s(self, now_s: float, size_bytes: int, how: Impairment) -> float | None:
        """When its last bit has left the serializer; None if the queue is full."""
        if not how.rate_kbit:
            return now_s
        bytes_per_s = how.rate_kbit * 125
        start_s = max(now_s, self._serializer_free_s)
        if (start_s - now_s) * bytes_per_s + size_bytes > how.queue_kb * 1024:
            return None
        self._serializer_free_s = start_s + size_bytes / bytes_per_s
        return self._serializer_free_s

    def _delay(self, sent_s: float, packet: bytes, how: Impairment) -> None:
        due_s = sent_s
        if not self._hits(how.reorder_pct):
            due_s += how.delay_ms / 1000
            if how.jitter_ms:
                due_s = max(sent_s, due_s + self._random.uniform(-how.jitter_ms, how.jitter_ms) / 1000)
            if not how.reorder_pct:
                due_s = max(due_s, self._last_due_s)
            self._last_due_s = due_s
        self._put_on_line(due_s, packet)
        if self._hits(how.duplicate_pct):
            self.tally.doubled += 1
            self._put_on_line(due_s, packet)

    def _put_on_line(self, due_s: float, packet: bytes) -> None:
        self._count += 1
        heapq.heappush(self._line, (due_s, self._count, packet))
