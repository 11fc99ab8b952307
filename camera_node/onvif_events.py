"""A camera's own analytics as another eye: ONVIF events, pulled (Core Specification, chapter 9: real-time pull-point).

The camera says that a line was crossed, a field entered, its lens covered; here that becomes an alert of this node. A property that
turns true is told once until it has been false; an event without a state is told as often as it comes, the hold-off apart.
The subscription is made anew whenever the camera forgets it. Speaks through onvif-zeep-async (extra ``onvif``); the camera's
words are checked like any stranger's.
"""

import asyncio
import contextlib
import datetime as dt
import os
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import structlog

from camera_node.other_eyes import Seen, Withdrawn
from camera_node.rules.class_of_interest import PrecedenceName
from relay.backoff import Backoff
from relay.counters import Counters
from relay.errors import ConfigError
from relay.precedence import Precedence

_log = structlog.get_logger("camera_node.onvif_events")
SOURCE: Final = "onvif"
_PULL_S: Final = 5
_SUBSCRIBED_S: Final = 60
_CALL_WITHIN_S: Final = 20.0
_MOST_AT_ONCE: Final = 100
_MOST_STATES: Final = 500
_TRUE: Final = frozenset({"true", "1"})
_FALSE: Final = frozenset({"false", "0"})
_STATE_NAMES: Final = frozenset({
    "state", "ismotion", "isinside", "istamper", "logicalstate", "value", "ispeople", "isvehicle", "isalarm", "crossed",
})  # fmt: skip

KNOWN_TOPICS: Final[dict[str, str]] = {
    "RuleEngine/LineDetector/Crossed": "crossing",
    "RuleEngine/FieldDetector/ObjectsInside": "intrusion",
    "RuleEngine/LoiteringDetector/ObjectIsLoitering": "loitering",
    "RuleEngine/TamperDetector/Tamper": "tamper",
    "RuleEngine/CellMotionDetector/Motion": "motion",
    "VideoSource/MotionAlarm": "motion",
    "VideoSource/GlobalSceneChange/ImagingService": "moved",
    "VideoSource/ImageTooDark/ImagingService": "covered",
    "VideoSource/ImageTooBright/ImagingService": "blinded",
    "VideoSource/SignalLoss": "signal loss",
    "Device/Trigger/DigitalInput": "input",
}
"""Topics of ONVIF's own namespaces, without prefixes, and what they are called in an alert."""


class OnvifSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[onvif]]``: a camera whose events are heard."""

    camera: Annotated[str, msgspec.Meta(min_length=1, max_length=12)]
    """As it is called in alerts."""
    address: str
    """``http://192.168.1.20:80``: its device service."""
    username: str = ""
    password_file: Path | None = None
    topics: dict[str, PrecedenceName]
    """Which topics become alerts, and how urgent each is: ``"RuleEngine/LineDetector/Crossed" = "IMMEDIATE"``."""
    hold_off_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 10.0
    """The same topic of the same rule is not told again within this time."""

    def endpoint(self) -> tuple[str, int]:
        """Host and port of its device service.

        Raises:
            ConfigError: not an address.
        """
        parts = urllib.parse.urlsplit(self.address)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            port = 0
        if parts.scheme not in {"http", "https"} or not parts.hostname or not port or parts.username:
            raise ConfigError(
                f"[[onvif]] {self.camera!r}: expected an address like http://192.168.1.20:80, without user and password"
            )
        return parts.hostname if parts.scheme == "http" else f"https://{parts.hostname}", port

    def password(self) -> str:
        """Its first line.

        Raises:
            ConfigError: the file can't be read.
        """
        if self.password_file is None:
            return ""
        try:
            return (self.password_file.read_text().splitlines() or [""])[0]
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"[[onvif]] {self.camera!r}: can't read {self.password_file}: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notification, out of its XML."""

    topic: str
    """Without namespace prefixes: ``RuleEngine/LineDetector/Crossed``."""
    source: tuple[tuple[str, str], ...] = ()
    data: tuple[tuple[str, str], ...] = ()

    @property
    def state(self) -> bool | None:
        """Whether the property holds; None: it is an event without a state."""
        for name, value in self.data:
            if name.lower() in _STATE_NAMES and value.lower() in _TRUE | _FALSE:
                return value.lower() in _TRUE
        return None


@dataclass(slots=True)
class _Property:
    is_true: bool = False
    told_ms: int | None = None
    times: int = 0


@dataclass(slots=True)
class OnvifEvents:
    """Turns notices into words. Pure: ``now_ms`` is an argument."""

    settings: OnvifSettings
    _properties: dict[tuple[str, tuple[tuple[str, str], ...]], _Property] = field(default_factory=dict)

    def take(self, notice: Notice, now_ms: int) -> Seen | None:
        """One notice; None: nothing to tell."""
        urgency = self.settings.topics.get(notice.topic)
        if urgency is None:
            return None
        known = self._properties.setdefault((notice.topic, notice.source), _Property())
        while len(self._properties) > _MOST_STATES:
            self._properties.pop(next(iter(self._properties)))
        state = notice.state
        was_true, known.is_true = known.is_true, bool(state)
        if state is False or (state and was_true):
            return None
        if known.told_ms is not None and now_ms - known.told_ms < self.settings.hold_off_s * 1000:
            return None
        known.told_ms, known.times = now_ms, known.times + 1
        rule = dict(notice.source).get("Rule", "")
        return Seen(source=SOURCE, key=f"{self.settings.camera}|{notice.topic}|{notice.source}|{known.times}",
                    label=KNOWN_TOPICS.get(notice.topic, notice.topic.rsplit("/", 1)[-1]), camera=self.settings.camera,
                    zone=rule, precedence=Precedence[urgency])  # fmt: skip


def notice_of(message: Any) -> Notice | None:
    """A ``NotificationMessage`` as zeep gives it; None: not one that can be read."""
    try:
        topic = str(message.Topic._value_1)  # noqa: SLF001  zeep's name for an element's text
        body = message.Message._value_1  # noqa: SLF001
        return Notice(topic="/".join(part.rsplit(":", 1)[-1] for part in topic.strip().split("/"))[:200],
                      source=tuple(_items(body.Source)), data=tuple(_items(body.Data)))  # fmt: skip
    except (AttributeError, TypeError):
        return None


def _items(holder: Any) -> Iterator[tuple[str, str]]:
    for item in (getattr(holder, "SimpleItem", None) or [])[:32]:
        yield str(item.Name)[:100], str(item.Value)[:200]


async def listen(settings: OnvifSettings, hear: Callable[[Seen | Withdrawn], None], *, counters: Counters,
                 now_ms: Callable[[], int], backoff: Backoff | None = None) -> None:  # fmt: skip
    """Keep subscribed to the camera until cancelled, and hand over what it says."""
    events = OnvifEvents(settings)
    backoff = backoff or Backoff(least_s=1.0, most_s=30.0, stable_s=60.0)
    host, port = settings.endpoint()
    while True:
        began_ms = now_ms()
        try:
            await _pull(settings, host, port, events, hear, counters=counters, now_ms=now_ms)
        except Exception as error:  # noqa: BLE001  zeep, lxml, aiohttp and cameras have errors of a dozen kinds; all mean: again
            counters.count("onvif_subscriptions_lost")
            _log.warning("no ONVIF events", camera=settings.camera, why=_in_words(error))
        backoff.succeeded_for((now_ms() - began_ms) / 1000)
        await asyncio.sleep(backoff.next_delay_s())


async def _pull(settings: OnvifSettings, host: str, port: int, events: OnvifEvents, hear: Callable[[Seen | Withdrawn], None], *,
                counters: Counters, now_ms: Callable[[], int]) -> None:  # fmt: skip
    lost = asyncio.Event()
    with _proxies_kept():
        from onvif import ONVIFCamera

        camera = ONVIFCamera(host, port, settings.username or None, settings.password() or None, adjust_time=True)
    manager = None
    try:
        async with asyncio.timeout(_CALL_WITHIN_S):
            await camera.update_xaddrs()
            manager = await camera.create_pullpoint_manager(dt.timedelta(seconds=_SUBSCRIBED_S), lost.set)
        _log.info("listening to ONVIF events", camera=settings.camera)
        service = manager.get_service()
        while not lost.is_set():
            async with asyncio.timeout(_CALL_WITHIN_S):
                pulled = await service.PullMessages(
                    {"MessageLimit": _MOST_AT_ONCE, "Timeout": dt.timedelta(seconds=_PULL_S)}
                )
            for message in (pulled.NotificationMessage or [])[:_MOST_AT_ONCE]:
                notice = notice_of(message)
                if notice is None:
                    counters.refused("onvif_malformed")
                elif (seen := events.take(notice, now_ms())) is not None:
                    hear(seen)
    finally:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2.0):
                if manager is not None:
                    await manager.shutdown()
                await camera.close()


@contextlib.contextmanager
def _proxies_kept() -> Iterator[None]:
    """The library takes HTTP_PROXY out of the environment for good; the https path needs it."""
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _in_words(error: Exception) -> str:
    text = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, ImportError):
        return "needs the onvif extra: pip install heard[onvif]"
    if isinstance(error, TimeoutError):
        return f"the camera does not answer within {_CALL_WITHIN_S:g} s"
    return f"{type(error).__name__}: {text}"
