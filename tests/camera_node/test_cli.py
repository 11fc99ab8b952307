"""The commands as a person runs them: real processes, one clear line for each mistake."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.camera_node.clips import moving, write_clip
from tests.camera_node.house import House
from tests.camera_node.tiny_onnx import always_sees

ROOT = Path(__file__).parents[2]


def node(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", "from camera_node.cli import main; main()", *arguments], cwd=ROOT,
                          capture_output=True, text=True, timeout=60)  # fmt: skip


def config(tmp_path: Path, *, state_dir: Path, source: str = "clip.mp4", weights: str = "tiny.onnx") -> Path:
    file = tmp_path / "node.toml"
    file.write_text(
        f'state_dir = "{state_dir}"\n[[camera]]\nname = "gate"\nsource = "{source}"\nloop = true\n'
        f'[model]\nweights_file = "{weights}"\nthreads = 1\n'
    )
    return file


def assert_one_line(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, result.stderr
    for word in words:
        assert word in errors[0]


def test_mistakes_are_one_clear_line(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    (tmp_path / "wrong.onnx").write_bytes(b"not weights")
    (tmp_path / "tiny.onnx").write_bytes(always_sees("handgun"))
    write_clip(tmp_path / "clip.mp4", moving())
    assert_one_line(node("run", "--config", str(tmp_path / "none.toml")), "no such file")
    wrong = config(tmp_path, state_dir=state_dir, weights="wrong.onnx")
    assert_one_line(node("run", "--config", str(wrong)), "expected YOLO weights in ONNX")
    assert_one_line(
        node("run", "--config", str(config(tmp_path, state_dir=tmp_path / "new"))), "identity.key", "enroll"
    )
    assert_one_line(node("enroll", "HEARD1-GARBAGE", "--state", str(tmp_path / "x")), "code")
    assert_one_line(node("status", "--state", str(tmp_path / "x")), "no")


def test_check_says_what_is_well_and_what_is_not(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    (tmp_path / "tiny.onnx").write_bytes(always_sees("handgun"))
    write_clip(tmp_path / "clip.mp4", moving())
    well = node("check", "--config", str(config(tmp_path, state_dir=state_dir)))
    assert "ok    camera gate: sees" in well.stdout, well.stdout + well.stderr
    assert "ok    keys" in well.stdout
    assert "WRONG paths: expected at least one [[path]]" in well.stdout
    assert well.returncode == 1
    absent = node(
        "check", "--config", str(config(tmp_path, state_dir=state_dir, source="rtsp://u:geheim@127.0.0.1:9/x"))
    )
    assert "WRONG camera gate" in absent.stdout
    assert "geheim" not in absent.stdout + absent.stderr


def test_run_sees_status_tells_and_sigterm_stops(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    (tmp_path / "tiny.onnx").write_bytes(always_sees("handgun"))
    write_clip(tmp_path / "clip.mp4", moving())
    file = config(tmp_path, state_dir=state_dir)
    with subprocess.Popen([sys.executable, "-c", "from camera_node.cli import main; main()", "run", "--config", str(file)],
                          cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert "watches with tiny: gate" in process.stdout.readline()
            deadline = time.monotonic() + 20
            alerts: list[dict[str, object]] = []
            while not alerts and time.monotonic() < deadline:
                alerts = json.loads(node("status", "--state", str(state_dir), "--json").stdout)["alerts"]
            assert alerts[0]["level"] == "spooled"
            assert isinstance(alerts[0]["sighting_to_spooled_ms"], int)
            shown = node("status", "--state", str(state_dir))
            assert "handgun" in shown.stdout
            assert "unsigned" in shown.stdout
        finally:
            os.kill(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "Traceback" not in errors
        assert all(json.loads(line) for line in errors.splitlines())
    stopped = node("status", "--state", str(state_dir), "--json")
    assert json.loads(stopped.stdout)["alerts"][0]["label"] == "handgun"
