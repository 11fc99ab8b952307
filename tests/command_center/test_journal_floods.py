"""What strangers and broken phones can do without end leaves few entries: the journal is for good, and its disk is not endless."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from command_center import enrollments, link_denials
from command_center.accounts import UserRole
from command_center.enrollments import FAILURE_WINDOW_MS, FAILURES_ALLOWED
from command_center.networks import network_of
from tests.command_center.house import House
from tests.command_center.signing_in import sign_in
from tests.command_center.test_enrollments import post
from tests.command_center.test_ingest import assert_all_as_written
from tests.command_center.test_lifecycle import MINUTE_MS, act
from tests.command_center.test_mutual_aid import shared
from tests.command_center.test_single_sign_on import config_for, house_at
from tests.command_center.test_unit_page import link_for
from tests.command_center.test_units import on_board, send

MANY: Final = 30


def one_customer() -> Iterator[str]:
    """Addresses of one network of 2^64, of which each provider gives a customer one at least."""
    first = int(ipaddress.IPv6Address("2001:db8:1:2::"))
    yield from (str(ipaddress.IPv6Address(first + number)) for number in range(MANY))


async def entries(house: House, condition: str) -> int:
    ((count,),) = await house.query(f"SELECT COUNT(*) FROM entry WHERE {condition}")
    assert isinstance(count, int)
    return count


def test_an_ipv6_network_is_one_place() -> None:
    assert len({network_of(address) for address in one_customer()}) == 1
    assert network_of("2001:db8:1:3::1") not in {network_of(address) for address in one_customer()}
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") == "192.0.2.1" != network_of("192.0.2.2")
    assert network_of("fe80::1%eth0") == network_of("fe80::2")
    assert (network_of("::1"), network_of("127.0.0.1"), network_of("local")) == ("::1", "127.0.0.1", "local")


async def test_links_guessed_from_everywhere_in_a_network_are_one_entry_a_minute(house: House) -> None:
    for address in one_customer():
        async with house.browser(address) as somebody:
            assert (await somebody.get("/u/guess")).status_code == 404
    assert await entries(house, "kind = 'denied'") == 1
    house.clock.advance(MINUTE_MS)
    async with house.browser(address) as somebody:
        await somebody.get("/u/guess")
    assert await entries(house, "kind = 'denied'") == 2


async def test_links_guessed_from_ever_new_networks_are_so_many_entries_a_minute(house: House, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(link_denials, "_MOST", 5)
    for number in range(MANY):
        async with house.browser(f"192.0.2.{number}") as somebody:
            await somebody.get("/u/guess")
    assert await entries(house, "kind = 'denied'") == 5
    assert house.services.metrics["denials"] == MANY
    house.clock.advance(MINUTE_MS)
    async with house.browser("192.0.2.99") as somebody:
        await somebody.get("/u/guess")
    assert await entries(house, "kind = 'denied'") == 6


async def test_a_share_that_is_asked_for_without_end_by_who_may_not_is_one_entry_a_minute(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in("sue", UserRole.SUPERVISOR) as client, house.browser("198.51.100.7") as theirs:
        link, number = await shared(client)
        await theirs.post(link)
        async with house.browser("203.0.113.9") as other:
            for _ in range(MANY):
                assert (await other.post(link)).status_code == 403
        assert await entries(house, "kind = 'denied'") == 1
        await client.post(f"/api/v1/incidents/1/shares/{number}/revoke", json={"reason": "over"})
        for _ in range(MANY):
            assert (await theirs.get(link)).status_code == 403
    assert await entries(house, "kind = 'denied'") == 2, "another reason, another address: another entry"
    await assert_all_as_written(house)


async def test_machines_that_are_refused_are_so_many_entries_in_a_quarter_of_an_hour(house: House, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    for address in one_customer():
        assert (await post(house, b"{}", address))[0] == 403
    assert await entries(house, "kind = 'enrollment-refused'") == FAILURES_ALLOWED, "one network"
    monkeypatch.setattr(enrollments, "FAILURES_NOTED", FAILURES_ALLOWED + 5)
    for number in range(MANY):
        assert (await post(house, b"{}", f"192.0.2.{number}"))[0] == 403
    assert await entries(house, "kind = 'enrollment-refused'") == FAILURES_ALLOWED + 5
    house.clock.advance(FAILURE_WINDOW_MS + 1000)
    await post(house, b"{}")
    assert await entries(house, "kind = 'enrollment-refused'") == FAILURES_ALLOWED + 6


async def test_a_clock_that_is_set_back_keeps_no_machine_waiting(house: House) -> None:
    house.clock.step_wall(house.clock.wall_ms() + 1000 * FAILURE_WINDOW_MS)
    for _ in range(FAILURES_ALLOWED):
        await post(house, b"{}")
    assert b"too many" in (await post(house, b"{}"))[1], "the fault: it has to wait"
    house.clock.step_wall(house.clock.wall_ms() - 1000 * FAILURE_WINDOW_MS)
    assert b"too many" not in (await post(house, b"{}"))[1]


async def test_passwords_guessed_from_everywhere_in_a_network_are_those_of_one_place(house: House) -> None:
    await house.add_user("alice")
    said = []
    for address in one_customer():
        async with house.browser(address) as thief:
            said.append((await sign_in(thief, password="wrong number")).status_code)
    assert said == [401] * 5 + [429] * (MANY - 5)
    assert await entries(house, "kind = 'denied'") == 6


async def test_who_comes_back_from_no_identity_provider_is_one_entry_a_minute(tmp_path: Path) -> None:
    async with house_at(tmp_path, config_for("http://127.0.0.1:9")) as house, house.browser() as stranger:
        for number in range(MANY):
            answer = await stranger.get(f"/api/v1/session/oidc/callback?state=s{number}&code=c")
            assert answer.status_code == 401
        assert await entries(house, "kind = 'denied'") == 1


async def test_a_phone_that_fetches_its_picture_without_end_has_looked_once(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client, house.browser() as phone:
        await on_board(client)
        link = await link_for(client)
        await send(client, "M21")
        for _ in range(MANY):
            assert (await phone.get(f"{link}/picture")).status_code == 404, "there is none, and asking is a look"
            assert (await phone.get(link)).status_code == 200
        assert await entries(house, "kind = 'viewed' AND actor = 'unit:M21'") == 2, "the page and the picture"
        house.clock.advance(11 * MINUTE_MS)
        await phone.get(f"{link}/picture")
        assert await entries(house, "kind = 'viewed' AND actor = 'unit:M21'") == 3
        await act(client, "1/close", version=3, disposition="handled", release_units=True)
    await assert_all_as_written(house)
