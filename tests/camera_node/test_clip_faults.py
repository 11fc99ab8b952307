"""Kills and a camera that is pulled out, with whole processes and a real RTSP server."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from camera_node.clip_book import ClipState, newest
from camera_node.clip_segment import whole_segments
from tests.camera_node.film import pictures, write_film
from tests.camera_node.house import House
from tests.camera_node.test_clip_sending import clips, config, is_all, put_together
from tests.camera_node.test_recorder import ROOT, scene
from tests.camera_node.test_rtsp import _free_port, _has_server, serving, units_file
from tests.camera_node.tiny_onnx import always_sees
from tests.camera_node.waiting import until

__all__ = ["units_file"]


def _recorded_ms(state_dir: Path) -> int:
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"{(state_dir / 'spool.sqlite').as_uri()}?mode=ro", uri=True)) as reader,
    ):
        return max((clip.duration_ms for clip in newest(reader, 5)), default=0)
    return 0


def _node_process(config_file: Path) -> "subprocess.Popen[bytes]":
    run = "from camera_node.cli import main; main()"
    return subprocess.Popen([sys.executable, "-c", run, "run", "--config", str(config_file)], cwd=ROOT,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip


async def test_node_that_is_killed_while_recording_sends_the_clip_after_its_restart(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    write_film(tmp_path / "film.mp4", seconds=3)
    (tmp_path / "tiny.onnx").write_bytes(always_sees("handgun"))
    config_file = tmp_path / "node.toml"
    config_file.write_text(
        f'state_dir = "{state_dir}"\n[[camera]]\nname = "gate"\nsource = "film.mp4"\nloop = true\n'
        '[model]\nweights_file = "tiny.onnx"\nthreads = 1\n'
        "[clip]\npre_roll_s = 1\npost_roll_s = 100\nsegment_s = 0.3\nreserve_bytes = 0\n"
    )
    with _node_process(config_file) as process:
        await until(lambda: _recorded_ms(state_dir) > 1500, what="it is being recorded")
        eyes = psutil.Process(process.pid).children()
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL, "the fault happened"
        assert eyes
        assert not psutil.wait_procs(eyes, timeout=5)[1], "the eye ends with its node"
    async with house.run_center() as (_, inbox, path):
        from tests.camera_node.test_node import running

        async with running(config(tmp_path, state_dir, path=path, is_watching=False)) as node:
            await until(lambda: is_all(node, ClipState.HEARD), what="the clip is heard")
            (clip,) = clips(node)
            assert "process ended" in clip.why
            assert len(whole_segments(node.clips.file_of(clip))) >= 2
        content = put_together(house, inbox)[bytes.fromhex(clip.sha256)]
        assert len(pictures(content)) >= 15


@pytest.mark.skipif(not _has_server(), reason="gir1.2-gst-rtsp-server-1.0 is not installed")
def test_rtsp_camera_that_is_pulled_out_mid_event_and_comes_back(tmp_path: Path, units_file: Path) -> None:
    port = _free_port()
    address = f"rtsp://cam:geheim@127.0.0.1:{port}/cam"
    with scene(tmp_path, address, post_roll_ms=9000, pre_roll_ms=500) as camera:
        with serving(units_file, port) as server:
            camera.wait(lambda: camera.recorder.ring.reach_ms > 1200, within_s=20)
            name, _ = camera.see()
            time.sleep(0.6)
            server.kill()
            server.wait(5)
            camera.wait(lambda: camera.capture.state().fault is not None)
        camera.wait(lambda: camera.segments(name), within_s=3)
        until_then = len(pictures((camera.folder / name).read_bytes()))
        assert until_then >= 25, "the last pictures before it was pulled out are in the file"
        with serving(units_file, port):
            camera.wait(lambda: camera.ended(name), within_s=20)
    shown_s = pictures((camera.folder / name).read_bytes())
    assert len(shown_s) > until_then, "it went on when the camera was back"
    assert shown_s == sorted(set(shown_s))
    assert camera.segments(name)[0].codec == "h264"
