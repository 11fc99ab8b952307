"""Frigate as another eye: what it tracks becomes an alert of this node, what it calls a false positive a retraction.

Listens to ``<prefix>/events`` on the site's broker, and to ``<prefix>/<camera>/<label>/snapshot`` for the picture that goes with an
event; sends nothing. An event is told once, when it first meets the configured label, score and zone. Frigate's words are
checked like any stranger's. Source: Frigate's documentation, integrations/mqtt, 0.14 to 0.17.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
import structlog

from camera_node.other_eyes import Seen, Withdrawn
from camera_node.rules.class_of_interest import PrecedenceName
from relay.config import MqttOptions
from relay.counters import Counters
from relay.precedence import Precedence

_log = structlog.get_logger("camera_node.frigate")
SOURCE: Final = "frigate"
_MOST_EVENT_BYTES: Final = 256 * 1024
_MOST_SNAPSHOT_BYTES: Final = 900_000
_MOST_SNAPSHOTS: Final = 64
_SNAPSHOT_FRESH_S: Final = 10.0
_MOST_AGE_MS: Final = 3_600_000
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class FrigateSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[frigate]``."""

    broker: str
    """``mqtt://host:1883`` or ``mqtts://host:8883``."""
    prefix: str = "frigate"
    """Frigate's ``mqtt.topic_prefix``."""
    labels: dict[str, PrecedenceName]
    """Which of its labels become alerts, and how urgent each is."""
    cameras: tuple[str, ...] = ()
    """Only these; empty: all."""
    zones: tuple[str, ...] = ()
    """Only things that entered one of these; empty: anywhere."""
    least_score: Share = 0.7
    detect_size_px: dict[str, tuple[int, int]] = {}
    """Each camera's ``detect`` width and height, so that boxes can be placed; without: no box is told."""
    mqtt: MqttOptions = MqttOptions()
    """User, password file and certificates; ``prefix`` in it is not used."""


class _Object(msgspec.Struct, kw_only=True):
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    camera: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    top_score: float | None = None
    score: float | None = None
    false_positive: bool = False
    frame_time: float | None = None
    box: list[float] | None = None
    current_zones: list[str] = []
    entered_zones: list[str] = []


class _Event(msgspec.Struct, kw_only=True):
    type: str
    after: _Object


class FrigateEvents:
    """Turns messages into words. Pure but for the clock given."""

    def __init__(
        self, settings: FrigateSettings, *, counters: Counters, wall_s: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._counters = counters
        self._wall_s = wall_s
        self._snapshots: dict[tuple[str, str], tuple[float, bytes]] = {}
        self._decoder = msgspec.json.Decoder(_Event)

    @property
    def topics(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return f"{self._settings.prefix}/events", f"{self._settings.prefix}/+/+/snapshot"

    def take(self, topic: str, payload: bytes) -> Seen | Withdrawn | None:
        """One message; None: nothing to tell."""
        parts = topic.removeprefix(f"{self._settings.prefix}/").split("/")
        if len(parts) == 3 and parts[2] == "snapshot":
            self._keep(parts[0], parts[1], payload)
            return None
        if parts != ["events"]:
            return None
        if len(payload) > _MOST_EVENT_BYTES:
            self._counters.refused("frigate_oversize")
            return None
        try:
            event = self._decoder.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._counters.refused("frigate_malformed")
            return None
        return self._told(event.after)

    def _keep(self, camera: str, label: str, jpeg: bytes) -> None:
        if not jpeg.startswith(b"\xff\xd8") or len(jpeg) > _MOST_SNAPSHOT_BYTES:
            self._counters.refused("frigate_snapshot")
            return
        self._snapshots.pop((camera, label), None)
        self._snapshots[camera, label] = (self._wall_s(), jpeg)
        while len(self._snapshots) > _MOST_SNAPSHOTS:
            self._snapshots.pop(next(iter(self._snapshots)))

    def _told(self, thing: _Object) -> Seen | Withdrawn | None:
        settings = self._settings
        urgency = settings.labels.get(thing.label)
        if urgency is None or (settings.cameras and thing.camera not in settings.cameras):
            return None
        if thing.false_positive:
            return Withdrawn(source=SOURCE, key=thing.id, note="Frigate calls it a false positive")
        score = max(thing.top_score or 0.0, thing.score or 0.0)
        zones = [*thing.current_zones, *thing.entered_zones]
        within = [zone for zone in zones if zone in settings.zones] if settings.zones else zones
        if not score >= settings.least_score or (settings.zones and not within):  # NaN is no score
            return None
        now_s = self._wall_s()
        taken = self._snapshots.get((thing.camera, thing.label))
        return Seen(
            source=SOURCE, key=thing.id, label=thing.label, camera=thing.camera, zone=within[0] if within else "",
            confidence=min(1.0, score), precedence=Precedence[urgency], box_xyxy=self._box(thing), age_ms=_age_ms(thing, now_s),
            snapshot=taken[1] if taken is not None and now_s - taken[0] <= _SNAPSHOT_FRESH_S else b"",
        )  # fmt: skip

    def _box(self, thing: _Object) -> tuple[float, float, float, float]:
        size = self._settings.detect_size_px.get(thing.camera)
        if size is None or thing.box is None or len(thing.box) != 4 or min(size) <= 0:
            return 0.0, 0.0, 0.0, 0.0
        x1, y1, x2, y2 = (min(1.0, max(0.0, edge / side)) for edge, side in zip(thing.box, (*size, *size), strict=True))
        return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else (0.0, 0.0, 0.0, 0.0)


def _age_ms(thing: _Object, now_s: float) -> int:
    """By Frigate's wall clock, which is this machine's or one beside it; what makes no sense is taken as now."""
    if thing.frame_time is None or not 0 <= now_s - thing.frame_time < _MOST_AGE_MS / 1000:
        return 0
    return round((now_s - thing.frame_time) * 1000)


async def listen(
    events: FrigateEvents, settings: FrigateSettings, hear: Callable[[Seen | Withdrawn], None]
) -> None:  # fmt: skip
    """Keep connected to the broker until cancelled, and hand over what comes."""
    from paho.mqtt import client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    from relay.paths.mqtt_broker import Broker

    broker = Broker.of("[frigate]", settings.broker, settings.mqtt)
    loop = asyncio.get_running_loop()
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="")
    if settings.mqtt.username:
        client.username_pw_set(settings.mqtt.username, broker.password)
    if broker.tls is not None:
        client.tls_set_context(broker.tls)

    def connected(_: object, __: object, ___: object, reason: Any, ____: object) -> None:
        if reason.is_failure:
            _log.warning("Frigate's broker refuses", reason=str(reason))
            return
        _log.info("listening to Frigate", broker=f"{broker.host}:{broker.port}")
        client.subscribe([(topic, 0) for topic in events.topics])

    def came(_: object, __: object, message: paho.MQTTMessage) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone: so is this node
            loop.call_soon_threadsafe(_take, message.topic, bytes(message.payload))

    def _take(topic: str, payload: bytes) -> None:
        word = events.take(topic, payload)
        if word is not None:
            hear(word)

    client.on_connect = connected
    client.on_message = came
    client.reconnect_delay_set(1, 30)
    client.connect_async(broker.host, broker.port, keepalive=15)
    client.loop_start()
    try:
        await asyncio.Event().wait()
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)


def problem(settings: FrigateSettings) -> str:
    """What is wrong with the settings beyond their types; empty if nothing is."""
    if not settings.labels:
        return "[frigate] labels is empty: nothing would ever be told"
    wrong: Mapping[str, tuple[int, int]] = {
        name: size for name, size in settings.detect_size_px.items() if min(size) <= 0
    }
    return f"[frigate] detect_size_px of {next(iter(wrong))!r} must be two positive numbers" if wrong else ""
