"""Whatever a browser sends to whichever address: an answer in words, never an error of ours."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from command_center.accounts import UserRole
from command_center.api.app import create_app
from tests.command_center.house import PASSWORD, House

_NOT_HERE: Final = {"/api/v1/events"}
"""A stream that goes on: tests/command_center/test_live.py; its ids are in tests/fuzz."""
RAW: Final = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"7",
    b'"x"',
    b"\xff\xfe",
    b'{"\xff": 1}',
    b"[" * 3000,
    b'{"a": NaN}',
    b"\x00",
    b"a=b&a=c",
)
VALUES: Final[tuple[object, ...]] = (
    None, True, -1, 1 << 70, 10**400, 1e308, float("nan"), "", "\x00", "\ud800", "\u202e", "x" * 5000, "٣", "²", "../../etc/passwd", [], {}, [[[[]]]],
    {"a": {"b": 1}},
)  # fmt: skip
SEGMENTS: Final = (
    "0",
    "-1",
    "9" * 30,
    "9" * 5000,
    "%00",
    "%ff",
    "..%2f..%2fetc",
    quote("٣"),
    quote("²"),
    "%ed%a0%80",
    "x" * 300,
)
PARAMETERS: Final = (
    "",
    "-1",
    "9" * 30,
    "9" * 5000,
    "nan",
    "1e999",
    "\x00",
    "٣",
    "²",
    "x" * 5000,
    "1.2.3.4.5",
    "\u202e",
)


class Door:
    """What the application says of its own addresses."""

    def __init__(self, app: FastAPI) -> None:
        self._told: dict[str, Any] = app.openapi()

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for path, item in self._told["paths"].items():
            for method, told in item.items():
                if path not in _NOT_HERE:
                    yield method.upper(), path, told

    def parameters(self, told: dict[str, Any]) -> list[str]:
        return [known["name"] for known in told.get("parameters", ()) if known["in"] == "query"]

    def body(self, told: dict[str, Any]) -> dict[str, Any] | None:
        """A body of the right shape; None where the address takes none, or other than JSON."""
        content = told.get("requestBody", {}).get("content", {})
        if "application/json" not in content:
            return None
        made = self._example(content["application/json"]["schema"])
        return made if isinstance(made, dict) else None

    def _example(self, schema: dict[str, Any]) -> object:
        if "$ref" in schema:
            return self._example(self._told["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        inner = next((schema[way][0] for way in ("anyOf", "oneOf", "allOf") if way in schema), None)
        if inner is not None:
            return self._example(inner)
        return schema.get("const", schema.get("enum", [None])[0]) or self._of_type(schema)

    def _of_type(self, schema: dict[str, Any]) -> object:
        made: object = None
        match schema.get("type"):
            case "object":
                made = {name: self._example(inner) for name, inner in schema.get("properties", {}).items()}
            case "array":
                made = [self._example(schema.get("items", {}))]
            case "integer" | "number":
                made = max(1, schema.get("minimum", 1))
            case "boolean":
                made = True
            case "string":
                made = "a" * max(4, schema.get("minLength", 4))
        return made


def addresses(path: str) -> Iterator[str]:
    """The path as it is meant, and with something else in each of its places."""
    usual = re.sub(r"\{[^}]*sha256[^}]*\}", "0" * 64, re.sub(r"\{\w*id\}", "1", path))
    usual = re.sub(r"\{\w+\}", "nobody", usual)
    yield usual
    if usual != path:
        for segment in SEGMENTS:
            yield re.sub(r"\{[^}]+\}", segment, path)


def hostile(body: dict[str, Any]) -> Iterator[bytes]:
    """The body with each of its fields something else, missing, or beside one that nobody knows."""
    yield json.dumps(body).encode()
    yield json.dumps({**body, "unheard-of": 1}).encode()
    for name in body:
        yield json.dumps({known: value for known, value in body.items() if known != name}).encode()
        for value in VALUES:
            yield json.dumps({**body, name: value}).encode()


async def _ask(client: httpx.AsyncClient, method: str, address: str, **more: Any) -> None:
    answer = await client.request(method, address, **more)  # an exception within the application comes out here
    assert answer.status_code < 500 or answer.status_code == 503, (
        f"{method} {address[:100]} {more}: {answer.text[:300]}"
    )
    if answer.status_code in {401, 403}:
        again = await client.post("/api/v1/session", json={"username": "alice", "password": PASSWORD})
        if again.is_success:
            client.headers["X-Heard-CSRF"] = again.json()["csrf"]


@pytest.mark.parametrize("part", range(4))
async def test_nothing_that_is_sent_anywhere_makes_an_error_of_ours(house: House, part: int) -> None:
    door, asked = Door(create_app(house.services)), 0
    async with house.signed_in(role=UserRole.ADMINISTRATOR) as client:
        for method, path, told in list(door.operations())[part::4]:
            usual, *others = addresses(path)
            for address in others:
                await _ask(client, method, address, content=b"{}" if method != "GET" else None)
            for name in door.parameters(told):
                for value in PARAMETERS:
                    await _ask(client, method, usual, params={name: value})
            if method in {"POST", "PUT", "PATCH"}:
                made = door.body(told)
                for content in (*RAW, *(hostile(made) if made is not None else ())):
                    await _ask(client, method, usual, content=content, headers={"content-type": "application/json"})
                    asked += 1
                for content in RAW:
                    await _ask(
                        client,
                        method,
                        usual,
                        content=content,
                        headers={"content-type": "application/x-www-form-urlencoded"},
                    )
    assert asked > 100, "the walk must see the bodies"
