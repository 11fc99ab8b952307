"""A dispatcher who never sleeps: signs in, watches the event stream, acknowledges what comes. Public HTTP API only."""

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from command_center.errors import DemonstrationFailed


@dataclass(slots=True)
class Seen:
    """What the console showed."""

    incidents: dict[int, dict[str, Any]] = field(default_factory=dict)
    announced: dict[int, int] = field(default_factory=dict)
    """Incident id to the number of times that it appeared as new in the stream."""
    acknowledged: set[int] = field(default_factory=set)


class Dispatcher:
    """Runs on a thread of its own until told to stop."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=10)
        self._username = username
        self._password = password
        self._headers: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="dispatcher", daemon=True)
        self.seen = Seen()
        self.failure: Exception | None = None

    def __enter__(self) -> Self:
        self._sign_in()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=15)
        self._client.close()

    def _sign_in(self) -> None:
        reply = self._client.post("/api/v1/session", json={"username": self._username, "password": self._password})
        if reply.status_code != 200:
            raise DemonstrationFailed(f"signing in answered {reply.status_code}: {reply.text}")
        self._headers = {"X-Heard-CSRF": reply.json()["csrf"]}

    def _work(self) -> None:
        after = 0
        while not self._stop.is_set():
            try:
                first = (
                    self._client.get("/api/v1/incidents", params={"state": "all", "limit": 1000})
                    .raise_for_status()
                    .json()
                )
                for incident in first["incidents"]:
                    self._look_at(incident)
                after = max(after, int(first["watermark"]))
                after = self._follow(after)
            except httpx.TransportError:  # the center is restarting, or the stream was quiet for too long: look again
                time.sleep(0.2)
            except Exception as error:  # noqa: BLE001  handed to the main thread, which ends the demonstration with it
                self.failure = error
                return

    def _follow(self, after: int) -> int:
        with self._client.stream(
            "GET", "/api/v1/events", params={"after": after}, timeout=httpx.Timeout(10, read=15)
        ) as stream:
            stream.raise_for_status()
            event: dict[str, str] = {}
            for line in stream.iter_lines():
                if self._stop.is_set():
                    return after
                if line:
                    name, _, value = line.partition(":")
                    event[name] = value.removeprefix(" ")
                    continue
                if event.get("event") == "incident":
                    self._look_at(json.loads(event["data"]))
                elif event.get("event") == "reset":
                    return 0
                after = int(event.get("id") or after)
                event = {}
        return after

    def _look_at(self, incident: dict[str, Any]) -> None:
        number = int(incident["id"])
        known = self.seen.incidents.get(number)
        if known is None:
            self.seen.announced[number] = self.seen.announced.get(number, 0) + 1
        if known is None or incident["version"] >= known["version"]:
            self.seen.incidents[number] = incident
        if incident["state"] == "unacknowledged":
            self._acknowledge(incident)

    def _acknowledge(self, incident: dict[str, Any]) -> None:
        reply = self._client.post(f"/api/v1/incidents/{incident['id']}/acknowledge", json={"version": incident["version"]},
                                  headers=self._headers)  # fmt: skip
        if reply.status_code == 200:
            self.seen.acknowledged.add(int(incident["id"]))
            self.seen.incidents[int(incident["id"])] = reply.json()
        elif reply.status_code != 409:  # 409: it changed meanwhile; the stream brings the new version
            reply.raise_for_status()

    def alerts(self) -> list[dict[str, Any]]:
        """Every alert that the console shows, with its incident's id."""
        listed = self._client.get("/api/v1/incidents", params={"state": "all", "limit": 1000}).raise_for_status().json()
        found: list[dict[str, Any]] = []
        for incident in listed["incidents"]:
            detail = self._client.get(f"/api/v1/incidents/{incident['id']}").raise_for_status().json()
            found += [{**alert, "incident": incident["id"]} for alert in detail["alerts"]]
        return found
