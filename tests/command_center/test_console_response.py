"""Run cards, mutual aid, an alert's way, what is not heard yet, suppressions, callbacks: in real Chromium against a real center."""

import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from command_center.accounts import UserRole
from command_center.commands import CallbackAdd
from command_center.suppressing import in_force
from relay.kinds.answer import Outcome
from relay.precedence import Precedence
from tests.command_center.console_desk import IN_CHROMIUM, Room, alarm, center_of_today, choose, photograph, room
from tests.command_center.console_scene import path, pictured_alarm, traced, word
from tests.command_center.house import House
from tests.command_center.receivers import listening
from tests.command_center.test_ingest import until
from tests.command_center.test_suppressing import answers, instruction_ids

pytestmark = [*IN_CHROMIUM]
PLANS = """
[[plan]]
name = "Weapon at the gate"
labels = ["handgun"]
instructions = "Lock the doors. Nobody goes in before two units are there."
send = { units = 2, capabilities = ["medic"] }
tell = [{ receiver = "school-desk" }]
trigger = [{ action = "act", name = "siren" }]
"""


@pytest.fixture
async def desk_room(tmp_path: Path) -> AsyncIterator[Room]:
    """A room at a center with a response plan; afterwards no browser had anything to complain about."""
    async with center_of_today(tmp_path / "center", plans=PLANS) as house, room(house) as opened:
        yield opened
        assert [text for text in opened.complaints if "409" not in text] == []


async def kinds_of(house: House, pattern: str) -> list[str]:
    rows = await house.query("SELECT kind FROM entry WHERE kind LIKE ? ORDER BY id", pattern)
    return [str(kind) for (kind,) in rows]


async def presses(page: Page, address: str) -> list[str]:
    """What this window sends to an address that ends so; filled as it goes out."""
    sent: list[str] = []
    page.on("request", lambda asked: sent.append(asked.url) if asked.method == "POST" and re.search(address, asked.url) else None)  # fmt: skip
    return sent


async def test_a_run_card_is_worked_through_step_by_step_and_a_double_click_is_one_act(desk_room: Room) -> None:
    house = desk_room.house
    with listening() as desk:
        await house.center.administration.perform(
            CallbackAdd(name="school-desk", url=desk.url, only_called=True, may_be_inside=True)
        )
        await alarm(house, house.node())
        page = await desk_room.at_work("alice")
        card = page.get_by_role("group", name="Plan Weapon at the gate")
        await expect(card).to_contain_text("Nobody goes in before two units are there.")
        await expect(card).to_contain_text("2 units with medic")
        assert await kinds_of(house, "plan-step") == [], "nothing is done that nobody confirmed"
        sent = await presses(page, r"/plan/\d+$")
        await card.get_by_role("button", name="Do it: tell school-desk").dblclick()
        await expect(card.locator(".plan-step").first).to_contain_text("done by alice")
        assert len(sent) == 1
        await until(lambda: _has_got(desk.got))
        await card.get_by_role("button", name="Leave out: act siren").focus()
        await page.keyboard.press("Enter")
        asked = card.get_by_role("group", name="Leave out: act siren")
        await expect(asked).to_contain_text("It can't be done from here any more.")
        await expect(asked.get_by_role("button", name="Leave it", exact=True)).to_be_focused()
        assert await kinds_of(house, "plan-step") == ["plan-step"]
        await asked.get_by_role("button", name="Leave it out").press("Enter")
        await expect(card.locator(".plan-step").last).to_contain_text("declined by alice")
        await expect(card.get_by_role("button")).to_have_count(0)
        await photograph(page, "run-card-dark")
    assert await kinds_of(house, "plan-step") == ["plan-step", "plan-step"]


async def _has_got(got: Sequence[object]) -> bool:
    return bool(got)


async def test_a_step_that_a_colleague_settled_first_is_not_done_twice(desk_room: Room) -> None:
    house = desk_room.house
    await alarm(house, house.node())
    alice, bob = await desk_room.at_work("alice"), await desk_room.at_work("bob")
    for page in (alice, bob):
        await expect(page.get_by_role("button", name="Do it: act siren")).to_be_visible()
    await bob.route(re.compile(r"/response$"), lambda route: route.abort("failed"))  # bob's card is old from now on
    await alice.get_by_role("button", name="Leave out: act siren").click()
    await alice.get_by_role("button", name="Leave it out").click()
    await expect(alice.locator(".plan-step").last).to_contain_text("declined by alice")
    await bob.get_by_role("button", name="Do it: act siren").click()
    await expect(bob.locator(".response")).to_contain_text("is declined already, by alice")
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'plan-step'") == [(1,)]
    desk_room.complaints[:] = [text for text in desk_room.complaints if "ERR_FAILED" not in text]


async def test_an_incident_is_shown_to_another_agency_once_and_taken_back(desk_room: Room) -> None:
    house = desk_room.house
    await alarm(house, house.node())
    dispatcher = await desk_room.at_work("alice")
    await expect(dispatcher.locator(".notes")).to_be_attached()
    await expect(dispatcher.locator(".sharing")).to_have_count(0)
    page = await desk_room.at_work("rivera", UserRole.SUPERVISOR, width=1440, height=1000)
    sent = await presses(page, r"/shares$")
    await page.get_by_text("Share with another agency").click()
    await page.get_by_label("Agency").fill("City police")
    await page.get_by_role("form", name="Share").get_by_label("Reason").fill("suspects go their way")
    await page.get_by_role("button", name="Share", exact=True).dblclick()
    link = page.locator(".sharing code.link")
    await expect(link).to_contain_text("/aid/")
    await expect(page.locator(".sharing")).to_contain_text("City police until")
    assert len(sent) == 1
    assert await kinds_of(house, "%shared") == ["incident-shared"]
    await photograph(page, "sharing-dark")
    stranger = await desk_room.window(width=390, height=844)
    await stranger.goto(f"{house.center.url.rstrip('/')}/aid/{(await link.inner_text()).rpartition('/')[2]}")
    await stranger.get_by_role("button", name="Open it here").click()
    await expect(stranger.locator("main")).to_contain_text("handgun")
    await photograph(stranger, "aid-phone-dark")
    await page.get_by_role("button", name="End at once").click()
    await expect(page.get_by_role("button", name="End at once")).to_have_count(0)
    desk_room.complaints.clear()
    await stranger.reload()
    await expect(stranger.locator("main")).not_to_contain_text("handgun")
    desk_room.complaints.clear()  # the refused reload


async def test_the_details_name_each_hop_who_owns_the_delay_and_what_is_not_heard_yet(desk_room: Room) -> None:
    house = desk_room.house
    gate, relay = house.node("gate"), house.node("relay-north")
    await word(house, gate, paths=(path("lte", 61),), backlog=3)
    await alarm(house, gate)
    page = await desk_room.at_work("alice", width=1440, height=1000)
    unheard = page.get_by_role("region", name="What we have not heard yet")
    await expect(unheard).to_contain_text("gate: 3 waiting to come, oldest 41 s")
    await expect(unheard).to_contain_text("Its picture: alerts go first, pictures follow")
    alert_id = (await house.query("SELECT id FROM alert"))[0][0]
    assert isinstance(alert_id, bytes)
    await page.keyboard.press("a")
    await expect(unheard).to_contain_text("Whether gate knows that a person has seen it")
    await traced(house, gate, relay, alert_id)
    await page.reload()
    way = page.locator(".journey")
    await expect(way.locator("li")).to_have_count(2)
    await expect(way.locator("li").first).to_contain_text(
        "gate held it 3.0 ms, then ethernet to relay-north: stored after 6.0 ms"
    )
    await expect(way.locator("li").last).to_contain_text(
        "then fiber (City network) to this command center: receipt after 79 ms"
    )
    await expect(way).to_contain_text("Sent in parallel, too: lte (Provider A)")
    timeline = page.locator(".timeline")
    await expect(timeline.locator("li").first).to_contain_text("alice")
    await expect(timeline.locator("li").last).to_contain_text("over test")
    gate.sequence += 2  # two numbers never came
    await word(house, gate, paths=(path("lte", 61),))
    await expect(unheard).to_contain_text("gate: 2 messages missing")
    await photograph(page, "unheard-dark")


async def test_nothing_is_said_to_be_missing_where_all_has_arrived(desk_room: Room) -> None:
    house = desk_room.house
    gate = house.node("gate")
    await word(house, gate, paths=(path("lte", 61),))
    await pictured_alarm(house, gate, label="knife", camera="quay", precedence=Precedence.FLASH)
    page = await desk_room.at_work("alice")
    await expect(page.get_by_role("region", name="What we have not heard yet")).to_contain_text(
        "Nothing: all that is known to exist has arrived."
    )
    await expect(page.locator(".picture.large img")).to_have_js_property("naturalWidth", 1280)


async def test_a_supervisor_has_a_false_alarm_not_told_again_and_takes_it_back(desk_room: Room) -> None:
    house = desk_room.house
    gate = house.node("gate")
    await alarm(house, gate, label="knife", precedence=Precedence.IMMEDIATE)
    page = await desk_room.at_work("rivera", UserRole.SUPERVISOR)
    await expect(page.locator('.row[data-incident="1"]')).to_be_visible()
    await page.keyboard.press("x")
    await expect(page.get_by_role("group", name="Don't tell it again")).to_have_count(0)  # it is open still
    await page.keyboard.press("c")
    await page.keyboard.press("2")
    await expect(page.locator('.row[data-incident="1"]')).to_have_count(0)
    await page.get_by_role("button", name="All", exact=True).click()
    await choose(page, 1)
    await page.keyboard.press("x")
    form = page.get_by_role("group", name="Don't tell it again")
    await form.get_by_role("button", name="30 days").click()
    await expect(form.get_by_role("alert")).to_contain_text("Give the reason first")
    await form.get_by_label("Reason").fill("the poster at the kiosk")
    await page.keyboard.press("Enter")
    await page.keyboard.press("2")
    await expect(page.locator(".suppressed")).to_contain_text("does not tell this again until")
    now = house.clock.wall_ms()
    (known,) = await house.database.run(lambda c: in_force(c, now))
    assert (known.fact.camera, known.fact.reason, known.fact.by) == ("cam1", "the poster at the kiosk", "rivera")
    assert abs(known.fact.until_ms - now - 7 * 86_400_000) < 60_000
    await photograph(page, "suppressed-dark")
    await page.keyboard.press("4")
    listed = page.get_by_role("region", name=re.compile("not told again"))
    await expect(listed).to_contain_text("knife at gate, cam1, until")
    await expect(listed).to_contain_text("gate has not answered yet")
    first, *_ = await instruction_ids(house, gate)
    await answers(house, gate, first, Outcome.REFUSED, "it has forgotten that alert")
    await expect(listed).to_contain_text("gate refused: it has forgotten that alert")
    await photograph(page, "suppression-refused-dark")
    await listed.get_by_role("button", name="Have it told again").click()
    await expect(listed).to_contain_text("Ended here, not yet at the node")
    await answers(house, gate, (await instruction_ids(house, gate))[-1], Outcome.DONE)
    await expect(listed).to_have_count(0)
    assert await house.database.run(lambda c: in_force(c, now)) == []
    dispatcher = await desk_room.at_work("alice")
    await dispatcher.get_by_role("button", name="All", exact=True).click()
    await choose(dispatcher, 1)
    await expect(dispatcher.locator("#detail")).to_contain_text("Closed as false alarm")
    await dispatcher.keyboard.press("x")
    await expect(dispatcher.get_by_role("group", name="Don't tell it again")).to_have_count(0)


async def test_what_could_not_be_delivered_is_seen_and_sent_again(desk_room: Room) -> None:
    house = desk_room.house
    with listening() as receiver:
        receiver.statuses = [410]
        await house.center.administration.perform(
            CallbackAdd(name="harbor-master", url=receiver.url, may_be_inside=True)
        )
        await alarm(house, house.node(), label="knife")
        await until(lambda: _is_dead(house))
        page = await desk_room.at_work("rivera", UserRole.SUPERVISOR)
        await page.keyboard.press("6")
        dead = page.get_by_role("region", name="Deliveries")
        await expect(dead).to_contain_text("HTTP 410")
        await expect(page.get_by_role("region", name="Receivers")).to_contain_text("× off: it answered 410: gone")
        await photograph(page, "callbacks-dead-dark")
        sent = await presses(page, "/resend$")
        await dead.get_by_role("button", name="Send again to harbor-master").dblclick()
        await expect(page.get_by_role("status").filter(has_text="Sent to harbor-master again")).to_be_visible()
        assert len(sent) == 1
        await page.get_by_role("button", name="Delivered", exact=True).click()
        await expect(page.get_by_role("region", name="Deliveries")).to_contain_text("harbor-master")
        assert len(receiver.got) == 2
        dispatcher = await desk_room.at_work("alice")
        await expect(dispatcher.get_by_role("link", name="Callbacks")).to_have_count(0)


async def _is_dead(house: House) -> bool:
    return await house.query("SELECT state FROM delivery") == [("dead",)]


async def test_a_units_phone_gets_its_page_by_a_link_that_is_shown_once(desk_room: Room) -> None:
    house = desk_room.house
    await alarm(house, house.node())
    async with house.signed_in("sergeant", UserRole.SUPERVISOR) as browser:
        await browser.post("/api/v1/units", json={"name": "M21", "capabilities": ["medic"]})
        await browser.post("/api/v1/units/M21/status", json={"version": 1, "status": "available"})
    page = await desk_room.at_work("alice", width=1440)
    await page.keyboard.press("3")
    await page.get_by_role("button", name="M21: phone link").click()
    card = page.get_by_role("region", name="Link for M21's phone")
    await expect(card.get_by_role("img", name="QR code of the link for M21's phone")).to_be_visible()
    url = await card.locator("code.link").inner_text()
    await photograph(page, "phone-link-dark")
    await page.keyboard.press("Enter")
    await expect(card).to_have_count(0)
    phone = await desk_room.window(width=360, height=740)
    await phone.goto(f"{house.center.url.rstrip('/')}/u/{url.rpartition('/')[2]}")
    await expect(phone.locator("main")).to_contain_text("No assignment. You are available.")
    await page.keyboard.press("/")
    await page.keyboard.type("d M21")
    await page.keyboard.press("Enter")
    await expect(page.locator('.row[data-incident="1"]')).to_contain_text("M21 assigned")
    await phone.reload()
    await phone.get_by_role("button", name="Accept").click()
    await expect(page.locator('.row[data-incident="1"]')).to_contain_text("M21 accepted")
    await page.keyboard.press("/")
    await page.keyboard.type("r m21")
    await page.keyboard.press("Enter")
    await expect(page.locator('.row[data-incident="1"]')).not_to_contain_text("M21")
