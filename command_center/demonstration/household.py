"""Sets up and runs a command center, a site relay and a camera node as three processes, enrolled by the real commands.

Everything that it makes lies under one state folder, which is the command center's own (so every ``command-center`` command
takes the same ``--state``), with the others' below it: ``relay/``, ``node/``, ``model/``, ``logs/``. A folder that holds an earlier
run is taken up again, keys, spool and all.
"""

import contextlib
import json
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import httpx

from command_center.errors import DemonstrationFailed
from models.demonstration import SCENE_FILE, WEIGHTS_FILE
from relay.identity import Identity

BIN_DIR: Final = Path(sys.executable).parent
START_WITHIN_S: Final = 60.0
STOP_WITHIN_S: Final = 15.0
USERNAME: Final = "dispatcher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the person asked for."""

    state_dir: Path
    camera: str = ""
    """A file, an rtsp:// address or a /dev/video device; empty: the rendered scene."""
    model: str = ""
    """ONNX weights or a .heardmodel bundle; empty: the demonstration detector."""
    signers: str = ""
    """Whose bundles are trusted, for a bundle of one's own."""
    is_watching: bool = True
    """False: the node has no camera and raises only what other programs emit."""
    fallback_deadline_s: float = 20
    """After which the node acts locally."""
    http_port: int = 0
    """For the console, where it is free; 0: any."""


def free_port(preferred: int = 0) -> int:
    """A TCP port on the loopback that nobody listens on now: the preferred one where it is free."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found: int = probe.getsockname()[1]
                return found
    raise DemonstrationFailed("expected a free TCP port on 127.0.0.1, found none")


class Household:
    """The three processes and where their things are."""

    def __init__(self, wishes: Wishes, *, http_port: int, center_port: int, relay_port: int) -> None:
        self.wishes = wishes
        root_dir = wishes.state_dir.absolute()
        self.center_dir = root_dir
        self.relay_dir = root_dir / "relay"
        self.node_dir = root_dir / "node"
        self.model_dir = root_dir / "model"
        self.logs_dir = root_dir / "logs"
        self.url = f"http://127.0.0.1:{http_port}"
        self.password = ""
        self._http = f"127.0.0.1:{http_port}"
        self._center_endpoint = f"tls://127.0.0.1:{center_port}"
        self._relay_endpoint = f"tcp://127.0.0.1:{relay_port}"
        self._stack = contextlib.ExitStack()
        self._orders: dict[str, list[str | Path]] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @classmethod
    @contextlib.contextmanager
    def running(cls, wishes: Wishes) -> Iterator["Household"]:
        """All three run, enrolled, while the block runs; all stop with it, the camera first.

        Raises:
            DemonstrationFailed: a step did not work; names the step and the log to look at.
        """
        household = cls(wishes, http_port=free_port(wishes.http_port), center_port=free_port(), relay_port=free_port())
        with household._stack:
            household._start()
            yield household

    # ------------------------------------------------------------------ the steps

    def _start(self) -> None:
        for folder_dir in (self.center_dir, self.relay_dir, self.node_dir, self.model_dir, self.logs_dir):
            folder_dir.mkdir(parents=True, exist_ok=True)
        self._make_center()
        self._run_process("center", "command-center", "run", "--state", str(self.center_dir))
        self._wait_until_ready()
        self._enroll("site-relay", "relay", "alert-relay", self.relay_dir)
        self._write_relay_config()
        self._run_process("relay", "alert-relay", "run", "--config", str(self.relay_dir / "relay.toml"), "--log-json")
        self._enroll("gate-camera", "camera", "camera-node", self.node_dir)
        self._write_node_config(is_watching=self.wishes.is_watching)
        self._run_process("node", "camera-node", "run", "--config", str(self.node_dir / "node.toml"))
        self._wait_for_door("node", self.node_dir)

    def _make_center(self) -> None:
        password_file = self.center_dir / "demo-password"
        if not (self.center_dir / "authority.key").exists():
            self._command("command-center", "init", "--state", str(self.center_dir))
            self.password = secrets.token_urlsafe(12)
            password_file.touch(mode=0o600)
            password_file.write_text(self.password + "\n", encoding="ascii")
            self._command("command-center", "user", "add", USERNAME, "--role", "dispatcher", "--password-file",
                          str(password_file), "--state", str(self.center_dir))  # fmt: skip
        self.password = password_file.read_text(encoding="ascii").strip()
        # A short window keeps the demonstration's queue lively: the scene shows somebody else every seven seconds.
        (self.center_dir / "center.toml").write_text(
            f'http = "{self._http}"\nlisten = ["{self._center_endpoint}"]\n\n[incidents]\nwindow_s = 8\n',
            encoding="ascii",
        )

    def _wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + START_WITHIN_S
        while time.monotonic() < deadline_s:
            self.require_all_alive()
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            time.sleep(0.05)
        raise DemonstrationFailed(
            f"the command center was not ready within {START_WITHIN_S:.0f} s: {self._log_hint('center')}"
        )

    def _wait_for_door(self, name: str, state_dir: Path) -> None:
        deadline_s = time.monotonic() + START_WITHIN_S
        while not (state_dir / "door.sock").exists():
            self.require_all_alive()
            if time.monotonic() > deadline_s:
                raise DemonstrationFailed(
                    f"the {name} was not up within {START_WITHIN_S:.0f} s: {self._log_hint(name)}"
                )
            time.sleep(0.02)

    def _enroll(self, name: str, role: str, program: str, state_dir: Path) -> None:
        if (state_dir / "enrollment.msgpack").exists():
            return
        invited = self._command("command-center", "node", "invite", name, "--role", role, "--site", "yard", "--approved",
                                "--url", self.url, "--state", str(self.center_dir))  # fmt: skip
        code = re.search(r"HEARD1-[A-Z2-7]+", invited)
        if code is None:
            raise DemonstrationFailed(
                f"expected an enrollment code from `command-center node invite`, found: {invited!r}"
            )
        self._command(program, "enroll", code.group(), "--state", str(state_dir))

    def _write_relay_config(self) -> None:
        (self.relay_dir / "relay.toml").write_text(
            f'''state_dir = "."
heartbeat_interval_s = 5

[[listen]]
endpoint = "{self._relay_endpoint}"

[[path]]
name = "broadband"
kind = "tls"
endpoint = "{self._center_endpoint}"
peer = "command-center"
provider = "loopback"
''',
            encoding="utf-8",
        )

    def _write_node_config(self, *, is_watching: bool) -> None:
        (self.node_dir / "node.toml").write_text(
            f'''state_dir = "."

[[path]]
name = "site"
endpoint = "{self._relay_endpoint}"
peer = "site-relay"
provider = "loopback"
{self._camera_lines() if is_watching else ""}
[heartbeat]
interval_s = 3

[fallback]
deadline_s = {self.wishes.fallback_deadline_s}
command = ["/bin/sh", "-c", "echo \\"nobody heard: $HEARD_LABEL at $HEARD_CAMERA\\" >> fallback.log"]

[model]
{self._model_lines()}
''',
            encoding="utf-8",
        )

    def _camera_lines(self) -> str:
        camera = self.wishes.camera or str(SCENE_FILE)
        is_file = "://" not in camera and not camera.startswith("/dev/")
        return f"""
[[camera]]
name = "gate"
source = {json.dumps(str(Path(camera).absolute()) if is_file else camera)}
loop = {"true" if is_file else "false"}

[[camera.zone]]
name = "yard"
polygon = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
{_RULES_FOR_ANY_MODEL if self.wishes.model else ""}"""

    def _model_lines(self) -> str:
        wish = self.wishes.model
        if wish.endswith(".heardmodel"):
            return f"bundle_file = {json.dumps(str(Path(wish).absolute()))}\nsigners_file = {json.dumps(self.wishes.signers)}"
        if wish:
            return f"weights_file = {json.dumps(str(Path(wish).absolute()))}"
        bundle_file, signers_file = self.model_dir / "demonstration.heardmodel", self.model_dir / "signers"
        if not bundle_file.exists():
            key_file = self.model_dir / "signing.key"
            if not key_file.exists():
                Identity.generate().save(key_file)
            made = self._command(
                "model-bundle", "pack", str(WEIGHTS_FILE), "--to", str(bundle_file), "--key", str(key_file), "--name",
                "demonstration-detector", "--version", "1.0.0", "--labels", "person,handgun,long_gun", "--license",
                "AGPL-3.0", "--data-source", "rendered pictures", "--height", "384", "--width", "640",
            )  # fmt: skip
            signer = re.search(r"\b[0-9a-f]{64}\b", made)
            if signer is None:
                raise DemonstrationFailed(f"expected the signer's key from `model-bundle pack`, found: {made!r}")
            signers_file.write_text(f"{signer.group()}  # made for the demonstration\n", encoding="ascii")
        return f"bundle_file = {json.dumps(str(bundle_file))}\nsigners_file = {json.dumps(str(signers_file))}"

    # ------------------------------------------------------------------ processes

    def watch_nothing(self) -> None:
        """Restart the node without its camera: it raises nothing more, and still sends and hears."""
        self.stop("node")
        self._write_node_config(is_watching=False)
        self.start("node")
        self._wait_for_door("node", self.node_dir)

    def require_all_alive(self) -> None:
        """Refuse to go on when a process has ended by itself.

        Raises:
            DemonstrationFailed: names it and its log.
        """
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise DemonstrationFailed(
                    f"the {name} process ended with code {process.returncode}: {self._log_hint(name)}"
                )

    def node_status(self) -> dict[str, object]:
        """What ``camera-node status --json`` says."""
        status: dict[str, object] = json.loads(
            self._command("camera-node", "status", "--json", "--last", "100000", "--state", str(self.node_dir))
        )
        return status

    def start(self, name: str) -> None:
        """Start ``center``, ``relay`` or ``node`` again."""
        log: IO[bytes] = (self.logs_dir / f"{name}.log").open("ab")
        with log:  # the child keeps its own copy; Ctrl-C reaches the demonstration alone
            self._processes[name] = subprocess.Popen(
                self._orders[name], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def stop(self, name: str) -> None:
        """Ask a process to end, and wait."""
        process = self._processes.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            print(f"the {name} process did not stop within {STOP_WITHIN_S:.0f} s and was killed", file=sys.stderr)

    def kill(self, name: str) -> int:
        """SIGKILL a process where it stands, as a power cut would; returns its exit code (-9 if the kill is what ended it)."""
        process = self._processes.pop(name)
        process.kill()
        return process.wait()

    def _run_process(self, name: str, program: str, *arguments: str) -> None:
        self._orders[name] = [BIN_DIR / program, *arguments]
        self._stack.callback(self.stop, name)
        self.start(name)

    def _command(self, program: str, *arguments: str) -> str:
        done = subprocess.run([BIN_DIR / program, *arguments], capture_output=True, text=True, timeout=60, check=False,
                              stdin=subprocess.DEVNULL)  # fmt: skip
        if done.returncode != 0:
            shown = " ".join(word if not word.startswith("HEARD1-") else "HEARD1-…" for word in arguments)
            raise DemonstrationFailed(f"`{program} {shown}` failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def _log_hint(self, name: str) -> str:
        log_file = self.logs_dir / f"{name}.log"
        tail = log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] or ["nothing"]
        return f"its log {log_file} ends with: {tail[0]}"


_RULES_FOR_ANY_MODEL: Final = """
[[camera.rule]]
kind = "class_of_interest"

[[camera.rule]]
kind = "zone_intrusion"
zones = ["yard"]
"""
