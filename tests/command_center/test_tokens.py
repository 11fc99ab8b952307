"""API tokens: what they may, in whose name, and everything that ends them."""

import hashlib

import httpx

from command_center.accounts import UserRole
from tests.command_center.house import House
from tests.command_center.signing_in import sign_in


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
        assert (await admin.patch("/api/v1/accounts/alice", json={"is_disabled": False})).status_code == 200
        assert not await works(orphan), "whoever lets alice in again does not have it in mind"
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
