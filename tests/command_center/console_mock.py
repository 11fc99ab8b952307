"""A stand-in for the command center: it speaks the HTTP API that the console reads, and does what a test tells it.

To look at the console over it, run `console_story`.
"""

import json
import mimetypes
import struct
import threading
import time
import zlib
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from command_center.console import WEB_DIR

POLICY: Final = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
USERNAME: Final = "okafor"
PASSWORD: Final = "correct horse"
CSRF: Final = "csrf-of-the-mock"
SESSION: Final = {"username": USERNAME, "role": "dispatcher", "csrf": CSRF}
MAX_FAILED_SIGN_INS: Final = 5
NOTHING_YET: Final[dict[str, "Record"]] = {"/api/v1/units": {"units": []}, "/api/v1/places": {"places": []},
                                        "/api/v1/suppressions": {"suppressions": []}, "/api/v1/quality": {"sources": []},
                                        "/api/v1/nodes/waiting": {"waiting": []},
                                        "/api/v1/nodes/standby": {"address": "", "is_in_step": False, "why_not": "", "since_ms": None}}  # fmt: skip
"""What this stand-in has none of; the pages about it are tested with a real center."""

Record = dict[str, Any]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(kw_only=True)
class MockCenter:
    """The center's state outlives `stop` and `start`, as a real one's survives its process."""

    port: int = 0
    heartbeat_s: float = 1.0
    incidents: dict[int, Record] = field(default_factory=dict)
    nodes: dict[str, Record] = field(default_factory=dict)
    events: list[tuple[int, str, Record]] = field(default_factory=list)
    pictures: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    shelves: list[Record] = field(default_factory=list)
    timelines: dict[int, list[Record]] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    failed_sign_ins: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    _server: "_Server | None" = None
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        self._server = _Server(("127.0.0.1", self.port), _Handler, self)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="mock-center")
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and end the open streams."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        with self.changed:
            server.is_stopping = True
            self.changed.notify_all()
        server.shutdown()
        server.server_close()
        thread.join()
        self._server = self._thread = None

    @property
    def watermark(self) -> int:
        return self.events[-1][0] if self.events else 0

    def publish(self, name: str, value: Record) -> None:
        with self.changed:
            self.events.append((self.watermark + 1, name, json.loads(json.dumps(value))))
            self.changed.notify_all()

    def forget_events(self) -> None:
        """Make every id that was given so far too old to resume from, and end the open streams with `reset`."""
        with self.changed:
            self.events = [(self.watermark + 1000, "reset", {})]
            self.changed.notify_all()

    def add_incident(self, **facts: Any) -> Record:
        """A new incident, raised now unless `age_s` says otherwise."""
        number = len(self.incidents) + 1
        at_ms = now_ms() - int(facts.pop("age_s", 0) * 1000)
        incident: Record = {
            "id": number, "number": f"INC-2026-{number:06}", "version": 1, "state": "unacknowledged", "label": "handgun",
            "camera": "gate-2", "node": {"id": "n1", "name": "harbor-01", "site": "Harbor"}, "zone": "yard",
            "precedence": "FLASH", "confidence": 0.91, "rule": "class_of_interest", "alert_count": 1,
            "first_alert_at_ms": at_ms, "last_alert_at_ms": at_ms, "sighted_at_ms": at_ms - 140,
            "clock_quality": "SYNCHRONIZED", "snapshot_url": None, "box_xyxy": [0.45, 0.55, 0.53, 0.62],
            "acknowledged_by": None, "acknowledged_at_ms": None, "quarantined": False,
            "hops": {"sighting_to_spooled_ms": 11.4, "spooled_to_stored_ms": 38.2, "stored_to_receipt_ms": 3.1,
                     "acknowledged_to_node_ms": None},
        } | facts  # fmt: skip
        self.incidents[number] = incident
        self.timelines[number] = [
            {"at_ms": at_ms, "what": "alert", "who": incident["node"]["id"], "detail": "over ethernet"},
            {"at_ms": at_ms + 3, "what": "incident-opened", "who": "center", "detail": ""},
        ]
        self.publish("incident", incident)
        return incident

    def change_incident(self, number: int, **facts: Any) -> Record:
        incident = self.incidents[number]
        incident.update(facts, version=incident["version"] + 1)
        self.publish("incident", incident)
        return incident

    def acknowledge(self, number: int, who: str, *, quietly: bool = False) -> Record:
        """Somebody sees it; `quietly`: no event tells the consoles, as if it were still under way."""
        incident = self.incidents[number]
        incident.update(
            state="acknowledged", acknowledged_by=who, acknowledged_at_ms=now_ms(), version=incident["version"] + 1
        )
        self.timelines[number].append(
            {"at_ms": now_ms(), "what": "incident-acknowledged", "who": f"user:{who}", "detail": ""}
        )
        if not quietly:
            self.publish("incident", incident)
        return incident

    def put_node(self, name: str, **facts: Any) -> Record:
        age_s = facts.pop("age_s", 0.0)
        node: Record = {
            "id": name, "name": name, "role": "node", "site": "Harbor", "state": "live", "interval_s": 10,
            "last_heard_at_ms": now_ms() - int(age_s * 1000), "last_heard_age_ms": int(age_s * 1000), "gaps": [],
            "missing": 0, "forgone": 0, "backlog": [0, 0, 0, 0, 0], "oldest_waiting_s": 0,
            "cameras": [{"camera": "gate-2", "state": "seeing", "frames_per_s": 14.8, "detail": ""}],
            "paths": [{"path": "ethernet", "is_up": True, "rtt_ms": 1.9}], "model": "demonstration 1", "release": "0.1.0",
        } | facts  # fmt: skip
        self.nodes[name] = node
        self.publish("node", node)
        return node

    def add_picture(self, name: str, media_type: str, data: bytes) -> str:
        self.pictures[name] = (media_type, data)
        return f"/api/v1/snapshots/{name}"


def painted_picture(width: int = 160, height: int = 90) -> bytes:
    """A small PNG."""
    rows = b"".join(b"\0" + bytes((40 + y, 60 + y // 2, 90 - y // 3) * width) for y in range(height))

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", size) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], center: MockCenter) -> None:
        super().__init__(address, handler)
        self.center = center
        self.is_stopping = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that closes a connection is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    @property
    def center(self) -> MockCenter:
        return self.server.center

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass

    def do_GET(self) -> None:
        path, query = self._asked()
        if not path.startswith("/api/v1/"):
            self._static(path)
        elif path == "/api/v1/session":
            self._session()
        elif path == "/api/v1/session/ways":
            self._answer(HTTPStatus.OK, {"single_sign_on": None})
        elif not self._is_signed_in():
            self._answer(HTTPStatus.UNAUTHORIZED, {"detail": "sign in first"})
        elif path == "/api/v1/incidents":
            listed = [
                i for i in self.center.incidents.values() if query.get("state") == "all" or i["state"] != "closed"
            ]
            self._answer(HTTPStatus.OK, {"watermark": self.center.watermark, "incidents": listed})
        elif path in NOTHING_YET:
            self._answer(HTTPStatus.OK, NOTHING_YET[path])
        elif path.endswith("/response"):
            self._answer(HTTPStatus.OK, {"plans": [], "assignments": [], "units": [], "notes": [], "shares": []})
        elif path == "/api/v1/shelves":
            self._answer(HTTPStatus.OK, {"shelves": self.center.shelves})
        elif path.startswith("/api/v1/clips/"):
            self._picture(path.rpartition("/")[2])
        elif path == "/api/v1/nodes":
            self._answer(HTTPStatus.OK, {"nodes": list(self.center.nodes.values())})
        elif path == "/api/v1/events":
            self._stream(int(self.headers.get("Last-Event-ID") or query.get("after") or 0))
        elif path.startswith("/api/v1/snapshots/"):
            self._picture(path.rpartition("/")[2])
        else:
            number = int(path.rpartition("/")[2])
            whole = self.center.incidents[number] | {"alerts": [], "timeline": self.center.timelines[number]}
            self._answer(HTTPStatus.OK, whole)

    def do_POST(self) -> None:
        path, _ = self._asked()
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if path == "/api/v1/session":
            self._sign_in(body)
        elif not self._is_signed_in():
            self._answer(HTTPStatus.UNAUTHORIZED, {"detail": "sign in first"})
        elif self.headers.get("X-Heard-CSRF") != CSRF:
            self._answer(HTTPStatus.FORBIDDEN, {"detail": "the X-Heard-CSRF header is missing or wrong"})
        elif path == "/api/v1/shelves":
            self._shelve(body)
        else:
            _, number, verb = path.rsplit("/", 2)
            self._act(int(number), verb, body)

    def do_DELETE(self) -> None:
        path, _ = self._asked()
        if path.startswith("/api/v1/shelves/"):
            self.center.shelves = [
                shelf for shelf in self.center.shelves if str(shelf["id"]) != path.rpartition("/")[2]
            ]
            self.center.publish("shelves", {"shelves": self.center.shelves})
            self._answer(HTTPStatus.OK, {"shelves": self.center.shelves})
            return
        self.center.sessions.clear()
        self._answer(HTTPStatus.NO_CONTENT, None)

    def _asked(self) -> tuple[str, dict[str, str]]:
        self.center.asked.append(f"{self.command} {self.path}")
        parts = urlsplit(self.path)
        return parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}

    def _is_signed_in(self) -> bool:
        return any(f"heard_session={session}" in (self.headers.get("Cookie") or "") for session in self.center.sessions)

    def _session(self) -> None:
        if self._is_signed_in():
            self._answer(HTTPStatus.OK, SESSION)
        else:
            self._answer(HTTPStatus.UNAUTHORIZED, {"detail": "nobody is signed in"})

    def _sign_in(self, body: Record) -> None:
        if self.center.failed_sign_ins >= MAX_FAILED_SIGN_INS:
            self._answer(HTTPStatus.TOO_MANY_REQUESTS, {"detail": "too many failed sign-ins"})
        elif (body.get("username"), body.get("password")) != (USERNAME, PASSWORD):
            self.center.failed_sign_ins += 1
            self._answer(HTTPStatus.UNAUTHORIZED, {"detail": "wrong username or password"})
        else:
            session = f"session{len(self.center.sessions) + 1}"
            self.center.sessions.add(session)
            cookie = f"heard_session={session}; HttpOnly; SameSite=Strict; Path=/"
            self._answer(HTTPStatus.OK, SESSION, {"Set-Cookie": cookie})

    def _shelve(self, body: Record) -> None:
        node = {"id": body["node"], "name": "harbor-01", "site": "Harbor"}
        shelf = {"id": len(self.center.shelves) + 1, "by": USERNAME, "at_ms": now_ms(), "agreed_by": None, "node": node,
                 "until_ms": now_ms() + body.pop("minutes") * 60_000}  # fmt: skip
        self.center.shelves.append(body | shelf)
        self.center.publish("shelves", {"shelves": self.center.shelves})
        for number, incident in self.center.incidents.items():
            if incident["label"] == body["label"] and incident["precedence"] != "FLASH":
                self.center.change_incident(number, quiet="shelved")
        self._answer(HTTPStatus.CREATED, {"shelves": self.center.shelves})

    def _act(self, number: int, verb: str, body: Record) -> None:
        incident = self.center.incidents[number]
        if body["version"] != incident["version"]:
            self._answer(HTTPStatus.CONFLICT, {"detail": "somebody else was first", "incident": incident})
        elif verb == "close" and incident["state"] != "acknowledged":
            self._answer(HTTPStatus.CONFLICT, {"detail": "expected it acknowledged", "incident": incident})
        elif verb == "acknowledge":
            self._answer(HTTPStatus.OK, self.center.acknowledge(number, USERNAME))
        elif verb == "merge":
            into = self.center.incidents[body["into"]]
            self.center.change_incident(body["into"], parts=[*into.get("parts", []), number])
            self._answer(HTTPStatus.OK, self.center.change_incident(number, merged_into=body["into"]))
        elif verb == "unmerge":
            into = self.center.incidents[incident["merged_into"]]
            self.center.change_incident(into["id"], parts=[part for part in into["parts"] if part != number])
            self._answer(HTTPStatus.OK, self.center.change_incident(number, merged_into=None))
        else:
            facts = {"disposition": body["disposition"], "note": body["note"], "closed_by": USERNAME}
            self._answer(HTTPStatus.OK, self.center.change_incident(number, state="closed", **facts))

    def _stream(self, after: int) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b": hello\n\n")
        oldest = self.center.events[0][0] if self.center.events else 0
        if after and after < oldest - 1:
            self.wfile.write(b"event: reset\ndata: {}\n\n")
            return
        while not self.server.is_stopping:
            with self.center.changed:
                new = [event for event in self.center.events if event[0] > after]
                if not new and not self.server.is_stopping:
                    self.center.changed.wait(self.center.heartbeat_s)
            for number, name, value in new:
                self.wfile.write(f"id: {number}\nevent: {name}\ndata: {json.dumps(value)}\n\n".encode())
                after = number
            if not new:
                self.wfile.write(b": heartbeat\n\n")

    def _picture(self, name: str) -> None:
        self._send(HTTPStatus.OK, *self.center.pictures[name])

    def _static(self, path: str) -> None:
        file = WEB_DIR / (path.lstrip("/") or "index.html")
        if not file.resolve().is_relative_to(WEB_DIR) or not file.is_file():
            self._answer(HTTPStatus.NOT_FOUND, {"detail": "no such file"})
            return
        self._send(HTTPStatus.OK, mimetypes.guess_type(file.name)[0] or "", file.read_bytes())

    def _answer(self, status: HTTPStatus, value: Record | None, headers: dict[str, str] | None = None) -> None:
        self._send(status, "application/json", b"" if value is None else json.dumps(value).encode(), headers)

    def _send(self, status: HTTPStatus, media_type: str, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": media_type, "Content-Security-Policy": POLICY} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
