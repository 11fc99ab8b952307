"""The three programs, each with what it needs to run: the package, and the words of its command line."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from relay.passport import Role
from tests.camera_node.house import House as CameraHouse
from tests.camera_node.tiny_onnx import always_sees
from tests.relay.house import House

ROOT: Final = Path(__file__).parents[2]


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


PROGRAMS: Final[tuple[Callable[[Path], list[str]], ...]] = (relay, node, center)
"""Each makes its own folder ready."""
