"""Pages of other sites, which a dispatcher opens in the same browser: they sign nobody out, nobody in, and change nothing."""

import asyncio
import html
import json
from collections.abc import AsyncIterator
from typing import Final

import httpx
import pytest
from playwright.async_api import Page, async_playwright

from command_center.accounts import UserRole
from tests.command_center.house import PASSWORD, House
from tests.command_center.test_unit_page import CHROMIUM_FILE, _field_unit, sign_in

SIGN_IN: Final = "/api/v1/session"
AS_JSON: Final = json.dumps({"username": "mallory", "password": PASSWORD})


def sets_session(answer: httpx.Response) -> bool:
    return any(line.startswith("heard_session=") for line in answer.headers.get_list("set-cookie"))


async def test_a_form_that_is_not_ours_signs_nobody_in(house: House) -> None:
    await _field_unit(house, "mallory")
    said = {"name": "mallory", "password": PASSWORD}
    async with house.browser() as stranger:
        for form in ({}, {"form": ""}, {"form": "guessed"}):
            answer = await stranger.post("/unit/sign-in", data={**said, **form})
            stranger.cookies.clear()  # another site's form comes without the strict one
            assert (answer.status_code, sets_session(answer)) == (403, False), form
        assert await house.query("SELECT COUNT(*) FROM session") == [(0,)]
        assert (await sign_in(stranger, "mallory")).status_code == 303


async def test_a_form_that_is_not_ours_makes_the_browser_forget_nothing(house: House) -> None:
    async with house.browser() as stranger:
        answer = await stranger.post("/unit/sign-out", data={})
        assert (answer.status_code, answer.headers.get_list("set-cookie")) == (303, [])


@pytest.mark.parametrize("media_type", ["text/plain", "text/plain;application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", ""])  # fmt: skip
async def test_what_a_form_can_send_is_no_sign_in_at_the_console(house: House, media_type: str) -> None:
    """A page may send these three kinds anywhere without asking; for JSON a browser asks first, and gets no yes."""
    await house.add_user("mallory")
    async with house.browser() as stranger:
        headers = {"content-type": media_type} if media_type else {}
        answer = await stranger.post(SIGN_IN, content=AS_JSON, headers=headers)
        assert (answer.status_code, sets_session(answer)) == (422, False)
        asked = await stranger.options(
            SIGN_IN, headers={"origin": "https://elsewhere.example", "access-control-request-method": "POST"}
        )
        assert not [name for name in asked.headers if name.startswith("access-control-")]


@pytest.fixture
async def elsewhere() -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Another site: the address of its one page for each address of the center, and what it sends there."""
    pages: dict[str, str] = {}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        body = pages.get(path, "").encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://localhost:{server.sockets[0].getsockname()[1]}", pages


def form_to(address: str, fields: dict[str, str], kind: str = "application/x-www-form-urlencoded") -> str:
    inputs = "".join(f"<input name='{html.escape(n)}' value='{html.escape(v)}'>" for n, v in fields.items())
    return f"<form id=f method=post enctype='{kind}' action='{address}'>{inputs}</form><script>f.submit()</script>"


async def _visit(page: Page, site: str, path: str, center: str) -> None:
    await page.goto(site + path)
    await page.wait_for_url(center + "/**")
    await page.wait_for_load_state()


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM_FILE.exists(), reason=f"expected Chromium at {CHROMIUM_FILE}, found none")
async def test_no_page_elsewhere_takes_a_dispatcher_s_session_away(house: House, elsewhere: tuple[str, dict[str, str]]) -> None:  # fmt: skip
    """In a real Chromium, which takes strict cookies from the answer to another site's form."""
    (site, pages), center = elsewhere, house.center.url.rstrip("/")
    await _field_unit(house, "mallory")
    pages |= {
        "/out": form_to(f"{center}/unit/sign-out", {}),
        "/in": form_to(f"{center}/unit/sign-in", {"name": "mallory", "password": PASSWORD}),
        "/console": form_to(
            f"{center}{SIGN_IN}", {AS_JSON.replace('"password"', '"x":"'): '", "password": "p"}'}, "text/plain"
        ),
        "/oidc": f"<script>location='{center}/api/v1/session/oidc/callback?state=a&code=b'</script>",
    }
    async with house.signed_in(role=UserRole.DISPATCHER) as client, async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM_FILE, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            context = await browser.new_context()
            kept = client.cookies["heard_session"]
            await context.add_cookies([{"name": "heard_session", "value": kept, "url": center, "sameSite": "Strict", "httpOnly": True}])  # fmt: skip
            for path in pages:
                await _visit(await context.new_page(), site, path, center)
                found = {cookie["name"]: cookie["value"] for cookie in await context.cookies(center)}
                assert found["heard_session"] == kept, path
        finally:
            await browser.close()
        assert (await client.get(SIGN_IN)).json()["username"] == "alice"
    assert await house.query("SELECT account FROM session") == [("alice",)]
