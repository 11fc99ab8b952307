"""The HTTP API as a browser meets it."""

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from PIL import Image

from command_center.accounts import FAILURE_WINDOW_MS, UserRole
from command_center.event_feed import QUEUE_EVENTS
from command_center.facts import Remark, decode
from relay.header import Kind
from relay.kinds.chunk import cut
from tests.command_center.house import PASSWORD, House
from tests.command_center.test_ingest import exhibit, until

READS = ["/api/v1/session", "/api/v1/incidents", "/api/v1/incidents/1", "/api/v1/nodes", "/api/v1/nodes/standby", "/api/v1/events",
         "/api/v1/snapshots/" + "0" * 64, "/api/v1/journal/checkpoint", "/api/v1/journal/entries",
         "/api/v1/journal/proof?entry=1"]  # fmt: skip


@pytest.mark.parametrize("path", READS)
async def test_nothing_is_shown_to_strangers(house: House, path: str) -> None:
    async with house.browser() as client:
        answer = await client.get(path)
    assert answer.status_code == 401
    assert "sign in" in answer.json()["detail"]


async def test_a_stranger_s_denials_are_counted_each_time_and_journalled_once_a_minute(house: House) -> None:
    async with house.browser("203.0.113.7") as stranger, house.browser("203.0.113.8") as other:
        assert (await stranger.get("/api/v1/session")).status_code == 401, "the sign-in page asks this; it is no denial"
        for path in ("/api/v1/incidents", "/api/v1/nodes", "/api/v1/journal/entries", "/metrics"):
            assert (await stranger.get(path)).status_code == 401
        house.clock.step_wall(house.clock.wall_ms() - 86_400_000)
        assert (await other.get("/api/v1/incidents")).status_code == 401
        house.clock.advance(60_001)
        assert (await stranger.post("/api/v1/incidents/1/acknowledge", json={"version": 1})).status_code == 401
    rows = await house.query("SELECT payload FROM entry WHERE kind = 'denied' ORDER BY id")
    said = [decode(payload, Remark) for (payload,) in rows if isinstance(payload, bytes)]
    assert [(remark.what, remark.detail, remark.address) for remark in said] == [
        ("no-session", "/api/v1/incidents", "203.0.113.7"), ("no-session", "/api/v1/incidents", "203.0.113.8"),
        ("no-session", "/api/v1/incidents/1/acknowledge", "203.0.113.7"),
    ]  # fmt: skip
    assert house.services.metrics["denials"] == 6


async def test_answers_carry_a_strict_policy(house: House) -> None:
    async with house.browser() as client:
        for path in ("/healthz", "/", "/api/v1/session"):
            answer = await client.get(path)
            assert "default-src 'self'" in answer.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"


async def test_sign_in_sign_out(house: House) -> None:
    await house.add_user("alice")
    async with house.browser() as client:
        answer = await client.post("/api/v1/session", json={"username": "alice", "password": PASSWORD})
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        csrf = answer.json()["csrf"]
        shown = (await client.get("/api/v1/session")).json()
        assert {"username": "alice", "role": "dispatcher", "csrf": csrf, "stage": "full"}.items() <= shown.items()
        assert (await client.delete("/api/v1/session")).status_code == 403
        assert (await client.delete("/api/v1/session", headers={"X-Heard-CSRF": csrf})).status_code == 204
        assert (await client.get("/api/v1/session")).status_code == 401
    stored = await house.query("SELECT kind FROM entry WHERE subject = 'user:alice' ORDER BY id")
    assert [row[0] for row in stored] == ["user-added", "signed-in", "denied", "signed-out"]


async def test_only_the_hash_of_a_session_is_stored(house: House) -> None:
    async with house.signed_in() as client:
        token = client.cookies["heard_session"]
    rows = await house.query("SELECT token_sha256 FROM session")
    assert rows == [(hashlib.sha256(token.encode()).digest(),)]


async def test_session_ends_after_twelve_hours(house: House) -> None:
    async with house.signed_in() as client:
        house.clock.advance(12 * 3_600_000 - 1000)
        assert (await client.get("/api/v1/session")).status_code == 200
        house.clock.advance(2000)
        assert (await client.get("/api/v1/session")).status_code == 401


async def test_five_wrong_passwords_lock_that_name_at_that_address(house: House) -> None:
    await house.add_user("alice")
    wrong = {"username": "alice", "password": "wrong"}
    right = {"username": "alice", "password": PASSWORD}
    async with house.browser() as client, house.browser("192.0.2.9") as elsewhere:
        texts = [(await client.post("/api/v1/session", json=wrong)).text for _ in range(5)]
        unknown = await client.post("/api/v1/session", json={"username": "nobody", "password": "x"})
        assert set(texts) == {unknown.text}, "an unknown name must read as a wrong password"
        locked = await client.post("/api/v1/session", json=right)
        assert locked.status_code == 429
        assert locked.headers["retry-after"]
        assert (await elsewhere.post("/api/v1/session", json=right)).status_code == 200
        house.clock.advance(FAILURE_WINDOW_MS + 1)
        assert (await client.post("/api/v1/session", json=right)).status_code == 200
    denied = await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'denied'")
    assert denied == [(7,)]


async def test_disabled_user_is_out_at_once(house: House) -> None:
    async with house.signed_in() as client:
        await house.query("UPDATE account SET is_disabled = 1")
        assert (await client.get("/api/v1/incidents")).status_code == 401
        answer = await client.post("/api/v1/session", json={"username": "alice", "password": PASSWORD})
        assert answer.status_code == 401


async def test_change_without_csrf_token_is_refused_and_journalled(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client:
        client.headers["X-Heard-CSRF"] = "0" * 32
        answer = await client.post("/api/v1/incidents/1/acknowledge", json={"version": 1})
    assert answer.status_code == 403
    assert await house.query("SELECT state FROM incident") == [("unacknowledged",)]
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'denied'") == [(1,)]


async def test_auditor_looks_and_does_not_act(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in(role=UserRole.AUDITOR) as client:
        assert (await client.get("/api/v1/journal/entries")).status_code == 200
        assert (await client.post("/api/v1/incidents/1/acknowledge", json={"version": 1})).status_code == 403
    async with house.signed_in("bob") as client:
        assert (await client.get("/api/v1/journal/entries")).status_code == 403


async def test_queue_shows_what_the_contract_names(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client:

        async def is_timed() -> bool:
            shown = (await client.get("/api/v1/incidents")).json()["incidents"][0]
            return shown["hops"]["stored_to_receipt_ms"] is not None

        await until(is_timed)
        queue = (await client.get("/api/v1/incidents")).json()
    shown = queue["incidents"][0]
    assert queue["watermark"] > 0
    assert shown["number"] == "INC-2026-000001"
    assert shown["node"] == {"id": node.id.hex(), "name": "gate", "site": "north"}
    assert (shown["precedence"], shown["rule"], shown["state"]) == ("FLASH", "class_of_interest", "unacknowledged")
    assert shown["sighted_at_ms"] == house.clock.wall_ms() - 12
    assert shown["hops"]["sighting_to_spooled_ms"] == 12
    assert shown["hops"]["spooled_to_stored_ms"] == 0
    assert shown["hops"]["acknowledged_to_node_ms"] is None
    assert shown["box_xyxy"] == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.005)


async def test_second_operator_gets_409_and_the_incident_as_it_is(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in("alice") as alice, house.signed_in("bob") as bob:
        answers = await asyncio.gather(
            *(client.post("/api/v1/incidents/1/acknowledge", json={"version": 1}) for client in (alice, bob))
        )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    winner = next(a.json() for a in answers if a.status_code == 200)
    loser = next(a.json() for a in answers if a.status_code == 409)
    assert loser["incident"]["acknowledged_by"] == winner["acknowledged_by"]
    assert winner["acknowledged_by"] in loser["detail"]
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'incident-acknowledged'") == [(1,)]


async def test_incident_closes_with_a_disposition_and_keeps_its_timeline(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client:
        await client.post("/api/v1/incidents/1/acknowledge", json={"version": 1})
        body = {"version": 2, "disposition": "false_alarm", "note": "an umbrella"}
        closed = (await client.post("/api/v1/incidents/1/close", json=body)).json()
        assert (closed["state"], closed["disposition"], closed["version"]) == ("closed", "false_alarm", 3)
        assert (await client.get("/api/v1/incidents")).json()["incidents"] == []
        assert len((await client.get("/api/v1/incidents?state=all")).json()["incidents"]) == 1
        detail = (await client.get("/api/v1/incidents/1")).json()
        assert [moment["what"] for moment in detail["timeline"]] == [
            "alert",
            "incident-acknowledged",
            "incident-closed",
        ]
        assert detail["timeline"][2]["detail"] == "false_alarm: an umbrella"
        assert len(detail["alerts"]) == 1
        assert (await client.post("/api/v1/incidents/9/acknowledge", json={"version": 1})).status_code == 404
    assert await house.query("SELECT subject FROM entry WHERE kind = 'viewed'") == [("incident:1",)]


def _jpeg() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (64, 48), (10, 200, 30)).save(target, "JPEG")
    return target.getvalue()


async def test_snapshot_is_served_by_its_hash(house: House) -> None:
    picture = _jpeg()
    node = house.node()
    alert = node.alert()
    sha256 = hashlib.sha256(picture).digest()
    chunks = [node.body(Kind.CHUNK, piece) for piece in cut(picture, sha256)]
    await house.deliver(node, alert, node.body(Kind.EXHIBIT, exhibit(alert.id, sha256=sha256, size_bytes=len(picture))),
                        *chunks)  # fmt: skip
    async with house.signed_in() as client:

        async def has_picture() -> bool:
            return (await client.get("/api/v1/incidents")).json()["incidents"][0]["snapshot_url"] is not None

        await until(has_picture)
        url = (await client.get("/api/v1/incidents")).json()["incidents"][0]["snapshot_url"]
        answer = await client.get(url)
        with Image.open(io.BytesIO(answer.content)) as shown:
            assert shown.size == (64, 48)
        assert answer.headers["content-type"] == "image/jpeg"
        assert "immutable" in answer.headers["cache-control"]
        assert (await client.get("/api/v1/snapshots/" + "0" * 64)).status_code == 404
        assert (await client.get("/api/v1/snapshots/..%2f..%2fidentity.key")).status_code in {404, 422}


async def test_fleet_shows_gaps_and_silence(house: House) -> None:
    node = house.node()
    node.sequence = 3
    await house.deliver(node, node.heartbeat())
    async with house.signed_in() as client:

        async def shown() -> dict[str, object]:
            found: dict[str, object] = (await client.get("/api/v1/nodes")).json()["nodes"][0]
            return found

        live = await shown()
        assert (live["state"], live["gaps"], live["missing"]) == ("live", [[1, 3]], 3)
        assert live["cameras"] == [{"camera": "cam1", "state": "seeing", "frames_per_s": 9.5, "detail": ""}]
        house.clock.advance(25_000)
        assert (await shown())["state"] == "late"
        house.clock.advance(60_000)
        assert (await shown())["state"] == "silent"
        assert (await shown())["last_heard_age_ms"] == 85_000


async def test_journal_proofs_hold_against_the_signed_checkpoint(house: House) -> None:
    from command_center import checkpoint
    from tests.command_center.test_journal import inclusion_holds

    node = house.node()
    await house.deliver(node, *[node.alert() for _ in range(9)])
    async with house.signed_in(role=UserRole.AUDITOR) as client:
        note = (await client.get("/api/v1/journal/checkpoint")).text
        signed = checkpoint.verify(note, house.center.station.identity.signing_key)
        proof = (await client.get(f"/api/v1/journal/proof?entry=7&size={signed.size}")).json()
        entries = (await client.get("/api/v1/journal/entries?from=7&limit=1")).json()["entries"]
        assert (await client.get("/api/v1/journal/proof?entry=7&size=99999")).status_code == 404
        consistency = await client.get(f"/api/v1/journal/consistency?old=3&size={signed.size}")
        assert consistency.status_code == 200
    assert entries[0]["leaf"] == proof["leaf"]
    hashes = [bytes.fromhex(item) for item in proof["hashes"]]
    assert inclusion_holds(bytes.fromhex(proof["leaf"]), 6, signed.size, hashes, signed.root)


async def test_metrics_health_and_openapi(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.browser() as client:
        assert (await client.get("/healthz")).text == "ok\n"
        assert (await client.get("/readyz")).text == "ready\n"
        paths = (await client.get("/api/v1/openapi.json")).json()["paths"]
        assert "/api/v1/incidents/{incident_id}/acknowledge" in paths
        large = await client.post("/api/v1/session", content=b"x" * 70_000)
        assert large.status_code == 413


# ---------------------------------------------------------------------- events over a real connection


@asynccontextmanager
async def listening(house: House, cookie: str, **params: int) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
    """An event stream over a real socket: the in-process transport can't stream."""
    async with (
        httpx.AsyncClient(base_url=house.center.url, cookies={"heard_session": cookie}, timeout=15) as client,
        client.stream("GET", "/api/v1/events", params=params) as answer,
    ):
        assert answer.status_code == 200
        yield _events(answer)


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    event: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif event:
            if "data" in event or "" in event:
                yield event
            event = {}


async def _next_incident(events: AsyncIterator[dict[str, str]]) -> dict[str, object]:
    async with asyncio.timeout(10):
        async for event in events:
            if event.get("event") == "incident":
                found: dict[str, object] = json.loads(event["data"])
                return {**found, "event_id": int(event["id"])}
    raise AssertionError("the stream ended")


async def test_events_tell_of_an_alert_and_of_its_acknowledgement(house: House) -> None:
    node = house.node()
    async with house.signed_in() as client, listening(house, client.cookies["heard_session"]) as events:
        await house.deliver(node, node.alert())
        assert (await _next_incident(events))["state"] == "unacknowledged"
        await client.post("/api/v1/incidents/1/acknowledge", json={"version": 1})
        while (await _next_incident(events))["state"] != "acknowledged":
            pass


async def test_resumed_stream_misses_nothing(house: House) -> None:
    node = house.node()
    async with house.signed_in() as client:
        cookie = client.cookies["heard_session"]
        queue = (await client.get("/api/v1/incidents")).json()
        seen: set[int] = set()
        after: int = queue["watermark"]
        for round_number in range(5):
            await house.deliver(node, *[node.alert(camera=f"c{round_number}-{n}") for n in range(7)])
            async with listening(house, cookie, after=after) as events:
                for _ in range(3):  # then the connection is lost
                    incident = await _next_incident(events)
                    seen.add(int(str(incident["id"])))
                    after = int(str(incident["event_id"]))
        async with listening(house, cookie, after=after) as events:
            while len(seen) < 35:
                seen.add(int(str((await _next_incident(events))["id"])))
    assert seen == set(range(1, 36))


async def test_stream_that_asks_for_forgotten_events_is_told_to_reload(house: House) -> None:
    node = house.node()
    await house.deliver(node, *[node.alert(camera=f"c{n}") for n in range(30)])
    await house.query("DELETE FROM event WHERE id < 20")
    async with house.signed_in() as client:
        for after, expected in ((3, "reset"), (1_000_000, "reset"), (19, "")):
            async with asyncio.timeout(10), listening(house, client.cookies["heard_session"], after=after) as events:
                kind = (await anext(events))["event"]
                assert kind == expected if expected else kind in {"incident", "node"}


async def test_console_that_does_not_read_is_cut_off_and_others_are_not(house: House) -> None:
    node = house.node()
    feed = house.services.feed
    async with feed.subscribe(None) as lazy, feed.subscribe(None) as keen:
        first = asyncio.ensure_future(anext(keen))
        second = asyncio.ensure_future(anext(lazy))
        await house.deliver(node, node.alert(camera="first"))
        await asyncio.gather(first, second)
        read: list[object] = []

        async def read_on() -> None:
            async for message in keen:
                read.append(message)  # noqa: PERF401  it is looked at while it grows

        reader = asyncio.create_task(read_on())
        for start in range(0, QUEUE_EVENTS + 100, 50):
            await house.deliver(node, *[node.alert(camera=f"n{start + n}") for n in range(50)])
            count = start + 50

            async def has_read(count: int = count) -> bool:
                return len([m for m in read if getattr(m, "kind", "") == "incident"]) >= count

            await until(has_read)
        assert house.services.metrics["consoles_cut_off"] == 1
        reader.cancel()
