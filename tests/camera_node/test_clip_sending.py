"""A clip's way to the center: bounded, behind every alert, resumed after a restart; and whole where it arrives."""

import asyncio
import contextlib
import hashlib
import sqlite3
from pathlib import Path

import pytest

from camera_node import clip_sender
from camera_node.clip_book import Clip, ClipState, newest
from camera_node.config import CameraConfig, ClipConfig, HeartbeatConfig, NodeConfig
from camera_node.node import Node
from command_center.commands import NodeInvite
from relay import limits
from relay.config import PathConfig
from relay.enrollment import enroll
from relay.header import Kind
from relay.kinds import alert as alerts
from relay.kinds import body
from relay.kinds import exhibit as exhibits
from relay.kinds.alert import Alert, Rule
from relay.kinds.chunk import Chunk
from relay.kinds.exhibit import ClipExhibit
from relay.precedence import Precedence
from relay.sender import WINDOW
from relay.station import Station
from tests.camera_node.film import pictures, write_film
from tests.camera_node.house import CenterInbox, House
from tests.camera_node.test_node import model, running
from tests.camera_node.waiting import until
from tests.command_center.house import running_center

CLIP = ClipConfig(pre_roll_s=1, post_roll_s=1, segment_s=0.5, reserve_bytes=0)


def clips(node: Node) -> list[Clip]:
    return node.station.database.run_blocking(lambda connection: newest(connection, 10))


def is_all(node: Node, state: ClipState) -> bool:
    found = clips(node)
    return bool(found) and all(clip.state is state for clip in found)


def config(tmp_path: Path, state_dir: Path, *, path: PathConfig | None = None, clip: ClipConfig = CLIP,
           size: tuple[int, int] = (160, 120), is_watching: bool = True) -> NodeConfig:  # fmt: skip
    film = tmp_path / f"film{size[0]}.mp4"
    if not film.exists():
        write_film(film, seconds=3, size=size, options={"qp": "18"})
    camera = CameraConfig(name="gate", source=str(film), loop=True)
    return NodeConfig(state_dir=state_dir, path=(path,) if path else (), camera=(camera,) if is_watching else (),
                      model=model(tmp_path), heartbeat=HeartbeatConfig(interval_s=60), clip=clip)  # fmt: skip


def put_together(house: House, inbox: CenterInbox) -> dict[bytes, bytes]:
    """Objects by SHA-256, from all chunks that came."""
    found: dict[bytes, dict[int, bytes]] = {}
    for arrival in inbox.of(Kind.CHUNK):
        piece = body.decode(house.open(arrival), Chunk)
        found.setdefault(piece.object_sha256, {})[piece.offset_bytes] = piece.content
    return {sha256: b"".join(content for _, content in sorted(parts.items())) for sha256, parts in found.items()}


async def test_clip_is_recorded_sent_and_the_same_at_the_center(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    async with house.run_center() as (_, inbox, path), running(config(tmp_path, state_dir, path=path)) as node:
        await until(lambda: is_all(node, ClipState.HEARD), what="the clip is heard")
        said = [exhibits.decode(house.open(arrival)) for arrival in inbox.of(Kind.EXHIBIT)]
        (shown,) = [exhibit for exhibit in said if exhibit.items[0].media_type == "video/mp4"]
        assert shown.alert_id == inbox.of(Kind.ALERT)[0].envelope.id
        content = put_together(house, inbox)[shown.items[0].sha256]
        assert hashlib.sha256(content).digest() == shown.items[0].sha256
        assert (shown.items[0].width_px, shown.items[0].height_px) == (160, 120)
        (whole,) = [arrival for arrival in inbox.of(Kind.EXHIBIT) if len(house.open(arrival)) > 150]
        parts = body.decode(house.open(whole), ClipExhibit).segments
        assert len(parts) > 1
        assert sum(size for size, _ in parts) == len(content)
        assert parts[0][1] == hashlib.sha256(content[: parts[0][0]]).digest()
        assert shown.items[0].captured_wall_ms > 10**12
        assert len(pictures(content)) >= 12
        bulk = {arrival.envelope.header.precedence for arrival in inbox.of(Kind.CHUNK)}
        assert bulk == {Precedence.PRIORITY, Precedence.BULK}, "pictures go before clips"
        report = await node.report()
        assert report.clips.tallies["clips_heard"] == 1
        assert report.clips.cameras[0].codec == "h264"


async def test_never_sent_clip_stays_here(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    kept = ClipConfig(pre_roll_s=1, post_roll_s=1, reserve_bytes=0, is_sent="never")
    async with (
        house.run_center() as (_, inbox, path),
        running(config(tmp_path, state_dir, path=path, clip=kept)) as node,
    ):
        await until(lambda: is_all(node, ClipState.KEPT), what="the clip is kept")
        await until(lambda: bool(inbox.of(Kind.EXHIBIT)))
        said = [exhibits.decode(house.open(arrival)) for arrival in inbox.of(Kind.EXHIBIT)]
        assert {exhibit.items[0].media_type for exhibit in said} == {"image/jpeg"}


async def test_clip_never_fills_the_spool_alerts_go_before_it_and_a_restart_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_sender, "IN_FLIGHT", 16)  # a clip of some seconds is larger than that
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    large = (640, 480)

    def spooled(connection: sqlite3.Connection) -> list[tuple[int, int]]:
        return connection.execute("SELECT kind, precedence FROM envelope ORDER BY number").fetchall()

    async with running(config(tmp_path, state_dir, size=large)) as node:  # no path: nothing leaves
        await until(lambda: is_all(node, ClipState.WAITING), what="the clip waits")

        def chunks() -> int:
            return node.station.database.run_blocking(spooled).count((Kind.CHUNK, Precedence.BULK))

        await until(lambda: chunks() == clip_sender.IN_FLIGHT)
        await asyncio.sleep(0.5)
        assert chunks() == clip_sender.IN_FLIGHT
        (clip,) = clips(node)
        assert clip.size_bytes > 3 * clip_sender.IN_FLIGHT * limits.DEFAULT_CHUNK_BYTES, (
            "a clip larger than what is in flight"
        )
        late = Alert(label="knife", camera="gate", confidence=0.9, rule=Rule.EMITTED)
        alert = await node.station.put(node.station.draft_up(Kind.ALERT, Precedence.FLASH, late.encode()))
    async with house.run_center() as (_, inbox, path):
        again = config(tmp_path, state_dir, path=path, size=large, is_watching=False)
        async with running(again) as node:  # restarted, and now there is a way
            await until(lambda: is_all(node, ClipState.HEARD), what="the clip is heard", within_s=30)
        ids = [arrival.envelope.id for arrival in inbox.arrivals]
        overtaken = [
            arrival for arrival in inbox.arrivals[ids.index(alert.envelope.id) :]
            if arrival.envelope.header.precedence is Precedence.BULK
            and arrival.envelope.header.sequence < alert.envelope.header.sequence
        ]  # fmt: skip
        assert len(overtaken) > clip_sender.IN_FLIGHT // 2, "it was spooled after these chunks, and came before them"
        assert hashlib.sha256(put_together(house, inbox)[bytes.fromhex(clip.sha256)]).hexdigest() == clip.sha256
        numbers = [arrival.envelope.header.sequence for arrival in inbox.arrivals]
        assert len(numbers) == len(set(numbers))
        assert {alerts.decode(house.open(arrival)).label for arrival in inbox.of(Kind.ALERT)} == {"handgun", "knife"}


def test_more_of_a_clip_is_in_the_spool_where_more_travels_up_to_a_bound() -> None:
    chunk_bytes = limits.DEFAULT_CHUNK_BYTES
    assert clip_sender.in_flight(0) == 128
    assert clip_sender.in_flight(100 * chunk_bytes) == 228
    assert clip_sender.in_flight(1e9) == 640 < WINDOW - 250, "others' chunks have room beside them"


async def test_a_clip_has_what_its_links_carry_on_the_way_besides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_sender, "IN_FLIGHT", 8)
    monkeypatch.setattr(Station, "bulk_travels_bytes", 12 * limits.DEFAULT_CHUNK_BYTES)
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    async with running(config(tmp_path, state_dir, size=(640, 480))) as node:  # no path: nothing leaves
        count = "SELECT COUNT(*) FROM clip_chunk"

        def chunks() -> int:
            return int(node.station.database.run_blocking(lambda connection: connection.execute(count).fetchone()[0]))

        await until(lambda: is_all(node, ClipState.WAITING), what="the clip waits")
        await until(lambda: chunks() == 20)
        await asyncio.sleep(0.5)
        assert chunks() == 20


async def test_chunks_that_gave_way_in_the_spool_are_put_again(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    async with running(config(tmp_path, state_dir)) as node:
        await until(lambda: is_all(node, ClipState.WAITING) and clips(node)[0].next_offset_bytes > 0)
    with contextlib.closing(sqlite3.connect(state_dir / "spool.sqlite")) as connection:
        gone = connection.execute("DELETE FROM envelope WHERE precedence >= 2").rowcount
        connection.commit()
        assert gone > 3, "the fault happened"
    async with house.run_center() as (_, inbox, path):
        async with running(config(tmp_path, state_dir, path=path, is_watching=False)) as node:
            await until(lambda: is_all(node, ClipState.HEARD), within_s=20)
            sha256 = clips(node)[0].sha256
        assert hashlib.sha256(put_together(house, inbox)[bytes.fromhex(sha256)]).hexdigest() == sha256


async def test_clip_that_was_changed_on_the_disk_is_not_sent_and_holds_nothing_up(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    async with running(config(tmp_path, state_dir)) as node:
        await until(lambda: is_all(node, ClipState.WAITING))
        (clip,) = clips(node)
        file = node.clips.file_of(clip)
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    with contextlib.closing(sqlite3.connect(state_dir / "spool.sqlite")) as connection:
        connection.executescript("DELETE FROM clip_chunk; UPDATE clip SET next_offset_bytes = 0;")
    async with running(config(tmp_path, state_dir)) as node:
        await until(lambda: clips(node)[-1].state is ClipState.DAMAGED)
        await until(lambda: clips(node)[0].state is ClipState.WAITING and clips(node)[0].next_offset_bytes > 0)


async def test_eye_that_is_killed_mid_event_leaves_a_clip_that_is_sent(tmp_path: Path) -> None:
    import os
    import signal

    import psutil

    house = House(tmp_path)
    state_dir = house.enroll_camera()
    long = ClipConfig(pre_roll_s=1, post_roll_s=60, segment_s=0.3, reserve_bytes=0)
    async with (
        house.run_center() as (_, inbox, path),
        running(config(tmp_path, state_dir, path=path, clip=long)) as node,
    ):
        await until(lambda: bool(clips(node)) and clips(node)[0].duration_ms > 1500, what="it is being recorded")
        pid = node.eyes[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not psutil.pid_exists(pid), what="the fault happened")
        await until(lambda: clips(node)[-1].state is ClipState.HEARD, what="the clip is heard")
        first = clips(node)[-1]
        assert "process ended" in first.why
        assert len(pictures(put_together(house, inbox)[bytes.fromhex(first.sha256)])) >= 15


async def test_clip_reaches_the_command_center_and_is_served_in_ranges(tmp_path: Path) -> None:
    listen = ("tcp://127.0.0.1:0",)
    async with running_center(tmp_path / "center", listen=listen) as house, house.signed_in() as client:
        outcome = await house.center.administration.perform(
            NodeInvite(name="gate", role="camera", site="north", is_preapproved=True)
        )
        code = next(line for line in outcome.lines if "enroll" in line).split()[2]
        state_dir = tmp_path / "node"
        await asyncio.to_thread(enroll, code, state_dir, wait_s=10)
        endpoint = house.center.station.listening_on[0].replace("[::ffff:127.0.0.1]", "127.0.0.1")
        path = PathConfig(name="lan", endpoint=endpoint, peer="center")
        async with running(config(tmp_path, state_dir, path=path)) as node:
            await until(lambda: is_all(node, ClipState.HEARD), what="the clip is heard")
            (clip,) = clips(node)
            content = node.clips.file_of(clip).read_bytes()
        for _ in range(200):
            detail = (await client.get("/api/v1/incidents/1")).json()
            if detail["clips"] and detail["clips"][0]["url"]:
                break
            await asyncio.sleep(0.05)
        (listed,) = detail["clips"]
        assert listed["sha256"] == clip.sha256
        assert listed["alerts"] == [detail["alerts"][0]["id"]]
        assert (listed["media_type"], listed["size_bytes"]) == ("video/mp4", len(content))
        whole = await client.get(listed["url"])
        assert whole.content == content
        assert whole.headers["content-type"] == "video/mp4"
        assert len(pictures(whole.content)) >= 12
        part = await client.get(listed["url"], headers={"Range": "bytes=100-299"})
        assert (part.status_code, part.content) == (206, content[100:300])
        assert part.headers["content-range"] == f"bytes 100-299/{len(content)}"
        beyond = await client.get(listed["url"], headers={"Range": "bytes=999999999-"})
        assert beyond.status_code == 416
        assert (await client.get("/api/v1/clips/" + "0" * 64)).status_code == 404
        picture = detail["alerts"][0]["snapshot_url"].rpartition("/")[2]
        assert (await client.get(f"/api/v1/clips/{picture}")).status_code == 404
        async with house.browser() as stranger:
            assert (await stranger.get(listed["url"])).status_code == 401
        looks = await house.query("SELECT COUNT(*) FROM entry WHERE subject = ?", f"object:{clip.sha256}")
        assert looks[0][0] == 2, "stored, and looked at once"


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_alerts_are_spooled_as_fast_while_clips_are_recorded(tmp_path: Path) -> None:
    """Twenty starts each way, interleaved; the medians differ by less than one frame."""
    delays: dict[bool, list[int]] = {True: [], False: []}
    for turn in range(20):
        house = House(tmp_path / str(turn))
        state_dir = house.enroll_camera()
        made = config(tmp_path, state_dir)
        if turn % 2:
            made = NodeConfig(state_dir=state_dir, model=made.model, camera=(CameraConfig(
                name="gate", source=made.camera[0].source, loop=True, is_recorded=False),))  # fmt: skip
        async with running(made) as node:
            for _ in range(400):
                report = await node.report()
                if report.alerts and report.alerts[0].sighting_to_spooled_ms is not None:
                    break
                await asyncio.sleep(0.05)
            delay = report.alerts[0].sighting_to_spooled_ms
            assert delay is not None
            delays[not turn % 2].append(delay)
    on, off = (sorted(delays[key])[5] for key in (True, False))
    print(f"sighting to spooled, median of 10: {on} ms with clips, {off} ms without")
    assert on - off < 100
