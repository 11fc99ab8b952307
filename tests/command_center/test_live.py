"""Live video at the center: authorized, journalled before the node is asked, answered or refused in words, cut at once.

The node here is a set of keys: what the center puts for it is read from the spool, what it says is delivered.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec
import pytest

from command_center import facts
from command_center.accounts import UserRole
from command_center.commands import NodeStanding
from command_center.config import CenterConfig, LiveConfig
from command_center.live.facts import LiveEnded, LiveOpened
from command_center.live.sessions import STILLS_LEFT_AFTER_S
from relay import envelope as envelopes
from relay.envelope import Envelope
from relay.header import Kind
from relay.kinds import body
from relay.kinds.answer import Answer, Still, StreamEnded, StreamOpened, StreamRefused, StreamRung, Word
from relay.kinds.heartbeat import Heartbeat
from relay.kinds.instruction import CloseStream, Instruction, OpenStream, Order
from tests.command_center.house import House, Node, running_center
from tests.command_center.test_ingest import until

S = TypeVar("S", bound=msgspec.Struct)
OFFER = "\r\n".join([
    "v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0", "m=video 9 UDP/TLS/RTP/SAVPF 102",
    "c=IN IP4 0.0.0.0", "a=rtcp-mux", "a=mid:0", "a=recvonly", "a=rtpmap:102 H264/90000", "a=ice-ufrag:abcd",
    "a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), "a=setup:actpass",
    "a=candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host", "",
])  # fmt: skip
SDP = {"Content-Type": "application/sdp"}
GATE = "/api/v1/live/nodes/gate/cameras/cam1"
WHY = {"reason": "a person at the fence"}


class Camera:
    """A node's keys, and what the center asks of it."""

    def __init__(self, house: House, node: Node) -> None:
        self.house, self.node = house, node
        self._secret = node.identity.shared_secret(house.services.identity.sealing_key)

    async def orders(self) -> list[Order]:
        rows = await self.house.query("SELECT wire FROM envelope WHERE kind = ? ORDER BY number", int(Kind.INSTRUCTION))
        wires = [wire for (wire,) in rows if isinstance(wire, bytes)]
        return [
            body.decode(envelopes.open_body(envelopes.parse(wire), self._secret), Instruction).order for wire in wires
        ]

    async def asked(self, kind: type[S], count: int = 1) -> S:
        """Wait until the center has asked that often; the newest."""

        async def is_there() -> bool:
            return sum(isinstance(order, kind) for order in await self.orders()) >= count

        await until(is_there)
        return [order for order in await self.orders() if isinstance(order, kind)][-1]

    async def says(self, word: Word) -> None:
        await self.house.deliver(self.node, self.node.body(Kind.ANSWER, Answer(word=word)))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    live = LiveConfig(answer_within_s=1.5, most_viewers=5, most_of_person=3)
    async with running_center(tmp_path / "center", config=CenterConfig(http="127.0.0.1:0", live=live)) as made:
        yield made


@pytest.fixture
async def camera(house: House) -> Camera:
    node = house.node()
    await house.deliver(node, node.heartbeat())
    return Camera(house, node)


async def watch(client: httpx.AsyncClient, camera: Camera, nth: int = 1) -> str:
    """Post an offer and have it answered; the viewing's address."""
    asking = asyncio.create_task(client.post(GATE, content=OFFER, params=WHY, headers=SDP))
    order = await camera.asked(OpenStream, nth)
    await camera.says(StreamOpened(session=order.session, answer="v=0\r\nanswer"))
    answer = await asking
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


async def journalled(house: House, kind: str, shape: type[S]) -> list[S]:
    rows = await house.query("SELECT payload FROM entry WHERE kind = ? ORDER BY id", kind)
    return [facts.decode(payload, shape) for (payload,) in rows if isinstance(payload, bytes)]


async def test_viewing_is_journalled_with_its_reason_before_the_node_is_asked(house: House, camera: Camera) -> None:
    async with house.signed_in() as client:
        asking = asyncio.create_task(client.post(GATE, content=OFFER, params={**WHY, "incident": 7}, headers=SDP))
        order = await camera.asked(OpenStream)
        (opened,) = await journalled(house, "live-opened", LiveOpened)
        assert (opened.by, opened.role, opened.reason, opened.incident) == ("alice", "dispatcher", WHY["reason"], 7)
        assert (opened.session, opened.node, opened.camera) == (order.session, camera.node.id, "cam1")
        assert (order.camera, order.offer, order.ice_servers, order.is_relay_only) == ("cam1", OFFER, (), False)
        assert not asking.done(), "no answer before the node's"
        await camera.says(StreamOpened(session=order.session, answer="v=0\r\nthe answer"))
        answer = await asking
    assert answer.status_code == 201
    assert answer.text == "v=0\r\nthe answer"
    assert answer.headers["content-type"] == "application/sdp"
    assert answer.headers["location"] == f"/api/v1/live/sessions/{order.session.hex()}"
    assert answer.headers["etag"].startswith('"')
    assert "link" not in answer.headers, "no ICE server that nobody configured"


async def test_node_that_does_not_answer_is_a_clear_answer_in_time(house: House, camera: Camera) -> None:
    async with house.signed_in() as client:
        answer = await client.post(GATE, content=OFFER, params=WHY, headers=SDP)
    assert answer.status_code == 504
    assert "gate does not answer: it was last heard 0 s ago" in answer.json()["detail"]
    order = await camera.asked(OpenStream)
    assert (await camera.asked(CloseStream)).session == order.session, "should it come to life, it shows nothing"
    (ended,) = await journalled(house, "live-ended", LiveEnded)
    assert "no answer" in ended.reason


async def test_who_may_not_watch_is_refused_and_nothing_is_asked(house: House, camera: Camera) -> None:
    async with house.browser() as stranger:
        assert (await stranger.post(GATE, content=OFFER, params=WHY, headers=SDP)).status_code == 401
    async with house.signed_in("vera", UserRole.AUDITOR) as auditor:
        assert (await auditor.post(GATE, content=OFFER, params=WHY, headers=SDP)).status_code == 403
        assert (await auditor.get("/api/v1/live/ice-servers")).status_code == 403
    async with house.signed_in() as client:
        for status, url, content, params, headers in (
            (415, GATE, OFFER, WHY, {"Content-Type": "text/plain"}),
            (422, GATE, OFFER, {}, SDP),
            (422, GATE, OFFER, {"reason": "x"}, SDP),
            (400, GATE, "", WHY, SDP),
            (400, GATE, "hello", WHY, SDP),
            (400, GATE, "v=0\r\nm=audio 9 x 0\r\n", WHY, SDP),
            (400, GATE, OFFER.replace("H264", "VP8"), WHY, SDP),
            (400, GATE, OFFER.replace("a=recvonly", "a=sendonly"), WHY, SDP),
            (400, GATE, OFFER.replace("192.0.2.7", "224.0.0.5"), WHY, SDP),
            (400, GATE, OFFER + "a=candidate:1 1 udp 1 192.0.2.7 5 typ host\r\n" * 50, WHY, SDP),
            (400, GATE, OFFER + "a=" + "x" * 14_000, WHY, SDP),
            (404, "/api/v1/live/nodes/nowhere/cameras/cam1", OFFER, WHY, SDP),
            (404, "/api/v1/live/nodes/gate/cameras/cam9", OFFER, WHY, SDP),
        ):
            answer = await client.post(url, content=content, params=params, headers=headers)
            assert answer.status_code == status, (content[:80], params, answer.text)
            assert answer.json()["detail"]
        del client.headers["X-Heard-CSRF"]
        assert (await client.post(GATE, content=OFFER, params=WHY, headers=SDP)).status_code == 403
    assert await camera.orders() == []
    assert await journalled(house, "live-opened", LiveOpened) == []


async def test_refusal_of_the_node_reaches_the_viewer_in_words(house: House, camera: Camera) -> None:
    async with house.signed_in() as client:
        for number, (is_busy, status) in enumerate(((True, 503), (False, 502)), start=1):
            asking = asyncio.create_task(client.post(GATE, content=OFFER, params=WHY, headers=SDP))
            order = await camera.asked(OpenStream, number)
            await camera.says(
                StreamRefused(session=order.session, reason="4 people watch this camera", is_busy=is_busy)
            )
            answer = await asking
            assert answer.status_code == status
            assert answer.json()["detail"] == "gate: 4 people watch this camera"
            assert ("retry-after" in answer.headers) is is_busy
    assert house.services.live.count == 0


async def test_twenty_viewers_at_once_and_the_limit_is_kept_and_said(house: House, camera: Camera) -> None:
    async with house.signed_in() as client, house.signed_in("bob") as other:
        asking = [
            asyncio.create_task((client if number % 2 else other).post(GATE, content=OFFER, params=WHY, headers=SDP))
            for number in range(20)
        ]
        await camera.asked(OpenStream, 5)
        for order in await camera.orders():
            assert isinstance(order, OpenStream)
            await camera.says(StreamOpened(session=order.session, answer="v=0"))
        answers = [await task for task in asking]
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [503] * 15
    refusals = {answer.json()["detail"] for answer in answers if answer.status_code == 503}
    assert refusals <= {
        "5 viewings are open, as many as may be: [live] most_viewers",
        "you watch 3 cameras already, as many as one person may: close one",
    }
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status_code == 503)


async def test_viewer_ends_it_and_nobody_else_can(house: House, camera: Camera) -> None:
    async with house.signed_in() as client, house.signed_in("bob") as other:
        place = await watch(client, camera)
        for method in ("GET", "DELETE"):
            assert (await other.request(method, place)).status_code == 404
        patched = await client.patch(
            place, content="a=ice-ufrag:x", headers={"Content-Type": "application/trickle-ice-sdpfrag"}
        )
        assert (patched.status_code, patched.headers["allow"]) == (405, "GET, DELETE")
        listed = (await other.get("/api/v1/live/sessions")).json()["viewings"]
        assert [(row["by"], row["camera"], row["session"]) for row in listed] == [("alice", "cam1", "")]
        assert (await client.delete(place)).status_code == 200
        order = await camera.asked(CloseStream)
        assert order.session.hex() == place.rsplit("/", 1)[1]
        assert (await client.get(place)).json()["ended_why"] == "the viewer left"
        assert (await client.delete(place)).status_code == 200
    assert len([order for order in await camera.orders() if isinstance(order, CloseStream)]) == 1
    assert [ended.reason for ended in await journalled(house, "live-ended", LiveEnded)] == ["the viewer left"]


async def test_end_of_the_session_cuts_what_it_watches_at_once(house: House, camera: Camera) -> None:
    async with house.signed_in() as client:
        await watch(client, camera)
        assert (await client.delete("/api/v1/session")).status_code == 204
        assert (await camera.asked(CloseStream)).reason == "the session was ended"


async def test_lower_role_cuts_what_it_may_not_watch_any_more(house: House, camera: Camera) -> None:
    async with house.signed_in() as client, house.signed_in("root", UserRole.ADMINISTRATOR) as root:
        await watch(client, camera)
        changed = await root.patch("/api/v1/accounts/alice", json={"role": "auditor"})
        assert changed.status_code == 200, changed.text
        await camera.asked(CloseStream)


async def test_revoked_node_is_told_to_stop_before_nobody_can_tell_it_any_more(house: House, camera: Camera) -> None:
    async with house.signed_in() as client:
        await watch(client, camera)
        await house.center.administration.perform(NodeStanding(name="gate", standing="revoked"))
        assert (await camera.asked(CloseStream)).reason == "the node was revoked"
        answer = await client.post(GATE, content=OFFER, params=WHY, headers=SDP)
        assert (answer.status_code, "revoked" in answer.json()["detail"]) == (403, True)


async def test_quarantined_node_is_cut_off_and_not_opened(house: House, camera: Camera) -> None:
    async with house.signed_in() as client:
        await watch(client, camera)
        await house.center.administration.perform(NodeStanding(name="gate", standing="quarantined"))
        assert "not approved" in (await camera.asked(CloseStream)).reason
        assert (await client.post(GATE, content=OFFER, params=WHY, headers=SDP)).status_code == 403


async def test_stills_through_the_relay_are_handed_to_their_viewer_and_kept_nowhere(
    house: House, camera: Camera
) -> None:
    async with house.signed_in() as client, house.signed_in("bob") as other:
        asking = asyncio.create_task(client.post(f"{GATE}/stills", params=WHY))
        order = await camera.asked(OpenStream)
        assert order.offer == ""
        await camera.says(StreamOpened(session=order.session, answer=""))
        answer = await asking
        assert answer.status_code == 201, answer.text
        place = answer.headers["location"]
        waiting = asyncio.create_task(client.get(f"{place}/still"))
        still = Still(session=order.session, number=1, captured_wall_ms=99, age_ms=40, width_px=64, height_px=48,
                      jpeg=b"\xff\xd8 one")  # fmt: skip
        await camera.says(still)
        seen = await waiting
        assert (seen.content, seen.headers["content-type"]) == (b"\xff\xd8 one", "image/jpeg")
        assert (seen.headers["x-heard-still"], seen.headers["x-heard-age-ms"]) == ("1", "40")
        assert (await other.get(f"{place}/still")).status_code == 404
        assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'answer'") == [(1,)], (
            "the opening, no picture"
        )
        waiting = asyncio.create_task(client.get(f"{place}/still", params={"after": 1}))
        await camera.says(StreamEnded(session=order.session, reason="the camera is gone", shown_ms=1200, sent_bytes=7))
        assert (await waiting).status_code == 410
        (ended,) = await journalled(house, "live-ended", LiveEnded)
        assert (ended.reason, ended.shown_ms, ended.sent_bytes) == ("node: the camera is gone", 1200, 7)


async def test_stills_that_nobody_asks_for_end(house: House, camera: Camera) -> None:
    async with house.signed_in() as client:
        place = await watch(client, camera)
        session = bytes.fromhex(place.rsplit("/", 1)[1])
        await camera.says(StreamRung(session=session, rung="relay-stills", reason="the connection broke"))
        assert (await client.get(place)).json()["why"] == "the connection broke"
        house.clock.advance(round(STILLS_LEFT_AFTER_S * 1000) + 1)
        assert (await camera.asked(CloseStream)).reason == "nobody asks for its stills"


async def test_word_of_another_node_changes_nothing_and_strays_are_told_to_stop(house: House, camera: Camera) -> None:
    liar = Camera(house, house.node("liar"))
    async with house.signed_in() as client:
        asking = asyncio.create_task(client.post(GATE, content=OFFER, params=WHY, headers=SDP))
        order = await camera.asked(OpenStream)
        await liar.says(StreamOpened(session=order.session, answer="v=0\r\nto somebody else"))
        await camera.says(StreamOpened(session=order.session, answer="v=0\r\nright"))
        assert (await asking).text == "v=0\r\nright"
        await camera.says(StreamOpened(session=b"x" * 16, answer="v=0"))

        async def is_closed() -> bool:
            rows = await house.query("SELECT COUNT(*) FROM envelope WHERE kind = ?", int(Kind.INSTRUCTION))
            return rows == [(3,)]

        await until(is_closed)
    assert house.services.metrics["live_words_stray"] == 2


async def test_node_that_was_restarted_shows_nothing_and_frees_its_place(house: House, camera: Camera) -> None:
    async with house.signed_in() as client:
        place = await watch(client, camera)

        def up_for(seconds: int) -> Envelope:
            said = Heartbeat(release="0.1.0", uptime_s=seconds, interval_s=10, backlog=(0,) * 5, oldest_waiting_s=0,
                             spool_bytes=0, disk_free_bytes=0, refused=0, forgone=())  # fmt: skip
            return camera.node.body(Kind.HEARTBEAT, said)

        await house.deliver(camera.node, up_for(500))

        async def is_noted() -> bool:
            return [viewing.node_uptime_s for viewing in house.services.live.all()] == [500]

        await until(is_noted)
        await house.deliver(camera.node, up_for(2))

        async def is_over() -> bool:
            return bool((await client.get(place)).json()["is_over"])

        await until(is_over)
        assert (await client.get(place)).json()["ended_why"] == "the node was restarted"


async def test_center_that_was_killed_ends_what_it_left_open_and_nothing_else(tmp_path: Path) -> None:
    config = CenterConfig(http="127.0.0.1:0")
    async with running_center(tmp_path / "center", config=config) as house:
        node = house.node()
        await house.deliver(node, node.heartbeat())
        camera = Camera(house, node)
        async with house.signed_in() as client:
            await client.delete(await watch(client, camera))
            left = await watch(client, camera, 2)
    async with running_center(tmp_path / "center", config=config, clock=house.clock) as house:
        again = Camera(house, node)
        order = await again.asked(CloseStream, 2)
        assert (order.session.hex(), order.reason) == (left.rsplit("/", 1)[1], "the center was restarted")
        assert [ended.reason for ended in await journalled(house, "live-ended", LiveEnded)] == [
            "the viewer left", "the center was restarted"
        ]  # fmt: skip


async def test_views_follow_from_the_journal_with_viewings_in_it(house: House, camera: Camera) -> None:
    from command_center.views import BodyOpener, Replay

    async with house.signed_in() as client:
        await client.delete(await watch(client, camera))

    def differences(connection: sqlite3.Connection) -> list[str]:
        replay = Replay(BodyOpener(house.authority))
        try:
            return list(replay.run(connection))
        finally:
            replay.close()

    assert await house.database.run(differences) == []
