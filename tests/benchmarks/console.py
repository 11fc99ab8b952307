"""The console with 10,000 open incidents and 20 consoles: alert stored → on screen, load → usable, key → acknowledged.

One console is a real Chromium; the others hold their event streams open and read them. All of them, the center and this program
share the machine.
"""

import asyncio
import contextlib
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from playwright.async_api import Page, async_playwright

from tests.benchmarks.figure import Figure, percentile
from tests.command_center.console_desk import CHROMIUM_FILE
from tests.command_center.house import PASSWORD

OPEN = 10_000
CONSOLES = 20
ALERTS = 100
ACKNOWLEDGED = 40
LOADS = 5

WATCH_ROWS = """
window.shown = new Map(); window.usable = null; window.acknowledged = [];
const stamp = () => performance.timeOrigin + performance.now();
const look = () => { for (const row of document.querySelectorAll('.row')) { const id = row.dataset.incident;
  if (!window.shown.has(id)) { window.shown.set(id, 0); requestAnimationFrame(() => setTimeout(() => window.shown.set(id, stamp()))); } }
  if (window.usable === null && document.querySelector('.row')) { window.usable = 0;
    const press = () => { if (document.querySelector('.row-open:focus')) { window.usable = performance.now(); return; }
      document.dispatchEvent(new KeyboardEvent('keydown', { key: 'j', bubbles: true })); requestAnimationFrame(press); }; press(); } };
new MutationObserver(look).observe(document, { childList: true, subtree: true });
let pressedAt = 0;
document.addEventListener('keydown', (event) => { if (event.key === 'a') pressedAt = event.timeStamp; }, true);
new MutationObserver((changes) => { for (const { target } of changes) if (pressedAt && target.classList?.contains('row') && target.dataset.state === 'acknowledged') {
  const since = pressedAt; pressedAt = 0; requestAnimationFrame(() => setTimeout(() => window.acknowledged.push(performance.now() - since))); } })
  .observe(document, { attributes: true, attributeFilter: ['data-state'], subtree: true });
"""


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        delays, loads, presses = asyncio.run(_measure(Path(folder) / "center"))
    return [
        Figure(name=f"alert stored → on screen, {OPEN:,} open, {CONSOLES} consoles, p50", value=percentile(delays, 0.5), unit="ms"),
        Figure(name="the same, p99", value=percentile(delays, 0.99), unit="ms", peer="limit", peer_value=150.0, target_ratio=1.0, is_more_better=False),
        Figure(name=f"load → a key is answered, worst of {LOADS}", value=max(loads), unit="ms", peer="limit", peer_value=1000.0, target_ratio=1.0, is_more_better=False),
        Figure(name="key → acknowledged state shown, p50", value=percentile(presses, 0.5), unit="ms"),
        Figure(name="the same, p95", value=percentile(presses, 0.95), unit="ms", peer="limit", peer_value=100.0, target_ratio=1.0, is_more_better=False),
    ]  # fmt: skip


async def _measure(state_dir: Path) -> tuple[list[float], list[float], list[float]]:
    async with _center(state_dir) as (center, url), _others(url), _chromium(url) as page:
        loads = [await _load(page) for _ in range(LOADS)]
        await page.wait_for_function(
            f"document.querySelector('#summary').textContent.includes('{OPEN:,} open')", timeout=120_000
        )
        await page.mouse.move(5, 5)
        await page.evaluate("document.activeElement.blur()")
        await asyncio.sleep(5)  # the hand rests: the queue takes in what comes
        delays = [await _alert(center, page) for _ in range(ALERTS)]
        presses = await _acknowledge(page)
    return delays, loads, presses


async def _load(page: Page) -> float:
    await page.reload(wait_until="commit")
    await page.wait_for_function("window.usable > 0", timeout=30_000)
    return float(await page.evaluate("window.usable"))


async def _alert(center: Process, page: Page) -> float:
    """Milliseconds from durable to painted."""
    assert center.stdin is not None
    assert center.stdout is not None
    center.stdin.write(b"\n")
    number, stored_ns = (int(word) for word in (await center.stdout.readline()).split())
    shown = await page.wait_for_function(f"window.shown.get('{number}')", timeout=30_000)
    await asyncio.sleep(0.05)
    return float(await shown.json_value()) - stored_ns / 1e6


async def _acknowledge(page: Page) -> list[float]:
    for at in range(ACKNOWLEDGED):
        await page.keyboard.press("n")
        await page.keyboard.press("a")
        await page.wait_for_function(f"window.acknowledged.length > {at}", timeout=30_000)
    found: list[float] = await page.evaluate("window.acknowledged")
    return found


@contextlib.asynccontextmanager
async def _center(state_dir: Path) -> AsyncIterator[tuple[Process, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.console_center", str(state_dir), str(OPEN), stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(300):
            while not (line := (await process.stdout.readline()).decode().strip()).startswith("http"):
                assert process.returncode is None, "the center ended before it was up"
        yield process, line
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def _others(url: str) -> AsyncIterator[None]:
    """The other consoles: signed in, their streams open and read."""
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=httpx.Limits(max_connections=100)) as client:
        (await client.post("/api/v1/session", json={"username": "okafor", "password": PASSWORD})).raise_for_status()

        async def read() -> None:
            async with client.stream("GET", "/api/v1/events") as stream:
                async for _ in stream.aiter_raw():
                    pass

        readers = [asyncio.create_task(read(), name=f"console-{at}") for at in range(CONSOLES - 1)]
        try:
            yield
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)


@contextlib.asynccontextmanager
async def _chromium(url: str) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM_FILE, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            page = await browser.new_page(
                viewport={"width": 1440, "height": 900}, bypass_csp=True
            )  # to wait in the page
            await page.add_init_script(WATCH_ROWS)
            await page.goto(url)
            await page.get_by_label("Username").fill("okafor")
            await page.get_by_label("Password").fill(PASSWORD)
            await page.get_by_role("button", name="Sign in").click()
            await page.locator(".row").first.wait_for(timeout=60_000)
            yield page
        finally:
            await browser.close()
