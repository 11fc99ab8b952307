"""Take the README's picture of the console, in real Chromium while the demonstration runs.

``python scripts/take_console_picture.py docs/pictures/console.png``; needs the dev extra and Debian's chromium.
"""

import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"


def main(picture_file: Path) -> int:
    """Start the demonstration, wait for three alerts, acknowledge one, take the picture."""
    with tempfile.TemporaryDirectory() as state_dir:
        demo = subprocess.Popen([Path(sys.executable).parent / "command-center", "demo", "--state", state_dir],
                                stdout=subprocess.PIPE, text=True)  # fmt: skip
        assert demo.stdout is not None
        said: dict[str, str] = {}
        for line in demo.stdout:
            found = re.match(r" {4}(console|password)\s+(\S+)", line)
            if found:
                said[found.group(1)] = found.group(2)
            if "password" in said:
                break
        try:
            _photograph(said["console"], said["password"], picture_file)
        finally:
            demo.send_signal(signal.SIGINT)
            demo.communicate(timeout=60)
    return 0


def _photograph(url: str, password: str, picture_file: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1600, "height": 950})
        page.goto(url)
        page.fill("input[type=text], input[name=username]", "dispatcher")
        page.fill("input[type=password]", password)
        page.keyboard.press("Enter")
        page.get_by_text("INC-", exact=False).nth(2).wait_for(timeout=60_000)
        for button in ("Play test tone", "I heard it"):
            page.get_by_role("button", name=button).click()
        page.wait_for_timeout(7_000)
        page.keyboard.press("j")
        page.keyboard.press("a")
        page.wait_for_timeout(2_500)
        page.screenshot(path=picture_file)
        browser.close()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
