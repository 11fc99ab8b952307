"""Signing in, step by step, and everything that ends it."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from command_center.accounts import FAILURES_ALLOWED_WIDE, Permission, UserRole, require_good_password, totp
from command_center.accounts.failures import ALLOWED
from command_center.config import AccountsConfig, CenterConfig
from command_center.errors import BadRequest
from tests.command_center.house import PASSWORD, House, running_center
from tests.command_center.test_api import listening
from tests.command_center.test_ingest import until

NEW_PASSWORD = "seven green lanterns"


# ---------------------------------------------------------------------- codes


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


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaa", "password123456", "Changeme2026!!", "1234567890123", "alice-alice-1",
                                      "heard-admin-1234", "qwertyuiopas", "x" * 1025])  # fmt: skip
def test_passwords_that_everybody_tries_first_are_refused(password: str) -> None:
    with pytest.raises(BadRequest):
        require_good_password(password, "alice")


def test_passphrases_are_taken() -> None:
    for password in (PASSWORD, NEW_PASSWORD, "the police sing at noon", "a1b2-c3d4-e5f6-1234-77ab"):
        require_good_password(password, "alice")


# ---------------------------------------------------------------------- second factor


async def enroll(client: httpx.AsyncClient, house: House) -> tuple[bytes, list[str]]:
    """Set an authenticator up; returns its secret and the recovery codes. Time moves on to the next code."""
    offered = (await client.post("/api/v1/account/second-factor")).json()
    secret = base64.b32decode(offered["secret"])
    assert parse_qs(urlsplit(offered["uri"]).query)["secret"] == [offered["secret"]]
    answer = await client.post("/api/v1/account/second-factor/confirm", json={"code": code_of(secret, house)})
    assert answer.status_code == 200, answer.text
    client.headers["X-Heard-CSRF"] = answer.json()["session"]["csrf"]
    house.clock.advance(30_000)
    return secret, answer.json()["codes"]


def code_of(secret: bytes, house: House) -> str:
    return totp.code_at(secret, totp.step_at(house.clock.wall_ms()))


async def sign_in(client: httpx.AsyncClient, name: str = "alice", password: str = PASSWORD) -> httpx.Response:
    answer = await client.post("/api/v1/session", json={"username": name, "password": password})
    if answer.is_success:
        client.headers["X-Heard-CSRF"] = answer.json()["csrf"]
    return answer


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


# ---------------------------------------------------------------------- passwords


async def test_a_password_that_an_administrator_made_is_good_for_choosing_another(house: House) -> None:
    async with house.signed_in("root1", UserRole.ADMINISTRATOR) as admin, house.browser() as client:
        answer = await admin.post("/api/v1/accounts", json={"name": "nora", "role": "dispatcher"})
        assert answer.status_code == 201, answer.text
        made = answer.json()["password"]
        assert (await sign_in(client, "nora", made)).json()["stage"] == "password"
        assert (await client.get("/api/v1/incidents")).status_code == 401
        poor = {"current": made, "new": "nora-nora-nora"}
        assert (await client.post("/api/v1/account/password", json=poor)).status_code == 422
        better = {"current": made, "new": NEW_PASSWORD}
        assert (await client.post("/api/v1/account/password", json=better)).json()["stage"] == "full"
        assert (await client.get("/api/v1/incidents")).status_code == 200
        async with house.browser() as again:
            assert (await sign_in(again, "nora", made)).status_code == 401
            assert (await sign_in(again, "nora", NEW_PASSWORD)).status_code == 200


async def test_a_changed_password_ends_every_other_session(house: House) -> None:
    async with house.signed_in() as client, house.browser() as elsewhere:
        await sign_in(elsewhere)
        wrong = {"current": "not the right one", "new": NEW_PASSWORD}
        assert (await client.post("/api/v1/account/password", json=wrong)).status_code == 422
        answer = await client.post("/api/v1/account/password", json={"current": PASSWORD, "new": NEW_PASSWORD})
        assert answer.status_code == 200
        assert (await client.get("/api/v1/session")).status_code == 200
        assert (await elsewhere.get("/api/v1/session")).status_code == 401


# ---------------------------------------------------------------------- guessing


async def test_strangers_who_hammer_on_a_name_do_not_keep_its_owner_out(house: House) -> None:
    await house.add_user("alice")
    async with house.browser("192.0.2.1") as owner:
        assert (await sign_in(owner)).status_code == 200
        for number in range(FAILURES_ALLOWED_WIDE):
            async with house.browser(f"203.0.113.{number}") as stranger:
                await sign_in(stranger, password="a guess of theirs")
        async with house.browser("203.0.113.200") as stranger:
            assert (await sign_in(stranger)).status_code == 429, "even the right password, from an unknown place"
        owner.cookies.delete("heard_session")
        assert (await sign_in(owner)).status_code == 200, "a browser that was signed in before counts for itself"


async def test_a_stolen_device_mark_guesses_five_times_and_serves_one_name(house: House) -> None:
    await house.add_user("bob")
    async with house.signed_in() as client, house.browser("203.0.113.9") as thief:
        thief.cookies.set("heard_device", client.cookies["heard_device"])
        statuses = [(await sign_in(thief, password="a guess of theirs")).status_code for _ in range(ALLOWED + 1)]
        assert statuses == [401] * ALLOWED + [429]
        origin, is_known = house.services.door.devices.origin("bob", "203.0.113.9", client.cookies["heard_device"])
        assert (origin, is_known) == ("203.0.113.9", False)


# ---------------------------------------------------------------------- what ends a session ends what is open in it


@pytest.mark.parametrize("how", ["sign-out", "disabled", "role", "administrator", "elsewhere", "database"])
async def test_the_end_of_a_session_cuts_its_event_stream_at_once(house: House, how: str) -> None:
    await house.add_user("root1", UserRole.ADMINISTRATOR)
    node = house.node()
    async with house.signed_in() as client, house.signed_in("bob") as other, house.browser() as admin:
        await sign_in(admin, "root1")
        async with (
            listening(house, client.cookies["heard_session"]) as events,
            listening(house, other.cookies["heard_session"]) as others,
        ):
            await until(lambda: _has_streams(house, 2))
            match how:
                case "sign-out":
                    await client.delete("/api/v1/session")
                case "disabled":
                    await admin.patch("/api/v1/accounts/alice", json={"is_disabled": True})
                case "role":
                    await admin.patch("/api/v1/accounts/alice", json={"role": "auditor"})
                case "administrator":
                    await admin.delete("/api/v1/accounts/alice/sessions")
                case "elsewhere":
                    async with house.browser() as second:
                        await sign_in(second)
                        mine = (await second.get("/api/v1/account")).json()["sessions"]
                        theirs = next(item["id"] for item in mine if not item["is_this"])
                        assert (await second.delete(f"/api/v1/account/sessions/{theirs}")).status_code == 204
                case _:  # changed behind the API's back, as a command on another machine's copy would
                    await house.query("DELETE FROM session WHERE account = 'alice'")
            await house.deliver(node, node.alert())
            async with asyncio.timeout(20):
                said = [event.get("event") async for event in events]
                assert said[-1] == "signed-out"
                if how != "database":  # there the sweep of each second ends it
                    assert "incident" not in said, "nothing is told after the end"
                async for event in others:
                    if event.get("event") == "incident":
                        break
    assert house.services.metrics["streams_cut"] == 1


async def _has_streams(house: House, count: int) -> bool:
    return len(house.services.door.live.tokens) == count


async def test_a_stopping_center_is_no_end_of_a_session(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house, house.signed_in() as client:
        cookie = client.cookies["heard_session"]
        async with listening(house, cookie) as events:
            await until(lambda: _has_streams(house, 1))
            house.services.feed.close()
            async with asyncio.timeout(20):
                assert "signed-out" not in [event.get("event") async for event in events]


# ---------------------------------------------------------------------- tokens


async def make_token(client: httpx.AsyncClient, *scopes: str, days: float = 1) -> dict[str, str]:
    answer = await client.post("/api/v1/account/tokens", json={"name": "wall", "scopes": list(scopes), "days": days})
    assert answer.status_code == 201, answer.text
    return {"id": answer.json()["token"]["id"], "secret": answer.json()["secret"]}


async def test_a_token_does_what_its_scopes_say_and_no_more(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client, house.browser() as program:
        made = await make_token(client, "incidents.read")
        program.headers["Authorization"] = f"Bearer {made['secret']}"
        assert len((await program.get("/api/v1/incidents")).json()["incidents"]) == 1
        assert (await program.get("/api/v1/nodes")).status_code == 403
        refused = await program.post("/api/v1/incidents/1/acknowledge", json={"version": 1})
        assert (refused.status_code, "incidents.act" in refused.text) == (403, True)
        for path in ("/api/v1/account", "/api/v1/accounts"):
            assert (await program.get(path)).status_code == 403
        assert (await program.post("/api/v1/account/second-factor")).status_code == 403
        assert (await program.delete("/api/v1/session")).status_code == 403
        rows = await house.query("SELECT token_sha256, used_from FROM api_token")
        assert rows == [(hashlib.sha256(made["secret"].encode()).digest(), "192.0.2.1")]


async def test_a_token_that_may_act_acts_in_its_owners_name_without_csrf(house: House) -> None:
    node = house.node()
    await house.deliver(node, node.alert())
    async with house.signed_in() as client, house.browser() as program:
        made = await make_token(client, "incidents.act")
        answer = await program.post("/api/v1/incidents/1/acknowledge", json={"version": 1},
                                    headers={"Authorization": f"Bearer {made['secret']}"})  # fmt: skip
        assert answer.json()["acknowledged_by"] == "alice"


async def test_tokens_can_not_be_asked_to_do_more_than_their_owner(house: House) -> None:
    async with house.signed_in() as client:
        for scopes in (["accounts.manage"], ["account.own"], ["journal.read"], ["nonsense"], []):
            body = {"name": "wall", "scopes": scopes, "days": 1}
            assert (await client.post("/api/v1/account/tokens", json=body)).status_code == 422, scopes
        body = {"name": "wall", "scopes": ["incidents.read"], "days": 400}
        assert (await client.post("/api/v1/account/tokens", json=body)).status_code == 422


async def test_a_token_ends_by_revocation_by_time_and_with_its_owner(house: House) -> None:
    await house.add_user("root1", UserRole.ADMINISTRATOR)
    async with house.signed_in() as client, house.browser() as program, house.browser() as admin:
        revoked, expired, orphan = [await make_token(client, "incidents.read", days=days) for days in (9, 1, 30)]

        async def works(token: dict[str, str]) -> bool:
            answer = await program.get("/api/v1/incidents", headers={"Authorization": f"Bearer {token['secret']}"})
            return answer.status_code == 200

        assert [await works(token) for token in (revoked, expired, orphan)] == [True] * 3
        assert (await client.delete(f"/api/v1/account/tokens/{revoked['id']}")).status_code == 204
        house.clock.advance(86_400_000)
        assert [await works(token) for token in (revoked, expired, orphan)] == [False, False, True]
        await sign_in(admin, "root1")
        assert (await admin.patch("/api/v1/accounts/alice", json={"is_disabled": True})).status_code == 200
        assert not await works(orphan)
    assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'token-revoked'") == [(1,)]


async def test_a_demoted_owner_demotes_the_token(house: House) -> None:
    await house.add_user("root1", UserRole.ADMINISTRATOR)
    async with (
        house.signed_in("sam", UserRole.SUPERVISOR) as client,
        house.browser() as program,
        house.browser() as admin,
    ):
        made = await make_token(client, "journal.read")
        program.headers["Authorization"] = f"Bearer {made['secret']}"
        assert (await program.get("/api/v1/journal/entries")).status_code == 200
        await sign_in(admin, "root1")
        await admin.patch("/api/v1/accounts/sam", json={"role": "dispatcher"})
        assert (await program.get("/api/v1/journal/entries")).status_code == 403


# ---------------------------------------------------------------------- administration


async def test_the_last_administrator_can_not_be_locked_out(house: House) -> None:
    async with house.signed_in("root1", UserRole.ADMINISTRATOR) as admin:
        for body in ({"is_disabled": True}, {"role": "dispatcher"}):
            answer = await admin.patch("/api/v1/accounts/root1", json=body)
            assert (answer.status_code, "last administrator" in answer.text) == (422, True)
        await house.add_user("root2", UserRole.ADMINISTRATOR)
        assert (await admin.patch("/api/v1/accounts/root1", json={"role": "dispatcher"})).status_code == 200


async def test_accounts_are_listed_without_secrets(house: House) -> None:
    async with house.signed_in("ada", UserRole.AUDITOR) as auditor:
        answer = await auditor.get("/api/v1/accounts")
        assert [row["name"] for row in answer.json()["accounts"]] == ["ada"]
        assert "argon2" not in answer.text
        assert (await auditor.post("/api/v1/accounts", json={"name": "x", "role": "auditor"})).status_code == 403


async def test_field_units_speak_for_their_unit_only(house: House) -> None:
    async with house.signed_in("root1", UserRole.ADMINISTRATOR) as admin, house.browser() as client:
        body = {"name": "crew21", "role": "field_unit", "unit": "M21", "password": NEW_PASSWORD}
        assert (await admin.post("/api/v1/accounts", json=body)).status_code == 201
        await sign_in(client, "crew21", NEW_PASSWORD)
        changed = {"current": NEW_PASSWORD, "new": PASSWORD}
        session = (await client.post("/api/v1/account/password", json=changed)).json()
        assert (session["unit"], session["permissions"]) == (
            "M21",
            sorted([Permission.OWN_ACCOUNT.value, Permission.UNIT_OWN.value]),
        )
        assert (await client.get("/api/v1/incidents")).status_code == 403


# ---------------------------------------------------------------------- clocks


async def test_a_clock_that_jumps_back_ends_no_session_and_forgives_no_guesses(house: House) -> None:
    async with house.signed_in() as client, house.browser("203.0.113.9") as stranger:
        for _ in range(ALLOWED):
            await sign_in(stranger, password="a guess of theirs")
        house.clock.step_wall(house.clock.wall_ms() - 10 * 60_000)
        assert (await client.get("/api/v1/session")).status_code == 200
        assert (await sign_in(stranger)).status_code == 429
        node = house.node()
        await house.deliver(node, node.alert())
        assert (await client.post("/api/v1/incidents/1/acknowledge", json={"version": 1})).status_code == 200


async def test_a_clock_that_leaps_a_year_asks_everybody_to_sign_in_again_and_locks_nobody_out(house: House) -> None:
    async with house.signed_in() as client, listening(house, client.cookies["heard_session"]) as events:
        await until(lambda: _has_streams(house, 1))
        await sign_in(client, password="a slip of the finger")
        house.clock.step_wall(house.clock.wall_ms() + 365 * 86_400_000)
        async with asyncio.timeout(20):
            assert [event.get("event") async for event in events][-1] == "signed-out"
        assert (await client.get("/api/v1/session")).status_code == 401
        assert (await sign_in(client)).status_code == 200
        house.clock.step_wall(house.clock.wall_ms() - 365 * 86_400_000)
        assert (await client.get("/api/v1/session")).status_code == 200, "and back again costs nobody anything"
