"""The queue in pages: together with the events after the first page's watermark they miss nothing."""

import httpx
import pytest

from relay.precedence import Precedence
from tests.command_center.house import House

COUNT = 23


async def _fill(house: House) -> None:
    node = house.node()
    urgency = [Precedence.FLASH, Precedence.IMMEDIATE, Precedence.PRIORITY]
    for at in range(COUNT):
        await house.deliver(node, node.alert(camera=f"cam{at}", precedence=urgency[at % 3]))


async def _pages(browser: httpx.AsyncClient, state: str, limit: int) -> list[list[dict[str, object]]]:
    pages, after = [], ""
    while True:
        answer = (await browser.get(f"/api/v1/incidents?state={state}&limit={limit}{after}")).json()
        assert answer["total"] == COUNT
        pages.append(answer["incidents"])
        if answer["next"] is None:
            return pages
        after = f"&after={answer['next']}"


@pytest.mark.parametrize("state", ["open", "all"])
@pytest.mark.parametrize("limit", [1, 7, 23, 24])
async def test_pages_hold_each_incident_once_and_in_the_order_of_the_whole(
    house: House, state: str, limit: int
) -> None:
    await _fill(house)
    async with house.signed_in() as browser:
        first = (await browser.get("/api/v1/incidents")).json()["incidents"][0]
        await browser.post(f"/api/v1/incidents/{first['id']}/acknowledge", json={"version": first["version"]})
        [whole] = await _pages(browser, state, 1000)
        pages = await _pages(browser, state, limit)
    # By id and state: how long a hop took may become known between two readings.
    told = [
        [(item["id"], item["state"]) for item in page] for page in (whole, [item for page in pages for item in page])
    ]
    assert told[0] == told[1]
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert len({item["id"] for item in whole}) == COUNT


async def test_the_first_page_is_what_stands_on_top_of_the_console(house: House) -> None:
    await _fill(house)
    async with house.signed_in() as browser:
        newest = (await browser.get("/api/v1/incidents?limit=1")).json()["incidents"][0]
        assert newest["precedence"] == "FLASH"
        await browser.post(f"/api/v1/incidents/{newest['id']}/acknowledge", json={"version": newest["version"]})
        listed = (await browser.get("/api/v1/incidents?limit=1000")).json()["incidents"]
    assert listed[-1]["id"] == newest["id"]
    waiting = [item for item in listed if item["state"] == "unacknowledged" and not item["quiet"]]
    ranks = [Precedence[item["precedence"]] for item in waiting]
    assert ranks == sorted(ranks)
    flashes = [item["id"] for item in waiting if item["precedence"] == "FLASH"]
    assert flashes == sorted(flashes, reverse=True)


async def test_an_incident_that_moves_between_two_pages_is_told_by_an_event(house: House) -> None:
    await _fill(house)
    async with house.signed_in() as browser:
        first = (await browser.get("/api/v1/incidents?limit=10")).json()
        last = (await browser.get("/api/v1/incidents?limit=1000")).json()["incidents"][-1]
        seen = await browser.post(f"/api/v1/incidents/{last['id']}/acknowledge", json={"version": last["version"]})
        assert seen.status_code == 200, seen.text
    told = await house.query("SELECT subject FROM event WHERE id > ? AND kind = 'incident'", first["watermark"])
    assert (str(last["id"]),) in told


@pytest.mark.parametrize("after", ["1", "1.2", "0.0.-1.-99999999999999999999", "x", "1;drop", "1.2.3.4.5"])
async def test_a_cursor_that_is_none_is_refused_in_words(house: House, after: str) -> None:
    async with house.signed_in() as browser:
        answer = await browser.get("/api/v1/incidents", params={"after": after})
    assert answer.status_code == 422
    assert answer.json()["detail"]
