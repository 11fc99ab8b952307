"""Which board this is, and how it is: read from the kernel's own files, so that it needs no vendor's service.

``root`` is the file system's root, so that a recorded tree of ``/proc`` and ``/sys`` can stand for a board that is not here.
Reads nothing else and changes nothing. On a Jetson, ``jtop`` (jetson-stats, if it is installed and its service runs) adds
what only NVIDIA's drivers know. Not run here on a real Jetson or Raspberry Pi: the tests use trees in the layout that the
kernel documents (Documentation/ABI/testing/sysfs-class-thermal, sysfs-class-power) and NVIDIA's and the Foundation's own names.
"""

import contextlib
import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final


class Board(enum.Enum):
    """The families that are told apart."""

    JETSON = "jetson"
    RASPBERRY_PI = "raspberry_pi"
    OTHER = "other"


_PLAUSIBLE_C: Final = range(-40, 151)
"""Sensors that are not there read 0, -256000 or 2^31."""
# Bits of the Raspberry Pi's firmware property "get_throttled", as the file shows them in hexadecimal.
_PI_NOW: Final = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardHealth:
    """How a board is at one moment."""

    model: str
    board: Board
    temperatures_c: dict[str, float] = field(default_factory=dict)
    """By the kernel's name of the zone."""
    throttled_because: tuple[str, ...] = ()
    """Why the board slows itself down now; empty: it does not, as far as it tells."""
    is_on_mains: bool | None = None
    """None: it does not tell."""
    battery_percent: int | None = None
    power_w: float | None = None
    """Drawn by the whole board, where it has a meter."""

    @property
    def hottest_c(self) -> float | None:
        """Of all zones; None where there are none."""
        return max(self.temperatures_c.values(), default=None)


def recognize(root: Path = Path("/")) -> tuple[Board, str]:
    """The family, and the model in the vendor's words."""
    model = _text(root / "proc/device-tree/model").rstrip("\0") or _text(root / "sys/class/dmi/id/product_name")
    if "jetson" in model.lower() or (root / "etc/nv_tegra_release").exists():
        return Board.JETSON, model or "NVIDIA Jetson"
    if "raspberry pi" in model.lower():
        return Board.RASPBERRY_PI, model
    return Board.OTHER, model or "unknown"


def measure(root: Path = Path("/")) -> BoardHealth:
    """How the board is now. What can't be read is left out; never raises."""
    board, model = recognize(root)
    return BoardHealth(
        model=model, board=board, temperatures_c=dict(_temperatures(root)), throttled_because=tuple(_throttling(root)),
        is_on_mains=_is_on_mains(root), battery_percent=_battery_percent(root), power_w=_power_w(root),
    )  # fmt: skip


def _temperatures(root: Path) -> Iterator[tuple[str, float]]:
    """``thermal_zone*``: ``type`` is its name, ``temp`` is in millidegrees."""
    for zone_dir in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        millidegrees = _number(zone_dir / "temp")
        if millidegrees is not None and round(millidegrees / 1000) in _PLAUSIBLE_C:
            yield _text(zone_dir / "type") or zone_dir.name, millidegrees / 1000


def _throttling(root: Path) -> Iterator[str]:
    for cooling_dir in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        name, state = _text(cooling_dir / "type"), _number(cooling_dir / "cur_state")
        # A fan that turns cools; only what slows the processor down is throttling.
        if (
            state
            and "fan" not in name.lower()
            and any(word in name.lower() for word in ("cpu", "gpu", "throttl", "devfreq"))
        ):
            yield f"{name} slowed down by {state:.0f}"
    flags = _text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    if flags:
        with contextlib.suppress(ValueError):
            bits = int(flags, 16)
            yield from (reason for bit, reason in _PI_NOW.items() if bits >> bit & 1)
    for file in sorted(
        (root / "sys/class/hwmon").glob("hwmon*/oc*_throt_en")
    ):  # Jetson: over-current, which is under-voltage too
        count = _number(file.with_name(file.name.replace("throt_en", "event_cnt")))
        if count:
            yield f"{file.name.split('_')[0]} over-current events since the start: {count:.0f}"


def _supplies(root: Path, kind: str) -> list[Path]:
    return [folder for folder in sorted((root / "sys/class/power_supply").glob("*")) if _text(folder / "type") == kind]


def _is_on_mains(root: Path) -> bool | None:
    states = [_number(folder / "online") for kind in ("Mains", "USB", "UPS") for folder in _supplies(root, kind)]
    known = [state for state in states if state is not None]
    return any(known) if known else None


def _battery_percent(root: Path) -> int | None:
    levels = [_number(folder / "capacity") for kind in ("Battery", "UPS") for folder in _supplies(root, kind)]
    known = [round(level) for level in levels if level is not None and 0 <= level <= 100]
    return min(known, default=None)


def _power_w(root: Path) -> float | None:
    """The INA3221 of a Jetson: millivolts times milliamperes of the rail called VDD_IN."""
    for label_file in sorted((root / "sys/class/hwmon").glob("hwmon*/in*_label")):
        if _text(label_file) in {"VDD_IN", "VIN_SYS_5V0"}:
            number = label_file.name.removeprefix("in").removesuffix("_label")
            millivolts = _number(label_file.with_name(f"in{number}_input"))
            milliamperes = _number(label_file.with_name(f"curr{number}_input"))
            if millivolts is not None and milliamperes is not None:
                return millivolts * milliamperes / 1_000_000
    return None


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(file: Path) -> float | None:
    try:
        return float(_text(file))
    except ValueError:
        return None
