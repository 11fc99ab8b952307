"""``alert-relay status`` for people: at 80 columns, without color, again and again; and for programs."""

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from relay.door import open_door
from relay.passport import Role
from relay.path_health import PathReport
from relay.service import station_verbs
from relay.status import LinkReport, StationStatus
from relay.status_view import size, span, status_view
from tests.relay.house import House, until
from tests.relay.test_metrics import a_status


def shown(known: StationStatus, *, width: int = 80, is_colored: bool = False) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system="truecolor" if is_colored else None, force_terminal=is_colored,
            highlight=False).print(status_view(known))  # fmt: skip
    return out.getvalue()


def a_busy_one() -> StationStatus:
    paths = (
        PathReport(path="broadband", is_up=True, rtt_ms=24.2, rtt_variation_ms=3.1, goodput_up_bytes_s=1_234_567,
                   goodput_down_bytes_s=88_000, bytes_up=987_654_321, last_word_age_ms=400),
        PathReport(path="lte-provider-b", is_up=True, is_metered=True, rtt_ms=148.5, rtt_variation_ms=60, loss=0.034,
                   goodput_up_bytes_s=30_000, bytes_up=1_200, budget_left=0.25, spent=1.5, last_word_age_ms=1_900),
        PathReport(path="sat", is_up=False, is_metered=True),
    )  # fmt: skip
    links = (LinkReport(peer="command-center", role="center", path="broadband", is_outgoing=True, rtt_ms=24.2,
                        last_word_age_ms=400),
             LinkReport(peer="gate-camera", role="camera", path="wifi", is_outgoing=False, rtt_ms=2.0,
                        last_word_age_ms=1_200))  # fmt: skip
    return msgspec.structs.replace(a_status(), paths=paths, links=links)


@pytest.mark.parametrize("width", [80, 120])
def test_everything_is_told_within_the_width_and_without_color(width: int) -> None:
    text = shown(a_busy_one(), width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "\x1b" not in text
    for told in ("yard-relay", "DOWN", "24±3 ms", "3%", "1.2 MB", "25% left", "FLASH 1", "BULK 400", "3–4, 9", "evicted_bulk 2",
                 "malformed 1", "command-center", "by us", "gate-camera", "by it", "1 d 2 h", "0.4 s", "988 MB", "yard-camera: flood 12,000"):  # fmt: skip
        assert told in text, f"{told!r} is missing in\n{text}"


def test_a_long_name_takes_more_lines_and_no_figure_away() -> None:
    path = PathReport(path="a path with a name as long as names may be, 48 by", is_up=True, rtt_ms=1_234.0, bytes_up=5)
    text = shown(msgspec.structs.replace(a_status(), paths=(path,)))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "1234±0 ms" in text


def test_color_only_repeats_what_the_words_say() -> None:
    colored = re.sub(r"\x1b\[[0-9;]*m", "", shown(a_busy_one(), is_colored=True))
    assert colored == shown(a_busy_one())


def test_a_thousand_neighbors_are_counted_and_not_listed() -> None:
    one = LinkReport(peer="n", role="camera", path="p", is_outgoing=False, rtt_ms=1, last_word_age_ms=1)
    text = shown(msgspec.structs.replace(a_status(), links=(one,) * 1_000))
    assert "and 980 more" in text
    assert len(text.splitlines()) < 40


def test_a_station_that_nobody_can_be_spoken_to_from_says_so() -> None:
    assert "no neighbor can be spoken to now" in shown(a_status())


@pytest.mark.parametrize(("size_bytes", "told"), [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (99_400, "99.4 kB"),
                                                 (999_600, "1.0 MB"), (5e12, "5000 GB")])  # fmt: skip
def test_sizes_are_short(size_bytes: float, told: str) -> None:
    assert size(size_bytes) == told


def test_durations_are_short() -> None:
    assert [span(s) for s in (0, 59, 61, 3_600, 93_784)] == ["0 s", "59 s", "1 min 1 s", "1 h", "1 d 2 h"]


async def test_watching_shows_one_look_after_another_until_it_is_interrupted(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.enroll("center", Role.CENTER)
    house.enroll("gate-camera", Role.CAMERA)
    house.settle()
    state_dir = house.dir_of("gate-camera")
    async with house.station("gate-camera") as node, open_door(state_dir, station_verbs(node)):
        watching = subprocess.Popen(  # noqa: ASYNC220  short, and read on a thread
            [sys.executable, "-c", "from relay.cli import main; main()", "status", "--state", str(state_dir), "--watch", "--json",
             "--every", "0.2"],
            stdout=subprocess.PIPE, env=os.environ, text=True,
        )  # fmt: skip
        assert watching.stdout is not None
        try:
            looks = [await asyncio.to_thread(watching.stdout.readline) for _ in range(3)]
        finally:
            watching.send_signal(signal.SIGINT)
            await until(lambda: watching.poll() is not None, "its end", timeout_s=20)
            watching.stdout.close()
        assert {msgspec.json.decode(look, type=StationStatus).name for look in looks} == {"gate-camera"}
        assert watching.returncode == 130
