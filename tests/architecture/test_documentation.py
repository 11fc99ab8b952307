"""The documentation is true: every command in it is run, every file it names is there, every link leads somewhere."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from command_center.demonstration.household import free_port
from models.demonstration import SCENE_FILE, WEIGHTS_FILE

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/DESIGN.md"), *ROOT.glob("models/**/*.md")]
)
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"HEARD1-[A-Z2-7]+")


@dataclass
class Machine:
    """One machine on which a guide is followed, line by line."""

    folder_dir: Path
    ports: dict[str, str] = field(
        default_factory=lambda: {port: str(free_port()) for port in ("8480", "5700", "5701", "5800")}
    )
    code: str = ""
    transcript: str = ""
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def follow(self, text: str) -> None:
        for language, info, block in _BLOCK.findall(text):
            if language == "toml" and "file=" in info:
                file = self.folder_dir / info.split("file=")[1].strip()
                file.write_text(self._here(block))
            elif language == "sh" and "background" in info:
                self._start(self._here(block).strip())
            elif language == "sh":
                self._run(self._here(block))

    def _here(self, text: str) -> str:
        """The same words for this machine: its ports, the code that it was given, a camera that exists."""
        for shown, real in self.ports.items():
            text = re.sub(rf"(?<=:){shown}\b", real, text)
        return text.replace("HEARD1-…", self.code).replace("0.0.0.0", "127.0.0.1").replace(
            'source = "rtsp://user:password@192.168.1.20/stream"', f'source = "{SCENE_FILE}"'
        ).replace("/usr/local/bin/sound-siren", "/bin/true")  # fmt: skip

    def _run(self, script: str) -> None:
        done = subprocess.run(["bash", "-euc", script], cwd=self.folder_dir, env=self._env(), capture_output=True, text=True,
                              timeout=90, stdin=subprocess.DEVNULL)  # fmt: skip
        self.transcript += f"{script}{done.stdout}{done.stderr}"
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        if found := _CODE.search(done.stdout):
            self.code = found.group()

    def _start(self, command: str) -> None:
        log_file = self.folder_dir / f"background-{len(self.running)}.log"
        with log_file.open("wb") as log:
            self.running.append(
                subprocess.Popen(
                    ["bash", "-c", f"exec {command}"], cwd=self.folder_dir, env=self._env(), stdout=log, stderr=log
                )
            )
        deadline = time.monotonic() + 30
        while not log_file.read_bytes():  # each of them says on stdout that it is up
            assert self.running[-1].poll() is None, f"{command}: {log_file.read_text()}"
            assert time.monotonic() < deadline, f"{command} says nothing"
            time.sleep(0.05)

    def _env(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "140"}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    built = Machine(folder_dir=tmp_path)
    try:
        yield built
    finally:
        for process in reversed(built.running):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
            process.wait()


@pytest.mark.timeout(360)  # some thirty programs, one after the other
def test_the_installers_guide_works_line_by_line(machine: Machine) -> None:
    shutil.copy(WEIGHTS_FILE, machine.folder_dir / "weights.onnx")
    machine.follow((ROOT / "docs/installer.md").read_text())
    assert "ready" in machine.transcript
    assert "revoked" in machine.transcript
    # What the guide set up is what the auditor's page is about.
    machine.follow((ROOT / "docs/auditor.md").read_text())
    assert "all as written" in machine.transcript


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    broken = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_make_verbs_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:^|`)make ((?:[a-z-]+ ?)+)", page.read_text(), re.MULTILINE))
    verbs = {verb for line in named for verb in line.split()}
    assert not {verb for verb in verbs if not re.search(rf"^{verb}:", makefile, re.MULTILINE)}


@pytest.mark.parametrize("program", ["command-center", "alert-relay", "camera-node", "model-bundle"])
def test_every_command_that_is_named_in_prose_exists(program: str) -> None:
    known = subprocess.run([Path(sys.executable).parent / program, "--help"], capture_output=True, text=True, timeout=30,
                           env={**os.environ, "COLUMNS": "200"})  # fmt: skip
    assert known.returncode == 0
    text = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(rf"`{program} ([a-z]+)", text)) | set(
        re.findall(rf"^{program} ([a-z]+)", text, re.MULTILINE)
    )
    missing = {word for word in named if not re.search(rf"^\W*{word}\b", known.stdout, re.MULTILINE)}
    assert named
    assert not missing


@pytest.mark.parametrize("unit", sorted((ROOT / "hardware/systemd").glob("*.service")), ids=lambda unit: str(unit.stem))
def test_the_installers_guide_says_what_the_units_expect(unit: Path) -> None:
    guide = (ROOT / "docs/installer.md").read_text()
    settings = dict(re.findall(r"^(\w+)=(.+)$", unit.read_text(), re.MULTILINE))
    program, *arguments = settings["ExecStart"].split()
    expected = [f"{Path(program).parent}`", *(word for word in arguments if word.startswith("/"))]
    expected += [
        f"a user `{settings['User']}`",
        f"-m {settings['StateDirectoryMode'].lstrip('0')} /var/lib/{settings['StateDirectory']}",
    ]
    assert not [word for word in [*expected, unit.stem] if word not in guide]
    if settings.get("PrivateDevices") == "yes" and "relay" in unit.stem:
        assert "PrivateDevices=no" in guide
