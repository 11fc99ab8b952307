"""A center and its standby: two state folders, as on two machines, and the processes on them."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from command_center.demonstration.household import BIN_DIR, free_port
from relay.identity import Identity

PASSPHRASE = "kept in the safe of the station"


def tool(*args: str | Path, code: int = 0) -> str:
    """Run ``command-center`` and return what it says."""
    done = subprocess.run([BIN_DIR / "command-center", *args], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


class Pair:
    """Two folders with the same keys; ``a`` leads first."""

    def __init__(self, root_dir: Path) -> None:
        self.a_dir, self.b_dir = root_dir / "a", root_dir / "b"
        self.a_port, self.b_port = free_port(), free_port()
        tool("init", "--state", self.a_dir)
        passphrase_file = root_dir / "passphrase"
        passphrase_file.write_text(PASSPHRASE)
        sealed = ("--passphrase-file", passphrase_file)
        tool("backup", "--state", self.a_dir, "--to", root_dir / "backup", *sealed)
        tool("restore", root_dir / "backup", "--state", self.b_dir, *sealed)
        self.configure(self.a_dir, address=self.b_port, listen=self.a_port)
        self.configure(self.b_dir, address=self.a_port, listen=self.b_port)

    @staticmethod
    def configure(state_dir: Path, *, address: int, listen: int) -> None:
        file = state_dir / "center.toml"
        said = f'[standby]\naddress = "127.0.0.1:{address}"\nlisten = "127.0.0.1:{listen}"\nwait_s = 5.0\n'
        file.write_text(file.read_text().replace("[standby]\n", said))

    @property
    def identity(self) -> Identity:
        return Identity.load(self.a_dir / "identity.key")


def is_in_step(state_dir: Path) -> bool:
    return bool(json.loads(tool("status", "--json", "--state", state_dir))["standby"] == "in step")


def wait_until_in_step(state_dir: Path, within_s: float = 60) -> None:
    end_s = time.monotonic() + within_s
    while not is_in_step(state_dir):
        assert time.monotonic() < end_s, tool("status", "--state", state_dir)
        time.sleep(0.2)


@contextlib.contextmanager
def process(*args: str | Path, says: bytes) -> Iterator[subprocess.Popen[bytes]]:
    """``command-center`` with these arguments, from its first line on; killed at the end."""
    started = subprocess.Popen([BIN_DIR / "command-center", *args], stdout=subprocess.PIPE)
    try:
        assert started.stdout is not None
        assert says in started.stdout.readline()
        yield started
    finally:
        started.kill()
        started.wait(20)
        assert started.stdout is not None
        started.stdout.close()


def leading(
    state_dir: Path, endpoint: str, http_port: int = 0
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    return process("run", "--state", state_dir, "--listen", endpoint, "--http", f"127.0.0.1:{http_port or free_port()}",
                   "--log-level", "error", says=b"Console")  # fmt: skip


def following(state_dir: Path, *more: str) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    return process("follow", "--state", state_dir, "--log-level", "error", *more, says=b"Following")
