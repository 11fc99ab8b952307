"""What only the https path has: a way down that is a request left open, for as long as nothing is to be said."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from relay.config import ListenConfig, PathConfig
from relay.header import Kind
from relay.kinds import body
from relay.kinds.acknowledgement import Acknowledgement, AnswerState
from relay.passport import Role
from relay.paths import https, https_listen
from relay.precedence import Precedence
from relay.spool import Draft
from tests.relay.house import House, Kept, until
from tests.relay.test_path_conformance import an_alert


@pytest.fixture
def house(tmp_path: Path) -> House:
    built = House(tmp_path / "house")
    built.enroll("center", Role.CENTER)
    built.enroll("gate-camera", Role.CAMERA)
    built.settle()
    return built


async def test_what_is_to_be_said_comes_down_the_poll_that_waits_and_an_empty_one_is_renewed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a poll of 0.3 s instead of 20: pings every 2 s leave several of them empty."""
    for module in (https, https_listen):
        monkeypatch.setattr(module, "POLL_S", 0.3)
    answered: list[tuple[int, int]] = []
    waiting = 0
    really_poll = https_listen.HttpsListen._poll

    async def counted(self: https_listen.HttpsListen, request: web.Request) -> web.Response:
        nonlocal waiting
        waiting += 1
        try:
            response = await really_poll(self, request)
        finally:
            waiting -= 1
        answered.append((response.status, len(response.body or b"")))  # type: ignore[arg-type]
        return response

    monkeypatch.setattr(https_listen.HttpsListen, "_poll", counted)
    inbox, node_inbox = Kept(), Kept()
    async with (
        house.station("center", listen=ListenConfig(kind="https", endpoint="http://127.0.0.1:0"), inbox=inbox) as center,
        house.station("gate-camera", to=[PathConfig(name="up", kind="https", endpoint=center.listening_on[0], peer="center")],
                      inbox=node_inbox) as node,
    ):  # fmt: skip
        spooled = await node.put(an_alert(node))
        await until(lambda: bool(inbox.arrivals), "the alert")
        [link] = list(center._links)
        await until(lambda: sum(status == 204 for status, _ in answered) >= 4, "empty polls", timeout_s=30)
        await until(lambda: waiting == 1, "a poll that waits")
        seen = Acknowledgement(
            alert_ids=(spooled.envelope.id,), state=AnswerState.SEEN, role="dispatcher", acted_at_wall_ms=1
        )
        await center.put(Draft(kind=Kind.ACKNOWLEDGEMENT, precedence=Precedence.FLASH, body=body.encode(seen),
                               destination=node.identity.node_id, peer_sealing_key=node.identity.sealing_key))  # fmt: skip
        await until(lambda: bool(node_inbox.arrivals), "the acknowledgement")
        assert any(status == 200 and size > 200 for status, size in answered)
        await asyncio.sleep(0)
        assert list(center._links) == [link], "it took another session"
