"""Passwords, guessing, and everything that ends a session and what is open in it."""

import asyncio
from pathlib import Path

import pytest

from command_center.accounts import FAILURES_ALLOWED_WIDE, Permission, UserRole, require_good_password
from command_center.accounts.failures import ALLOWED
from command_center.errors import BadRequest
from tests.command_center.house import PASSWORD, House, running_center
from tests.command_center.signing_in import NEW_PASSWORD, has_streams, sign_in
from tests.command_center.test_api import listening
from tests.command_center.test_ingest import until


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaa", "password123456", "Changeme2026!!", "1234567890123", "alice-alice-1",
                                      "heard-admin-1234", "qwertyuiopas", "x" * 1025])  # fmt: skip
def test_passwords_that_everybody_tries_first_are_refused(password: str) -> None:
    with pytest.raises(BadRequest):
        require_good_password(password, "alice")


def test_passphrases_are_taken() -> None:
    for password in (PASSWORD, NEW_PASSWORD, "the police sing at noon", "a1b2-c3d4-e5f6-1234-77ab"):
        require_good_password(password, "alice")


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
            await until(lambda: has_streams(house, 2))
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


async def test_a_stopping_center_is_no_end_of_a_session(tmp_path: Path) -> None:
    async with running_center(tmp_path / "center") as house, house.signed_in() as client:
        cookie = client.cookies["heard_session"]
        async with listening(house, cookie) as events:
            await until(lambda: has_streams(house, 1))
            house.services.feed.close()
            async with asyncio.timeout(20):
                assert "signed-out" not in [event.get("event") async for event in events]


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
        await until(lambda: has_streams(house, 1))
        await sign_in(client, password="a slip of the finger")
        house.clock.step_wall(house.clock.wall_ms() + 365 * 86_400_000)
        async with asyncio.timeout(20):
            assert [event.get("event") async for event in events][-1] == "signed-out"
        assert (await client.get("/api/v1/session")).status_code == 401
        assert (await sign_in(client)).status_code == 200
        house.clock.step_wall(house.clock.wall_ms() - 365 * 86_400_000)
        assert (await client.get("/api/v1/session")).status_code == 200, "and back again costs nobody anything"


async def test_what_began_under_a_clock_that_was_years_ahead_ends_at_its_time_and_not_years_later(house: House) -> None:
    years_ms = 10 * 365 * 86_400_000
    house.clock.step_wall(house.clock.wall_ms() + years_ms)
    async with house.signed_in() as client, house.browser() as program:
        made = await client.post("/api/v1/account/tokens", json={"name": "a", "scopes": ["incidents.read"], "days": 2})
        program.headers["Authorization"] = f"Bearer {made.json()['secret']}"
        house.clock.step_wall(house.clock.wall_ms() - years_ms)
        await house.database.run(house.services.door.keep_house)  # once a minute
        assert (await client.get("/api/v1/session")).status_code == 200
        assert (await program.get("/api/v1/incidents")).status_code == 200
        house.clock.advance(13 * 3_600_000)
        assert (await client.get("/api/v1/session")).status_code == 401
        assert (await program.get("/api/v1/incidents")).status_code == 200
        house.clock.advance(36 * 3_600_000)
        assert (await program.get("/api/v1/incidents")).status_code == 401
