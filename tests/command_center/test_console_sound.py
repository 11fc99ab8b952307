"""What is heard in the room: a tone of its own for each level, silence where people chose it, and a tone when the stream is lost."""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.command_center.console_mock import MockCenter
from tests.command_center.test_console import (
    CHROMIUM_FILE,
    Complaints,
    browser,
    center,
    complaints,
    context,
    forget_expected,
    row,
    sign_in,
)

__all__ = ["browser", "center", "complaints", "context"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM_FILE.exists(), reason=f"expected Chromium at {CHROMIUM_FILE}, found none"),
]
LISTEN = """window.tones = []; const Real = OscillatorNode;
window.OscillatorNode = class extends Real { constructor(context, facts) { super(context, facts); window.tones.push(facts.frequency); } };"""
FIRST_OF = {"FLASH": 988, "IMMEDIATE": 659, "PRIORITY": 523}
LOST, BACK = [440, 330, 247], [330, 494]


@pytest.fixture
def console(context: BrowserContext, center: MockCenter, complaints: Complaints) -> Iterator[Page]:
    """A console whose tones are noted as the browser is told to play them."""
    context.add_init_script(LISTEN)
    opened = context.new_page()
    opened.on(
        "console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None
    )
    opened.goto(center.url)
    sign_in(opened)
    expect(opened.locator("#stream-state")).to_contain_text("Live")
    yield opened
    assert complaints.unexpected == []


def heard(console: Page) -> list[int]:
    """The tones since the last look."""
    tones: list[int] = console.evaluate("window.tones.splice(0)")
    return tones


def next_heard(console: Page) -> list[int]:
    """The tones that follow a press, once they are played."""
    deadline = time.monotonic() + 15
    while not (tones := heard(console)):
        assert time.monotonic() < deadline, "expected a tone within 15 s"
        console.wait_for_timeout(20)
    return tones


@pytest.mark.parametrize("level", list(FIRST_OF))
def test_each_level_has_a_tone_of_its_own(console: Page, center: MockCenter, level: str) -> None:
    center.add_incident(precedence=level)
    tones = next_heard(console)
    assert tones[0] == FIRST_OF[level]
    assert not set(tones) & (set(FIRST_OF.values()) - {FIRST_OF[level]})


@pytest.mark.parametrize(
    "why", [{"quarantined": True}, {"quiet": "shelved"}, {"quiet": "flood"}, {"precedence": "ROUTINE"}]
)
def test_what_is_kept_silent_on_purpose_makes_no_sound(
    console: Page, center: MockCenter, why: dict[str, object]
) -> None:
    center.add_incident(**({"precedence": "IMMEDIATE"} | why))
    expect(row(console, 1)).to_be_visible()
    assert heard(console) == []


def test_muted_makes_no_sound_and_says_so_and_unmuted_sounds_again(console: Page, center: MockCenter) -> None:
    console.get_by_role("button", name="Play test tone").click()
    assert next_heard(console)[0] == FIRST_OF["FLASH"]
    console.get_by_role("button", name="Play PRIORITY").click()
    assert next_heard(console) == [FIRST_OF["PRIORITY"]]
    console.get_by_role("button", name="I heard it").click()
    console.keyboard.press("m")
    center.add_incident()
    expect(row(console, 1)).to_be_visible()
    expect(console.locator("#alarm-state")).to_contain_text("Muted for")
    assert heard(console) == []
    console.keyboard.press("m")
    expect(console.locator("#alarm-state")).to_contain_text("Alarms armed")
    center.add_incident()
    assert next_heard(console)[0] == FIRST_OF["FLASH"]


def test_losing_the_stream_is_heard_and_its_return_too(
    console: Page, center: MockCenter, complaints: Complaints
) -> None:
    center.stop()
    expect(console.locator("#stream-banner")).to_contain_text("Stream lost.")
    assert next_heard(console) == LOST
    center.start()
    console.get_by_role("button", name="Try now").click()
    expect(console.locator("#stream-banner")).to_contain_text("Live again.")
    assert next_heard(console) == BACK
    forget_expected(complaints, "net::ERR_")


def test_whoever_signs_in_next_tests_the_sound_anew(console: Page) -> None:
    console.get_by_role("button", name="Play test tone").click()
    console.get_by_role("button", name="I heard it").click()
    expect(console.locator("#alarm-state")).to_contain_text("Alarms armed")
    console.get_by_role("button", name="Sign out").click()
    sign_in(console)
    expect(console.locator("#alarm-state")).to_contain_text("not tested")
