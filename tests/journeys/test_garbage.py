"""The three programs as they are started: none of them lets an alert wait while Python looks through all that it has loaded."""

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from relay import garbage
from relay.passport import Role
from tests.camera_node.house import House as CameraHouse
from tests.camera_node.tiny_onnx import always_sees
from tests.relay.house import House

ROOT = Path(__file__).parents[2]
_TELLS_WHEN_IT_IS_DONE = """
import gc, json
set_threshold = gc.set_threshold

def tell(*numbers):
    set_threshold(*numbers)
    told = {"thresholds": gc.get_threshold(), "set_apart": gc.get_freeze_count(), "left": len(gc.get_objects())}
    print(json.dumps(told), flush=True)

gc.set_threshold = tell
"""


def relay(folder: Path) -> list[str]:
    house = House.of(folder, {"center": Role.CENTER, "relay": Role.RELAY})
    (folder / "relay.toml").write_text(
        f'state_dir = "{house.dir_of("relay")}"\nlisten = [{{ endpoint = "tcp://127.0.0.1:0" }}]\n'
    )
    return ["relay", "run", "--config", str(folder / "relay.toml")]


def node(folder: Path) -> list[str]:
    state_dir = CameraHouse(folder).enroll_camera()
    (folder / "tiny.onnx").write_bytes(always_sees("handgun"))
    (folder / "node.toml").write_text(
        f'state_dir = "{state_dir}"\n[model]\nweights_file = "tiny.onnx"\nthreads = 1\n'
        '[[camera]]\nname = "gate"\nsource = "none.mp4"\n'
    )
    return ["camera_node", "run", "--config", str(folder / "node.toml")]


def center(folder: Path) -> list[str]:
    state = str(folder / "center")
    subprocess.run([sys.executable, "-c", "from command_center.cli import main; main()", "init", "--http", "127.0.0.1:0", "--state", state],
                   cwd=ROOT, check=True, capture_output=True)  # fmt: skip
    return ["command_center", "run", "--state", state, "--listen", "tcp://127.0.0.1:0"]


@pytest.mark.parametrize("program", [relay, node, center], ids=lambda program: program.__name__)
def test_what_a_program_has_loaded_is_never_looked_through_again(
    program: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    package, *words = program(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", f"{_TELLS_WHEN_IT_IS_DONE}\nfrom {package}.cli import main; main()", *words],
                               cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # fmt: skip
    try:
        assert process.stdout is not None
        told = json.loads(next(line for line in process.stdout if line.startswith("{")))
    finally:
        process.kill()
        process.communicate()
    assert tuple(told["thresholds"]) == garbage.THRESHOLDS
    assert told["set_apart"] > 20_000
    assert told["left"] < told["set_apart"] / 4


def test_cycles_are_still_found() -> None:
    script = (
        "import gc, weakref\nfrom relay import garbage\ngarbage.spare_alerts_the_search()\n"
        "class Session: pass\n"
        "first = Session(); first.self = first; gone = weakref.ref(first); del first\n"
        "kept = []\n"
        "while gone() is not None and len(kept) < 100_000: kept.append([])\n"
        "print(gone() is None, gc.isenabled())"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert told.split() == ["True", "True"]
    assert gc.get_threshold() != garbage.THRESHOLDS  # this process's own numbers are not touched by importing it
