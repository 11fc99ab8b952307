"""The console in a real Chromium, against the stand-in for the command center."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from tests.command_center.console_mock import PASSWORD, USERNAME, MockCenter, painted_picture

CHROMIUM_FILE = Path("/usr/bin/chromium")
APP_DIR = Path(__file__).parents[2] / "command_center" / "console" / "app"
MAX_LINES = 400

expect.set_options(timeout=15_000)  # the queue settles 4 s after the hand rests, and the machine may be busy
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM_FILE.exists(), reason=f"expected Chromium at {CHROMIUM_FILE}, found none"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM_FILE,
            args=["--no-sandbox", "--disable-gpu", "--autoplay-policy=user-gesture-required"],
        )
        yield started
        started.close()


@pytest.fixture
def center() -> Iterator[MockCenter]:
    with MockCenter(heartbeat_s=0.2) as started:
        started.put_node("harbor-01")
        started.put_node("depot-02", site="Depot", state="silent", age_s=400, missing=9, gaps=[[812, 820]])
        yield started


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context(viewport={"width": 1280, "height": 720}, timezone_id="Europe/Berlin")
    opened.set_default_timeout(5000)
    yield opened
    opened.close()


class Complaints(list[str]):
    """What a browser complained about; a test names what it expects, which may come late on a busy machine."""

    def __init__(self) -> None:
        super().__init__()
        self.expected: list[str] = []

    @property
    def unexpected(self) -> list[str]:
        """Those that no test named."""
        return [text for text in self if not any(re.search(pattern, text) for pattern in self.expected)]


@pytest.fixture
def complaints() -> Complaints:
    """What the browser complained about."""
    return Complaints()


@pytest.fixture
def page(context: BrowserContext, center: MockCenter, complaints: Complaints) -> Iterator[Page]:
    """The sign-in page; afterwards the browser must have had nothing to complain about, such as a refused style."""
    opened = context.new_page()
    opened.on(
        "console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None
    )
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(center.url)
    yield opened
    assert complaints.unexpected == []


@pytest.fixture
def console(page: Page) -> Page:
    sign_in(page)
    expect(page.locator("#stream-state")).to_contain_text("Live")
    return page


def sign_in(page: Page, password: str = PASSWORD) -> None:
    page.get_by_label("Username").fill(USERNAME)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def forget_expected(complaints: Complaints, pattern: str) -> None:
    complaints.expected.append(pattern)


def order_of_rows(page: Page) -> list[int]:
    ids: list[int] = page.locator(".row").evaluate_all("rows => rows.map(row => Number(row.dataset.incident))")
    return ids


def row(page: Page, number: int) -> Locator:
    return page.locator(f'.row[data-incident="{number}"]')


def test_sign_in_refuses_a_wrong_password_in_words_and_accepts_the_right_one(
    page: Page, complaints: Complaints
) -> None:
    sign_in(page, "wrong")
    expect(page.get_by_role("alert")).to_have_text("Username or password is wrong. Check both and try again.")
    sign_in(page)
    expect(page.locator("#who")).to_have_text("okafor, dispatcher")
    forget_expected(complaints, "401")


def test_reload_keeps_the_session(console: Page) -> None:
    console.reload()
    expect(console.locator("#who")).to_have_text("okafor, dispatcher")


def test_alarms_count_as_armed_only_after_the_test_tone_was_heard(console: Page) -> None:
    expect(console.locator("#alarm-state")).to_contain_text("not tested")
    console.get_by_role("button", name="Play test tone").click()
    console.get_by_role("button", name="I heard it").click()
    expect(console.locator("#alarm-state")).to_contain_text("Alarms armed")
    console.keyboard.press("m")
    expect(console.locator("#alarm-state")).to_contain_text("Muted for")


def test_quiet_console_says_what_is_normal_and_what_is_not_heard(console: Page) -> None:
    expect(console.locator("#queue-empty")).to_contain_text("1 camera live, last word")
    expect(console.locator("#unheard")).to_contain_text("depot-02: 9 messages missing (812–820)")
    expect(console.locator('.node[data-node="depot-02"]')).to_contain_text("silent")
    assert "NaN" not in console.inner_text("body")


def test_incident_appears_without_a_reload_with_picture_and_box(console: Page, center: MockCenter) -> None:
    url = center.add_picture("ab", "image/png", painted_picture())
    center.add_incident(snapshot_url=url, clock_quality="UNSET")
    shown = row(console, 1)
    expect(shown).to_contain_text("Harbor · gate-2 · yard")
    expect(shown).to_contain_text("91 %")
    expect(shown).to_contain_text("clock unset")
    expect(shown.locator(".picture-box-over")).to_have_attribute("x", "45")
    expect(shown.get_by_role("img")).to_have_js_property("naturalWidth", 160)
    expect(console.locator("#announce-assertive")).to_contain_text("New FLASH: handgun")
    expect(console).to_have_title("(1 FLASH) Heard")


def test_name_sent_by_a_node_never_becomes_markup(console: Page, center: MockCenter) -> None:
    center.add_incident(label="<img src=x>", camera="<b>gate</b>")
    expect(row(console, 1)).to_contain_text("<img src=x>")
    assert console.locator(".row b, .row img").count() == 0


def test_unacknowledged_flash_stands_first(console: Page, center: MockCenter) -> None:
    center.add_incident(precedence="PRIORITY")
    center.add_incident(precedence="FLASH", age_s=60)
    center.add_incident(precedence="IMMEDIATE")
    center.acknowledge(center.add_incident(precedence="FLASH")["id"], "rivera")
    expect(console.locator(".row")).to_have_count(4)
    assert order_of_rows(console) == [2, 3, 1, 4]


def test_one_key_acknowledges_and_another_closes(console: Page, center: MockCenter) -> None:
    center.add_incident()
    expect(row(console, 1)).to_be_visible()
    console.keyboard.press("a")
    expect(row(console, 1)).to_contain_text("Acknowledged by okafor")
    expect(console.locator("#detail")).to_contain_text("Acknowledged by okafor")
    assert center.incidents[1]["acknowledged_by"] == USERNAME
    console.keyboard.press("c")
    console.keyboard.press("2")
    expect(row(console, 1)).to_have_count(0)
    console.get_by_role("button", name="All", exact=True).click()
    expect(row(console, 1)).to_contain_text("Closed: false alarm")
    assert center.incidents[1]["disposition"] == "false_alarm"


def test_closing_what_nobody_has_acknowledged_acknowledges_it_first(console: Page, center: MockCenter) -> None:
    center.add_incident()
    expect(row(console, 1)).to_be_visible()
    console.keyboard.press("c")
    console.keyboard.press("1")
    expect(row(console, 1)).to_have_count(0, timeout=7000)
    assert center.incidents[1]["acknowledged_by"] == USERNAME
    assert center.incidents[1]["disposition"] == "handled"


def test_queue_does_not_move_while_a_person_works_in_it(console: Page, center: MockCenter) -> None:
    center.add_incident(precedence="IMMEDIATE")
    center.add_incident(precedence="IMMEDIATE")
    expect(console.locator(".row")).to_have_count(2)
    console.keyboard.press("j")
    for _ in range(3):
        center.add_incident()
    expect(console.locator("#new-above")).to_contain_text("3 new above, 3 FLASH")
    assert order_of_rows(console) == [2, 1]
    selected = console.locator(".row.selected").get_attribute("data-incident")
    console.keyboard.press("j")  # the hand is still at work, however long the looks above took
    console.evaluate("document.querySelector('#new-above').click()")
    assert order_of_rows(console) == [5, 4, 3, 2, 1]
    expect(console.locator(".row.selected")).to_have_attribute("data-incident", selected or "")


def test_queue_takes_in_what_is_new_once_the_hand_rests(console: Page, center: MockCenter) -> None:
    center.add_incident(precedence="IMMEDIATE")
    row(console, 1).hover()
    center.add_incident()
    expect(console.locator("#new-above")).to_be_visible()
    expect(console.locator(".row")).to_have_count(2, timeout=7000)
    assert order_of_rows(console) == [2, 1]
    expect(console.locator("#new-above")).to_be_hidden()


def test_lost_stream_is_told_loudly_and_resumes_with_nothing_missed(
    console: Page, center: MockCenter, complaints: Complaints
) -> None:
    center.add_incident()
    expect(row(console, 1)).to_be_visible()
    heard_until = center.watermark
    center.stop()
    expect(console.locator("#stream-banner")).to_contain_text("This screen has not changed since")
    expect(console.locator("#stale-mark")).to_contain_text("NOT LIVE since")
    center.add_incident(label="long_gun")
    center.acknowledge(1, "rivera")
    center.start()
    console.get_by_role("button", name="Try now").click()
    expect(console.locator("#stream-banner")).to_contain_text("Live again.")
    expect(row(console, 2)).to_contain_text("long gun")
    expect(row(console, 1)).to_contain_text("Acknowledged by rivera")
    expect(console.locator("#stale-mark")).to_be_hidden()
    assert f"GET /api/v1/events?after={heard_until}" in center.asked
    forget_expected(complaints, "net::ERR_")


def test_reset_reloads_everything(console: Page, center: MockCenter, complaints: Complaints) -> None:
    center.add_incident()
    expect(row(console, 1)).to_be_visible()
    center.stop()
    center.incidents.clear()
    center.forget_events()
    center.add_incident(label="long_gun")
    center.start()
    expect(row(console, 1)).to_contain_text("long gun")
    expect(console.locator("#stream-state")).to_contain_text("Live")
    forget_expected(complaints, "net::ERR_")


def test_unreadable_event_neither_stops_the_stream_nor_is_skipped_in_silence(
    console: Page, center: MockCenter, complaints: Complaints
) -> None:
    center.publish("incident", {"id": 99})
    center.add_incident()
    expect(row(console, 1)).to_be_visible()
    expect(console.locator("#stream-state")).to_contain_text("Live")
    assert any("could not be read" in text for text in complaints)
    forget_expected(complaints, "could not be read")


def test_conflict_says_who_was_first(console: Page, center: MockCenter, complaints: Complaints) -> None:
    center.add_incident()
    expect(row(console, 1)).to_be_visible()
    center.acknowledge(1, "rivera", quietly=True)
    console.keyboard.press("a")
    expect(row(console, 1)).to_contain_text("Acknowledged by rivera")
    expect(console.locator(".detail-content > .notice")).to_have_text(
        re.compile(r"^rivera was first: acknowledged at \d\d:\d\d:\d\d\.$")
    )
    assert console.locator("dialog[open]").count() == 0
    forget_expected(complaints, "409")


def test_acknowledgement_stands_when_only_another_alert_came_in_between(
    console: Page, center: MockCenter, complaints: Complaints
) -> None:
    center.add_incident()
    expect(row(console, 1)).to_be_visible()
    center.incidents[1].update(version=2, alert_count=2)
    console.keyboard.press("a")
    expect(row(console, 1)).to_contain_text("Acknowledged by okafor")
    forget_expected(complaints, "409")


def test_failed_acknowledgement_is_never_shown_as_done(
    console: Page, center: MockCenter, complaints: Complaints
) -> None:
    center.add_incident()
    expect(row(console, 1)).to_be_visible()
    center.stop()
    console.keyboard.press("a")
    expect(console.locator(".detail-content > .notice")).to_contain_text(
        "Not acknowledged. The command center could not be reached."
    )
    expect(row(console, 1)).to_have_attribute("data-state", "unacknowledged")
    forget_expected(complaints, "net::ERR_")


def test_ended_session_asks_to_sign_in_again(console: Page, center: MockCenter, complaints: Complaints) -> None:
    center.add_incident()
    expect(row(console, 1)).to_be_visible()
    center.sessions.clear()
    console.keyboard.press("a")
    expect(console.get_by_role("alert")).to_contain_text("Your session has ended.")
    forget_expected(complaints, "401")


def test_filter_and_help_by_keyboard(console: Page, center: MockCenter) -> None:
    center.add_incident(camera="quay")
    center.add_incident(camera="dock")
    expect(console.locator(".row")).to_have_count(2)
    console.keyboard.press("/")
    console.keyboard.type("quay")
    expect(console.locator(".row")).to_have_count(1)
    console.keyboard.press("Escape")
    expect(console.locator(".row")).to_have_count(2)
    console.keyboard.press("?")
    expect(console.get_by_role("dialog")).to_contain_text("Acknowledge the selected incident")


def test_phone_shows_queue_and_details_without_sideways_scrolling(console: Page, center: MockCenter) -> None:
    center.add_incident()
    console.set_viewport_size({"width": 390, "height": 844})
    row(console, 1).locator(".row-open").click()
    expect(console.get_by_role("button", name="‹ Queue")).to_be_visible()
    assert console.evaluate("document.documentElement.scrollWidth") <= 390
    console.get_by_role("button", name="‹ Queue").click()
    expect(row(console, 1)).to_be_visible()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_has_the_contrast_that_wcag_asks_for(console: Page, center: MockCenter, theme: str) -> None:
    for precedence in ("FLASH", "IMMEDIATE", "PRIORITY"):
        center.add_incident(precedence=precedence, clock_quality="UNSET", quarantined=precedence == "PRIORITY")
    center.acknowledge(2, "rivera")
    expect(row(console, 3)).to_be_visible()
    console.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    low = console.evaluate(FIND_LOW_CONTRAST)
    assert low == []


def test_every_source_file_is_small_and_says_what_it_owns() -> None:
    sources = [*APP_DIR.glob("src/**/*.ts"), *APP_DIR.glob("src/**/*.tsx")]
    assert len(sources) > 30
    for file in sources:
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= MAX_LINES, f"{file.name} has more than {MAX_LINES} lines"
        assert text.startswith("/**"), file.name
        assert not re.search(r"innerHTML|dangerouslySet|: any\b|<any>|as any\b|@ts-ignore", text), file.name


FIND_LOW_CONTRAST = """() => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => { paint.clearRect(0, 0, 1, 1); paint.fillStyle = color; paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const ground = (element) => { for (let at = element; at; at = at.parentElement) {
    const color = rgba(getComputedStyle(at).backgroundColor); if (color[3] === 255) return color; } return [0, 0, 0, 255]; };
  const low = [];
  for (const element of document.querySelectorAll("#console *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.closest("#stale-mark, .visually-hidden")) continue;
    const [one, other] = [light(rgba(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < 4.5) low.push(`${element.className || element.tagName}: ${ratio.toFixed(2)} "${element.textContent}"`);
  }
  return low;
}"""
