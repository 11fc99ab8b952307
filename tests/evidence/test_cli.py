"""``export`` and ``verify`` as a person types them, with the center stopped and running."""

import contextlib
import hashlib
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_center import commands
from relay.enrollment import Enrollment
from tests.command_center.test_cli import one_line_of
from tests.evidence.scene import picture, wrong_in

PROGRAM = [sys.executable, "-W", "error", "-c", "from command_center.entry import main; main()"]
DOOR_KNOWS = any(kind.__name__ == "EvidenceExport" for kind in typing.get_args(commands.Command))


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=60)


@contextlib.contextmanager
def running(center: Path) -> Iterator[None]:
    process = subprocess.Popen([*PROGRAM, "run", "--state", str(center), "--listen", "tcp://127.0.0.1:0"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Console: ")
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_export_then_verify_with_the_authority_that_it_names(center: Path) -> None:
    bag_zip = center.parent / "bag.zip"
    done = command("export", "INC-2026-000001", "2", "--to", bag_zip, "--state", center)
    assert done.returncode == 0, done.stderr
    assert "missing: media/" in done.stdout
    follow = done.stdout.splitlines()[-1].removeprefix("Check it: command-center ").split()
    checked = command(*follow)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "(the one expected)" in checked.stdout
    assert f"--authority {Enrollment.load(center).authority.published_fingerprint}" in done.stdout
    assert "all as written" in command("check", "--state", center).stdout
    data = bytearray(bag_zip.read_bytes())
    data[len(data) // 2] ^= 4
    bag_zip.write_bytes(data)
    broken = command("verify", bag_zip)
    assert broken.returncode == 1
    assert "WRONG   data/" in broken.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((), "only one of these"), (("1", "--all"), "only one of these"), (("seven",), "found 'seven'"), (("99",), "no incident 99"),
     (("--from", "yesterday"), "expected a time"), (("--camera", "none"), "nothing was exported")],
)  # fmt: skip
def test_refusals_say_what_to_do(center: Path, arguments: tuple[str, ...], expected: str) -> None:
    assert expected in one_line_of(command("export", *arguments, "--to", center.parent / "x.zip", "--state", center))
    assert not (center.parent / "x.zip").exists()


def test_verify_starts_without_a_whole_center() -> None:
    code = "import sys; sys.argv = ['command-center', 'verify', '/nothing']; from command_center.entry import main\ntry:\n main()\n"
    code += "except SystemExit as end:\n print(end.code, sorted({'fastapi', 'fpdf', 'httpx', 'PIL', 'zmq'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "1 []", done.stdout + done.stderr
    assert "REFUSED /nothing: can't be read" in done.stdout


def test_fetching_needs_a_running_center_and_a_node_that_answers(center: Path) -> None:
    bag_zip = center.parent / "bag.zip"
    arguments = ("export", "1", "--to", bag_zip, "--fetch", "--fetch-within", "1", "--state", center)
    assert "expected a running center, found none" in one_line_of(command(*arguments))
    with running(center):
        said = one_line_of(command(*arguments))
    assert "node gate (" in said
    assert "did not answer within 1 s" in said
    assert not bag_zip.exists()
    with sqlite3.connect(center / "center.sqlite") as connection:
        kinds = [row[0] for row in connection.execute("SELECT kind FROM entry WHERE kind LIKE 'export%' ORDER BY id")]
    connection.close()
    assert kinds == ["export-started", "export-failed"] * 2


def test_hold_retain_redact_on_the_command_line(center: Path) -> None:
    held = command("hold", "INC-2026-000001", "--reason", "case 7", "--state", center)
    assert "on hold" in held.stdout, held.stderr
    assert "case 7" in command("holds", "--state", center).stdout
    assert "not on hold" in one_line_of(command("release", "2", "--reason", "x", "--state", center))
    assert command("release", "1", "--reason", "closed", "--state", center).returncode == 0
    assert (
        "0 objects, 0 bytes would be deleted"
        in command("retain", "--days", "30", "--dry-run", "--state", center).stdout
    )
    assert "more than 0 days" in one_line_of(command("retain", "--days", "0", "--state", center))
    assert "nothing is redacted" in command("redact", "--state", center).stdout
    sha256 = hashlib.sha256(picture("first")).hexdigest()
    done = command("redact", sha256, "--region", "1,2,3,4", "--reason", "bystander", "--state", center)
    assert "with these regions black" in done.stdout, done.stderr
    assert "expected a region as" in one_line_of(
        command("redact", sha256, "--region", "1,2", "--reason", "x", "--state", center)
    )
    assert sha256 in command("redact", "--state", center).stdout
    assert "all as written" in command("check", "--state", center).stdout


def test_by_time_and_camera(center: Path) -> None:
    for number, arguments in enumerate(
        (["--camera", "cam9"], ["--from", "2026-09-21", "--until", "2026-09-22T00:00:00+00:00"])
    ):
        bag_zip = center.parent / f"{number}.zip"
        done = command("export", *arguments, "--to", bag_zip, "--state", center)
        assert done.returncode == 0, done.stderr
        assert wrong_in(bag_zip) == ""


@pytest.mark.skipif(not DOOR_KNOWS, reason="the running center's door does not take EvidenceExport")
def test_a_running_center_journals_the_export_itself(center: Path) -> None:
    bag_zip = center.parent / "bag.zip"
    with running(center):
        done = command("export", "--all", "--to", bag_zip, "--state", center)
        assert done.returncode == 0, done.stderr
        assert wrong_in(bag_zip) == ""
        assert "all as written" in command("check", "--state", center).stdout


def test_a_running_center_that_does_not_journal_it_lets_nothing_out(center: Path) -> None:
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(center / "admin.sock"))
        door.listen()

        def refuse() -> None:
            caller, _ = door.accept()
            with caller:
                caller.recv(1 << 16)
                caller.sendall(json.dumps({"error": "not a command", "exit_code": 1}).encode() + b"\n")

        answering = threading.Thread(target=refuse)
        answering.start()
        done = command("export", "1", "--to", center.parent / "x.zip", "--state", center)
        answering.join(10)
    assert "stop it and export again" in one_line_of(done)
    assert not (center.parent / "x.zip").exists()
