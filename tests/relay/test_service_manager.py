"""sd_notify over a real datagram socket, as systemd has it."""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import hardware
from relay.service_manager import ServiceManager

UNITS = Path(hardware.__file__).parent / "systemd"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        address = str(tmp_path / "notify")
        listener.bind(address)
        listener.settimeout(10)
        yield listener, {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}


async def told(listener: socket.socket) -> str:
    return (await asyncio.to_thread(listener.recv, 4096)).decode()


async def test_ready_then_alive_and_silent_about_life_when_it_is_not_well(
    manager: tuple[socket.socket, dict[str, str]],
) -> None:
    listener, environment = manager
    problems = iter(["", "the spool\ndoes not answer", ""])

    async def is_well() -> str:
        return next(problems, "")

    ours, stop = ServiceManager(environment), asyncio.Event()
    assert ours.watchdog_s == 1.5
    task = asyncio.create_task(ours.keep_told_until(stop, is_well))
    assert await told(listener) == "READY=1\nSTATUS=running"
    assert (await told(listener)).startswith("WATCHDOG=1")
    assert await told(listener) == "STATUS=the spool does not answer"
    assert (await told(listener)).startswith("WATCHDOG=1")
    stop.set()
    await task
    assert "STOPPING=1" in await told(listener)


async def test_a_program_that_hangs_does_not_feed_the_watchdog(manager: tuple[socket.socket, dict[str, str]]) -> None:
    listener, environment = manager
    environment["WATCHDOG_USEC"] = "600000"

    async def is_well() -> str:
        await asyncio.sleep(60)
        return ""

    task = asyncio.create_task(ServiceManager(environment).keep_told(is_well))
    try:
        assert "READY" in await told(listener)
        assert (await told(listener)).startswith("STATUS=no answer within")
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_without_a_service_manager_nothing_is_said_and_one_that_is_gone_breaks_nothing(tmp_path: Path) -> None:
    assert not ServiceManager({}).say(READY="1")
    assert ServiceManager({"WATCHDOG_USEC": "1000000"}).watchdog_s is None
    assert not ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).say(READY="1")
    another = {"NOTIFY_SOCKET": "x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    assert ServiceManager(another).watchdog_s is None


def test_an_abstract_address_is_one_with_a_zero_byte() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        name = f"heard-test-{os.getpid()}"
        listener.bind(f"\0{name}")
        assert ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).say(READY="1")
        assert listener.recv(100) == b"READY=1"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.service")), ids=lambda unit: unit.name)
def test_the_units_are_understood_by_systemd(unit: Path, tmp_path: Path) -> None:
    """Its program and user are not on this machine: /bin/true and root stand for them."""
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE)
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"^(User|Group)=.*$", r"\1=root", text, flags=re.MULTILINE))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60)
    said = [line for line in done.stderr.splitlines() if unit.name in line]
    assert not said, done.stderr
    assert "Type=notify" in text
    assert "WatchdogSec=" in text
