"""A real eye process that takes an alert back, and one whose rules don't fit its model, beside a camera that works."""

from pathlib import Path

import numpy as np

from camera_node.config import ModelConfig, NodeConfig, SecondStageConfig, ZoneConfig
from camera_node.rules.zone_intrusion import ZoneIntrusionSettings
from relay.header import Kind
from relay.kinds import body
from relay.kinds.heartbeat import CameraState
from relay.kinds.retraction import Ground, Retraction
from tests.camera_node.house import House
from tests.camera_node.test_node import camera, model, running
from tests.camera_node.tiny_onnx import constant_detector
from tests.camera_node.waiting import until


def sees_first_and_doubts_later() -> bytes:
    """A classifier that says nothing of use: the alert passes, and a second model then says what it is."""
    metadata = {"names": repr({0: "handgun", 1: "cell phone"}), "task": "classify", "imgsz": "[64, 64]"}
    return constant_detector(np.array([[0.05, 0.95]], np.float32), metadata=metadata)


async def test_the_second_stage_keeps_a_look_alike_from_becoming_an_alert(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    weights_file = tmp_path / "second.onnx"
    weights_file.write_bytes(sees_first_and_doubts_later())
    async with house.run_center() as (_, inbox, path):
        config = NodeConfig(state_dir=state_dir, path=(path,), camera=(camera(tmp_path),), model=model(tmp_path),
                            second_stage=SecondStageConfig(model=ModelConfig(weights_file=weights_file)))  # fmt: skip
        async with running(config) as node:
            await until(lambda: (health := node.eyes[0].last_health) is not None and health.stopped["look_alike"] > 0,
                        what="the second stage stops it")  # fmt: skip
            assert inbox.of(Kind.ALERT) == []


async def test_an_alert_that_the_eye_takes_back_is_retracted_at_the_center(tmp_path: Path) -> None:
    """The eye's word is given by hand, to the node that raised its alert from the eye's sighting."""
    from camera_node.messages import TakenBack

    house = House(tmp_path)
    state_dir = house.enroll_camera()
    async with house.run_center() as (_, inbox, path):
        config = NodeConfig(state_dir=state_dir, path=(path,), camera=(camera(tmp_path),), model=model(tmp_path))
        async with running(config) as node:
            await until(lambda: bool(inbox.of(Kind.ALERT)), what="the alert arrives")
            word = TakenBack(sighting=1, ground=int(Ground.CONTRADICTED), note="seen as cell phone")
            await node.taken_back("gate", word)
            await until(lambda: bool(inbox.of(Kind.RETRACTION)), what="its retraction arrives")
            said = body.decode(house.open(inbox.of(Kind.RETRACTION)[0]), Retraction)
            assert (said.alert_id, said.ground) == (inbox.of(Kind.ALERT)[0].envelope.id, Ground.CONTRADICTED)
            await node.taken_back("gate", word)
            assert node.station.counters["retractions_without_alert"] == 1


async def test_a_camera_whose_rules_no_class_fits_says_so_and_the_other_keeps_running(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    zone = ZoneConfig(name="yard", polygon=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)))
    wrong = camera(
        tmp_path, name="lost", zone=(zone,), rule=(ZoneIntrusionSettings(zones=("yard",), labels=("ghost",)),)
    )
    async with house.run_center() as (_, inbox, path):
        config = NodeConfig(state_dir=state_dir, path=(path,), camera=(wrong, camera(tmp_path)), model=model(tmp_path))
        async with running(config) as node:
            await until(lambda: bool(inbox.of(Kind.ALERT)), what="the other camera's alert")
            await until(lambda: "ghost" in node.cameras()[0].detail, what="the reason")
            lost, well = node.cameras()
            assert lost.state is CameraState.LOST
            assert "[[camera.rule]]" in lost.detail
            assert well.state is CameraState.SEEING
