"""The second factor: codes of RFC 6238, good once; recovery codes; roles that must have one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from command_center.accounts import UserRole, totp
from command_center.config import AccountsConfig, CenterConfig
from tests.command_center.house import House, running_center
from tests.command_center.signing_in import code_of, enroll, sign_in


@pytest.mark.parametrize(("at_s", "code"), [(59, "94287082"), (1111111109, "07081804"), (1111111111, "14050471"),
                                            (1234567890, "89005924"), (2000000000, "69279037")])  # fmt: skip
def test_codes_are_those_of_rfc_6238(at_s: int, code: str) -> None:
    secret = b"12345678901234567890"
    assert totp.code_at(secret, totp.step_at(at_s * 1000)) == code[-6:], "appendix B lists eight digits, apps show six"


def test_a_code_is_good_for_one_step_around_now_and_never_twice() -> None:
    secret, now_ms = totp.new_secret(), 1_790_000_000_000
    step = totp.step_at(now_ms)
    for apart in range(-3, 4):
        found = totp.matching_step(secret, totp.code_at(secret, step + apart), now_ms, after_step=0)
        assert found == (step + apart if abs(apart) <= 1 else None)
    assert totp.matching_step(secret, totp.code_at(secret, step), now_ms, after_step=step) is None


async def test_with_a_second_factor_a_password_alone_opens_nothing(house: House) -> None:
    async with house.signed_in() as client, house.browser() as other:
        secret, _ = await enroll(client, house)
        assert (await sign_in(other)).json()["stage"] == "second_factor"
        before = other.cookies["heard_session"]
        assert (await other.get("/api/v1/incidents")).status_code == 401
        assert (await other.get("/api/v1/account")).status_code == 401
        assert (await other.get("/api/v1/events")).status_code == 401
        wrong = await other.post("/api/v1/session/second-factor", json={"code": "000000"})
        assert wrong.status_code == 401
        right = await other.post("/api/v1/session/second-factor", json={"code": code_of(secret, house)})
        assert right.json()["stage"] == "full"
        assert other.cookies["heard_session"] != before, "a token learnt before the step is worth nothing after it"
        assert (await other.get("/api/v1/incidents")).status_code == 200
        assert await house.query("SELECT sealed_secret FROM second_factor WHERE sealed_secret = ?", secret) == []


async def test_a_code_read_over_a_shoulder_is_good_for_nothing(house: House) -> None:
    async with house.signed_in() as client, house.browser() as first, house.browser("192.0.2.7") as second:
        secret, _ = await enroll(client, house)
        code = code_of(secret, house)
        await sign_in(first)
        assert (await first.post("/api/v1/session/second-factor", json={"code": code})).status_code == 200
        await sign_in(second)
        assert (await second.post("/api/v1/session/second-factor", json={"code": code})).status_code == 401


async def test_a_recovery_code_is_good_once(house: House) -> None:
    async with house.signed_in() as client, house.browser() as first, house.browser() as second:
        _, codes = await enroll(client, house)
        assert len(set(codes)) == 10
        await sign_in(first)
        typed = {"code": codes[3].lower().replace("-", " ")}
        assert (await first.post("/api/v1/session/second-factor", json=typed)).status_code == 200
        await sign_in(second)
        assert (await second.post("/api/v1/session/second-factor", json=typed)).status_code == 401
        shown = (await client.get("/api/v1/account")).json()
        assert (shown["has_second_factor"], shown["recovery_codes_left"]) == (True, 9)
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'recovery-code-used'") == [(1,)]


async def test_guessing_codes_ends_the_sign_in_and_then_waits(house: House) -> None:
    async with house.signed_in() as client, house.browser("203.0.113.5") as thief:
        secret, _ = await enroll(client, house)
        await sign_in(thief)
        statuses = [
            (await thief.post("/api/v1/session/second-factor", json={"code": f"{n:06d}"})).status_code for n in range(6)
        ]
        assert statuses == [401] * 6
        assert "no session" in (await thief.get("/api/v1/session")).json()["detail"]
        assert (await sign_in(thief)).status_code == 429, "a right password must not wipe wrong codes"
        async with house.browser("192.0.2.50") as owner:
            assert (await sign_in(owner)).status_code == 200
            answer = await owner.post("/api/v1/session/second-factor", json={"code": code_of(secret, house)})
            assert answer.status_code == 200


@asynccontextmanager
async def house_with(tmp_path: Path, policy: AccountsConfig) -> AsyncIterator[House]:
    async with running_center(tmp_path / "center", config=CenterConfig(http="127.0.0.1:0", accounts=policy)) as made:
        yield made


async def test_a_role_that_must_have_a_second_factor_gets_no_further_without(tmp_path: Path) -> None:
    async with house_with(tmp_path, AccountsConfig(second_factor_for=("supervisor",))) as house:
        await house.add_user("sam", UserRole.SUPERVISOR)
        async with house.browser() as client:
            assert (await sign_in(client, "sam")).json()["stage"] == "enrollment"
            assert (await client.get("/api/v1/incidents")).status_code == 401
            await enroll(client, house)
            assert (await client.get("/api/v1/session")).json()["stage"] == "full"
            assert (await client.get("/api/v1/incidents")).status_code == 200
            code = {"code": "000000"}
            assert (await client.post("/api/v1/account/second-factor/remove", json=code)).status_code == 422
            house.clock.advance(600_000)
            assert (await client.get("/api/v1/incidents")).status_code == 200


async def test_half_a_sign_in_is_over_after_ten_minutes(house: House) -> None:
    async with house.signed_in() as client, house.browser() as other:
        secret, _ = await enroll(client, house)
        await sign_in(other)
        house.clock.advance(601_000)
        answer = await other.post("/api/v1/session/second-factor", json={"code": code_of(secret, house)})
        assert answer.status_code == 401


async def test_a_lost_phone_is_an_administrators_matter(house: House) -> None:
    await house.add_user("root1", UserRole.ADMINISTRATOR)
    async with house.signed_in() as client, house.browser() as admin:
        await enroll(client, house)
        await sign_in(admin, "root1")
        assert (await admin.delete("/api/v1/accounts/alice/second-factor")).status_code == 204
        assert (await client.get("/api/v1/session")).status_code == 401, "signed out everywhere"
        assert (await sign_in(client)).json()["stage"] == "full"
