"""What is on its way and can't be sent anywhere before a certain time: until then nothing is to be decided about it.

In a flow that is hundreds, and the plan that each receipt and each new alert asks for looked through all of them to count them. Here they are
counted once, when they come to rest, and the plan begins from these tallies; so it costs what can be sent now, and not what is under way.
BULK is never set aside: an idle link may repeat it at any time.

Small state without I/O; ``sender`` owns it and puts in what a plan found resting. Whoever changes what a try means takes it out again: an answer
for one, a link that comes or goes for all.
"""

import heapq
from collections import Counter
from dataclasses import dataclass, field

from relay.attempts import Entry, LinkId, SendPolicy
from relay.precedence import Precedence

Rank = tuple[Precedence, bytes]
"""Among what is alike in this the nodes take turns: precedence, origin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """One envelope's, on one link."""

    link: LinkId
    is_under_way: bool
    """There, and not overdue."""
    first_try_ms: int | None
    """When it was sent, if it is an alert that was sent there once."""


@dataclass(slots=True)
class OnLink:
    """What of them leads over one link."""

    alerts: int = 0
    """Under way."""
    other_bytes: int = 0
    """Under way, of what is no alert."""
    alerts_of: Counter[bytes] = field(default_factory=Counter)
    """Without an answer, tried there or not, by origin."""
    tried_once: dict[int, int] = field(default_factory=dict)
    """When each alert was sent that was sent once, ms, by number."""
    _latest: list[tuple[int, int]] = field(default_factory=list)
    """The same, (-ms, number), as a heap; those that are gone leave it late."""

    def add(self, entry: Entry, share: _Share) -> None:
        """One more."""
        if entry.precedence.is_alert:
            self.alerts += share.is_under_way
            self.alerts_of[entry.origin] += 1
            if share.first_try_ms is not None:
                self.tried_once[entry.number] = share.first_try_ms
                heapq.heappush(self._latest, (-share.first_try_ms, entry.number))
        elif share.is_under_way:
            self.other_bytes += entry.size_bytes

    def remove(self, entry: Entry, share: _Share) -> None:
        """One less."""
        if entry.precedence.is_alert:
            self.alerts -= share.is_under_way
            self.alerts_of[entry.origin] -= 1
            if not self.alerts_of[entry.origin]:
                del self.alerts_of[entry.origin]
            self.tried_once.pop(entry.number, None)
        elif share.is_under_way:
            self.other_bytes -= entry.size_bytes

    @property
    def last_first_try_ms(self) -> int | None:
        """When the last of those that were sent once was sent."""
        while self._latest and self.tried_once.get(self._latest[0][1]) != -self._latest[0][0]:
            heapq.heappop(self._latest)
        return -self._latest[0][0] if self._latest else None


class SetAside:
    """All of them."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[Entry, list[_Share]]] = {}
        self._due: list[tuple[float, int]] = []
        """(ms, number), as a heap; those that are gone leave it late."""
        self._until: dict[int, float] = {}
        self.on_link: dict[LinkId, OnLink] = {}
        self.ranks: Counter[Rank] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, number: int) -> bool:
        return number in self._entries

    def add(self, entry: Entry, until_ms: float, now_ms: int, policy: SendPolicy) -> None:
        """Nothing is to be decided about it before ``until_ms``, when the first of its tries is due again, or another link its turn."""
        number = entry.number
        if number in self._entries:
            return
        shares: list[_Share] = []
        for link in entry.links:
            attempt = entry.attempt_on(link)
            if attempt is not None and attempt.is_held_there:
                continue
            again_ms = attempt.again_at_ms(link.rtt_ms, policy, entry.precedence) if attempt is not None else now_ms
            share = _Share(link=link.id, is_under_way=again_ms > now_ms,
                           first_try_ms=attempt.sent_ms if attempt is not None and attempt.count == 1 and again_ms > now_ms else None)  # fmt: skip
            shares.append(share)
            self.on_link.setdefault(link.id, OnLink()).add(entry, share)
        self._entries[number] = (entry, shares)
        self._until[number] = until_ms
        heapq.heappush(self._due, (until_ms, number))
        self.ranks[entry.precedence, entry.origin] += 1

    def remove(self, number: int) -> None:
        """Something is known of it that was not, or it is gone: the next plan looks at it, if it is there."""
        known = self._entries.pop(number, None)
        if known is None:
            return
        entry, shares = known
        del self._until[number]
        for share in shares:
            self.on_link[share.link].remove(entry, share)
        rank = (entry.precedence, entry.origin)
        self.ranks[rank] -= 1
        if not self.ranks[rank]:
            del self.ranks[rank]

    def clear(self) -> None:
        """A link has come or gone: the next plan looks at all of them."""
        self._entries.clear()
        self._until.clear()
        self._due.clear()
        self.on_link.clear()
        self.ranks.clear()

    def wake(self, now_ms: int) -> None:
        """Those whose tries are due are looked at again."""
        while (due_ms := self.next_due_ms) is not None and due_ms <= now_ms:
            self.remove(heapq.heappop(self._due)[1])

    @property
    def next_due_ms(self) -> float | None:
        """When the first of them is to be looked at again."""
        while self._due and self._until.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None
