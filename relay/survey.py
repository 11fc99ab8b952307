"""``alert-relay survey``: measures each configured path by asking the neighbor at its other end.

Both sides are here. ``Surveyor`` answers probes of introduced neighbors, within a bound of bytes for each, and measures when it is
told to. Probes and echoes are notes: nothing of them is stored, they ride on the bulk lane where they are large, and alerts pass
them as they pass clips. A survey ends each path's session once, to measure how long that takes to mend; a FLASH alert meanwhile
goes over the others, and waits in the spool where there are none.
"""

import asyncio
import contextlib
import itertools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from relay import hop, limits
from relay.clock import Clock
from relay.counters import Counters
from relay.errors import Malformed, OperatorError
from relay.ids import NodeId
from relay.links import Link, Links
from relay.path import Lane, PacedSession, PathFacts
from relay.survey_report import Budgets, PathFinding, SurveyReport, report_of
from relay.tcp_info import TcpInfo, TellsTcp

_ROUND_TRIPS: Final = 20
_SPACING_S: Final = 0.05
_ANSWER_S: Final = 6.0
_PIECE_BYTES: Final = 8 * 1024
_WINDOW_BYTES: Final = 1024 * 1024
_LEAST_WINDOW_BYTES: Final = 32 * 1024
"""Under way at most and at least; between them four times what came back lately: TCP can double, and a slow path is not clogged."""
_LOOK_BACK_S: Final = 0.25
_LATELY_AT_MOST: Final = 256
_LONGEST_S: Final = 6.0
_MOST_BYTES: Final = {False: 4_000_000, True: 150_000}
"""Each way; on a metered path less."""
_RAMP: Final = 0.3
"""Of the answers, the first: TCP is still finding its pace."""
_LEAST_SEGMENTS: Final = 100
LEAST_SPAN_S: Final = 0.05
"""Answers that came within less tell how busy the machines were, and not how fast the path is."""
_PARCELS: Final = (32_000, 16_000, 4_000, 1_200, 200)
_MEND_S: Final = 20.0
_ATTEMPTS: Final = 3
"""A busy machine answers late, and a path that owes an answer is dialed anew (``silence``): what was measured of the old session says nothing."""


class SurveyOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to measure."""

    paths: tuple[str, ...] = ()
    """By name; empty: every one."""
    budgets: Budgets = Budgets()
    interrupts: bool = True
    """Whether to end each path's session once, for the fail-over time."""


@dataclass(slots=True)
class _Allowance:
    """Bytes that a neighbor's surveys may still cost."""

    left_bytes: float = limits.SURVEY_BURST_BYTES
    at_ms: int = 0

    def take(self, size_bytes: int, now_ms: int) -> bool:
        refill = max(0, now_ms - self.at_ms) / 1000 * limits.SURVEY_REFILL_BYTES_S if self.at_ms else 0.0
        self.left_bytes = min(float(limits.SURVEY_BURST_BYTES), self.left_bytes + refill)
        self.at_ms = now_ms
        if size_bytes > self.left_bytes:
            return False
        self.left_bytes -= size_bytes
        return True


@dataclass(slots=True)
class _Asked:
    """Probes under way on one link, and what came back."""

    waiting: dict[int, float] = field(default_factory=dict)
    """When each was sent, by number."""
    came: list[tuple[float, float, int]] = field(default_factory=list)
    """(sent, answered, bytes that came back), s."""
    stirred: asyncio.Event = field(default_factory=asyncio.Event)


class Surveyor:
    """Answers, and asks."""

    def __init__(self, *, links: Links, clock: Clock, counters: Counters) -> None:
        self._links = links
        self._clock = clock
        self._counters = counters
        self._allowances: dict[NodeId, _Allowance] = {}
        self._asked: dict[int, _Asked] = {}
        self._numbers = 0
        self._is_busy = False

    # ------------------------------------------------------------------ the other side

    def answer(self, link: Link, peer: NodeId, probe: hop.Probe) -> None:
        """Echo, if the neighbor's allowance bears it; a full lane drops the echo, which is a finding too."""
        allowance = self._allowances.setdefault(peer, _Allowance())
        if not allowance.take(len(probe.padding) + probe.wanted_bytes + 32, self._clock.monotonic_ms()):
            self._counters.refused("survey_over_allowance")
            return
        echo = hop.encode(hop.Echo(probe.number, bytes(probe.wanted_bytes)))
        if not link.send(echo, Lane.BULK if probe.is_bulk else Lane.URGENT):
            self._counters.count("survey_echo_not_sent")

    # ------------------------------------------------------------------ our side

    def echoed(self, link: Link, echo: hop.Echo) -> None:
        """An echo came."""
        asked = self._asked.get(link.id)
        sent_s = asked.waiting.pop(echo.number, None) if asked is not None else None
        if asked is None or sent_s is None:
            self._counters.refused("unexpected_note")
            return
        asked.came.append((sent_s, _now_s(), len(echo.padding)))
        asked.stirred.set()

    async def survey(self, station: str, dials: Sequence[PathFacts], order: SurveyOrder) -> SurveyReport:
        """Measure, path by path.

        Raises:
            OperatorError: another survey runs, or there is no such path.
        """
        if self._is_busy:
            raise OperatorError("another survey is running here: wait until it is done")
        unknown = set(order.paths) - {facts.name for facts in dials}
        if unknown:
            known = ", ".join(facts.name for facts in dials) or "none"
            raise OperatorError(f"expected paths among {known}, found {', '.join(sorted(unknown))}")
        self._is_busy = True
        try:
            wanted = [facts for facts in dials if not order.paths or facts.name in order.paths]
            findings = [await self._path(facts, order) for facts in wanted]
        finally:
            self._is_busy = False
        return report_of(station, order.budgets, tuple(findings))

    def _link_of(self, path: str) -> Link | None:
        return next(
            (link for link in self._links
             if link.session.is_outgoing and link.is_known and link.session.facts.name == path),
            None,
        )  # fmt: skip

    async def _path(self, facts: PathFacts, order: SurveyOrder) -> PathFinding:
        """One path; anew, where its session was replaced meanwhile."""
        link = self._link_of(facts.name)
        found = await self._measured(link, facts)
        for _ in range(_ATTEMPTS - 1):
            if link is None or facts.is_tiny or link is self._link_of(facts.name):
                break
            self._counters.count("survey_begun_anew")
            link = await self._link_again(facts.name)
            found = await self._measured(link, facts)
        if link is None or found.why_not or not order.interrupts:
            return found
        failover_ms, redial_ms = await self._failover(link, facts)
        return msgspec.structs.replace(found, failover_ms=failover_ms, redial_ms=redial_ms)

    async def _link_again(self, path: str) -> Link | None:
        since_s = _now_s()
        while (link := self._link_of(path)) is None and _now_s() - since_s < _MEND_S:  # noqa: ASYNC110  as ``_answered_after`` waits
            await asyncio.sleep(0.01)
        return link

    async def _measured(self, link: Link | None, facts: PathFacts) -> PathFinding:
        blank = PathFinding(path=facts.name, carrier=facts.kind, provider=facts.provider, peer="",
                            is_metered=facts.is_metered)  # fmt: skip
        if link is None or link.peer is None:
            return msgspec.structs.replace(blank, why_not="it is down: look at `status` and the log")
        blank = msgspec.structs.replace(blank, peer=link.peer.name)
        if facts.is_tiny:
            return msgspec.structs.replace(
                blank, why_not="each message on it costs air time or money; what its use has shown is in `status`"
            )
        before, before_bytes = _tcp(link), link.meter.bytes_up + link.meter.bytes_down
        trips = await self._round_trips(link)
        if not trips.came:
            return msgspec.structs.replace(blank, why_not="nothing came back: the other end may be of an older release")
        rtts_ms = [(answered_s - sent_s) * 1000 for sent_s, answered_s, _ in trips.came]
        largest = await self._largest_parcel(link, facts)
        up = await self._goodput(link, facts, is_up=True)
        down = await self._goodput(link, facts, is_up=False)
        after = _tcp(link)
        loss, lost_of = loss_of(before, after, unanswered=len(trips.waiting), answered=len(trips.came))
        return msgspec.structs.replace(
            blank, rtt_ms=statistics.median(rtts_ms), rtt_p95_ms=_percentile(rtts_ms, 0.95),
            jitter_ms=statistics.fmean([abs(b - a) for a, b in itertools.pairwise(rtts_ms)] or [0.0]),
            loss=loss, loss_of=lost_of, goodput_up_kbit=up and up.kbit, is_up_faster=bool(up and up.is_faster),
            goodput_down_kbit=down and down.kbit, is_down_faster=bool(down and down.is_faster),
            ip_mtu_bytes=after.path_mtu_bytes if after is not None else None, largest_parcel_bytes=largest,
            used_bytes=link.meter.bytes_up + link.meter.bytes_down - before_bytes,
        )  # fmt: skip

    # ------------------------------------------------------------------ measuring

    def _ask(self, link: Link, asked: _Asked, *, padding: int = 0, wanted: int = 0, is_bulk: bool = False) -> bool:
        self._numbers = (self._numbers + 1) % (1 << 32)
        probe = hop.encode(hop.Probe(self._numbers, wanted, is_bulk, bytes(padding)))
        if not link.send(probe, Lane.BULK if is_bulk else Lane.URGENT):
            return False
        asked.waiting[self._numbers] = _now_s()
        return True

    async def _until(self, link: Link, asked: _Asked, holds: Callable[[], bool], timeout_s: float) -> bool:
        ends_s = _now_s() + timeout_s
        while not holds():
            if _now_s() >= ends_s or self._is_over(link):
                return False
            asked.stirred.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(_LOOK_BACK_S, max(0.0, ends_s - _now_s()))):
                    await asked.stirred.wait()
        return True

    def _is_over(self, link: Link) -> bool:
        """Its session has ended, and nothing more will come."""
        return self._links.of(link.session) is not link

    async def _round_trips(self, link: Link) -> _Asked:
        asked = self._asked[link.id] = _Asked()
        for _ in range(_ROUND_TRIPS):
            self._ask(link, asked)
            await asyncio.sleep(_SPACING_S)
        await self._until(link, asked, lambda: not asked.waiting, _ANSWER_S)
        return asked

    async def _largest_parcel(self, link: Link, facts: PathFacts) -> int | None:
        for size_bytes in _PARCELS if not facts.is_metered else _PARCELS[2:]:
            asked = self._asked[link.id] = _Asked()
            fits = size_bytes + 64 <= facts.mtu_bytes
            is_asked = fits and self._ask(link, asked, padding=size_bytes, is_bulk=True)
            if is_asked and await self._until(link, asked, lambda: not asked.waiting, _ANSWER_S):  # noqa: B023
                return size_bytes
        return None

    async def _goodput(self, link: Link, facts: PathFacts, *, is_up: bool) -> "Goodput | None":
        """Of payload, once TCP has found its pace."""
        if isinstance(link.session, PacedSession):
            link.session.pace(0)  # whatever ``bulk_pace`` has chosen: the next clip tells it again
            link.spread_bytes_s = 0
        asked = self._asked[link.id] = _Asked()
        piece = min(_PIECE_BYTES, facts.mtu_bytes - 64)
        padding, wanted = (piece, 0) if is_up else (0, piece)
        most, given, started_s = _MOST_BYTES[facts.is_metered], 0, _now_s()
        look_back_s = max(_LOOK_BACK_S, link.meter.rtt_ms / 1000)
        while given < most and _now_s() - started_s < _LONGEST_S and not self._is_over(link):
            lately = sum(1 for _, answered_s, _ in asked.came[-_LATELY_AT_MOST:] if _now_s() - answered_s < look_back_s)
            window = min(_WINDOW_BYTES, max(_LEAST_WINDOW_BYTES, 4 * lately * piece))
            has_room = len(asked.waiting) * piece < window
            if has_room and self._ask(link, asked, padding=padding, wanted=wanted, is_bulk=True):
                given += piece
                continue
            asked.stirred.clear()
            try:
                async with asyncio.timeout(0.02):
                    await asked.stirred.wait()
            except TimeoutError:
                continue
        await self._until(link, asked, lambda: not asked.waiting, 3 * _ANSWER_S)
        return goodput_of([answered_s for _, answered_s, _ in asked.came], piece)

    async def _failover(self, link: Link, facts: PathFacts) -> tuple[float | None, float | None]:
        """End the path's session; how long until another path answers, and until this one does again."""
        ended_s = _now_s()
        link.session.drop("a survey measures how long its end is felt")
        other = next((known for known in self._links
                      if known.session.is_outgoing and known.is_known and known.session.facts.name != facts.name
                      and not known.session.facts.is_tiny), None)  # fmt: skip
        failover_ms = await self._answered_after(lambda: other, ended_s) if other is not None else None

        def again() -> Link | None:
            found = self._link_of(facts.name)
            return found if found is not link else None

        return failover_ms, await self._answered_after(again, ended_s)

    async def _answered_after(self, link_now: Callable[[], Link | None], since_s: float) -> float | None:
        while _now_s() - since_s < _MEND_S:
            link = link_now()
            if link is not None:
                asked = self._asked[link.id] = _Asked()
                if self._ask(link, asked) and await self._until(link, asked, lambda: bool(asked.came), 1.0):  # noqa: B023
                    return (_now_s() - since_s) * 1000
            await asyncio.sleep(0.01)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodput:
    """What a path carries of payload."""

    kbit: float
    """Kilobits a second."""
    is_faster: bool
    """It carries more than this, and a survey can't tell how much."""


def goodput_of(answered_s: Sequence[float], piece_bytes: int) -> Goodput | None:
    """From when each piece's answer came; None if too few did."""
    ordered = sorted(answered_s)
    steady = ordered[int(len(ordered) * _RAMP) :]
    if len(steady) < 4:
        return None
    span_s = steady[-1] - steady[0]
    if span_s < LEAST_SPAN_S:
        return Goodput(kbit=_kbit(len(steady) - 1, piece_bytes, LEAST_SPAN_S), is_faster=True)
    least = min(_kbit(len(steady) - 1 - n, piece_bytes, steady[-1] - steady[n]) for n in _beginnings(steady))
    return Goodput(kbit=least, is_faster=False)


def _beginnings(answered_s: Sequence[float]) -> range:
    """Where to begin to count: anywhere in the first quarter, and what that says least is believed.

    What waits at the other end for a lost segment has been carried, and is answered in one go when that comes. Counted from within such a wait the path
    seems faster than it is; counted from an answer behind which nothing had waited it does not.
    """
    most = len(answered_s) // 4
    while most and answered_s[-1] <= answered_s[most]:
        most -= 1
    return range(most + 1)


def _kbit(pieces: int, piece_bytes: int, took_s: float) -> float:
    return pieces * piece_bytes * 8 / 1000 / took_s


def order_of(raw: msgspec.Raw) -> SurveyOrder:
    """What the door was asked for.

    Raises:
        Malformed: not a survey's order.
    """
    try:
        return msgspec.json.decode(raw, type=SurveyOrder)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"expected the fields of a survey: {error}") from error


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _tcp(link: Link) -> TcpInfo | None:
    return link.session.bulk_tcp() if isinstance(link.session, TellsTcp) else None


def loss_of(before: TcpInfo | None, after: TcpInfo | None, *, unanswered: int, answered: int) -> tuple[float, str]:
    """Share that is lost upwards, and of what: of segments where the kernel counts enough of them, else of probes.

    ``before`` is None where the bulk lane's connection was not there yet: all that it counts came since.
    """
    if after is not None:
        sent = after.sent_segments - (before.sent_segments if before is not None else 0)
        resent = after.resent_segments - (before.resent_segments if before is not None else 0)
        if sent >= _LEAST_SEGMENTS:
            return max(0.0, resent / sent), "segments"
    return unanswered / max(1, unanswered + answered), "probes"


def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
