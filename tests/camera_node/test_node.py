"""A whole node with a real eye process, a real station and a real center station over real sockets."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from camera_node.answered import read
from camera_node.config import CameraConfig, FallbackConfig, HeartbeatConfig, ModelConfig, NodeConfig
from camera_node.node import Node, open_node
from relay.header import Kind
from relay.kinds import alert as alerts
from relay.kinds import body
from relay.kinds.chunk import Chunk
from relay.kinds.exhibit import Exhibit
from relay.kinds.heartbeat import CameraState, Heartbeat
from tests.camera_node.clips import moving, write_clip
from tests.camera_node.house import House, acknowledge
from tests.camera_node.tiny_onnx import always_sees
from tests.camera_node.waiting import until


@contextlib.asynccontextmanager
async def running(config: NodeConfig) -> AsyncIterator[Node]:
    async with open_node(config) as node:
        task = asyncio.create_task(node.run())
        try:
            yield node
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def camera(tmp_path: Path, **changes: object) -> CameraConfig:
    clip = write_clip(tmp_path / "clip.mp4", moving())
    settings: dict[str, object] = {"name": "gate", "source": str(clip), "loop": True, **changes}
    return CameraConfig(**settings)  # type: ignore[arg-type]


def model(tmp_path: Path, label: str = "handgun") -> ModelConfig:
    weights_file = tmp_path / "tiny.onnx"
    weights_file.write_bytes(always_sees(label))
    return ModelConfig(weights_file=weights_file, threads=1)


async def test_alert_goes_all_the_way_and_the_node_knows_that_a_person_saw_it(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    async with house.run_center() as (center, inbox, path):
        config = NodeConfig(state_dir=state_dir, path=(path,), camera=(camera(tmp_path),), model=model(tmp_path),
                            heartbeat=HeartbeatConfig(interval_s=1))  # fmt: skip
        async with running(config) as node:
            await until(lambda: bool(inbox.of(Kind.ALERT)), what="the alert arrives")
            arrival = inbox.of(Kind.ALERT)[0]
            seen = alerts.decode(house.open(arrival))
            assert (seen.label, seen.camera) == ("handgun", "gate")
            assert len(arrival.envelope.wire) <= 233
            assert 0 <= seen.age_ms < 2000

            def pieces() -> list[Chunk]:
                return [body.decode(house.open(a), Chunk) for a in inbox.of(Kind.CHUNK)]

            await until(lambda: bool(inbox.of(Kind.EXHIBIT)), what="the exhibit arrives")
            exhibit = body.decode(house.open(inbox.of(Kind.EXHIBIT)[0]), Exhibit)
            assert exhibit.alert_id == arrival.envelope.id
            await until(lambda: len(pieces()) == exhibit.items[0].chunk_count, what="the chunks arrive")
            jpeg = b"".join(piece.content for piece in sorted(pieces(), key=lambda piece: piece.offset_bytes))
            assert jpeg[:2] == b"\xff\xd8"
            assert len(jpeg) == exhibit.items[0].size_bytes

            await acknowledge(center, node.station.passport, arrival.envelope.id)
            with contextlib.closing(node.station.database.reader()) as reader:
                await until(lambda: read(reader, at_most=1)[0].level == "seen", what="the node knows")
                answers = read(reader, at_most=10)
            assert len(answers) == 1, "one armed person is one alert"
            assert answers[0].seen_by == "dispatcher"
            assert answers[0].heard_by == "center"
            assert answers[0].relayed_by == "center"
            assert answers[0].sighting_to_spooled_ms is not None
            assert answers[0].fallback == ""
            beats = [body.decode(house.open(a), Heartbeat) for a in inbox.of(Kind.HEARTBEAT)]
            await until(lambda: bool(beats) or bool(inbox.of(Kind.HEARTBEAT)))
            report = await node.report()
            assert report.cameras[0].state is CameraState.SEEING


async def test_nobody_hears_and_the_command_runs_once(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    told_file = tmp_path / "told"
    command = ("/bin/sh", "-c", f'echo "$HEARD_LABEL $HEARD_CAMERA $HEARD_ALERT_ID" >> {told_file}')
    config = NodeConfig(state_dir=state_dir, camera=(camera(tmp_path),), model=model(tmp_path),
                        fallback=FallbackConfig(deadline_s=0.5, command=command))  # fmt: skip
    for _ in range(2):  # the second time after a restart: it must not run again for the same alert
        async with running(config) as node:
            with contextlib.closing(node.station.database.reader()) as reader:
                await until(lambda: any(a.fallback == "done" for a in read(reader, at_most=9)), what="the fallback ran")
                first = read(reader, at_most=9)[-1]
            assert first.level == "spooled"
            await asyncio.sleep(0.3)
    told = told_file.read_text().splitlines()
    assert told[0] == f"handgun gate {first.alert_id}"
    assert len({line.split()[2] for line in told}) == len(told), "once for each alert"


async def test_status_is_plain_json_at_the_door(tmp_path: Path) -> None:
    from relay import door

    house = House(tmp_path)
    state_dir = house.enroll_camera()
    config = NodeConfig(state_dir=state_dir, camera=(camera(tmp_path),), model=model(tmp_path))
    async with running(config) as node:
        await until(lambda: node.cameras()[0].state is CameraState.SEEING)
        report = json.loads(await asyncio.to_thread(door.ask, state_dir, "node"))
        assert report["model"] == "tiny"
        assert not report["is_model_verified"]
        emitted = json.loads(await asyncio.to_thread(
            door.ask, state_dir, "emit", {"label": "gunshot", "camera": "mic-1", "precedence": "FLASH"}
        ))  # fmt: skip
        with contextlib.closing(node.station.database.reader()) as reader:
            await until(lambda: any(a.alert_id == emitted["id"] for a in read(reader, at_most=9)))


async def test_answer_lost_to_a_kill_is_found_again_from_the_receipt_and_from_nothing_else(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    async with house.run_center() as (_, inbox, path):
        config = NodeConfig(state_dir=state_dir, path=(path,), camera=(camera(tmp_path),), model=model(tmp_path))
        async with running(config) as node:
            with contextlib.closing(node.station.database.reader()) as reader:
                await until(lambda: any(a.level == "heard" for a in read(reader, at_most=9)))
        quiet = msgspec.structs.replace(config, camera=(), path=())

        def forget(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE answer SET heard_wall_ms = NULL, heard_monotonic_ms = NULL, heard_by = NULL")

        def forget_receipts_too(connection: sqlite3.Connection) -> None:
            forget(connection)
            connection.execute("DELETE FROM receipt")

        for damage, heard_by in ((forget, "receipt"), (forget_receipts_too, None)):
            async with open_node(quiet) as node:
                await node.station.database.run(damage)
            async with open_node(quiet) as node:
                (alert,) = await node.station.database.run(lambda connection: read(connection, at_most=9))
                assert alert.heard_by == heard_by
    assert len(inbox.of(Kind.ALERT)) == 1
