"""Random alarms, shelves, acknowledgements and hours on a running center: no FLASH falls silent but by two people, and no flood gets through."""

from contextlib import AbstractAsyncContextManager

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from command_center import annunciation, check
from command_center.accounts import UserRole
from relay.precedence import Precedence
from tests.command_center.house import House, Node
from tests.command_center.test_dispatch_machine import Running

NODES = ("gate", "yard", "quay", "dock", "hall")
_SOUNDED = """
SELECT e.at_ms, i.node FROM entry e JOIN incident i ON e.subject = 'incident:' || i.id
WHERE i.precedence > 0 AND (e.kind = 'incident-annunciated' OR (e.kind = 'alert'
  AND e.id = (SELECT MIN(a.entry) FROM alert a WHERE a.incident = i.id) AND i.id IN (SELECT value FROM json_each(?))))
ORDER BY e.at_ms
"""
_SILENT_FLASH = """
SELECT i.id, i.quiet FROM incident i WHERE i.precedence = 0 AND i.state = 'unacknowledged' AND i.quiet <> '' AND NOT (
  i.quiet = 'shelved' AND EXISTS (SELECT 1 FROM shelf s WHERE s.node = i.node AND s.camera = i.camera AND s.ended_at_ms IS NULL
    AND s.label IN ('', i.label) AND s.covers_flash AND s.agreed_by IS NOT NULL AND s.agreed_by <> s.by))
"""


class Annunciating(RuleBasedStateMachine):
    """Safety only: whatever the watch has got round to, these hold."""

    def __init__(self) -> None:
        super().__init__()
        self.running = Running()
        self.house: House = self.running.house
        self.nodes: list[Node] = []
        self.alerts = 0
        self.shelves: list[int] = []
        """Every one that was put up, ended or not: what is drawn must not depend on how far the watch has got."""
        self.opened_aloud: list[int] = []
        """Incidents that were in people's ears from their first alert."""
        self.second: httpx.AsyncClient
        self.browser: AbstractAsyncContextManager[httpx.AsyncClient]
        self.minutes = 0

    def teardown(self) -> None:
        try:
            assert check.run(self.house.state).problems == (), "a rebuild gives the same views"
        finally:
            self.running.do(self.browser.__aexit__(None, None, None))
            self.running.close()

    @initialize()
    def begin(self) -> None:
        self.second = self.running.do(self._supervisor())
        for name in NODES:
            self.nodes.append(self.house.node(name))
            self.running.do(self.house.deliver(self.nodes[-1], self.nodes[-1].heartbeat()))

    async def _supervisor(self) -> httpx.AsyncClient:
        await self.house.add_user("sue", UserRole.SUPERVISOR)
        self.browser = self.house.browser()  # held: a context that is collected closes its client
        client = await self.browser.__aenter__()
        answer = await client.post("/api/v1/session", json={"username": "sue", "password": "correct horse battery"})
        client.headers["X-Heard-CSRF"] = answer.json()["csrf"]
        return client

    def ask(self, method: str, path: str, client: httpx.AsyncClient | None = None, **body: object) -> httpx.Response:
        asked = (client or self.running.client).request(method, f"/api/v1{path}", json=body or None)
        answer = self.running.do(asked)
        assert answer.status_code < 500, answer.text
        return answer

    @rule(at=st.integers(0, len(NODES) - 1), count=st.integers(1, 6), label=st.integers(0, 9))
    def alarms_below_flash(self, at: int, count: int, label: int) -> None:
        node = self.nodes[at]
        for number in range(count):
            self._deliver(node, f"c{label}.{number}", Precedence.IMMEDIATE)

    @rule(at=st.integers(0, len(NODES) - 1))
    def a_flash(self, at: int) -> None:
        self._deliver(self.nodes[at], "handgun", Precedence.FLASH)

    def _deliver(self, node: Node, label: str, precedence: Precedence) -> None:
        self.alerts += self.running.do(self.house.deliver(node, node.alert(label=label, precedence=precedence)))
        rows = self.running.do(self.house.query("SELECT id, alert_count, quiet FROM incident ORDER BY id DESC LIMIT 1"))
        if (
            rows
            and rows[0][1:] == (1, "")
            and rows[0][0] not in self.opened_aloud
            and precedence is not Precedence.FLASH
        ):
            self.opened_aloud.append(int(str(rows[0][0])))

    @rule(at=st.integers(0, len(NODES) - 1), covers_flash=st.booleans(), label=st.sampled_from(["", "handgun"]))
    def shelve(self, at: int, covers_flash: bool, label: str) -> None:
        answer = self.ask("POST", "/shelves", node=self.nodes[at].id.hex(), camera="cam1", label=label, reason="works",
                          minutes=30, covers_flash=covers_flash)  # fmt: skip
        assert answer.status_code in {201, 422}
        if answer.status_code == 201:
            self.shelves.append(max(item["id"] for item in answer.json()["shelves"]))

    @rule(at=st.integers(0, len(NODES) - 1), label=st.integers(10, 19))
    def a_camera_chatters_on_its_shelf_and_comes_off(self, at: int, label: int) -> None:
        self.shelve(at, covers_flash=False, label="")
        self.alarms_below_flash(at, 6, label)
        if self.shelves:
            self.ask("DELETE", f"/shelves/{self.shelves[-1]}")

    @precondition(lambda self: self.shelves)
    @rule(data=st.data(), is_second=st.booleans())
    def agree(self, data: st.DataObject, is_second: bool) -> None:
        number = data.draw(st.sampled_from(self.shelves))
        answer = self.ask("POST", f"/shelves/{number}/agree", self.second if is_second else None)
        assert is_second or answer.status_code in {404, 409, 422}, "a dispatcher agrees to nothing"

    @precondition(lambda self: self.shelves)
    @rule(data=st.data())
    def unshelve(self, data: st.DataObject) -> None:
        self.ask("DELETE", f"/shelves/{data.draw(st.sampled_from(self.shelves))}")

    @rule(most=st.integers(1, 12))
    def acknowledge_what_waits(self, most: int) -> None:
        query = "SELECT id, version FROM incident WHERE state = 'unacknowledged' ORDER BY id LIMIT ?"
        for number, version in self.running.do(self.house.query(query, most)):
            assert self.ask("POST", f"/incidents/{number}/acknowledge", version=version).status_code in {200, 409}

    @rule(minutes=st.sampled_from([1, 4, 11, 31, 61]))
    def time_passes(self, minutes: int) -> None:
        if self.minutes + minutes < 11 * 60:  # sessions end after twelve hours
            self.minutes += minutes
            self.house.clock.advance(minutes * 60_000)

    @invariant()
    def no_flash_is_silent_but_by_two_people(self) -> None:
        assert self.running.do(self.house.query(_SILENT_FLASH)) == []

    @invariant()
    def no_ten_minutes_sound_more_often_than_a_person_can_take(self) -> None:
        in_the_journal = self.running.do(self.house.query(_SOUNDED, str(self.opened_aloud)))
        in_the_rows = self.running.do(self.house.query(
            "SELECT announced_at_ms, node FROM incident WHERE precedence > 0 AND announced_at_ms > 0 AND quiet = ''"
        ))  # fmt: skip
        for rows in (in_the_journal, in_the_rows):
            times = [(int(str(at_ms)), node) for at_ms, node in rows]
            for begin, _ in times:
                inside = [node for at_ms, node in times if begin <= at_ms < begin + annunciation.WINDOW_MS]
                assert len(inside) <= 10
                assert max(inside.count(node) for node in inside) <= 3, "one camera took all the room"

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.running.do(self.house.query("SELECT COUNT(*) FROM alert")) == [(self.alerts,)]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_random_alarms_and_shelves_silence_no_flash_and_let_no_flood_through() -> None:
    run_state_machine_as_test(
        Annunciating,
        settings=settings(max_examples=6, stateful_step_count=25, deadline=None, derandomize=True, phases=(Phase.generate,),
                          suppress_health_check=list(HealthCheck)),
    )  # fmt: skip
