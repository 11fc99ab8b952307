"""Which alert was here when, and over which path it went on: what this station knows of each alert's way.

Fed by ``switchboard``, ``sender`` and ``settler`` on the event loop; told upwards as traces by ``tracing``, and read by
``alert-relay trace``. It decides nothing, and nothing waits for it: beyond its bound the oldest alerts are forgotten, counted.
Pure but for the clock that it is given.
"""

from collections import OrderedDict
from collections.abc import Iterable
from importlib.resources import files
from typing import Final, Protocol

import msgspec

from relay.clock import Clock
from relay.counters import Counters
from relay.header import Header, Kind
from relay.ids import EnvelopeId, NodeId
from relay.kinds.trace import ALERT_BYTES, MOST_LEGS, MOST_PASSAGES, UNKNOWN, Leg, Passage, Trace, Way
from relay.latency import Latencies
from relay.path import PathFacts
from relay.schema_steps import steps_in

ALERTS_KEPT: Final = 4_096
SCHEMA: Final = steps_in(files("relay").joinpath("schema", "timeline"))
UNANSWERED_TOLD_MS: Final = 15_000
"""A leg without an answer is told after this, and again if one comes."""


class OnItsWay(Protocol):
    """What ``spool.Waiting`` has."""

    @property
    def id(self) -> EnvelopeId:
        """The envelope's."""

    @property
    def kind(self) -> int:
        """``Kind``."""


class PassedOn(msgspec.Struct, kw_only=True):
    """One leg, as it is now."""

    facts: PathFacts
    to: NodeId
    sent_ms: int
    tries: int = 1
    answered_ms: int = UNKNOWN
    is_receipt: bool = False


class Stay(msgspec.Struct, kw_only=True):
    """One alert's time here."""

    alert: EnvelopeId
    came_from: NodeId | None = None
    came_over: str = ""
    had_ms: int = UNKNOWN
    heard_ms: int = UNKNOWN
    legs: dict[tuple[NodeId, str], PassedOn] = msgspec.field(default_factory=dict)
    has_news: bool = False


class Timeline:
    """The latest alerts that were here."""

    def __init__(self, *, clock: Clock, counters: Counters, latencies: Latencies | None = None) -> None:
        self._clock = clock
        self._counters = counters
        self._latencies = latencies or Latencies()
        self._stays: OrderedDict[EnvelopeId, Stay] = OrderedDict()

    # ------------------------------------------------------------------ what happened

    def came(self, header: Header, alert: EnvelopeId, came_from: NodeId, over: str) -> None:
        """A verified envelope arrived; the first copy counts."""
        if header.kind is Kind.ALERT and alert not in self._stays:
            stay = self._stay(alert)
            stay.came_from, stay.came_over = came_from, over

    def durable(self, alert: EnvelopeId, kind: int) -> None:
        """It was committed to the spool here."""
        if kind == Kind.ALERT:
            stay = self._stay(alert)
            if stay.had_ms == UNKNOWN:
                stay.had_ms = self._clock.monotonic_ms()

    def sent(self, item: OnItsWay, facts: PathFacts, to: NodeId) -> None:
        """It was handed to a carrier."""
        if item.kind != Kind.ALERT:
            return
        stay, way = self._stay(item.id), (to, facts.name)
        leg = stay.legs.get(way)
        if leg is not None:
            leg.tries += 1
        elif len(stay.legs) < MOST_LEGS:
            leg = stay.legs[way] = PassedOn(facts=facts, to=to, sent_ms=self._clock.monotonic_ms())
            if len(stay.legs) == 1 and stay.had_ms != UNKNOWN:
                self._latencies.held.observe((leg.sent_ms - stay.had_ms) / 1000)
            stay.has_news = True

    def stored_there(self, peer: NodeId, path: str, alerts: Iterable[EnvelopeId]) -> None:
        """A neighbor said, over this path, that these are durable there."""
        now_ms = self._clock.monotonic_ms()
        for alert in alerts:
            stay = self._stays.get(alert)
            leg = stay.legs.get((peer, path)) if stay is not None else None
            if stay is not None and leg is not None and leg.answered_ms == UNKNOWN:
                leg.answered_ms = now_ms
                stay.has_news = True
                self._latencies.hop(path, "stored", now_ms - leg.sent_ms)

    def receipted(self, alerts: Iterable[EnvelopeId], signer: NodeId) -> None:
        """The receipt for these was settled. It answers what went straight to its signer."""
        now_ms = self._clock.monotonic_ms()
        for alert in alerts:
            stay = self._stays.get(alert)
            if stay is None or stay.heard_ms != UNKNOWN:
                continue
            stay.heard_ms = now_ms
            stay.has_news = True
            if stay.had_ms != UNKNOWN:
                self._latencies.heard.observe((now_ms - stay.had_ms) / 1000)
            for leg in stay.legs.values():
                if leg.to == signer and leg.answered_ms == UNKNOWN:
                    leg.answered_ms, leg.is_receipt = now_ms, True
                    self._latencies.hop(leg.facts.name, "receipt", now_ms - leg.sent_ms)

    def _stay(self, alert: EnvelopeId) -> Stay:
        stay = self._stays.get(alert)
        if stay is None:
            if len(self._stays) >= ALERTS_KEPT:
                _, oldest = self._stays.popitem(last=False)
                if oldest.has_news:
                    self._counters.count("trace_forgotten")
            stay = self._stays[alert] = Stay(alert=alert)
        return stay

    # ------------------------------------------------------------------ what is told

    def of(self, prefix: bytes) -> list[Stay]:
        """The stays of alerts whose id begins so."""
        return [stay for alert, stay in self._stays.items() if alert.startswith(prefix)]

    def take_news(self) -> list[Stay]:
        """What is worth telling now: stays that are heard, or have an answer, or have waited long enough for one."""
        now_ms = self._clock.monotonic_ms()
        told = [stay for stay in self._stays.values() if stay.has_news and _is_ripe(stay, now_ms)]
        for stay in told:
            stay.has_news = False
        return told

    def put_back(self, stays: Iterable[Stay]) -> None:
        """They could not be told now."""
        for stay in stays:
            stay.has_news = True


def _is_ripe(stay: Stay, now_ms: int) -> bool:
    legs = stay.legs.values()
    return stay.heard_ms != UNKNOWN or any(
        leg.answered_ms != UNKNOWN or now_ms - leg.sent_ms >= UNANSWERED_TOLD_MS for leg in legs
    )


def traces_of(stays: list[Stay]) -> list[Trace]:
    """Bodies that tell of them, each within its bounds."""
    return [_trace_of(stays[at : at + MOST_PASSAGES]) for at in range(0, len(stays), MOST_PASSAGES)]


def _trace_of(stays: list[Stay]) -> Trace:
    ways: dict[Way, int] = {}
    passages = tuple(
        Passage(
            alert=stay.alert[:ALERT_BYTES], came_from=stay.came_from or b"", came_over=stay.came_over,
            had_ms=stay.had_ms, heard_ms=stay.heard_ms,
            legs=tuple(
                Leg(way=ways.setdefault(way_of(leg.facts), len(ways)), to=leg.to, sent_ms=leg.sent_ms,
                    answered_ms=leg.answered_ms, tries=leg.tries, is_receipt=leg.is_receipt)
                for leg in stay.legs.values()
            ),
        )
        for stay in stays
    )  # fmt: skip
    return Trace(ways=tuple(ways), passages=passages)


def way_of(facts: PathFacts) -> Way:
    """What a trace says of a path."""
    return Way(path=facts.name, carrier=facts.kind, provider=facts.provider[:48], is_metered=facts.is_metered)
