"""Debian's coturn on the loopback, with short-lived credentials, as ``docs/installer.md`` sets it up."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

SECRET = "a shared secret that is long enough"
PROGRAM = shutil.which("turnserver", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def coturn(folder: Path) -> Iterator[int]:
    """Runs for the block; gives its port. Loopback peers are only for tests: on a real server they are a hole."""
    assert PROGRAM is not None
    port = free_port()
    # `-n` would ignore the file and run open, without any credentials.
    (folder / "turnserver.conf").write_text(
        f"listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nlistening-port={port}\nuse-auth-secret\nstatic-auth-secret={SECRET}\n"
        f"realm=center.example\nno-tls\nno-dtls\nno-cli\nallow-loopback-peers\nlog-file={folder}/turn.log\nsimple-log\n"
        f"pidfile={folder}/turn.pid\nuserdb={folder}/turn.sqlite\nfingerprint\n"
    )
    (folder / "turn.secret").write_text(SECRET)
    with subprocess.Popen(
        [PROGRAM, "-c", str(folder / "turnserver.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            else:
                raise AssertionError("coturn does not listen")
            yield port
        finally:
            process.terminate()
