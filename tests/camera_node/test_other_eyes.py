"""Frigate over a real Mosquitto and ONVIF events over SOAP, the whole way to the center; and their words taken apart."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from camera_node import onvif_events
from camera_node.config import NodeConfig, load
from camera_node.frigate import FrigateEvents, FrigateSettings
from camera_node.node import Node
from camera_node.onvif_events import Notice, OnvifEvents, OnvifSettings, notice_of
from camera_node.other_eyes import OtherEyes, Seen, Withdrawn
from relay.counters import Counters
from relay.emitter import EmitRequest, Emitted, RetractRequest
from relay.errors import ConfigError, SpoolFull
from relay.header import Kind
from relay.kinds import alert as alerts
from relay.kinds import body
from relay.kinds.alert import Rule
from relay.kinds.exhibit import Exhibit
from relay.kinds.retraction import Ground, Retraction
from relay.precedence import Precedence
from tests.camera_node.house import House
from tests.camera_node.onvif_camera import OnvifCamera, notice
from tests.camera_node.test_node import model, running
from tests.camera_node.waiting import until
from tests.relay.mosquitto import Mosquitto

JPEG = b"\xff\xd8 a picture of it"
LABELS = {"person": "IMMEDIATE", "knife": "FLASH"}


def event(**changes: object) -> bytes:
    """As Frigate 0.16 publishes it."""
    after = {
        "id": "1688400328.42808-weawsp", "camera": "front", "frame_time": 1_000.0, "snapshot_time": 1_000.0, "label": "person",
        "sub_label": None, "top_score": 0.91, "false_positive": False, "start_time": 990.0, "end_time": None, "score": 0.88,
        "box": [320, 180, 640, 540], "area": 1, "ratio": 1.3, "region": [0, 0, 1, 1], "stationary": False,
        "current_zones": ["yard"], "entered_zones": ["street", "yard"], "has_clip": True, "has_snapshot": True, **changes,
    }  # fmt: skip
    return json.dumps({"type": "update", "before": after, "after": after}).encode()


def frigate(**changes: object) -> FrigateEvents:
    settings = {"broker": "mqtt://127.0.0.1", "labels": LABELS, "detect_size_px": {"front": (1280, 720)}, **changes}
    return FrigateEvents(FrigateSettings(**settings), counters=Counters(), wall_s=lambda: 1_000.5)  # type: ignore[arg-type]


def test_an_event_is_told_with_place_zone_and_the_picture_that_came_with_it() -> None:
    events = frigate()
    assert events.take("frigate/front/person/snapshot", JPEG) is None
    seen = events.take("frigate/events", event())
    assert seen == Seen(
        source="frigate", key="1688400328.42808-weawsp", label="person", camera="front", zone="yard", confidence=0.91,
        precedence=Precedence.IMMEDIATE, box_xyxy=(0.25, 0.25, 0.5, 0.75), age_ms=500, snapshot=JPEG,
    )  # fmt: skip


@pytest.mark.parametrize("changes", [
    {"label": "cat"}, {"top_score": 0.4, "score": 0.4}, {"top_score": None, "score": None},
])  # fmt: skip
def test_what_is_not_wanted_is_not_told(changes: dict[str, object]) -> None:
    assert frigate().take("frigate/events", event(**changes)) is None


def test_zones_and_cameras_narrow_what_is_told() -> None:
    assert frigate(zones=("garden",)).take("frigate/events", event()) is None
    assert frigate(cameras=("back",)).take("frigate/events", event()) is None
    seen = frigate(zones=("street",)).take("frigate/events", event())
    assert isinstance(seen, Seen)
    assert seen.zone == "street"


def test_a_false_positive_withdraws() -> None:
    word = frigate().take("frigate/events", event(false_positive=True))
    assert isinstance(word, Withdrawn)


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"nonsense", b"\xff\xfe", event(id=""), b"x" * 300_000, event(box=[1])]
)
def test_malformed_words_are_counted_and_nothing_breaks(payload: bytes) -> None:
    events = frigate()
    word = events.take("frigate/events", payload)
    refused = sum(events._counters.snapshot().values())
    assert (word is None and refused == 1) or isinstance(word, Seen)


@given(st.binary(max_size=400), st.text(max_size=60))
def test_any_bytes_on_any_topic_break_nothing(payload: bytes, topic: str) -> None:
    frigate().take(topic, payload)
    frigate().take("frigate/events", payload)
    frigate().take("frigate/a/b/snapshot", payload)


# ---------------------------------------------------------------------- ONVIF's notices

CROSSED = "RuleEngine/LineDetector/Crossed"


def onvif(**changes: object) -> OnvifEvents:
    settings = {
        "camera": "gate",
        "address": "http://127.0.0.1",
        "topics": {CROSSED: "IMMEDIATE"},
        "hold_off_s": 5,
        **changes,
    }
    return OnvifEvents(OnvifSettings(**settings))  # type: ignore[arg-type]


def heard(*data: tuple[str, str], topic: str = CROSSED, rule: str = "fence") -> Notice:
    return Notice(topic=topic, source=(("VideoSource", "1"), ("Rule", rule)), data=data)


def test_a_property_is_told_when_it_turns_true_and_again_only_after_it_was_false() -> None:
    events = onvif(hold_off_s=0)
    said = [("State", "true"), ("State", "true"), ("State", "false"), ("State", "1"), ("State", "0")]
    told = [events.take(heard(pair), number * 1000) for number, pair in enumerate(said)]
    assert [word is not None for word in told] == [True, False, False, True, False]
    assert told[0] is not None
    assert told[3] is not None
    assert (told[0].label, told[0].zone) == ("crossing", "fence")
    assert told[0].key != told[3].key


def test_events_without_a_state_are_told_as_they_come_but_for_the_hold_off() -> None:
    events = onvif()
    told = [events.take(heard(("ObjectId", str(number))), number * 1000) for number in range(12)]
    assert [number for number, word in enumerate(told) if word] == [0, 5, 10]
    assert events.take(heard(("ObjectId", "1"), rule="gate"), 12_000) is not None, "another rule has its own"


def test_topics_that_nobody_wants_are_not_told() -> None:
    assert onvif().take(heard(("State", "true"), topic="VideoSource/MotionAlarm"), 0) is None


def test_what_is_no_notification_is_none() -> None:
    assert notice_of(object()) is None
    assert notice_of(None) is None


# ---------------------------------------------------------------------- between a source and the spool


class Door:
    """Takes what is emitted; full for as long as told."""

    def __init__(self) -> None:
        self.emitted: list[EmitRequest] = []
        self.retracted: list[RetractRequest] = []
        self.is_full = False

    async def emit(self, request: EmitRequest) -> Emitted:
        if self.is_full:
            raise SpoolFull("full")
        self.emitted.append(request)
        return Emitted(id=f"{len(self.emitted):064x}", sequence=1, wire_bytes=1)

    async def retract(self, request: RetractRequest) -> Emitted:
        self.retracted.append(request)
        return Emitted(id="ff" * 32, sequence=1, wire_bytes=1)


@contextlib.asynccontextmanager
async def eyes() -> AsyncIterator[tuple[OtherEyes, Door, Counters]]:
    door, counters = Door(), Counters()
    others = OtherEyes(emit=door.emit, retract=door.retract, counters=counters)
    task = asyncio.create_task(others.run())
    try:
        yield others, door, counters
    finally:
        task.cancel()


def seen(key: str = "a", urgency: Precedence = Precedence.IMMEDIATE) -> Seen:
    return Seen(source="frigate", key=key, label="person", camera="a camera with a long name", precedence=urgency)


async def test_one_thing_is_one_alert_a_rise_is_told_again_and_a_false_one_is_retracted() -> None:
    async with eyes() as (others, door, _):
        for word in (seen(), seen(), seen(urgency=Precedence.FLASH), seen(urgency=Precedence.IMMEDIATE), seen("b"),
                     Withdrawn(source="frigate", key="a", note="a coat"), Withdrawn(source="frigate", key="unknown")):  # fmt: skip
            others.hear(word)
        await until(lambda: bool(door.retracted))
        assert [request.precedence for request in door.emitted] == ["IMMEDIATE", "FLASH", "IMMEDIATE"]
        assert door.emitted[0].camera == "a camera wit"
        assert [request.alert_id for request in door.retracted] == [f"{2:064x}"]


async def test_a_full_disk_is_waited_for_and_a_flood_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("camera_node.other_eyes._AGAIN_S", 0.02)
    async with eyes() as (others, door, counters):
        door.is_full = True
        for number in range(700):
            others.hear(seen(str(number)))
        await until(lambda: counters["other_eyes_postponed"] > 0)
        assert counters["refused_other_eyes_flood"] >= 199
        door.is_full = False
        await until(lambda: len(door.emitted) >= 500)


# ---------------------------------------------------------------------- the whole way


def publish(port: int, messages: list[tuple[str, bytes]]) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for topic, payload in messages:
        client.publish(topic, payload, qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


@contextlib.asynccontextmanager
async def node_with(tmp_path: Path, **settings: object) -> AsyncIterator[tuple[House, object, Node]]:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    async with house.run_center() as (_, inbox, path):
        config = NodeConfig(state_dir=state_dir, path=(path,), model=model(tmp_path), **settings)  # type: ignore[arg-type]
        async with running(config) as node:
            yield house, inbox, node


async def test_what_frigate_sees_reaches_the_center_and_what_it_withdraws_is_retracted(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path).running() as broker:
        settings = FrigateSettings(broker=broker.endpoint, labels={"person": "IMMEDIATE"})
        async with node_with(tmp_path, frigate=settings) as (house, inbox, _):
            connected = "New client connected"
            await until(lambda: (connected in broker.log_file.read_text() and "SUBSCRIBE" in broker.log_file.read_text())
                        or broker.log_file.read_text().count(connected) > 0, what="the node at the broker")  # fmt: skip
            await asyncio.sleep(0.3)
            await asyncio.to_thread(publish, broker.port, [("frigate/front/person/snapshot", JPEG), ("frigate/events", event()),
                                                           ("frigate/events", event())])  # fmt: skip
            await until(lambda: bool(inbox.of(Kind.EXHIBIT)), what="the alert and its picture", within_s=30)  # type: ignore[attr-defined]
            found = [alerts.decode(house.open(arrival)) for arrival in inbox.of(Kind.ALERT)]  # type: ignore[attr-defined]
            assert [(a.label, a.camera, a.zone, a.rule) for a in found] == [("person", "front", "yard", Rule.EMITTED)]
            exhibit = body.decode(house.open(inbox.of(Kind.EXHIBIT)[0]), Exhibit)  # type: ignore[attr-defined]
            assert exhibit.items[0].size_bytes == len(JPEG)
            await asyncio.to_thread(publish, broker.port, [("frigate/events", event(false_positive=True))])
            await until(lambda: bool(inbox.of(Kind.RETRACTION)), what="the retraction")  # type: ignore[attr-defined]
            said = body.decode(house.open(inbox.of(Kind.RETRACTION)[0]), Retraction)  # type: ignore[attr-defined]
            assert said.ground is Ground.CONTRADICTED


async def test_what_a_camera_says_by_onvif_reaches_the_center_over_lost_subscriptions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onvif")
    monkeypatch.setenv("HTTPS_PROXY", "http://kept.example:3128")
    password_file = tmp_path / "password"
    password_file.write_text("secret\n")
    with OnvifCamera() as camera:
        settings = OnvifSettings(camera="gate", address=camera.address, username="admin", password_file=password_file,
                                 topics={CROSSED: "IMMEDIATE", "VideoSource/GlobalSceneChange/ImagingService": "FLASH"})  # fmt: skip
        async with node_with(tmp_path, onvif=(settings,)) as (house, inbox, node):
            await until(lambda: "PullMessages" in camera.calls, what="the node pulls", within_s=40)
            camera.say(
                notice(
                    "tns1:RuleEngine/tns1:LineDetector/tns1:Crossed", source={"Rule": "fence"}, data={"ObjectId": "7"}
                )
            )
            await until(lambda: len(inbox.of(Kind.ALERT)) == 1, what="the crossing", within_s=30)  # type: ignore[attr-defined]
            camera.forgets_subscription = True
            await until(
                lambda: camera.calls.count("CreatePullPointSubscription") >= 2, what="it subscribes again", within_s=40
            )
            assert node.station.counters["onvif_subscriptions_lost"] >= 1
            camera.say(notice("tns1:VideoSource/GlobalSceneChange/ImagingService", source={"Source": "1"},
                              data={"State": "true"}))  # fmt: skip
            await until(lambda: len(inbox.of(Kind.ALERT)) == 2, what="the tampering", within_s=30)  # type: ignore[attr-defined]
            found = [alerts.decode(house.open(arrival)) for arrival in inbox.of(Kind.ALERT)]  # type: ignore[attr-defined]
            assert [(a.label, a.camera, a.zone) for a in found] == [
                ("crossing", "gate", "fence"),
                ("moved", "gate", ""),
            ]
            assert os.environ["HTTPS_PROXY"] == "http://kept.example:3128"


async def test_a_wrong_password_is_said_and_tried_again_without_it_being_shown(tmp_path: Path) -> None:
    pytest.importorskip("onvif")
    import structlog

    password_file = tmp_path / "password"
    password_file.write_text("not-the-word\n")
    with OnvifCamera() as camera:
        settings = OnvifSettings(camera="gate", address=camera.address, username="admin", password_file=password_file,
                                 topics={CROSSED: "FLASH"})  # fmt: skip
        counters = Counters()
        with structlog.testing.capture_logs() as lines:
            task = asyncio.create_task(
                onvif_events.listen(settings, lambda word: None, counters=counters, now_ms=lambda: 0)
            )
            await until(lambda: counters["onvif_subscriptions_lost"] >= 1, within_s=30)
            task.cancel()
        assert camera.refused >= 1
        assert "not authorized" in str(lines).lower()
        assert "not-the-word" not in str(lines)


CONFIG = """
state_dir = "state"
[model]
weights_file = "w.onnx"
[frigate]
broker = "mqtt://127.0.0.1:1883"
labels = { person = "IMMEDIATE" }
[[onvif]]
camera = "gate"
address = "http://192.168.1.20"
topics = { "RuleEngine/LineDetector/Crossed" = "FLASH" }
"""


@pytest.mark.parametrize(("old", "new", "said"), [
    ("", "", ""),
    ('labels = { person = "IMMEDIATE" }', "labels = {}", "labels is empty"),
    ('"IMMEDIATE"', '"BULK"', "BULK"),
    ("http://192.168.1.20", "http://u:p@192.168.1.20", "without user and password"),
    ('topics = { "RuleEngine/LineDetector/Crossed" = "FLASH" }', "topics = {}", "topics is empty"),
])  # fmt: skip
def test_other_eyes_are_configured_and_wrong_settings_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "node.toml"
    file.write_text(CONFIG.replace(old, new) if old else CONFIG)
    if not said:
        assert load(file).onvif[0].endpoint() == ("192.168.1.20", 80)
        return
    with pytest.raises(ConfigError, match=said):
        load(file)
