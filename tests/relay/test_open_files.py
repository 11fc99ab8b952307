"""A process that has no more files to open makes no new connection, says so, and goes on: libzmq would end it on the spot."""

import asyncio
import contextlib
import resource
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Final

import pytest

from relay import open_files
from relay.counters import Counters
from relay.crew import crew
from relay.paths.zeromq import ZeroMqListen
from tests.relay.house import until
from tests.relay.test_zeromq import FACTS, LISTENER, Heard

_DIALER: Final = """
import asyncio, os, resource, sys
import structlog
from relay import open_files
from relay.paths import zeromq
from tests.relay import path_end

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

attempt = zeromq.ZeroMqDial._one_connection

async def attempt_with_two_files_left(*given):
    # as where a thousand other connections were made a moment before
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1 + 2, hard))
    zeromq.ZeroMqDial._one_connection = attempt
    await attempt(*given)

zeromq.ZeroMqDial._one_connection = attempt_with_two_files_left

def told(_, __, event):
    if "open files" in str(event.get("error")):
        path_end.tell("scarce", event["error"])
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    raise structlog.DropEvent

if sys.argv.pop() == "blind":
    open_files.lacking_room = lambda: ""
structlog.configure(processors=[told])
asyncio.run(path_end.main())
"""


async def dialed(how: str) -> tuple[str, int | None]:
    """What a dialer told that had hardly a file left, until it was up or dead; and how it ended, None while it runs."""
    listener, heard = (
        ZeroMqListen(facts=FACTS, endpoint="tcp://localhost:0", identity=LISTENER, counters=Counters()),
        Heard(),
    )
    async with crew() as members:
        members.start(listener.run(heard), "listen")
        await listener.is_listening.wait()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _DIALER, "dial", listener.endpoint, how, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )  # fmt: skip
        await until(lambda: bool(heard.sessions) or process.returncode is not None, "a session, or its end", 60)
        ended = process.returncode
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        told, _ = await process.communicate()
        return told.decode(), ended


async def test_without_a_file_left_no_connection_is_made_until_there_is_room_again() -> None:
    told, ended = await dialed("looks")
    assert ended is None
    assert "scarce expected room for" in told


async def test_libzmq_would_end_the_process() -> None:
    """Why it is looked first; once a libzmq reports it instead, ``open_files.lacking_room`` may go."""
    _, ended = await dialed("blind")
    assert ended == -signal.SIGABRT


def test_a_service_takes_what_the_system_allows_it() -> None:
    script = (
        "import resource; _, hard = resource.getrlimit(resource.RLIMIT_NOFILE); resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard));"
        "from relay import open_files; print(open_files.raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE), open_files.lacking_room())"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert told == [str(hard)] * 3


@pytest.mark.parametrize("tells_its_size", [True, False], ids=["since Linux 6.2", "before"])
def test_room_is_what_the_limit_leaves(tells_its_size: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    open_now = [*open_files._FILES_DIR.iterdir()]
    size = len(open_now) if tells_its_size else 0
    folder = SimpleNamespace(stat=lambda: SimpleNamespace(st_size=size), iterdir=lambda: iter(open_now))
    monkeypatch.setattr(open_files, "_FILES_DIR", folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert not open_files.lacking_room()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(open_now) + open_files.CONNECTION - 1, hard))
        assert f"found {len(open_now)} open" in open_files.lacking_room()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
