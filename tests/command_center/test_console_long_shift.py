"""What a dispatcher meets in twelve hours: ages that stand still, midnight, a mark over what is read, focus that is gone."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.command_center.console_mock import MockCenter
from tests.command_center.test_console import (  # noqa: F401  pytest's fixtures are found by their names
    Complaints,
    browser,
    center,
    complaints,
    console,
    context,
    forget_expected,
    page,
    row,
    sign_in,
)
from tests.command_center.test_console import pytestmark as of_the_console

pytestmark = of_the_console
SIZES = ((1366, 768), (1920, 1080), (390, 844))
DATED = re.compile(r"[A-Z][a-z]{2} \d{1,2}, \d\d:\d\d:\d\d")


@pytest.mark.parametrize("digit", ["1", "4"], ids=["strip", "page"])
def test_node_that_falls_late_says_so_wherever_it_is_shown(
    console: Page,  # noqa: F811
    center: MockCenter,  # noqa: F811
    digit: str,
) -> None:
    console.keyboard.press(digit)
    center.put_node("pole-1", interval_s=1)
    shown = console.locator('.node[data-node="pole-1"]')
    expect(shown).to_have_attribute("data-state", "live")
    expect(shown).to_have_attribute("data-state", "late")
    expect(shown.locator(".node-heard")).to_contain_text(re.compile(r"last word ([5-9]|\d\d) s ago"))


FIND_COVERED = """() => { const mark = document.querySelector("#stale-mark").getBoundingClientRect();
  const shown = (one) => { for (let at = one; at; at = at.parentElement) { const style = getComputedStyle(at);
    if (at !== one && /auto|scroll|hidden|clip/.test(style.overflowY)) { const box = at.getBoundingClientRect(), own = one.getBoundingClientRect();
      if (own.top >= box.bottom || own.bottom <= box.top) return null; } } return one.getBoundingClientRect(); };
  const found = [];
  for (const one of document.querySelectorAll("#console *")) {
    const own = one.matches("button, input, select, a, img") || [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !one.checkVisibility() || one.closest("#stale-mark, .visually-hidden, .skip-link")) continue;
    const x = mark.left + mark.width / 2, box = shown(one);
    if (!box || box.width === 0) continue;
    const [left, right] = [Math.max(box.left, mark.left), Math.min(box.right, mark.right)], [top, bottom] = [Math.max(box.top, mark.top), Math.min(box.bottom, mark.bottom)];
    if (right - left <= 1 || bottom - top <= 1) continue;
    const on = document.elementsFromPoint((left + right) / 2, (top + bottom) / 2);
    if (on.includes(one) || getComputedStyle(document.querySelector("#stale-mark")).pointerEvents === "none") found.push(`${one.className || one.tagName}: ${one.textContent}`);
  }
  return found; }"""


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_mark_of_a_lost_stream_covers_nothing_that_is_read_or_pressed(
    console: Page,  # noqa: F811
    center: MockCenter,  # noqa: F811
    complaints: Complaints,  # noqa: F811
    size: tuple[int, int],
) -> None:
    console.set_viewport_size({"width": size[0], "height": size[1]})
    for number in range(1, 21):
        center.add_incident()
        expect(row(console, number)).to_have_count(1)
    console.keyboard.press("n")
    center.stop()
    for digit in ("1", "4", "3", "2"):
        console.keyboard.press(digit)
        mark = console.locator("#stale-mark")
        expect(mark).to_be_in_viewport(ratio=1)
        expect(mark).to_contain_text("NOT LIVE since")
        assert console.evaluate(FIND_COVERED) == [], digit
        assert console.evaluate("document.documentElement.scrollWidth") <= size[0], digit
    forget_expected(complaints, "net::ERR_")


def test_time_on_the_screen_gets_its_date_when_midnight_has_passed(
    page: Page,  # noqa: F811
    center: MockCenter,  # noqa: F811
    complaints: Complaints,  # noqa: F811
) -> None:
    page.add_init_script(
        "window.laterMs = 0; const now = performance.now.bind(performance); performance.now = () => now() + window.laterMs;"
    )
    page.reload()
    sign_in(page)
    center.add_incident()
    since = row(page, 1).locator(".row-since")
    expect(since).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    center.stop()
    page.evaluate("window.laterMs = 24 * 3600e3")
    expect(since).to_have_text(DATED)
    forget_expected(complaints, "net::ERR_")


def test_day_is_the_centers_and_not_that_of_the_computer_at_the_desk(
    page: Page,  # noqa: F811
    center: MockCenter,  # noqa: F811
) -> None:
    page.add_init_script(
        "const Right = Date; globalThis.Date = class extends Right { constructor(...given) { super(...(given.length ? given : [Right.now() - 24 * 3600e3])); } static now() { return Right.now() - 24 * 3600e3; } };"
    )
    page.reload()
    sign_in(page)
    center.add_incident()
    expect(row(page, 1).locator(".row-since")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))


def test_focus_stays_in_the_details_when_the_button_goes_that_had_it(
    console: Page,  # noqa: F811
    center: MockCenter,  # noqa: F811
) -> None:
    center.add_incident()
    expect(row(console, 1)).to_be_visible()
    console.locator("#detail .button.primary").focus()
    console.keyboard.press("Enter")
    expect(console.locator("#detail")).to_contain_text("Acknowledged by okafor")
    assert console.locator("#detail .button.primary", has_text="Acknowledge").count() == 0
    expect(console.locator("#detail")).to_be_focused()


def test_on_a_phone_the_way_back_from_the_details_leads_to_the_row(
    console: Page,  # noqa: F811
    center: MockCenter,  # noqa: F811
) -> None:
    center.add_incident()
    console.set_viewport_size({"width": 390, "height": 844})
    row(console, 1).locator(".row-open").click()
    console.get_by_role("button", name="‹ Queue").press("Enter")
    expect(row(console, 1).locator(".row-open")).to_be_focused()


@pytest.mark.parametrize("width", [1024, 1366, 1920])
def test_number_of_an_incident_is_whole_beside_its_warnings(
    console: Page,  # noqa: F811
    center: MockCenter,  # noqa: F811
    width: int,
) -> None:
    console.set_viewport_size({"width": width, "height": 768})
    center.add_incident(clock_quality="UNSET", quarantined=True)
    center.add_incident(clock_quality="UNSET")
    for number in (1, 2):
        expect(row(console, number).locator(".tag")).to_have_count(3 - number)
        facts = row(console, number).locator(".row-facts")
        last = facts.evaluate(NUMBER_ENDS)
        box = facts.bounding_box()
        assert box is not None
        assert last <= box["x"] + box["width"] + 0.5, (number, facts.inner_text())


NUMBER_ENDS = """facts => { const number = [...facts.childNodes].find((one) => one.nodeType === 3 && /^\\d+$/.test(one.data)), range = document.createRange();
  range.selectNodeContents(number); return range.getBoundingClientRect().right; }"""


def test_on_a_phone_no_key_is_named_that_it_lacks_and_the_colors_can_be_changed(
    console: Page,  # noqa: F811
    center: MockCenter,  # noqa: F811
) -> None:
    center.add_incident()
    expect(row(console, 1)).to_be_visible()
    console.keyboard.press("c")
    lead = console.locator(".close-lead")
    expect(lead).to_have_text("Close as… press 1 to 7, Esc to leave it open", use_inner_text=True)
    console.keyboard.press("Escape")
    console.set_viewport_size({"width": 390, "height": 844})
    row(console, 1).locator(".row-open").click()
    console.locator("#detail").get_by_role("button", name="Close…").click()
    expect(lead).to_have_text("Close as…", use_inner_text=True)
    expect(console.locator(".choice kbd").first).to_be_hidden()
    console.get_by_role("button", name="‹ Queue").click()
    colors = console.get_by_role("button", name="Colors: dark. Change.")
    colors.click()
    expect(console.get_by_role("button", name="Colors: light. Change.")).to_be_visible()
    bar = console.locator(".bar").bounding_box()
    assert bar is not None
    assert bar["height"] <= 84, "two lines, beside a sound that is not tested"
