"""Local actions: a line of a stand-in for libgpiod 2, a real HTTP switch on loopback, real programs."""

import asyncio
import http.server
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from camera_node.actions import Actions, CommandAction, GpioAction, HttpAction
from hardware import http_switch
from hardware.errors import DeviceFault
from hardware.gpio_line import line_set
from relay.crew import crew
from tests.camera_node.waiting import until


class Chip:
    """The interface of libgpiod 2 that is used: ``request_lines``, ``LineSettings``, ``gpiod.line``."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.error: OSError | None = None
        direction, value = (
            types.SimpleNamespace(OUTPUT="output"),
            types.SimpleNamespace(ACTIVE="active", INACTIVE="inactive"),
        )
        self.line = types.SimpleNamespace(Direction=direction, Value=value)
        chip = self

        class Request:
            def set_value(self, line: int, to: str) -> None:
                chip.log.append(f"{line} {to}")

            def release(self) -> None:
                chip.log.append("released")

        def request_lines(path: str, *, consumer: str, config: dict[int, types.SimpleNamespace]) -> Request:
            if chip.error is not None:
                raise chip.error
            ((line, settings),) = config.items()
            chip.log.append(
                f"{path} {line} {settings.output_value}{' low' if settings.active_low else ''} for {consumer}"
            )
            return Request()

        self.module = types.SimpleNamespace(LineSettings=types.SimpleNamespace, request_lines=request_lines)


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Chip:
    made = Chip()
    monkeypatch.setitem(sys.modules, "gpiod_stand_in", made.module)
    monkeypatch.setitem(sys.modules, "gpiod_stand_in.line", made.line)
    return made


def siren(tmp_path: Path, for_s: float = 0.2) -> Actions:
    action = GpioAction(name="siren", chip="/dev/gpiochip0", line=17, active_low=True, for_s=for_s)
    return Actions([action], work_dir=tmp_path, gpio_module="gpiod_stand_in")


async def test_a_line_is_set_for_its_time_and_given_back(chip: Chip, tmp_path: Path) -> None:
    assert await siren(tmp_path).run_now("siren", {}) == ("done", "siren")
    assert chip.log == ["/dev/gpiochip0 17 active low for heard", "17 inactive", "released"]


async def test_a_siren_that_sounds_is_not_started_twice_its_end_is_moved(chip: Chip, tmp_path: Path) -> None:
    actions = siren(tmp_path, for_s=30)
    async with crew() as members:
        assert actions.start(members, "siren", {}) == "siren for 30 s"
        await until(lambda: len(chip.log) == 1)
        assert "goes on" in actions.start(members, "siren", {}, for_s=60)
        assert await actions.run_now("siren", {}) == ("done", "siren was under way")
        assert actions.under_way == ("siren",)
    assert chip.log[1:] == ["17 inactive", "released"], "the node's end ends it, and it was requested once"
    assert not actions.under_way


async def test_an_action_that_is_not_there_or_not_to_be_had_says_what_to_do(chip: Chip, tmp_path: Path) -> None:
    chip.error = OSError(16, "Device or resource busy")
    outcome, detail = await siren(tmp_path).run_now("siren", {})
    assert outcome == "failed"
    assert "gpioinfo" in detail
    assert "busy" in detail
    async with crew() as members:
        with pytest.raises(DeviceFault, match="has no action 'horn'; it has siren"):
            siren(tmp_path).start(members, "horn", {})
    with pytest.raises(DeviceFault, match="gpio extra"), line_set("/dev/gpiochip0", 1, module="no_gpiod_anywhere"):
        pass


# ---------------------------------------------------------------------- a switch by HTTP


class Switch(http.server.BaseHTTPRequestHandler):
    """Answers 200, but to /no with 403 and to /away with a redirect."""

    asked: list[str]

    def do_POST(self) -> None:
        type(self).asked.append(
            f"{self.command} {self.path} {self.rfile.read(int(self.headers['Content-Length'] or 0)).decode()}"
        )
        self.send_response({"/no": 403, "/away": 302}.get(self.path, 200))
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def switch() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (Switch,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


async def test_a_switch_is_switched_on_and_off_again(switch: tuple[str, list[str]], tmp_path: Path) -> None:
    url, asked = switch
    action = HttpAction(name="strobe", url=f"{url}/on", content='{"on": true}', off_url=f"{url}/off", for_s=0.2)
    assert await Actions([action], work_dir=tmp_path).run_now("strobe", {}) == ("done", "strobe")
    assert asked == ['POST /on {"on": true}', "POST /off "]


async def test_a_node_that_stops_switches_off_what_it_switched_on(
    switch: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, asked = switch
    actions = Actions([HttpAction(name="strobe", url=f"{url}/on", off_url=f"{url}/off", for_s=600)], work_dir=tmp_path)
    async with crew() as members:
        actions.start(members, "strobe", {})
        await until(lambda: len(asked) == 1)
    await until(lambda: asked[-1] == "POST /off ")


@pytest.mark.parametrize(("path", "said"), [("/no", "answered 403"), ("/away", "answered 302")])
def test_a_switch_that_refuses_or_sends_elsewhere_is_named_without_its_password(
    switch: tuple[str, list[str]], path: str, said: str
) -> None:
    url, _ = switch
    with pytest.raises(DeviceFault, match=said) as caught:
        http_switch.request(url + path)
    assert "secret" not in str(caught.value)


def test_a_switch_that_is_gone_and_an_address_of_another_kind_are_refused() -> None:
    with pytest.raises(DeviceFault, match="can't be reached"):
        http_switch.request("http://127.0.0.1:1/on")
    with pytest.raises(DeviceFault, match="expected http"):
        http_switch.request("file:///etc/passwd")


# ---------------------------------------------------------------------- programs


async def test_a_program_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    command = ("/bin/sh", "-c", "echo $$ > pid; sleep 60 & sleep 60")
    outcome, detail = await Actions([CommandAction(name="p", command=command, for_s=0.5)], work_dir=tmp_path).run_now(
        "p", {}
    )
    assert (outcome, detail) == ("failed", "took longer than 0.5 s and was killed")
    pid = int((tmp_path / "pid").read_text())
    await until(lambda: not Path(f"/proc/{pid}").exists())
    await asyncio.sleep(0)
