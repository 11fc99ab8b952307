"""Alerts that other systems on the site see, raised as this node's own: the seam between an event source and the spool.

A source (Frigate over MQTT, ONVIF events of a camera) turns what it hears into ``Seen`` and ``Withdrawn``. Here they become
alerts and retractions through the same door as ``alert-relay emit``. One thing that a source calls by one id is one alert; a rise
in severity is told again. Bounded: what is remembered, and what waits.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from relay.counters import Counters
from relay.emitter import EmitRequest, Emitted, RetractRequest
from relay.errors import HeardError, OperatorError
from relay.kinds.alert import tag
from relay.precedence import Precedence

_log = structlog.get_logger("camera_node.other_eyes")
_REMEMBERED: Final = 2_000
_MOST_WAITING: Final = 500
_AGAIN_S: Final = 2.0

Emit = Callable[[EmitRequest], Awaitable[Emitted]]
Retract = Callable[[RetractRequest], Awaitable[Emitted]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A source saw something."""

    source: str
    key: str
    """The source's own name of this one thing; the same for as long as it is the same thing."""
    label: str
    camera: str
    zone: str = ""
    confidence: float = 1.0
    precedence: Precedence
    box_xyxy: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    age_ms: int = 0
    snapshot: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """A source says that something it saw was a false alarm."""

    source: str
    key: str
    note: str = ""


@dataclass(slots=True)
class _Told:
    alert_id: str
    precedence: Precedence


class OtherEyes:
    """``run`` raises what the sources hand to ``hear``. Called on the event loop."""

    def __init__(self, *, emit: Emit, retract: Retract, counters: Counters) -> None:
        self._emit = emit
        self._retract = retract
        self._counters = counters
        self._told: OrderedDict[tuple[str, str], _Told] = OrderedDict()
        self._waiting: asyncio.Queue[Seen | Withdrawn] = asyncio.Queue(_MOST_WAITING)

    def hear(self, word: Seen | Withdrawn) -> None:
        """Take a source's word; what is over the bound is counted and said, the newest of it."""
        try:
            self._waiting.put_nowait(word)
        except asyncio.QueueFull:
            self._counters.refused("other_eyes_flood")
            _log.error("a source floods this node: not told", source=word.source, key=word.key[:60])

    async def run(self) -> None:
        """Until cancelled. A full disk is waited for: what a source saw is not dropped for it."""
        while True:
            word = await self._waiting.get()
            while not await self._follow(word):  # noqa: ASYNC110  nothing tells when a disk has room again
                await asyncio.sleep(_AGAIN_S)

    async def _follow(self, word: Seen | Withdrawn) -> bool:
        try:
            if isinstance(word, Seen):
                await self._raise(word)
            else:
                await self._withdraw(word)
        except OperatorError as error:
            self._counters.count("other_eyes_postponed")
            _log.critical("not spooled, trying again", source=word.source, why=str(error))
            return False
        except HeardError as error:  # it says something that no alert can say
            self._counters.refused("other_eyes_malformed")
            _log.error("a source's word can't be told", source=word.source, key=word.key[:60], why=str(error))
        return True

    async def _raise(self, seen: Seen) -> None:
        key = (seen.source, seen.key)
        known = self._told.get(key)
        if known is not None and seen.precedence >= known.precedence:
            return
        request = EmitRequest(
            label=tag(seen.label) or "unknown", camera=tag(seen.camera) or seen.source[:12], zone=tag(seen.zone),
            confidence=min(1.0, max(0.0, seen.confidence)), precedence=seen.precedence.name, box_xyxy=seen.box_xyxy,
            age_ms=max(0, seen.age_ms), snapshot=seen.snapshot,
        )  # fmt: skip
        emitted = await self._emit(request)
        self._told[key] = _Told(alert_id=emitted.id, precedence=seen.precedence)
        self._counters.count(f"alerts_from_{seen.source}")
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    async def _withdraw(self, word: Withdrawn) -> None:
        known = self._told.pop((word.source, word.key), None)
        if known is not None:
            await self._retract(RetractRequest(alert_id=known.alert_id, ground="contradicted", note=word.note[:200]))
            self._counters.count(f"retractions_from_{word.source}")
