"""Run a benchmark, print its table, write it as JSON, and fail naming each target that is missed."""

import importlib
import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tests.benchmarks.figure import Figure

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
    "seeing",
    "tiny",
)


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"error: expected BENCH among {', '.join(NAMES)}, found {', '.join(unknown)}", file=sys.stderr)
        return 2
    missed: list[str] = []
    for name in names or list(NAMES):
        figures: list[Figure] = importlib.import_module(f"tests.benchmarks.{name}").measure()
        show(name, figures)
        bench_dir = Path("bench")
        bench_dir.mkdir(exist_ok=True)
        (bench_dir / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
        missed += [f"{name}: {figure.name}" for figure in figures if figure.is_met is False]
    for item in missed:
        print(f"target missed: {item}", file=sys.stderr)
    return 1 if missed else 0


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
