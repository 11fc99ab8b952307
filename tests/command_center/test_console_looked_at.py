"""What somebody objected to who looked at the console: text that was cut off, a banner off the screen, a time of another clock."""

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
PHONE = {"width": 390, "height": 844}
IS_ON_TOP = """one => { const box = one.getBoundingClientRect();
  const found = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2); return one === found || one.contains(found); }"""
IS_WHOLE = "one => one.scrollHeight <= one.clientHeight + 1 && one.scrollWidth <= one.clientWidth + 1"


@pytest.fixture
def slow_desk(page: Page) -> Page:  # noqa: F811
    """A computer at the desk whose clock is three hours slow."""
    page.add_init_script("const right = Date.now; Date.now = () => right() - 3 * 3600e3;")
    page.reload()
    sign_in(page)
    expect(page.locator("#stream-state")).to_contain_text("Live")
    return page


AGREE = """() => { const told = (name) => { const [, h, m, s] = /(\\d\\d):(\\d\\d):(\\d\\d)/.exec(document.querySelector(name)?.textContent ?? "") ?? [];
    return (Number(h) * 60 + Number(m)) * 60 + Number(s); };
  return ["#stream-banner", "#stale-mark"].every((name) => (told("#wall-clock") - told(name) + 86400) % 86400 < 120); }"""


def test_the_time_of_the_last_word_is_the_centers_as_every_other_on_the_screen(
    slow_desk: Page,
    center: MockCenter,  # noqa: F811
    complaints: Complaints,  # noqa: F811
) -> None:
    center.add_incident()
    expect(row(slow_desk, 1)).to_be_visible()
    center.stop()
    expect(slow_desk.locator("#stream-banner")).to_contain_text("This screen has not changed since")
    forget_expected(complaints, "net::ERR_")
    slow_desk.wait_for_function(AGREE, timeout=15_000)


def test_on_a_phone_a_lost_stream_is_told_over_the_details_too_and_nothing_of_it_is_off_the_screen(
    console: Page,  # noqa: F811
    center: MockCenter,  # noqa: F811
    complaints: Complaints,  # noqa: F811
) -> None:
    center.add_incident()
    console.set_viewport_size({"width": 390, "height": 844})
    console.get_by_role("button", name="Play test tone").click()
    console.get_by_role("button", name="I heard it").click()
    row(console, 1).locator(".row-open").click()
    expect(console.get_by_role("button", name="‹ Queue")).to_be_visible()
    buttons, actions = (console.locator(f"#detail .{name}").bounding_box() for name in ("buttons", "actions"))
    assert buttons is not None
    assert actions is not None
    assert buttons["width"] == actions["width"], "the buttons have the whole width, below the state"
    center.stop()
    again = console.get_by_role("button", name="Try now")
    expect(again).to_be_in_viewport()
    assert again.evaluate(IS_ON_TOP)
    mark = console.locator("#stale-mark").bounding_box()
    assert mark is not None
    assert mark["x"] >= 0
    assert mark["x"] + mark["width"] <= PHONE["width"]
    forget_expected(complaints, "net::ERR_")


def test_no_line_of_what_is_not_heard_is_cut_in_half(console: Page, center: MockCenter) -> None:  # noqa: F811
    for number in range(9):
        center.put_node(f"pole-{number}", state="silent", age_s=900, missing=3, gaps=[[5, 7]])
    for size in (PHONE, {"width": 1366, "height": 768}, {"width": 1920, "height": 1080}):
        console.set_viewport_size({"width": size["width"], "height": size["height"]})
        console.reload()
        expect(console.locator("#unheard li")).not_to_have_count(0)
        lines = console.locator("#unheard").evaluate(
            "one => one.clientHeight / Number.parseFloat(getComputedStyle(one).lineHeight)"
        )
        assert lines == int(lines), (size, lines)


def test_in_a_narrow_queue_no_row_says_half_a_sentence(console: Page, center: MockCenter) -> None:  # noqa: F811
    console.set_viewport_size({"width": 1366, "height": 768})
    center.add_incident(responding=[{"unit": "M21", "status": "en_route"}], age_s=300)
    center.add_incident(age_s=200)
    for number in (1, 2):
        center.acknowledge(number, "rivera")
    center.add_incident()
    expect(console.locator("#summary")).to_contain_text("3 open")
    console.keyboard.press("n")
    expect(row(console, 3)).to_have_class(re.compile("selected"))
    for number in (1, 2):
        expect(row(console, number)).to_contain_text("Acknowledged by rivera")
        assert row(console, number).locator(".row-state").evaluate(IS_WHOLE), number
    state = row(console, 2).locator(".row-state")
    expect(state).to_contain_text(re.compile(r"rivera, .* ago$"))
    expect(row(console, 1).locator(".row-state")).to_have_text("Acknowledged by rivera", use_inner_text=True)
    end, button = (row(console, 3).locator(name).bounding_box() for name in (".row-end", ".acknowledge"))
    assert end is not None
    assert button is not None
    assert button["x"] + button["width"] <= end["x"] + end["width"] + 0.5
    tops = console.locator("#detail .buttons button").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().top)"
    )
    assert len(set(tops)) == 1, "every act in one line"


def test_what_a_silent_node_said_last_is_not_said_of_now(
    console: Page,  # noqa: F811
    center: MockCenter,  # noqa: F811
    complaints: Complaints,  # noqa: F811
) -> None:
    center.put_node("pole-1", state="silent", age_s=900)
    center.put_node("pole-2")
    silent, live = (console.locator(f'#fleet-nodes .node[data-node="pole-{number}"]') for number in (1, 2))
    expect(silent.locator(".camera-state")).to_have_text("was seeing")
    expect(live.locator(".camera-state")).to_have_text("15 fps")
    console.keyboard.press("4")
    silent, live = (console.locator(f'tr[data-node="pole-{number}"]') for number in (1, 2))
    expect(silent.get_by_role("cell").filter(has_text="ethernet")).to_contain_text("△ ethernet: was 2 ms")
    expect(live.get_by_role("cell").filter(has_text="ethernet")).to_contain_text("▲ ethernet: 2 ms")
    center.stop()
    expect(live.locator(".camera-state")).to_have_text("was seeing")
    forget_expected(complaints, "net::ERR_")
