"""The small page of a field unit, by link and by sign-in: what it says, what it may say, and what is refused."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from playwright.async_api import async_playwright, expect

from command_center import accounts
from command_center.accounts import UserRole
from command_center.api import phone as phone_pages
from relay.kinds.acknowledgement import AnswerState
from tests.command_center.house import PASSWORD, House, quick_passwords
from tests.command_center.test_ingest import assert_all_as_written
from tests.command_center.test_lifecycle import MINUTE_MS, act, incident
from tests.command_center.test_units import on_board, send, told, unit


async def link_for(client: httpx.AsyncClient, name: str = "M21", hours: float = 12) -> str:
    answer = await client.post(f"/api/v1/units/{name}/link", json={"hours": hours})
    assert answer.status_code == 201, answer.text
    return "/u/" + str(answer.json()["url"]).rpartition("/")[2]


def buttons(page: httpx.Response) -> list[str]:
    return re.findall(r"name='state' value='(\w+)'", page.text)


async def test_unit_works_through_its_assignment_on_its_own_page(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client, house.browser() as phone:
        await on_board(client)
        link = await link_for(client)
        assert buttons(await phone.get(link)) == ["out_of_service"]
        assert (await phone.post(link, data={"state": "en_route"})).status_code == 409, "there is nothing to go to"
        await send(client, "M21")
        page = await phone.get(link)
        assert "handgun" in page.text
        assert "<script" not in page.text
        assert buttons(page) == ["accepted", "en_route", "on_scene", "clear", "unable"]
        for state in ("accepted", "accepted", "en_route", "on_scene"):
            assert (await phone.post(link, data={"state": state})).status_code == 303
        page = await phone.get(link)
        assert buttons(page) == ["on_scene", "clear", "unable"]
        assert (await phone.post(link, data={"state": "accepted"})).status_code == 409, "a stale page goes no step back"
        note = {"note": "two people, one left <b>west</b>", "key": "k1"}
        for _ in range(2):
            assert (await phone.post(link, data=note)).status_code == 303
        assert "&lt;b&gt;west&lt;/b&gt;" in (await phone.get(link)).text
        assert (await phone.post(link, data={"lat": "52.1", "lon": "4.3"})).status_code == 303
        assert (await phone.post(link, data={"lat": "912", "lon": "4.3"})).status_code == 409
        found = await unit(client)
        assert (found["status"], found["status_by"], found["status_source"]) == ("on_scene", "unit:M21", "link")
        position = found["position"]
        assert isinstance(position, dict)
        assert (position["lat"], position["source"]) == (52.1, "page")
        assert (await phone.post(link, data={"state": "clear"})).status_code == 303
        assert "No assignment. You are clear." in (await phone.get(link)).text
        notes = (await client.get("/api/v1/incidents/1/notes")).json()["notes"]
        assert [(item["by"], item["role"]) for item in notes] == [("unit:M21", "field unit")]
    assert await told(house, node) == [
        AnswerState.SEEN, AnswerState.DISPATCHED, AnswerState.DISPATCHED, AnswerState.EN_ROUTE, AnswerState.ON_SCENE
    ]  # fmt: skip
    looks = await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'viewed' AND actor = 'unit:M21'")
    assert looks == [(1,)], "looks are kept, once in ten minutes"
    await assert_all_as_written(house)


async def test_page_says_how_old_it_is_and_when_each_note_was_written(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client, house.browser() as phone:
        await on_board(client)
        link = await link_for(client)
        at = datetime.fromtimestamp(house.clock.wall_ms() / 1000, UTC)
        asked = f"As of {at:%H:%M:%S} UTC. <a href='{link}'>Look again</a>"
        assert asked in (await phone.get(link)).text, "without an assignment, too: that is when one waits for it"
        await send(client, "M21")
        await client.post("/api/v1/incidents/1/notes", json={"text": "two people"})
        house.clock.advance(390 * 60 * 1000)
        link = await link_for(client)
        shown = (await phone.get(link)).text
        later = at + timedelta(hours=6.5)
        assert f"As of {later:%H:%M:%S} UTC. <a href='{link}'>Look again</a>" in shown
        assert "<dt>Age</dt><dd>6 h 30 min, as this page came</dd>" in shown
        assert re.search(rf"<li>{at:%m-%d %H:%M} UTC, \w+: two people</li>", shown)
        refused = await phone.get("/u/nothing")
        assert "<p>This link is not good" in refused.text


@pytest.mark.parametrize(
    ("span_ms", "words"),
    [(-5, "0 s"), (59_999, "59 s"), (60_000, "1 min"), (3_599_999, "59 min"), (3_900_000, "1 h 05 min"), (100 * 3_600_000, "4 d 4 h")],
)  # fmt: skip
def test_length_of_time_is_said_as_coarsely_as_it_is_long(span_ms: int, words: str) -> None:
    assert phone_pages.length(span_ms) == words


async def test_unit_that_is_unable_is_out_of_service_and_free_for_nobody(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client, house.browser() as phone:
        await on_board(client)
        link = await link_for(client)
        await send(client, "M21")
        assert (await phone.post(link, data={"state": "unable", "note": "flat tire"})).status_code == 303
        assert ((await unit(client))["status"], (await unit(client))["note"]) == ("out_of_service", "flat tire")
        (row,) = (await client.get("/api/v1/incidents/1/response")).json()["assignments"]
        assert row["ended_as"] == "unable"
        assert (await incident(client))["responding"] == []
        assert (await phone.post(link, data={"state": "available"})).status_code == 303
        assert (await unit(client))["status"] == "available"
    await assert_all_as_written(house)


async def test_new_link_ends_the_old_one_and_each_ends_at_its_time(house: House) -> None:
    async with house.signed_in() as client, house.browser() as phone:
        await on_board(client)
        lost = await link_for(client)
        found = await link_for(client, hours=1)
        assert (await phone.get(lost)).status_code == 404
        assert (await phone.get(found)).status_code == 200
        house.clock.advance(61 * MINUTE_MS)
        late = await phone.post(found, data={"state": "out_of_service"})
        assert (late.status_code, "ask the command center" in late.text) == (404, True)
        assert (await unit(client))["status"] == "available"
        for hours in (0, 25):
            assert (await client.post("/api/v1/units/M21/link", json={"hours": hours})).status_code == 422
        assert (await client.post("/api/v1/units/M99/link", json={})).status_code == 404
    denied = await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'denied' AND subject = 'link:unknown'")
    assert denied == [(2,)], "the lost and the late one, a minute apart"


async def _field_unit(house: House, name: str = "m21", speaks_for: str = "M21") -> None:
    passwords = quick_passwords()
    encoded = passwords.hash(PASSWORD)
    passwords.close()
    await house.database.run(
        lambda c: accounts.add(c, name=name, role=UserRole.FIELD_UNIT, password_hash=encoded, at_ms=1, by="test",
                               unit=speaks_for)
    )  # fmt: skip


async def sign_in(phone: httpx.AsyncClient, name: str, password: str = PASSWORD) -> httpx.Response:
    """As the form does."""
    found = re.search(r"name='form' value='([^']+)'", (await phone.get("/unit")).text)
    assert found is not None
    return await phone.post("/unit/sign-in", data={"form": found[1], "name": name, "password": password})


async def test_signed_in_unit_answers_without_any_script(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    await _field_unit(house)
    async with house.signed_in() as client, house.browser() as phone:
        await on_board(client)
        await send(client, "M21")
        assert "Sign in" in (await phone.get("/unit")).text
        assert (await phone.post("/unit", data={"state": "accepted"})).status_code == 401
        wrong = await sign_in(phone, "m21", "wrong")
        assert (wrong.status_code, "Sign in" in wrong.text) == (401, True)
        assert (await sign_in(phone, "M21")).status_code == 303
        page = await phone.get("/unit")
        assert "handgun" in page.text
        csrf = re.findall(r"name='csrf' value='(\w+)'", page.text)[0]
        forged = await phone.post("/unit", data={"state": "accepted"})
        assert (forged.status_code, (await unit(client))["status"]) == (403, "assigned")
        assert (await phone.post("/unit", data={"state": "accepted", "csrf": csrf})).status_code == 303
        assert (await unit(client))["status"] == "accepted"
        assert (await phone.get("/unit/picture")).status_code == 404, "none has come yet"
        assert (await phone.get("/api/v1/incidents")).status_code == 403, "the queue is not a unit's"
    await assert_all_as_written(house)


async def test_other_roles_and_units_that_are_gone_get_no_page(house: House) -> None:
    await _field_unit(house, speaks_for="M99")
    async with house.browser() as phone:
        assert (await sign_in(phone, "m21")).status_code == 303
        gone = await phone.get("/unit")
        assert (gone.status_code, "no unit &#x27;M99&#x27; on the board" in gone.text) == (404, True)
    async with house.signed_in() as dispatcher:
        assert "Sign in" in (await dispatcher.get("/unit")).text


async def test_page_says_nothing_more_of_an_incident_that_is_closed(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client, house.browser() as phone:
        await on_board(client)
        await send(client, "M21")
        link = await link_for(client)
        await act(client, "1/close", version=3, disposition="handled", release_units=True)
        assert "No assignment" in (await phone.get(link)).text


@pytest.mark.parametrize("body", [b"state=dancing", b"\xff\xfe", b"", b"note=", b"lat=x&lon=y", b"a=1&" * 50])
async def test_nonsense_is_answered_and_changes_nothing(house: House, body: bytes) -> None:
    async with house.signed_in() as client, house.browser() as phone:
        await on_board(client)
        link = await link_for(client)
        before = await unit(client)
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = await phone.post(link, content=body, headers=headers)
        assert answer.status_code in {409, 422}
        assert (await unit(client)) == before


CHROMIUM_FILE = Path("/usr/bin/chromium")
_MEASURE = """() => ({
  width: document.documentElement.scrollWidth,
  heights: [...document.querySelectorAll('button')].map((button) => button.getBoundingClientRect().height),
  unnamed: [...document.querySelectorAll('input:not([type=hidden]), textarea')].filter((field) => !field.labels.length).length,
})"""


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM_FILE.exists(), reason=f"expected Chromium at {CHROMIUM_FILE}, found none")
async def test_page_works_at_360_pixels_with_scripts_off(house: House) -> None:
    """In a real Chromium; each step is a press of a large button."""
    async with house.signed_in() as client, async_playwright() as playwright:
        node = house.node()
        await house.deliver(node, node.alert(label="x" * 12, camera="y" * 12))
        await on_board(client)
        await send(client, "M21")
        link = await link_for(client)
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM_FILE, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            measuring = await (await browser.new_context(viewport={"width": 360, "height": 640})).new_page()
            await measuring.goto(house.center.url + link)
            found = await measuring.evaluate(_MEASURE)
            assert found["width"] <= 360, "nothing is cut off at the side"
            assert min(found["heights"]) >= 44
            assert found["unnamed"] == 0
            phone = await (
                await browser.new_context(viewport={"width": 360, "height": 640}, java_script_enabled=False)
            ).new_page()
            await phone.goto(house.center.url + link)
            for name in ("Accept", "En route", "On scene"):
                await phone.get_by_role("button", name=name, exact=True).click()
                await expect(phone.locator("dl")).to_contain_text({"Accept": "accepted"}.get(name, name.lower()))
            await phone.get_by_label("Add a note").fill("two people, calm")
            await phone.get_by_role("button", name="Write it down").click()
            await expect(phone.locator("li")).to_have_text(re.compile(r"\d\d:\d\d UTC, M21: two people, calm$"))
        finally:
            await browser.close()
        assert (await unit(client))["status"] == "on_scene"
