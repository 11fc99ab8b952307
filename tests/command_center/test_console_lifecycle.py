"""Merging, shelving, holding back, taking back and clips, in a real Chromium against the stand-in for the command center."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.command_center.console_mock import MockCenter
from tests.command_center.test_console import (
    CHROMIUM_FILE,
    browser,
    center,
    complaints,
    console,
    context,
    order_of_rows,
    page,
    row,
)

__all__ = ["browser", "center", "complaints", "console", "context", "page"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM_FILE.exists(), reason=f"expected Chromium at {CHROMIUM_FILE}, found none"),
]
SCENE_FILE = Path(__file__).parents[2] / "models" / "demonstration" / "scene.mp4"


def test_merge_by_keyboard_and_take_apart_again(console: Page, center: MockCenter) -> None:
    center.add_incident(label="rifle", age_s=60)
    center.add_incident()
    expect(row(console, 2)).to_be_visible()
    row(console, 2).click()
    console.keyboard.press("g")
    expect(console.get_by_role("group", name="Merge into another incident")).to_contain_text("rifle")
    console.keyboard.press("1")
    expect(row(console, 2)).to_have_count(0)
    expect(row(console, 1)).to_contain_text("+ 1")
    assert center.incidents[2]["merged_into"] == 1
    console.get_by_role("button", name="Take incident 2 out").click()
    expect(row(console, 2)).to_be_visible()
    assert center.incidents[1]["parts"] == []


def test_shelving_asks_for_a_reason_and_stays_in_sight(console: Page, center: MockCenter) -> None:
    center.add_incident(precedence="IMMEDIATE")
    expect(row(console, 1)).to_be_visible()
    console.keyboard.press("s")
    console.get_by_role("button", name="1 hour").click()
    expect(console.get_by_role("alert").filter(has_text="Give the reason first")).to_be_visible()
    console.get_by_label("Reason").fill("film crew")
    console.keyboard.press("Enter")
    assert center.shelves == []  # Enter leads to the choices and makes none
    console.keyboard.press("2")
    shelf = console.get_by_role("list", name="Shelved sources")
    expect(shelf).to_contain_text(
        re.compile("handgun at harbor-01, gate-2.*film crew.*FLASH still sounds.*left", re.DOTALL)
    )
    expect(row(console, 1)).to_contain_text("shelved")
    assert center.shelves[0]["covers_flash"] is False
    assert 59 * 60_000 < center.shelves[0]["until_ms"] - center.shelves[0]["at_ms"] < 61 * 60_000
    shelf.get_by_role("button", name="Take off").click()
    expect(shelf).to_be_hidden()


def test_held_back_incident_stands_below_and_says_so(console: Page, center: MockCenter) -> None:
    center.add_incident(precedence="IMMEDIATE", quiet="flood")
    center.add_incident(precedence="IMMEDIATE", age_s=30)
    expect(row(console, 1)).to_contain_text("held back")
    console.keyboard.press("n")
    assert order_of_rows(console) == [2, 1]
    expect(console.locator("#summary")).to_contain_text("1 unacknowledged")


def test_nobody_answering_is_announced_again(console: Page, center: MockCenter) -> None:
    center.add_incident()
    expect(row(console, 1)).to_be_visible()
    center.incidents[1]["level"] = 2
    center.publish("incident", center.incidents[1])
    expect(row(console, 1)).to_contain_text("second position")
    expect(console.locator("#announce-assertive")).to_contain_text("Nobody has acknowledged, second position: FLASH")


def test_taken_back_stands_before_anything_else_is_done(console: Page, center: MockCenter) -> None:
    center.add_incident(returned=True)
    row(console, 1).click()
    expect(console.locator("#detail")).to_contain_text("Look before you send anybody")


def test_clip_plays_in_place_and_a_missing_one_says_so(console: Page, center: MockCenter) -> None:
    center.add_picture("clip", "video/mp4", SCENE_FILE.read_bytes())
    clips = [{"sha256": "c" * 64, "media_type": "video/mp4", "size_bytes": 100, "begins_at_ms": 1, "url": "/api/v1/clips/clip"},
             {"sha256": "d" * 64, "media_type": "video/mp4", "size_bytes": 5_000_000, "begins_at_ms": 1, "url": None}]  # fmt: skip
    center.add_incident(clips=clips)
    row(console, 1).click()
    expect(console.locator("#detail")).to_contain_text("Not here yet")
    video = console.locator("video.clip")
    expect(video).to_be_visible()
    console.wait_for_function("document.querySelector('video.clip').readyState >= 1")
    assert video.evaluate("video => video.videoWidth") > 0
