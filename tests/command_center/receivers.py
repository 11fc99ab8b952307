"""Receivers of callbacks, and a field unit's server: real HTTP on a thread, which answers as a test tells it and keeps what it was sent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from command_center.callbacks.kinds import Options
from command_center.commands import CallbackAdd
from tests.command_center.house import House


@dataclass(frozen=True, kw_only=True)
class Got:
    """One request."""

    headers: dict[str, str]
    body: bytes


@dataclass(kw_only=True)
class Unit:
    """What the server is to answer, and what it was sent."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    """Answered one after the other; then 204."""
    headers: dict[str, str] = field(default_factory=dict)
    hang: threading.Event | None = None
    """Answers only when it is set."""
    got: list[Got] = field(default_factory=list)


@contextmanager
def listening() -> Iterator[Unit]:
    unit = Unit()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            unit.got.append(Got(headers={name.lower(): value for name, value in self.headers.items()}, body=body))
            if unit.hang is not None:
                unit.hang.wait(20)
            self.send_response(unit.statuses.pop(0) if unit.statuses else 204)
            for name, value in unit.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    unit.url = f"http://127.0.0.1:{server.server_address[1]}/heard"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="unit")
    thread.start()
    try:
        yield unit
    finally:
        if unit.hang is not None:
            unit.hang.set()
        server.shutdown()
        thread.join()
        server.server_close()


async def add(house: House, name: str, url: str, options: Options | None = None, *, inside: bool = True,
              only_called: bool = False, secret: bytes | None = None) -> str:  # fmt: skip
    """A receiver of any kind; returns the last line that an administrator is told."""
    outcome = await house.center.administration.perform(
        CallbackAdd(
            name=name,
            url=url,
            may_be_inside=inside,
            options=options or Options(),
            only_called=only_called,
            secret=secret,
        )
    )
    return outcome.lines[-1]
