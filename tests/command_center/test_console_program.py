"""The console's pure parts, by their own tests: order, frozen queue, commands, stream, clock."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APP_DIR = ROOT / "command_center" / "console" / "app"


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_the_programs_own_tests_pass() -> None:
    code = (
        "import pathlib, sys; sys.path.insert(0, 'scripts'); import build_console as b; app = pathlib.Path(sys.argv[1]);"
        "node = b.find_node(); b.install(app, node); node.run([node.program, 'node_modules/vitest/vitest.mjs', 'run'], app)"
    )
    done = subprocess.run([sys.executable, "-c", code, APP_DIR], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (APP_DIR / "package-lock.json").read_text()
