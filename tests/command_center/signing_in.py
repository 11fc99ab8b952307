"""Signing in as tests do it: by password, by authenticator, and what is open in a session."""

import base64
from typing import Final
from urllib.parse import parse_qs, urlsplit

import httpx

from command_center.accounts import totp
from tests.command_center.house import PASSWORD, House

NEW_PASSWORD: Final = "seven green lanterns"


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


async def has_streams(house: House, count: int) -> bool:
    """Whether that many streams are open, of whomever."""
    return len(house.services.door.live.tokens) == count
