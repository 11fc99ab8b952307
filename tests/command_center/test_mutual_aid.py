"""Mutual aid: one incident for another agency, for a time, in one browser, without handing it on."""

import httpx

from command_center.accounts import UserRole
from relay.header import Kind
from relay.kinds.retraction import Ground, Retraction
from tests.command_center.house import House
from tests.command_center.test_ingest import assert_all_as_written, until
from tests.command_center.test_lifecycle import MINUTE_MS, act


async def shared(client: httpx.AsyncClient, **changes: object) -> tuple[str, int]:
    body = {"agency": "county", "reason": "their street", "minutes": 30} | changes
    answer = await client.post("/api/v1/incidents/1/shares", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return "/aid/" + made["url"].rpartition("/")[2], made["share"]["id"]


async def test_shared_incident_opens_in_one_browser_until_it_is_revoked_and_each_look_is_kept(house: House) -> None:
    node = house.node()
    alert = node.alert()
    await house.deliver(node, alert)
    async with house.signed_in("sue", UserRole.SUPERVISOR) as client:
        link, number = await shared(client)
        async with house.browser("198.51.100.7") as theirs, house.browser("203.0.113.9") as other:
            before = await theirs.get(link)
            assert "handgun" not in before.text, "a preview sees nothing and takes no seat"
            assert (await theirs.post(link)).status_code == 303
            page = await theirs.get(link)
            assert (page.status_code, "handgun" in page.text, "Ends in 30 min" in page.text) == (200, True, True)
            assert "<script" not in page.text
            late = await other.post(link)
            assert (late.status_code, "opened in another browser" in late.text) == (403, True)
            other.cookies.set("heard_aid", "stolen", path=link)
            assert (await other.get(link)).status_code == 403
            assert (await theirs.get("/api/v1/incidents/1")).status_code == 401, "the link opens nothing else"
            assert (await theirs.post("/api/v1/incidents/1/shares", json={})).status_code == 401, "nor can it share"
            await house.deliver(
                node, node.body(Kind.RETRACTION, Retraction(alert_id=alert.id, ground=Ground.CONTRADICTED))
            )
            assert "has taken this alert back" in (await theirs.get(link)).text
            assert (await theirs.get(f"{link}/picture")).status_code == 404
            rows = (await client.get("/api/v1/incidents/1/response")).json()["shares"]
            assert rows[0]["opened_at_ms"] is not None
            ended = await client.post(f"/api/v1/incidents/1/shares/{number}/revoke", json={"reason": "over"})
            assert ended.json()[0]["ended_why"] == "over"
            gone = await theirs.get(link)
            assert (gone.status_code, "no longer: over" in gone.text) == (403, True)
    looks = await house.query(
        "SELECT kind, actor, COUNT(*) FROM entry WHERE actor LIKE 'agency:%' GROUP BY 1, 2 ORDER BY 1"
    )
    assert looks == [
        ("denied", "agency:county", 2), ("share-opened", "agency:county", 1), ("share-viewed", "agency:county", 2)
    ], "a denial is an entry once a minute for each reason and network"  # fmt: skip
    assert await house.query("SELECT length(token_sha256), length(seat_sha256) FROM share") == [(32, 32)]
    await assert_all_as_written(house)


async def test_share_ends_at_its_time_with_its_incident_and_when_the_clock_leaps_back(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in("sue", UserRole.SUPERVISOR) as client:
        link, _ = await shared(client)
        await shared(client, minutes=1440)

        async def ended(count: int) -> bool:
            return await house.query("SELECT COUNT(*) FROM share WHERE ended_at_ms IS NOT NULL") == [(count,)]

        house.clock.advance(30 * MINUTE_MS)
        async with house.browser() as theirs:
            late = await theirs.post(link)
            assert (late.status_code, "time" in late.text) == (403, True)
        await until(lambda: ended(1))
        await act(client, "1/acknowledge", version=1)
        await act(client, "1/close", version=2, disposition="handled")
        await until(lambda: ended(2))
        assert (await client.post("/api/v1/incidents/1/shares", json={"agency": "c", "reason": "r"})).status_code == 422
        for wrong in ({"agency": "", "reason": "r"}, {"agency": "a", "reason": "r", "minutes": 1441}, {"agency": "a"}):
            assert (await client.post("/api/v1/incidents/1/shares", json=wrong)).status_code == 422
    assert await house.query("SELECT ended_why FROM share ORDER BY id") == [
        ("its time was over",),
        ("the incident is closed",),
    ]
    await assert_all_as_written(house)


async def test_guessed_links_are_journalled_once_a_minute_and_counted_each_time(house: House) -> None:
    async with house.browser() as somebody:
        for number in range(5):
            assert (await somebody.post(f"/aid/guess{number}")).status_code == 403
            assert (await somebody.get(f"/u/guess{number}")).status_code == 404
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'denied'") == [(2,)]
    assert house.services.metrics.snapshot()["denials"] == 10
