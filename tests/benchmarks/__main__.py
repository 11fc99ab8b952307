"""Run benchmarks, print their tables, write them as JSON, and fail naming each target that is missed and each that gave no figure, and why.

One that fails does not keep the others from being run.
"""

import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tests.benchmarks.figure import Figure, NoFigure

NAMES = (
    "relay",
    "center",
    "journal",
    "camera",
    "evidence",
    "network",
    "flood",
    "scale",
    "video",
    "console",
    "durability",
    "bulk",
    "carriers",
    "seeing",
    "tiny",
    "standby",
)


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"error: expected BENCH among {', '.join(NAMES)}, found {', '.join(unknown)}", file=sys.stderr)
        return 2
    wrong: list[str] = []
    for name in names or list(NAMES):
        figures, why = figures_of(lambda name=name: importlib.import_module(f"tests.benchmarks.{name}").measure())  # type: ignore[misc]
        if figures:
            show(name, figures)
            bench_dir = Path("bench")
            bench_dir.mkdir(exist_ok=True)
            (bench_dir / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
        wrong += [f"target missed: {name}: {figure.name}" for figure in figures if figure.is_met is False]
        wrong += [f"no figure: {name}: {why}"] if why else []
    for item in wrong:
        print(item, file=sys.stderr)
    return 1 if wrong else 0


def figures_of(measure: Callable[[], list[Figure]]) -> tuple[list[Figure], str]:
    """What a benchmark measured, and why some or all of it is lacking; empty if nothing is."""
    try:
        return measure(), ""
    except NoFigure as failure:
        return failure.figures, str(failure)
    except Exception as error:  # noqa: BLE001  the others are to be run all the same, and it fails in the end
        traceback.print_exc()
        return [], f"{type(error).__name__}: {error}"


def show(name: str, figures: list[Figure]) -> None:
    table = Table("figure", "value", "peer or limit", "peer's value", "ratio", "target", title=f"bench: {name}")
    for figure in figures:
        sign = "≥" if figure.is_more_better else "≤"
        target = (
            "–" if figure.target_ratio is None else f"{sign} {figure.target_ratio:g} × {'✓' if figure.is_met else '✗'}"
        )
        table.add_row(figure.name, f"{figure.value:,.5g} {figure.unit}", figure.peer or "–",
                      "–" if figure.peer_value is None else f"{figure.peer_value:,.5g} {figure.unit}",
                      "–" if figure.ratio is None else f"{figure.ratio:.3f}", target)  # fmt: skip
    Console(width=150).print(table)


if __name__ == "__main__":
    sys.exit(main([name for name in sys.argv[1:] if name]))
