"""The main job over real processes: a camera sees, a person acknowledges, the camera knows. As a user starts it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

BIN = Path(sys.executable).parent
DATA_DIR = Path(os.environ.get("HEARD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
HOPS = ("sighting_to_spooled_ms", "spooled_to_stored_ms", "stored_to_receipt_ms", "acknowledged_to_node_ms")


def demo(*arguments: str, timeout_s: float = 110) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    done = subprocess.run(
        [BIN / "command-center", "demo", "--json", *arguments], capture_output=True, text=True, timeout=timeout_s
    )
    lines = done.stdout.strip().splitlines()
    return done, json.loads(lines[-1]) if lines else {}


def test_headless_demonstration_hears_and_acknowledges_everything(tmp_path: Path) -> None:
    done, report = demo("--for", "20", "--state", str(tmp_path / "state"))
    assert done.returncode == 0, done.stderr
    assert report["alerts_spooled"] >= 2
    assert report["alerts_spooled"] == report["alerts_heard"] == report["alerts_acknowledged"] == report["alerts_shown"]
    assert report["duplicates_shown"] == 0
    assert report["snapshots"] == report["alerts_spooled"]
    assert report["scene"]["alerted"] == report["scene"]["events"] >= 1
    for hop in HOPS:
        assert 0 <= report[hop]["p50"] <= report[hop]["p95"] <= report[hop]["max"]
    # The state is kept, and the center's own commands take it.
    checked = subprocess.run(
        [BIN / "command-center", "check", "--state", tmp_path / "state"], capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0, checked.stderr
    for part in ("relay", "node"):
        sound = subprocess.run(
            [BIN / "alert-relay", "check", "--state", tmp_path / "state" / part],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert sound.returncode == 0, sound.stdout + sound.stderr


@pytest.mark.data
@pytest.mark.skipif(not (DATA_DIR / "vtest_480x360.avi").exists(), reason=f"no real footage in {DATA_DIR}")
def test_the_same_pipeline_runs_real_footage_with_real_weights(tmp_path: Path) -> None:
    done, report = demo("--for", "25", "--state", str(tmp_path / "state"), "--camera", str(DATA_DIR / "vtest_480x360.avi"), "--model",
                        str(DATA_DIR / "yolo11n_int8_320.onnx"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert report["alerts_spooled"] >= 1, "every frame of this clip has pedestrians in the zone"
    assert report["alerts_acknowledged"] == report["alerts_spooled"]
    assert report["duplicates_shown"] == 0


def test_a_person_can_sign_in_and_ctrl_c_stops_everything(tmp_path: Path) -> None:
    process = subprocess.Popen([BIN / "command-center", "demo", "--state", tmp_path / "state"], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONUNBUFFERED": "1"})  # fmt: skip
    assert process.stdout is not None
    said: dict[str, str] = {}
    try:
        for line in process.stdout:
            words = line.split()
            if line.startswith("    ") and len(words) >= 2:
                said[words[0]] = words[-1]
            if "password" in said:
                break
        with httpx.Client(base_url=said["console"], timeout=10) as client:
            signed = client.post("/api/v1/session", json={"username": said["sign"], "password": said["password"]})
            assert signed.status_code == 200, signed.text
            assert client.get("/").headers["content-type"].startswith("text/html")
            deadline = time.monotonic() + 30
            while not (incidents := client.get("/api/v1/incidents").json()["incidents"]):
                assert time.monotonic() < deadline, "no alert within 30 s"
                time.sleep(0.2)
            assert incidents[0]["precedence"] == "FLASH"
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=40)
    assert process.returncode == 0
    assert "all stopped" in rest
    with pytest.raises(httpx.TransportError):
        httpx.get(said["console"], timeout=2)
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True)
    assert not left.stdout, "processes are left over"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--for", "20", "--camera", "/no/such/clip.mp4"], "expected a file for --camera"),
        (["--for", "20", "--model", "/no/such/weights.onnx"], "expected a file for --model"),
        (["--for", "2"], "--for"),
    ],
)
def test_bad_wishes_are_refused_in_one_line(arguments: list[str], words: str) -> None:
    done, _ = demo(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_weights_that_are_none_are_refused_in_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "weights.onnx"
    bad.write_bytes(b"this is no model" * 100)
    done, _ = demo("--for", "20", "--state", str(tmp_path / "state"), "--model", str(bad))
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
