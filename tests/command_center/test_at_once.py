"""Many at once: whoever sends sixty guesses in one breath gets no more out of them than one after the other."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import Final

import httpx
import pytest

from command_center.accounts.failures import ALLOWED
from tests.command_center.house import PASSWORD, House
from tests.command_center.signing_in import code_of, enroll, sign_in
from tests.command_center.test_ingest import until

AT_ONCE: Final = 60


async def statuses(asked: Iterable[Awaitable[httpx.Response]]) -> Counter[int]:
    return Counter([answer.status_code for answer in await asyncio.gather(*asked)])


async def test_codes_are_guessed_no_faster_at_once(house: House) -> None:
    """By whoever sits down at a desk that is signed in and would take the second factor away."""
    async with house.signed_in() as client:
        secret, _ = await enroll(client, house)
        right = code_of(secret, house)
        wrong = [f"{number:06d}" for number in range(AT_ONCE) if f"{number:06d}" != right]
        found = await statuses(client.post("/api/v1/account/recovery-codes", json={"code": code}) for code in wrong)
        assert found == {422: ALLOWED, 429: len(wrong) - ALLOWED}
        last = await client.post("/api/v1/account/recovery-codes", json={"code": right})
        assert last.status_code == 429


@pytest.fixture
async def late(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A right password's check ends when the last try that was left has been noted as wrong."""
    passwords = house.services.door.passwords
    is_right = passwords.is_right

    async def is_right_late(encoded: str | None, password: str, address: str = "") -> bool:
        found = await is_right(encoded, password, address)

        async def is_noted() -> bool:
            return await house.query("SELECT COUNT(*) FROM sign_in_failure") == [(ALLOWED,)]

        if found and await house.query("SELECT COUNT(*) FROM sign_in_failure") != [(0,)]:
            await until(is_noted)
        return found

    monkeypatch.setattr(passwords, "is_right", is_right_late)


@pytest.mark.usefixtures("late")
async def test_a_right_password_among_too_many_wrong_ones_is_not_told(house: House) -> None:
    await house.add_user("alice")
    async with house.browser("203.0.113.5") as thief:
        for number in range(ALLOWED - 1):
            assert (await sign_in(thief, password=f"wrong number {number}")).status_code == 401
        found = await statuses(sign_in(thief, password=guess) for guess in (PASSWORD, "wrong again"))
        assert found == {401: 1, 429: 1}
        assert "heard_session" not in thief.cookies
    assert await house.query("SELECT COUNT(*) FROM session") == [(0,)]


@pytest.mark.usefixtures("late")
async def test_nor_where_somebody_changes_the_password_of_a_desk_that_is_signed_in(house: House) -> None:
    async with house.signed_in() as client:
        address, new = "/api/v1/account/password", "seven pale otters swim"
        for number in range(ALLOWED - 1):
            answer = await client.post(address, json={"current": f"wrong number {number}", "new": new})
            assert answer.status_code == 422
        found = await statuses(
            client.post(address, json={"current": guess, "new": new}) for guess in (PASSWORD, "wrong again")
        )
        assert found == {422: 1, 429: 1}
    async with house.browser() as other:
        house.clock.advance(16 * 60_000)
        assert (await sign_in(other)).status_code == 200, "it is the old one still"
