"""The command line: what is made, what is refused, and in which words."""

import hashlib
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from relay.enrollment import Enrollment


def command(*arguments: str, state: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", "from command_center.cli import main; main()", *arguments, "--state", str(state)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> Path:
    state = tmp_path / "center"
    done = command("init", "--http", "127.0.0.1:0", state=state)
    assert done.returncode == 0, done.stderr
    return state


@pytest.fixture
def running(made: Path) -> Iterator[Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", "from command_center.cli import main; main()", "run", "--state", str(made),
         "--listen", "tcp://127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Console: http://127.0.0.1:")
    yield made
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0, output + errors
    assert "Traceback" not in errors


def one_line_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_init_makes_keys_that_only_the_owner_can_read_and_never_overwrites(made: Path) -> None:
    for name in ("authority.key", "identity.key"):
        assert (made / name).stat().st_mode & 0o777 == 0o600
    assert "never overwritten" in one_line_of(command("init", state=made))


def test_the_fingerprint_to_publish_is_told_at_the_start_and_later(tmp_path: Path) -> None:
    state = tmp_path / "center"
    told = re.search(r"Authority fingerprint ([0-9a-f]{64}): publish it", command("init", state=state).stdout)
    assert told is not None
    key = Enrollment.load(state).authority_signing_key
    assert told[1] == hashlib.sha256(key).hexdigest()
    assert json.loads(command("status", "--json", state=state).stdout)["authority_fingerprint"] == told[1]


def test_nothing_works_before_init(tmp_path: Path) -> None:
    for arguments in (
        ["run"],
        ["status"],
        ["check"],
        ["node", "list"],
        ["user", "add", "x", "--role", "auditor", "--generate"],
    ):
        assert "run command-center init" in one_line_of(command(*arguments, state=tmp_path / "none"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("nmae = 'x'\n", "unknown key 'nmae'"), ("[incidents]\nwindow = 3\n", "unknown key 'window' in [incidents]"),
     ("[incidents]\nwindow_s = -3\n", "window_s"), ("= 3", "expected TOML")],
)  # fmt: skip
def test_configuration_errors_name_the_key_and_the_file(made: Path, text: str, expected: str) -> None:
    (made / "center.toml").write_text(text)
    line = one_line_of(command("run", state=made))
    assert expected in line
    assert "center.toml" in line


def test_key_that_others_can_read_is_refused(made: Path) -> None:
    (made / "authority.key").chmod(0o644)
    assert "chmod 600" in one_line_of(command("run", state=made))


def test_taken_port_is_one_clear_line(made: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert "can't serve HTTP on" in one_line_of(command("run", "--http", address, state=made))
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        assert "5700" in (line := one_line_of(command("run", "--listen", endpoint, state=made))) or address in line


def test_commands_work_while_it_runs_and_while_it_does_not(running: Path) -> None:
    assert (running / "admin.sock").stat().st_mode & 0o777 == 0o600
    added = command("user", "add", "alice", "--role", "dispatcher", "--generate", state=running)
    assert added.returncode == 0, added.stderr
    assert "shown only now" in added.stdout
    assert "already" in one_line_of(command("user", "add", "alice", "--role", "auditor", "--generate", state=running))
    invited = command("node", "invite", "gate", "--role", "camera", "--site", "north", state=running)
    assert "camera-node enroll HEARD1-" in invited.stdout
    status = json.loads(command("status", "--json", state=running).stdout)
    assert status["url"].startswith("http://127.0.0.1:")
    assert command("check", state=running).returncode == 0
    assert "another process has" in one_line_of(command("run", "--http", "127.0.0.1:0", state=running))


def test_offline_commands_and_check_find_a_flipped_byte(made: Path) -> None:
    password_file = made / "password"
    password_file.write_text("long enough to be one\n")
    added = command("user", "add", "bob", "--role", "auditor", "--password-file", str(password_file), state=made)
    assert added.returncode == 0, added.stderr
    assert "bob" in command("user", "list", state=made).stdout
    password_file.write_text("short\n")
    short = command("user", "add", "eve", "--role", "auditor", "--password-file", str(password_file), state=made)
    assert "at least 12" in one_line_of(short)
    assert command("user", "disable", "bob", state=made).returncode == 0
    assert command("check", state=made).returncode == 0
    connection = sqlite3.connect(made / "center.sqlite")
    before = connection.execute("SELECT payload FROM entry WHERE id = 2").fetchone()[0]
    flipped = bytes([before[0] ^ 1]) + before[1:]
    connection.execute("UPDATE entry SET payload = ? WHERE id = 2", (flipped,))
    connection.commit()
    assert connection.execute("SELECT payload FROM entry WHERE id = 2").fetchone()[0] != before
    connection.close()
    done = command("check", state=made)
    assert done.returncode == 1
    assert "entry 2 (user-added, user:bob) was changed" in done.stdout


def test_killed_center_starts_again_with_everything_as_written(made: Path) -> None:
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", "from command_center.cli import main; main()", "run", "--state", str(made),
             "--listen", "tcp://127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Console:")
        process.kill()
        process.communicate()
    assert command("user", "list", state=made).returncode == 0  # a socket without a center behind it is no obstacle
    assert command("check", state=made).returncode == 0


def test_full_disk_is_one_clear_line_and_nothing_is_lost(made: Path) -> None:
    """A limit on file sizes stands in for the full disk: writes beyond it fail in the same place."""
    before = command("status", "--json", state=made).stdout
    room = (made / "center.sqlite").stat().st_size  # the file may not grow, and its log may hardly
    script = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({room // 64}, {room // 64})); "
    done = subprocess.run(
        [sys.executable, "-c", script + "from command_center.cli import main; main()", "user", "add", "zoe", "--role",
         "auditor", "--generate", "--state", str(made)], capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "free space there" in one_line_of(done)
    assert command("status", "--json", state=made).stdout == before
    assert command("check", state=made).returncode == 0


def test_center_stops_at_once_though_a_console_is_listening(made: Path) -> None:
    password_file = made / "password"
    password_file.write_text("long enough to be one")
    command("user", "add", "bob", "--role", "dispatcher", "--password-file", str(password_file), state=made)
    process = subprocess.Popen(
        [sys.executable, "-c", "from command_center.cli import main; main()", "run", "--state", str(made), "--listen",
         "tcp://127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    url = process.stdout.readline().split()[1]
    with httpx.Client(base_url=url) as client:
        client.post("/api/v1/session", json={"username": "bob", "password": "long enough to be one"}).raise_for_status()
        with client.stream("GET", "/api/v1/events") as answer:
            lines = answer.iter_lines()
            assert next(lines) == "retry: 1000"
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert list(lines) == [""]
            _, errors = process.communicate(timeout=20)
    assert time.monotonic() - started < 4
    assert (process.returncode, "Traceback" in errors) == (0, False), errors
