"""Random acts of dispatchers, units and nodes on a running center: every answer is the model's, and everything can be rebuilt.

The center runs on its own thread; the machine speaks to its real API. At the end of each run the whole journal is replayed.
"""

import asyncio
import tempfile
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from command_center import check
from command_center.units.status import FOLLOWS, UnitStatus
from relay.header import Kind
from relay.kinds.retraction import Ground, Retraction
from relay.precedence import Precedence
from tests.command_center.house import House, Node, running_center

T = TypeVar("T")
UNITS = ("M21", "M22", "M23")
LABELS = ("handgun", "rifle", "knife")
STEPS = tuple(status for status in UnitStatus if status is not UnitStatus.ASSIGNED)


class Running:
    """A center on a thread of its own, and one signed-in dispatcher."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.is_up = threading.Event()
        self.house: House
        self.client: httpx.AsyncClient
        self._stop: asyncio.Event
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self._live(),), name="center")
        self.thread.start()
        assert self.is_up.wait(30), "the center did not start"

    async def _live(self) -> None:
        self._stop = asyncio.Event()
        async with (
            running_center(Path(self.folder.name) / "center") as self.house,
            self.house.signed_in() as self.client,
        ):
            self.is_up.set()
            await self._stop.wait()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self.thread.join(30)
        self.loop.close()
        self.folder.cleanup()


@dataclass
class ModelUnit:
    status: UnitStatus = UnitStatus.OUT_OF_SERVICE
    incident: int | None = None
    version: int = 1


@dataclass
class ModelIncident:
    state: str = "unacknowledged"
    version: int = 1
    merged_into: int | None = None


class Dispatching(RuleBasedStateMachine):
    """The model is what the rules say, in the plainest words."""

    def __init__(self) -> None:
        super().__init__()
        self.running = Running()
        self.units = {name: ModelUnit() for name in UNITS}
        self.incidents: dict[int, ModelIncident] = {}
        self.alerts: list[bytes] = []
        self.node: Node

    def teardown(self) -> None:
        try:
            report = check.run(self.running.house.state)
            assert report.problems == (), "a rebuild gives the same views"
        finally:
            self.running.close()

    def post(self, path: str, **body: object) -> httpx.Response:
        answer = self.running.do(self.running.client.post(f"/api/v1{path}", json=body))
        assert answer.status_code < 500, answer.text
        return answer

    @initialize()
    def begin(self) -> None:
        self.node = self.running.house.node()
        for name in UNITS:
            assert self.post("/units", name=name).status_code == 201

    @rule(precedence=st.sampled_from([Precedence.FLASH, Precedence.IMMEDIATE]))
    def an_alert_opens_an_incident(self, precedence: Precedence) -> None:
        number = len(self.incidents) + 1
        alert = self.node.alert(label=f"thing{number}", precedence=precedence)
        assert self.running.do(self.running.house.deliver(self.node, alert)) == 1
        self.incidents[number] = ModelIncident()
        self.alerts.append(alert.id)

    @precondition(lambda self: self.alerts)
    @rule(data=st.data())
    def a_node_takes_an_alert_back(self, data: st.DataObject) -> None:
        alert_id = data.draw(st.sampled_from(self.alerts))
        body = self.node.body(Kind.RETRACTION, Retraction(alert_id=alert_id, ground=Ground.CONTRADICTED))
        self.running.do(self.running.house.deliver(self.node, body))

    @precondition(lambda self: self.incidents)
    @rule(data=st.data(), is_stale=st.booleans())
    def acknowledge(self, data: st.DataObject, is_stale: bool) -> None:
        number, model = data.draw(st.sampled_from(sorted(self.incidents.items(), key=lambda pair: pair[0])))
        answer = self.post(f"/incidents/{number}/acknowledge", version=model.version - is_stale)
        is_possible = not is_stale and model.state == "unacknowledged"
        assert answer.status_code == (200 if is_possible else 409), answer.text
        if is_possible:
            for part in [number, *(other for other, item in self.incidents.items() if item.merged_into == number)]:
                self._acknowledged(part)

    def _acknowledged(self, number: int) -> None:
        if self.incidents[number].state == "unacknowledged":
            self.incidents[number].state = "acknowledged"
            self.incidents[number].version += 1

    @precondition(lambda self: self.incidents)
    @rule(data=st.data(), releases=st.booleans())
    def close(self, data: st.DataObject, releases: bool) -> None:
        number, model = data.draw(st.sampled_from(sorted(self.incidents.items(), key=lambda pair: pair[0])))
        parts = [
            other for other, item in self.incidents.items() if item.merged_into == number and item.state != "closed"
        ]
        at_work = [unit for unit in self.units.values() if unit.incident in {number, *parts}]
        answer = self.post(
            f"/incidents/{number}/close", version=model.version, disposition="handled", release_units=releases
        )
        if at_work and not releases:
            assert answer.status_code == 422, answer.text
            return
        assert answer.status_code == (200 if model.state == "acknowledged" else 409), answer.text
        if model.state == "acknowledged":
            for unit in at_work:
                unit.status, unit.incident, unit.version = UnitStatus.CLEAR, None, unit.version + 1
            for part in parts:
                self._acknowledged(part)
            for part in [number, *parts]:
                self.incidents[part].state = "closed"
                self.incidents[part].version += 1

    @precondition(lambda self: len(self.incidents) > 1)
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.incidents)))
        into = data.draw(st.sampled_from(sorted(self.incidents)))
        one, other = self.incidents[number], self.incidents[into]
        answer = self.post(f"/incidents/{number}/merge", version=one.version, into=into)
        if "closed" in {one.state, other.state}:
            assert answer.status_code == 409
        elif number == into or one.merged_into or other.merged_into:
            assert answer.status_code == 422
        else:
            assert answer.status_code == 200, answer.text
            if other.state == "acknowledged":  # who has it in hand has this in hand, too
                for part in [number, *(key for key, item in self.incidents.items() if item.merged_into == number)]:
                    self._acknowledged(part)
            one.merged_into, one.version = into, one.version + 1
            for item in self.incidents.values():
                if item.merged_into == number:
                    item.merged_into = into

    @precondition(lambda self: self.incidents)
    @rule(data=st.data())
    def take_apart(self, data: st.DataObject) -> None:
        number, model = data.draw(st.sampled_from(sorted(self.incidents.items(), key=lambda pair: pair[0])))
        answer = self.post(f"/incidents/{number}/unmerge", version=model.version)
        assert answer.status_code == (200 if model.merged_into else 409)
        if model.merged_into:
            model.merged_into, model.version = None, model.version + 1

    @precondition(lambda self: self.incidents)
    @rule(data=st.data(), name=st.sampled_from(UNITS), stale=st.sampled_from(["", "", "unit", "incident"]))
    def send(self, data: st.DataObject, name: str, stale: str) -> None:
        number, incident = data.draw(st.sampled_from(sorted(self.incidents.items(), key=lambda pair: pair[0])))
        unit = self.units[name]
        answer = self.post(f"/incidents/{number}/units", unit=name, version=incident.version + 7 * (stale == "incident"),
                           unit_version=unit.version + 7 * (stale == "unit"))  # fmt: skip
        is_possible = (not stale and incident.state != "closed" and not incident.merged_into and unit.incident != number
                       and UnitStatus.ASSIGNED in FOLLOWS[unit.status])  # fmt: skip
        assert (answer.status_code == 200) is is_possible, answer.text
        assert answer.status_code in {200, 409, 422}
        if is_possible:
            self._acknowledged(number)
            incident.version += 1
            unit.status, unit.incident, unit.version = UnitStatus.ASSIGNED, number, unit.version + 1

    @rule(name=st.sampled_from(UNITS), status=st.sampled_from(STEPS), is_stale=st.booleans())
    def report(self, name: str, status: UnitStatus, is_stale: bool) -> None:
        unit = self.units[name]
        answer = self.post(f"/units/{name}/status", version=unit.version + 7 * is_stale, status=status.value)
        if is_stale:
            assert answer.status_code == 409, answer.text
        elif status is unit.status and answer.status_code == 200:
            pass  # said twice is said once
        elif status in FOLLOWS[unit.status]:
            assert answer.status_code == 200, answer.text
            unit.status, unit.version = status, unit.version + 1
            unit.incident = unit.incident if status.is_busy else None
        else:
            assert answer.status_code == 422, answer.text

    @precondition(lambda self: self.incidents)
    @rule(data=st.data(), name=st.sampled_from(UNITS))
    def release(self, data: st.DataObject, name: str) -> None:
        number, unit = data.draw(st.sampled_from(sorted(self.incidents))), self.units[name]
        answer = self.post(f"/incidents/{number}/units/{name}/release", unit_version=unit.version)
        assert answer.status_code == (200 if unit.incident == number else 422), answer.text
        if unit.incident == number:
            unit.status, unit.incident, unit.version = UnitStatus.AVAILABLE, None, unit.version + 1

    @invariant()
    def board_and_queue_are_those_of_the_model(self) -> None:
        rows = self.running.do(
            self.running.house.query("SELECT name, status, incident, version FROM unit ORDER BY name")
        )
        assert rows == [(name, unit.status.value, unit.incident, unit.version) for name, unit in sorted(self.units.items())
                        if rows]  # fmt: skip
        found = self.running.do(
            self.running.house.query("SELECT id, state, version, merged_into FROM incident ORDER BY id")
        )
        assert found == [
            (number, item.state, item.version, item.merged_into) for number, item in sorted(self.incidents.items())
        ]

    @invariant()
    def nobody_is_at_two_places(self) -> None:
        rows = self.running.do(self.running.house.query(
            "SELECT u.name, u.incident, (SELECT group_concat(incident) FROM assignment a WHERE a.unit = u.name AND ended_at_ms IS NULL) "
            "FROM unit u"
        ))  # fmt: skip
        assert all(str(incident or "") == (places or "") for _, incident, places in rows)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_random_dispatching_keeps_to_the_model_and_can_be_rebuilt() -> None:
    def run() -> None:
        from hypothesis.stateful import run_state_machine_as_test

        run_state_machine_as_test(
            Dispatching,
            settings=settings(max_examples=8, stateful_step_count=30, deadline=None, derandomize=True,
                              suppress_health_check=list(HealthCheck)),
        )  # fmt: skip

    run()
