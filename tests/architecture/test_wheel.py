"""What is shipped: the wheel, built as anybody builds it, holds the console as a browser needs it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_wheel_holds_the_built_console_and_none_of_its_source(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("heard-*.whl"))) as wheel:
        names = wheel.namelist()
        page = wheel.read("command_center/console/web/index.html").decode()
    web = [
        name.removeprefix("command_center/console/web/")
        for name in names
        if name.startswith("command_center/console/web/")
    ]
    scripts = [name for name in web if name.startswith("assets/") and name.endswith(".js")]
    assert scripts
    assert any(f"./{name}" in page for name in scripts)
    assert any(name.endswith(".css") for name in web)
    assert "icon.svg" in web
    assert not [name for name in names if "node_modules" in name or "console/app" in name]
    assert "command_center/console/static/icon.svg" in names
