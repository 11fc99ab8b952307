"""The flood's benchmark says why it has no figure, runs again what proved nothing, and keeps what others gave."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import figures_of
from tests.benchmarks.figure import Figure, NoFigure
from tests.network import flood, namespaces
from tests.network.bench import EndedByItself
from tests.network.flood import FLOODS, SHARED, Felt, feel, measure, rounds
from tests.network.scenario import Scenario

GOOD = Felt(calm_ms=(100.0, 110.0), flooded_ms=(120.0, 130.0), stored_per_s=300.0, lost=0)


class Rounds:
    """In place of rounds that take half a minute: each seed's outcome, good where nothing is said."""

    def __init__(self, spoiled: Mapping[int, Exception], *, only_in: Scenario | None = None) -> None:
        self.seeds: list[int] = []
        self._spoiled = spoiled
        self._only_in = only_in

    async def __call__(self, scenario: Scenario, alerts_per_s: float, seed: int, state_dir: Path) -> Felt:
        self.seeds.append(seed)
        if seed in self._spoiled and (self._only_in is None or self._only_in is scenario):
            raise self._spoiled[seed]
        return GOOD


def test_a_round_that_proves_nothing_says_why_and_is_run_again(capsys: pytest.CaptureFixture[str]) -> None:
    tried = Rounds({1: NoFigure("the flood was none"), 3: EndedByItself("flooder: killed")})
    assert rounds("a place", SHARED, 10.0, tried) == [GOOD, GOOD]
    assert tried.seeds == [1, 2, 3, 4]
    said = capsys.readouterr().err
    assert "proves nothing: a place, round 1: the flood was none" in said
    assert "round 3: flooder: killed" in said


def test_a_place_without_a_round_names_each_reason_and_the_other_s_figures_stand() -> None:
    never = {seed: AssertionError(f"reason {seed}") for seed in range(1, 10)}
    tried = Rounds(never, only_in=SHARED)
    with pytest.raises(
        NoFigure, match="a shared uplink: round 1: reason 1; round 2: reason 2; round 3: reason 3"
    ) as failure:
        measure(tried)
    other = next(place for place, (scenario, _) in FLOODS.items() if scenario is not SHARED)
    assert failure.value.figures
    assert all(other in figure.name for figure in failure.value.figures)
    assert len(tried.seeds) == flood._SPOILED_AT_MOST + 1 + flood._ROUNDS


def test_what_a_bug_raises_is_not_taken_for_a_busy_machine() -> None:
    with pytest.raises(ZeroDivisionError):
        rounds("a place", SHARED, 10.0, Rounds({1: ZeroDivisionError()}))


def test_a_benchmark_that_fails_says_so_and_keeps_what_it_has() -> None:
    kept = Figure(name="kept", value=1.0, unit="ms")

    def lacking() -> list[Figure]:
        raise NoFigure("too busy", [kept])

    def broken() -> list[Figure]:
        raise KeyError("x")

    assert figures_of(lambda: [kept]) == ([kept], "")
    assert figures_of(lacking) == ([kept], "too busy")
    assert figures_of(broken) == ([], "KeyError: 'x'")


@pytest.mark.skipif(not namespaces.can_make(), reason="needs root, `ip` and /dev/net/tun")
def test_a_flood_that_is_none_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_CALM_S", "_SETTLE_S", "_FLOOD_S"):
        monkeypatch.setattr(flood, name, 1.2)
    with pytest.raises(NoFigure, match=r"the flood was none: .* flooder \d+%"):
        asyncio.run(feel(SHARED, 20.0, 1, tmp_path))
