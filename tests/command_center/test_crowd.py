"""Ten desks at once: the same click at the same moment is one act, and any clicks whatever leave a center that is all as written."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import httpx
import pytest

from command_center.accounts import UserRole
from relay.precedence import Precedence
from tests.command_center.house import House, Node
from tests.command_center.test_ingest import assert_all_as_written
from tests.command_center.test_lifecycle import act, shelve
from tests.command_center.test_mutual_aid import shared
from tests.command_center.test_unit_page import link_for
from tests.command_center.test_units import on_board, send

DESKS: Final = 10
INCIDENTS: Final = 4


@contextlib.asynccontextmanager
async def room(house: House) -> AsyncIterator[tuple[Node, list[httpx.AsyncClient]]]:
    """A node with four open incidents, and ten supervisors at their desks."""
    node = house.node()
    for number in range(INCIDENTS):
        await house.deliver(node, node.alert(camera=f"cam{number}", precedence=Precedence.IMMEDIATE))
    async with contextlib.AsyncExitStack() as stack:
        yield node, [await stack.enter_async_context(house.signed_in(f"sue{number}", UserRole.SUPERVISOR)) for number in range(DESKS)]  # fmt: skip


async def _acknowledged(client: httpx.AsyncClient, _: Node) -> int:
    assert (await act(client, "1/acknowledge", version=1)).status_code == 200
    return 2


async def _merged(client: httpx.AsyncClient, _: Node) -> int:
    assert (await act(client, "1/merge", version=1, into=2)).status_code == 200
    return 2


async def _shelved(client: httpx.AsyncClient, node: Node) -> int:
    answer = await shelve(client, node, camera="cam0", covers_flash=True)
    return int(answer.json()["shelves"][0]["id"])


async def _unit(client: httpx.AsyncClient, _: Node) -> int:
    await on_board(client)
    await _acknowledged(client, _)
    return 2


async def _sent(client: httpx.AsyncClient, node: Node) -> int:
    await _unit(client, node)
    assert (await send(client, "M21")).status_code == 200
    return 3


async def _given(client: httpx.AsyncClient, _: Node) -> int:
    assert (await client.post("/api/v1/handovers", json={"note": "quiet"})).status_code == 201
    return int((await client.get("/api/v1/handovers")).json()["last"]["id"])


async def _shared(client: httpx.AsyncClient, _: Node) -> int:
    return (await shared(client))[1]


async def _nothing(_: httpx.AsyncClient, __: Node) -> int:
    return 1


Before = Callable[[httpx.AsyncClient, Node], Awaitable[int]]
Press = Callable[[httpx.AsyncClient, Node, int], Awaitable[httpx.Response]]
AT_ONCE: Final[dict[str, tuple[Before, Press, str]]] = {
    "acknowledge": (_nothing, lambda c, _, v: act(c, "1/acknowledge", version=v), "incident-acknowledged"),
    "close": (_acknowledged, lambda c, _, v: act(c, "1/close", version=v, disposition="handled"), "incident-closed"),
    "merge": (_nothing, lambda c, _, v: act(c, "1/merge", version=v, into=2), "incident-merged"),
    "take apart": (_merged, lambda c, _, v: act(c, "1/unmerge", version=v), "incident-unmerged"),
    "shelve": (_nothing, lambda c, n, _: shelve(c, n), "source-shelved"),
    "unshelve": (_shelved, lambda c, _, v: c.delete(f"/api/v1/shelves/{v}"), "source-unshelved"),
    "agree": (_shelved, lambda c, _, v: c.post(f"/api/v1/shelves/{v}/agree"), "shelving-agreed"),
    "send": (_unit, lambda c, _, v: c.post("/api/v1/incidents/1/units", json={"unit": "M21", "version": v, "unit_version": 2}), "unit-assigned"),
    "release": (_sent, lambda c, _, v: c.post("/api/v1/incidents/1/units/M21/release", json={"unit_version": v}), "unit-released"),
    "hand over": (_given, lambda c, _, v: c.post(f"/api/v1/handovers/{v}/take", json={"note": ""}), "handover-taken"),
    "end a share": (_shared, lambda c, _, v: c.post(f"/api/v1/incidents/1/shares/{v}/revoke", json={"reason": "over"}), "share-ended"),
    "hold": (_nothing, lambda c, _, __: c.post("/api/v1/holds", json={"incident": 1, "reason": "case 7"}), "hold-placed"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(AT_ONCE))
async def test_ten_who_press_the_same_at_once_do_it_once(house: House, name: str) -> None:
    before, press, kind = AT_ONCE[name]
    async with room(house) as (node, desks):
        seen = await before(desks[0], node)
        answers = await asyncio.gather(*(press(desk, node, seen) for desk in desks))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 201, 204, 404, 409, 422}, [answer.text for answer in answers]
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = ?", kind) == [(1,)], statuses
    await assert_all_as_written(house)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_ten_desks_and_a_phone_do_at_once_the_center_is_all_as_written(house: House, seed: int) -> None:
    dice = random.Random(seed)
    print("seed", seed)
    async with room(house) as (node, desks), house.browser() as phone:
        await on_board(desks[0])
        link = await link_for(desks[0])

        async def press(desk: httpx.AsyncClient) -> httpx.Response:
            number, other = dice.randint(1, INCIDENTS), dice.randint(1, INCIDENTS)
            found = (await desk.get(f"/api/v1/incidents/{number}")).json()
            version = found["version"] - (dice.random() < 0.2)
            unit_version = (await desk.get("/api/v1/units/M21")).json()["version"]
            moves: list[Callable[[], Awaitable[httpx.Response]]] = [
                lambda: act(desk, f"{number}/acknowledge", version=version),
                lambda: act(desk, f"{number}/close", version=version, disposition="handled", release_units=dice.random() < 0.5),
                lambda: act(desk, f"{number}/merge", version=version, into=other),
                lambda: act(desk, f"{number}/unmerge", version=version),
                lambda: shelve(desk, node, camera=f"cam{number - 1}"),
                lambda: desk.delete("/api/v1/shelves/1"),
                lambda: desk.post(f"/api/v1/incidents/{number}/units", json={"unit": "M21", "version": version, "unit_version": unit_version}),
                lambda: desk.post(f"/api/v1/incidents/{number}/units/M21/release", json={"unit_version": unit_version}),
                lambda: desk.post(f"/api/v1/incidents/{number}/notes", json={"text": "a note", "key": f"k{dice.randint(1, 3)}"}),
                lambda: desk.post("/api/v1/holds", json={"incident": number, "reason": "case 7"}),
                lambda: phone.post(link, data={"state": dice.choice(["accepted", "en_route", "on_scene", "clear", "unable", "available"])}),
                lambda: phone.post(link, data={"note": "seen from here", "key": f"p{dice.randint(1, 3)}"}),
            ]  # fmt: skip
            return await dice.choice(moves)()

        answered = Counter[int]()
        for round_number in range(12):
            answered.update(answer.status_code for answer in await asyncio.gather(*map(press, desks)))
            await house.deliver(node, node.alert(camera=f"cam{round_number % INCIDENTS}", precedence=Precedence.IMMEDIATE))  # fmt: skip
    assert not [status for status in answered if status >= 500], answered
    assert answered[409], "some of them must have met"
    assert await house.query("SELECT COUNT(*) FROM assignment WHERE ended_at_ms IS NULL") <= [(1,)]
    await assert_all_as_written(house)
