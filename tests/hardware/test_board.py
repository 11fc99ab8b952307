"""Boards that are not here, by trees of files in the kernel's documented layout; and this very machine."""

import sys
import types
from pathlib import Path
from typing import Self

import pytest

from camera_node.governor import Governor, GovernorSettings, Pace
from hardware import board, jetson_stats
from hardware.board import Board, BoardHealth


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        file = root / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def written(root: Path, files: dict[str, str]) -> Path:
    return tree(root, **files)


JETSON = {
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal", "sys/class/thermal/thermal_zone0/temp": "71500",
    "sys/class/thermal/thermal_zone1/type": "gpu-thermal", "sys/class/thermal/thermal_zone1/temp": "78250",
    "sys/class/thermal/thermal_zone2/type": "cv0-thermal", "sys/class/thermal/thermal_zone2/temp": "-256000",
    "sys/class/thermal/cooling_device0/type": "pwm-fan", "sys/class/thermal/cooling_device0/cur_state": "3",
    "sys/class/thermal/cooling_device1/type": "cpufreq-cpu0", "sys/class/thermal/cooling_device1/cur_state": "2",
    "sys/class/hwmon/hwmon4/in1_label": "VDD_IN", "sys/class/hwmon/hwmon4/in1_input": "5056",
    "sys/class/hwmon/hwmon4/curr1_input": "1480",
    "sys/class/hwmon/hwmon3/oc1_throt_en": "1", "sys/class/hwmon/hwmon3/oc1_event_cnt": "7",
}  # fmt: skip
PI = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal", "sys/class/thermal/thermal_zone0/temp": "60123",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50005",
    "sys/class/power_supply/ups/type": "Battery", "sys/class/power_supply/ups/capacity": "81",
    "sys/class/power_supply/ac/type": "Mains", "sys/class/power_supply/ac/online": "0",
}  # fmt: skip


def test_a_jetson_is_known_and_its_fan_is_no_throttling(tmp_path: Path) -> None:
    health = board.measure(written(tmp_path, JETSON))
    assert (health.board, health.model) == (Board.JETSON, "NVIDIA Jetson Orin Nano Developer Kit")
    assert health.temperatures_c == {"cpu-thermal": 71.5, "gpu-thermal": 78.25}
    assert health.hottest_c == 78.25
    assert health.throttled_because == ("cpufreq-cpu0 slowed down by 2", "oc1 over-current events since the start: 7")
    assert health.power_w == pytest.approx(7.48, abs=0.01)


def test_a_raspberry_pi_tells_under_voltage_and_that_it_runs_on_its_battery(tmp_path: Path) -> None:
    health = board.measure(written(tmp_path, PI))
    assert health.board is Board.RASPBERRY_PI
    assert health.throttled_because == ("under-voltage", "throttled")
    assert (health.is_on_mains, health.battery_percent) == (False, 81)


def test_a_machine_without_any_of_it_and_one_with_nonsense_are_measured_too(tmp_path: Path) -> None:
    assert board.measure(tmp_path) == BoardHealth(model="unknown", board=Board.OTHER)
    nonsense = written(tmp_path, {
        "sys/class/thermal/thermal_zone0/temp": "hot", "sys/devices/platform/soc/soc:firmware/get_throttled": "zz",
        "sys/class/power_supply/x/type": "Battery", "sys/class/power_supply/x/capacity": "1000",
    })  # fmt: skip
    assert board.measure(nonsense) == BoardHealth(model="unknown", board=Board.OTHER)
    assert board.measure().model


def test_jtop_is_read_where_it_is_and_missed_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert jetson_stats.read("no_such_module_anywhere") is None

    class Stats:
        gpu = {"gpu": {"status": {"load": 43.5}}}  # noqa: RUF012
        power = {"tot": {"power": 7210}}  # noqa: RUF012
        nvpmodel = "15W"

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def ok(self) -> bool:
            return True

    monkeypatch.setitem(sys.modules, "jtop_stand_in", types.SimpleNamespace(jtop=Stats))
    read = jetson_stats.read("jtop_stand_in")
    assert read is not None
    assert (read.gpu_percent, read.power_w, read.power_mode) == (43.5, 7.21, "15W")


# ---------------------------------------------------------------------- the governor


def at(celsius: float, *because: str) -> BoardHealth:
    return BoardHealth(model="b", board=Board.OTHER, temperatures_c={"cpu": celsius}, throttled_because=because)


def test_a_hot_board_looks_at_fewer_frames_at_once_and_at_more_only_when_it_has_cooled() -> None:
    governor = Governor(GovernorSettings())
    readings = [(0, 70.0, 1.0), (1, 86.0, 0.5), (2, 94.0, 0.25), (3, 91.0, 0.25), (40, 87.0, 0.25), (75, 86.0, 0.5),
                (76, 82.0, 0.5), (120, 82.0, 0.5), (121, 79.0, 0.5), (152, 79.0, 1.0)]  # fmt: skip
    assert [(s, governor.judge(at(c), s * 1000).share) for s, c, _ in readings] == [
        (s, share) for s, _, share in readings
    ]


def test_the_reason_is_said_and_old_events_are_no_reason() -> None:
    governor = Governor(GovernorSettings())
    assert governor.judge(at(50, "oc1 over-current events since the start: 7"), 0) == Pace(share=1.0, why="")
    pace = governor.judge(at(50, "under-voltage"), 1000)
    assert pace.why == "the board slows itself down: under-voltage"
    assert pace.frames_per_s(10) == 5
    assert Pace(share=0.25, why="x").frames_per_s(2) == 1.0
    assert Pace(share=0.25, why="x").frames_per_s(0.5) == 0.5
