"""Signing in, step by step, in real Chromium: second factor, another password, single sign-on, and a field unit's own page."""

import base64
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from command_center import accounts
from command_center.accounts import UserRole
from command_center.accounts.totp import code_at, step_at
from command_center.config import AccountsConfig, CenterConfig
from tests.command_center.console_desk import IN_CHROMIUM, center_of_today, photograph, room, violations
from tests.command_center.house import PASSWORD, House, quick_passwords
from tests.command_center.test_single_sign_on import config_for, known, provider

pytestmark = [*IN_CHROMIUM, pytest.mark.slow]
CHOSEN = "a quiet harbor at dawn"


async def give_password(page: Page, name: str, password: str = PASSWORD) -> None:
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def field_unit(house: House, name: str, unit: str) -> None:
    passwords = quick_passwords()
    encoded = passwords.hash(PASSWORD)
    passwords.close()
    await house.database.run(
        lambda c: accounts.add(
            c, name=name, role=UserRole.FIELD_UNIT, password_hash=encoded, at_ms=1, by="test", unit=unit
        )
    )


async def test_the_first_sign_in_sets_up_the_second_factor_and_the_next_one_asks_for_it(tmp_path: Path) -> None:
    config = CenterConfig(http="127.0.0.1:0", accounts=AccountsConfig(second_factor_for=("dispatcher",)))
    async with center_of_today(tmp_path / "center", config) as house, room(house) as opened:
        await house.add_user("alice")
        page = await opened.window()
        await give_password(page, "alice")
        await expect(page.get_by_role("img", name="QR code")).to_be_visible()
        secret = secret_shown(await page.locator("code.link").inner_text())
        await photograph(page, "second-factor-dark")
        assert await violations(page) == []
        await page.get_by_label("Code", exact=True).fill(code_at(secret, step_at(house.clock.wall_ms())))
        await page.get_by_role("button", name="Go on").click()
        await expect(page.locator(".codes li")).not_to_have_count(0)
        await photograph(page, "recovery-codes-dark")
        assert await violations(page) == []
        await page.get_by_role("button", name="I have written them down").click()
        await expect(page.locator("#who")).to_have_text("alice, dispatcher")
        await page.get_by_role("button", name="Sign out").click()
        await give_password(page, "alice")
        await page.get_by_label("Code of the authenticator app").fill("000000")
        await page.get_by_role("button", name="Go on").click()
        await expect(page.get_by_role("alert")).to_contain_text("This code is wrong or was used before")
        assert await violations(page) == []
        house.clock.advance(60_000)
        await page.get_by_label("Code of the authenticator app").fill(code_at(secret, step_at(house.clock.wall_ms())))
        await page.get_by_role("button", name="Go on").click()
        await expect(page.locator("#who")).to_have_text("alice, dispatcher")


def secret_shown(text: str) -> bytes:
    """A secret as the page shows it, in groups."""
    squeezed = text.replace(" ", "")
    return base64.b32decode(squeezed + "=" * (-len(squeezed) % 8))


async def test_a_password_that_somebody_else_chose_is_good_for_choosing_ones_own(tmp_path: Path) -> None:
    async with center_of_today(tmp_path / "center") as house, room(house) as opened:
        async with house.signed_in("ada", UserRole.ADMINISTRATOR) as browser:
            made = await browser.post("/api/v1/accounts", json={"name": "bob", "role": "dispatcher", "unit": ""})
        given = str(made.json()["password"])
        page = await opened.window()
        await give_password(page, "bob", given)
        await expect(page.get_by_text("Choose a new password")).to_be_visible()
        await photograph(page, "new-password-dark")
        assert await violations(page) == []
        await page.get_by_label("Present password").fill(given)
        await page.get_by_label("New password", exact=True).fill(CHOSEN)
        await page.get_by_label("New password again").fill(f"{CHOSEN}!")
        await page.get_by_role("button", name="Go on").click()
        await expect(page.get_by_role("alert")).to_contain_text("Not changed. The two new ones differ.")
        await page.reload()
        await expect(page.get_by_text("Choose a new password")).to_be_visible()  # a reload is no way around it
        await page.get_by_label("Present password").fill(given)
        await page.get_by_label("New password", exact=True).fill("short")
        await page.get_by_label("New password again").fill("short")
        await page.get_by_role("button", name="Go on").click()
        await expect(page.get_by_role("alert")).to_contain_text("Not changed.")
        for label in ("New password", "New password again"):
            await page.get_by_label(label, exact=True).fill(CHOSEN)
        await page.get_by_label("Present password").fill(given)
        await page.get_by_role("button", name="Go on").click()
        await expect(page.locator("#who")).to_have_text("bob, dispatcher")
        await page.get_by_role("button", name="Sign out").click()
        await give_password(page, "bob", given)
        await expect(page.get_by_role("alert")).to_contain_text("Username or password is wrong")
        await give_password(page, "bob", CHOSEN)
        await expect(page.locator("#who")).to_have_text("bob, dispatcher")


async def test_the_single_sign_on_button_leads_to_the_provider_and_back_to_the_queue(tmp_path: Path) -> None:
    nora = known("n-17", preferred_username="Nora.Vik", groups=["dispatch"])
    (tmp_path / "center").mkdir()
    secret_file = tmp_path / "center" / "sign-on.secret"
    secret_file.write_text("of this center, made by the provider\n")
    secret_file.chmod(0o600)
    with provider(nora) as issuer:
        config = config_for(issuer, client_secret_file="sign-on.secret", label="Sign in with the city's account")
        async with center_of_today(tmp_path / "center", config) as house, room(house) as opened:
            page = await opened.window()
            button = page.get_by_role("link", name="Sign in with the city's account")
            await expect(button).to_be_visible()
            await photograph(page, "single-sign-on-dark")
            assert await violations(page) == []
            await button.click()
            await page.wait_for_url(lambda url: url.startswith(issuer))
            await page.locator("input[name=sub]").fill("n-17")
            await page.locator("button").first.click()
            await expect(page.locator("#who")).to_have_text("nora.vik, dispatcher")
            await expect(page.locator("#stream-state")).to_contain_text("Live")


async def test_a_field_unit_that_signs_in_at_the_console_stands_before_its_own_page(tmp_path: Path) -> None:
    async with center_of_today(tmp_path / "center") as house, room(house) as opened:
        node = house.node()
        await house.deliver(node, node.alert())
        await field_unit(house, "m21", "M21")
        async with house.signed_in("sergeant", UserRole.SUPERVISOR) as browser:
            await browser.post("/api/v1/units", json={"name": "M21", "capabilities": []})
            await browser.post("/api/v1/units/M21/status", json={"version": 1, "status": "available"})
            await browser.post("/api/v1/incidents/1/acknowledge", json={"version": 1})
            await browser.post("/api/v1/incidents/1/units", json={"version": 2, "unit": "M21", "unit_version": 2})
        phone = await opened.window(width=390, height=844)
        await give_password(phone, "m21")
        await expect(phone).to_have_url(f"{house.center.url.rstrip('/')}/unit")
        await expect(phone.locator("main")).to_contain_text("handgun")
        await phone.goto(house.center.url)  # and again, whenever it comes here
        await expect(phone.locator("main")).to_contain_text("handgun")
        await phone.get_by_role("button", name="En route").click()
        assert await house.query("SELECT status FROM unit") == [("en_route",)]
        await phone.wait_for_function("document.documentElement?.scrollWidth <= 390")
        await photograph(phone, "unit-phone-dark")
        await phone.get_by_role("button", name="Sign out").click()
        await expect(phone.get_by_label("Password")).to_be_visible()
        await phone.goto(f"{house.center.url.rstrip('/')}/unit")
        await expect(phone.get_by_label("Password")).to_be_visible()
        assert opened.complaints == []
