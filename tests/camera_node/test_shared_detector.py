"""One detector for all cameras: fair turns, batches, hostile eyes, a service that is killed; and a whole node with it."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_node.config import ModelConfig, NodeConfig, SecondStageConfig, load
from camera_node.detector import Detection
from camera_node.detector_service import DetectorService, Turns
from camera_node.detector_wire import (
    MEMORY_BYTES,
    SOCKET_NAME,
    Found,
    FrameMemory,
    Hello,
    Request,
    decode_request,
    send_memory,
)
from camera_node.errors import DetectorGone, ModelRefused
from camera_node.frame import Frame
from camera_node.onnx_detector import OnnxDetector
from camera_node.shared_detector import DetectorLine, SharedDetector
from relay.errors import ConfigError
from relay.header import Kind
from relay.kinds.heartbeat import CameraState
from tests.camera_node.house import House
from tests.camera_node.test_detector import DATA
from tests.camera_node.test_node import camera, model, running
from tests.camera_node.tiny_onnx import always_sees
from tests.camera_node.waiting import until


def frame(value: int = 0, *, width: int = 64, height: int = 48) -> Frame:
    return Frame(pixels=np.full((height, width, 3), value, np.uint8), captured_monotonic_ms=0, captured_wall_ms=0,
                 sequence=0, clip_time_ms=0)  # fmt: skip


class Echo:
    """Says what the frame's first pixel is; takes several frames at once."""

    labels = ("pixel",)
    provider = "CPU"
    most_at_once = 4

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def detect(self, frame: Frame) -> list[Detection]:
        return self.detect_many([frame])[0]

    def detect_many(self, frames: Sequence[Frame]) -> list[list[Detection]]:
        values = [int(f.pixels[0, 0, 0]) for f in frames]
        self.batches.append(values)
        if 255 in values:
            raise ModelRefused("it chokes on white")
        box = np.array([1, 2, 3, 4], np.float32)
        return [[Detection(label=f"pixel {value}", confidence=0.5, bbox_xyxy_px=box)] for value in values]

    def close(self) -> None:
        pass


@contextlib.contextmanager
def serving(folder_dir: Path) -> Iterator[Echo]:
    """A service on a thread, stepped until the block ends."""
    echo, stop = Echo(), threading.Event()
    service = DetectorService([echo], folder_dir / SOCKET_NAME)

    def step() -> None:
        while not stop.is_set():
            service.step(0.02)

    thread = threading.Thread(target=step)
    thread.start()
    try:
        yield echo
    finally:
        stop.set()
        thread.join()
        service.close()


def test_a_frame_goes_there_and_what_is_on_it_comes_back(tmp_path: Path) -> None:
    with serving(tmp_path):
        line = DetectorLine(tmp_path)
        detector = SharedDetector(line)
        assert detector.labels == ("pixel",)
        assert detector.provider == "CPU, shared"
        for value in (7, 8):
            (found,) = detector.detect(frame(value))
            assert (found.label, found.confidence) == (f"pixel {value}", 0.5)
            assert found.bbox_xyxy_px.tolist() == [1, 2, 3, 4]
        line.close()


def test_a_frame_that_the_weights_choke_on_is_said_to_its_eye_and_the_others_go_on(tmp_path: Path) -> None:
    with serving(tmp_path):
        one, other = DetectorLine(tmp_path), DetectorLine(tmp_path)
        with pytest.raises(ModelRefused, match="chokes on white"):
            one.ask(frame(255), 0)
        assert other.ask(frame(3), 0)[0].label == "pixel 3"
        assert one.ask(frame(4), 0)[0].label == "pixel 4"
        one.close()
        other.close()


def test_eyes_that_ask_at_once_are_served_in_one_batch(tmp_path: Path) -> None:
    echo = Echo()
    service = DetectorService([echo], tmp_path / SOCKET_NAME)
    lines: list[DetectorLine] = []

    def connect() -> None:
        lines.extend(DetectorLine(tmp_path) for _ in range(3))

    thread = threading.Thread(target=connect)
    thread.start()
    while thread.is_alive():
        service.step(0.02)
    for number, line in enumerate(lines):
        line._memory.write(frame(number).pixels)
        assert line._connection is not None
        line._connection.send(Request(model=0, height_px=48, width_px=64).encode())
    service.step(1)
    assert sorted(echo.batches[-1]) == [0, 1, 2]
    for line in lines:
        assert line._connection is not None
        assert msgspec.msgpack.decode(line._connection.recv(1000), type=Found).boxes
        line.close()
    service.close()


@pytest.mark.parametrize("said", [b"", b"nonsense", b"\x05" + bytes(12), Request(model=0, height_px=9999, width_px=9999).encode(),
                                  Request(model=1, height_px=4, width_px=4).encode()])  # fmt: skip
def test_an_eye_that_speaks_nonsense_is_hung_up_on_and_the_others_go_on(tmp_path: Path, said: bytes) -> None:
    with serving(tmp_path):
        line = DetectorLine(tmp_path)
        hostile = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        hostile.settimeout(5)
        hostile.connect(str(tmp_path / SOCKET_NAME))
        memory = FrameMemory.made()
        send_memory(hostile, memory)
        assert msgspec.msgpack.decode(hostile.recv(1000), type=Hello).labels == (("pixel",),)
        hostile.send(said)
        assert hostile.recv(100) == b"", "hung up"
        hostile.close()
        memory.close()
        small = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        small.settimeout(5)
        small.connect(str(tmp_path / SOCKET_NAME))
        small.send(b"memory")  # without any
        assert small.recv(100) == b""
        small.close()
        assert line.ask(frame(5), 0)[0].label == "pixel 5"
        line.close()


def test_the_socket_is_this_users_alone(tmp_path: Path) -> None:
    with serving(tmp_path):
        assert (tmp_path / SOCKET_NAME).stat().st_mode & 0o077 == 0


def test_a_service_that_does_not_come_back_is_an_error_and_not_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("camera_node.shared_detector._AGAIN_WITHIN_S", 0.3)
    with serving(tmp_path):
        line = DetectorLine(tmp_path)
    (tmp_path / SOCKET_NAME).unlink()
    with pytest.raises(DetectorGone):
        line.ask(frame(), 0)


def test_memory_that_is_too_small_is_refused() -> None:
    fd = os.memfd_create("small")
    with pytest.raises(ValueError, match=str(MEMORY_BYTES)):
        FrameMemory(fd)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    try:
        request = decode_request(data, models=2)
    except ValueError:
        return
    assert request.height_px * request.width_px * 3 <= MEMORY_BYTES


@given(st.lists(st.sets(st.integers(0, 7), min_size=1), min_size=1, max_size=60), st.integers(1, 4))
def test_nobody_who_waits_is_passed_over_for_longer_than_a_round(rounds: list[set[int]], most: int) -> None:
    turns, waits = Turns(), dict[int, int]()
    for eager in rounds:
        waiting = sorted(eager | set(waits))
        chosen = turns.choose([(eye, 0) for eye in waiting], most)
        assert 1 <= len(chosen) <= most
        waits = {eye: waits.get(eye, 0) + 1 for eye in waiting if eye not in chosen}
        assert all(waited <= 8 for waited in waits.values())


def test_a_batch_is_for_one_model() -> None:
    assert Turns().choose([(1, 0), (2, 1), (3, 0)], 4) == [1, 3]


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no test data in {DATA}")
def test_frames_in_one_run_give_what_they_give_alone() -> None:
    """These weights have a fixed batch of one: they say so, and the service takes them one by one."""
    detector = OnnxDetector((DATA / "yolo11n_int8_320.onnx").read_bytes(), name="yolo", least_confidence=0.3, threads=1)
    pictures = [np.random.default_rng(seed).integers(0, 255, (240, 320, 3), np.uint8) for seed in range(2)]
    frames = [
        Frame(pixels=p, captured_monotonic_ms=0, captured_wall_ms=0, sequence=0, clip_time_ms=0) for p in pictures
    ]
    assert detector.most_at_once == 1
    assert [len(detector.detect_many([f])[0]) for f in frames] == [len(detector.detect(f)) for f in frames]


# ---------------------------------------------------------------------- a whole node


async def test_two_cameras_share_one_detector_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    shared = msgspec.structs.replace(model(tmp_path), is_shared=True)
    async with house.run_center() as (_, inbox, path):
        config = NodeConfig(state_dir=state_dir, path=(path,), model=shared,
                            camera=(camera(tmp_path, name="gate"), camera(tmp_path, name="yard")))  # fmt: skip
        async with running(config) as node:
            await until(lambda: len(inbox.of(Kind.ALERT)) >= 2, what="both cameras' alerts", within_s=30)
            assert node.detector is not None
            assert (await node.report()).seeing[0].provider == "CPU, shared"
            first = node.detector.pid
            os.kill(first, signal.SIGKILL)
            await until(lambda: node.detector is not None and node.detector.pid not in {0, first}, what="it comes back")
            frames = [eye.last_health.frames if eye.last_health else 0 for eye in node.eyes]
            await until(lambda: all(eye.last_health is not None and eye.last_health.frames > before + 5
                                    for eye, before in zip(node.eyes, frames, strict=True))
                        or all(eye.restarts > 0 for eye in node.eyes), what="the eyes go on", within_s=30)  # fmt: skip
            await until(lambda: all(c.state is CameraState.SEEING for c in node.cameras()), within_s=30)
        await until(lambda: not Path(f"/proc/{first}").exists())


async def test_weights_that_are_none_stop_the_node_with_one_clear_error(tmp_path: Path) -> None:
    weights_file = tmp_path / "bad.onnx"
    weights_file.write_bytes(b"not onnx")
    state_dir = House(tmp_path).enroll_camera()
    config = NodeConfig(state_dir=state_dir, model=ModelConfig(weights_file=weights_file, is_shared=True),
                        camera=(camera(tmp_path),))  # fmt: skip
    with pytest.raises(ModelRefused, match="expected YOLO weights"):
        async with running(config) as node:
            await until(lambda: node.detector is not None and node.detector.restarts > 3, within_s=20)


async def test_the_second_stage_runs_on_the_gateway_when_it_is_told_to(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    weights_file = tmp_path / "second.onnx"
    weights_file.write_bytes(always_sees("cell phone", box_xywh=(32, 32, 40, 40)))
    second = SecondStageConfig(
        model=ModelConfig(weights_file=weights_file), tier="gateway", look_alikes=("cell phone",)
    )
    config = NodeConfig(state_dir=state_dir, model=msgspec.structs.replace(model(tmp_path), is_shared=True),
                        second_stage=second, camera=(camera(tmp_path),))  # fmt: skip
    async with running(config) as node:
        await until(lambda: (health := node.eyes[0].last_health) is not None and health.stopped["look_alike"] > 0,
                    what="the second stage stops it", within_s=30)  # fmt: skip


@pytest.mark.parametrize(("extra", "said"), [
    ('[second_stage]\ntier = "gateway"', "needs .model. is_shared"),
    ('is_shared = true\n[second_stage]\ntier = "gateway"', "needs .second_stage.model."),
])  # fmt: skip
def test_a_gateway_tier_without_a_gateway_is_a_clear_error(tmp_path: Path, extra: str, said: str) -> None:
    file = tmp_path / "node.toml"
    file.write_text(f'state_dir = "state"\n[model]\nweights_file = "w.onnx"\n{extra}\n')
    with pytest.raises(ConfigError, match=said):
        load(file)
